"""What a model of torchvision or timm gives as a backbone: one map for each stride, measured without its weights."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from ..core.blocks import BlockTable
from ..core.graph import SECTIONS, Graph, Layer, Scaling
from ..core.replacing import ShapedGraph
from ..core.shapes import Shape
from ..errors import MisfitError, MissingPackageError, SurgeonError
from ..wording import did_you_mean, first_line
from .environment import import_offline

_SIDE = 256  # of the image that maps are measured on
_OTHER = (320, 448)  # height and width of another: networks of one size of images run on the first alone
_TRUNCATED = 2  # layers at the end that are no features: the pooling and the classifier
_STRIDES = (4.0, 8.0, 16.0, 32.0)


class _RowOfMaps(NamedTuple):
    """The row that gives all maps of a model.

    Attributes:
        block: what it names.
        args: its arguments; for TorchVision after the width of the last map.
        built: makes the module, without trained weights.
        has_width: whether the width of the last map comes first.
    """

    block: str
    args: tuple[Any, ...]
    built: Callable[[], Any]
    has_width: bool


def features_of(name: str, blocks: BlockTable) -> ShapedGraph:
    """A backbone of two kinds of rows: one that gives all maps of a model, and an Index for each stride.

    Args:
        name: `torchvision:resnet50`, a model of torchvision, or `timm:resnet50`.
        blocks: the table of blocks of the network that it goes into.

    Raises:
        MisfitError: there is no such model, or it gives no square maps whose strides double.
        MissingPackageError: timm is not installed.
    """
    import torch

    library, _, model = name.partition(":")
    tasks = import_offline()
    row = _of_timm(model) if library.lower() == "timm" else _of_torchvision(model, tasks)
    _refuse_lacking(tasks, row.block, name)
    maps: Any = ()
    for height, width in (_OTHER, (_SIDE, _SIDE)):
        try:
            with torch.device("meta"), torch.no_grad():
                maps = row.built().eval()(torch.zeros(1, 3, height, width))
        except MissingPackageError:
            raise
        except SurgeonError as error:
            raise MisfitError(str(error)) from error
        except Exception as error:  # as many kinds as there are models: images of one size only, several inputs
            raise MisfitError(f"{name} gives no maps of {height}x{width} pixels: {first_line(error)}") from error
    levels: dict[float, tuple[int, int]] = {}
    for at, value in enumerate(maps):
        if torch.is_tensor(value) and value.ndim == 4 and value.shape[2] == value.shape[3]:
            levels[_SIDE / value.shape[2]] = (at, value.shape[1])
    found = [stride for stride in _STRIDES if stride in levels]
    if len(found) < 3:
        strides = ", ".join(f"{stride:g}" for stride in sorted(levels))
        raise MisfitError(f"{name} gives maps of the strides {strides}: a backbone gives 8, 16 and 32")
    last = levels[found[-1]][1]
    args = (last, *row.args) if row.has_width else row.args
    rows = [Layer(0, SECTIONS[0], -1, 1, row.block, args, blocks)]
    shapes = [Shape(last, None)]
    for stride in found:
        at, width = levels[stride]
        rows.append(Layer(len(rows), SECTIONS[0], 0, 1, "Index", (width, at), blocks))
        shapes.append(Shape(width, stride))
    _refuse_lacking(tasks, rows[-1].block, name)
    return ShapedGraph(Graph(tuple(rows), {}, name), shapes, Scaling())


def _refuse_lacking(tasks: ModuleType, block: str, name: str) -> None:
    if not hasattr(tasks, block):
        raise MisfitError(f"the installed ultralytics has no {block}, which {name} needs: pip install -U ultralytics")


def _of_torchvision(model: str, tasks: ModuleType) -> _RowOfMaps:
    from torchvision.models import list_models

    if model not in list_models():
        raise MisfitError(f"torchvision has no model {model!r}{did_you_mean(model, list_models())}")
    args = (model, "DEFAULT", True, _TRUNCATED, True)
    return _RowOfMaps("TorchVision", args, lambda: tasks.TorchVision(model, None, *args[2:]), True)


def _of_timm(model: str) -> _RowOfMaps:
    from ..nn.rows import TimmFeatures

    return _RowOfMaps(TimmFeatures.__name__, (model,), lambda: TimmFeatures(model), False)
