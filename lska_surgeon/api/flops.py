"""The verb `flops`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ..cost.cache import cost_of
from ..cost.cost import Cost
from ..cost.limits import batch_of, size_of
from ..declarations.find import active_blocks
from ..errors import SurgeonError
from ..modelfile.sources import is_checkpoint
from ..wording import a_value
from .arguments import PathLike
from .own_blocks import with_own_blocks
from .sources import look_at

if TYPE_CHECKING:
    from torch import nn

    #: A path, a stock name, a module, a `YOLO` object, or a Checkpoint.
    Countable = Union[PathLike, nn.Module, Any]


@with_own_blocks
def flops(
    model: Countable,
    *,
    imgsz: int | tuple[int, int] = 640,
    batch: int = 1,
    fuse: bool = True,
    scale: str | None = None,
    trust: bool = False,
    blocks: PathLike | None = None,
) -> Cost:
    """Count the parameters, multiply-accumulates and FLOPs of one forward pass in eval mode, as fvcore counts them.

    FLOPs are twice the multiply-accumulates, the unit in which Ultralytics publishes its models.

    >>> import lska_surgeon as ls
    >>> ls.flops("yolov8n.yaml").params
    3151904

    Args:
        model: path of a model YAML or of a .pt, a stock Ultralytics name with its scale, any torch module that
            takes one (N, C, H, W) tensor, a loaded `YOLO` object, or a Checkpoint; none of them is changed.
        imgsz: size of the image in pixels, one number for a square or (height, width).
        batch: N, images in the input.
        fuse: fuse Conv and BatchNorm first, as Ultralytics does before it predicts.
        scale: scale of a model YAML, where its name does not say it.
        trust: load a .pt even if it names code that is not on the allow-list; it may then run anything.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        DocumentError, CheckpointError: the file is not there, or is neither.
        BuildError: Ultralytics refuses to build it.
        CostError: the size does not fit the strides, or the forward pass fails.
    """
    size = size_of(imgsz)
    batch = batch_of(batch)
    look_at(model, built=True)
    if scale and not _is_yaml(model):
        raise SurgeonError(f"scale {scale!r} is for a model YAML: a network that is built already has its scale")
    if isinstance(model, (str, os.PathLike)):
        return cost_of(os.fspath(model), size, batch, fuse, blocks=active_blocks(), scale=scale, trust=trust)
    from ..cost.count import load

    load()
    return _count_loaded(model, size, batch, fuse)


def _is_yaml(model: Countable) -> bool:
    return isinstance(model, (str, os.PathLike)) and not is_checkpoint(Path(model))


def _count_loaded(model: Any, size: tuple[int, int], batch: int, fuse: bool) -> Cost:
    """Count what is in memory: the module of a `YOLO` object or a Checkpoint, or a module itself."""
    from torch import nn

    from ..checkpoints.contents import Checkpoint
    from ..cost.count import count
    from ..yolo.environment import module_named

    name = type(model).__name__
    if isinstance(model, Checkpoint):
        return count(model.float_model(), size, batch, fuse, name=str(model.path))
    if isinstance(model, module_named("ultralytics.engine.model").Model):  # which calls itself a module
        name, model = str(model.ckpt_path or model.model_name or name), model.model
    if not isinstance(model, nn.Module):
        raise SurgeonError(f"{a_value(model)} can't be counted: give a path, a torch module or a YOLO object")
    return count(model, size, batch, fuse, name=name)
