"""A checkpoint's architecture as an open model: its own YAML, its widths measured where no rule has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.checkpoint import Checkpoint, read_checkpoint
from ..core.scaling import scaling_of
from ..core.shapes import Shape
from ..declarations.find import active_blocks
from ..errors import CheckpointError
from ..modelfile.document import Document
from ..modelfile.find import FoundModel
from ..modelfile.load import OpenModel
from .shapes_only import ShapesOnly

_SIDE = 256  # of the image that widths are measured on: any stride up to 256 leaves a map


def open_checkpoint(path: str, *, trust: bool = False) -> OpenModel:
    """The architecture of a checkpoint.

    Args:
        path: the file.
        trust: load what is not on the allow-list as well; the file may then run anything.

    Raises:
        CheckpointError: it can't be read, or holds no model that was built from a YAML.
    """
    return open_trained(read_checkpoint(path, trust=trust))


def open_trained(checkpoint: Checkpoint) -> OpenModel:
    """The architecture of a checkpoint that was read.

    Raises:
        CheckpointError: it holds no model that was built from a YAML.
    """
    name, yaml = checkpoint.path.name, checkpoint.yaml
    if checkpoint.model is None or not isinstance(yaml, dict):
        raise CheckpointError(f"{checkpoint.path} holds tensors without a model, so it has no rows")
    document = Document(json.dumps(yaml, default=str), name, blocks=active_blocks())  # JSON is YAML
    letter = yaml.get("scale") or None
    scaling = scaling_of(document.settings, letter)
    return _Trained(FoundModel(Path(checkpoint.path), name, letter), document, scaling, checkpoint=checkpoint)


@dataclass(frozen=True)
class _Trained(OpenModel):
    checkpoint: Any = None

    @property
    def classes(self) -> object:
        """How many classes the trained output layer has, whatever the YAML beside it says."""
        found = getattr(self.checkpoint.model.model[-1], "nc", None)
        return found if isinstance(found, int) else super().classes

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """What each layer gives: by the rules, and as measured where they know no block."""
        by_rule = super().shapes
        if not any(shape.guessed or shape.channels is None for shape in by_rule):
            return by_rule
        measured = _measured(self.checkpoint.float_model(), len(by_rule))
        return tuple(
            real if real and (rule.guessed or rule.channels is None) else rule for rule, real in zip(by_rule, measured)
        )


def _measured(model: nn.Module, rows: int) -> list[Shape | None]:
    """What each layer of a model gives for one image; None where that is no map, or where the model does not run."""
    found: list[Shape | None] = [None] * rows
    channels = next((one.in_channels for one in model.modules() if isinstance(one, nn.Conv2d)), 3)

    def note(index: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.dim() == 4:
                found[index] = Shape(output.shape[1], _SIDE / output.shape[2])

        return hook

    hooks = [layer.register_forward_hook(note(index)) for index, layer in enumerate(list(model.model)[: rows - 1])]
    try:
        with ShapesOnly():
            model(torch.zeros(1, channels, _SIDE, _SIDE))
    except Exception:  # whatever a block of somebody else's raises; what was noted up to there holds
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found
