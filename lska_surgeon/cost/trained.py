"""A checkpoint's architecture as a model: its own YAML, its widths measured where no rule has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..checkpoints.contents import Checkpoint
from ..core.blocks import BlockTable
from ..core.shapes import Shape
from ..errors import CheckpointError
from ..modelfile.model import Model, stored_model
from .shapes_only import ShapesOnly

_SIDE = 256  # of the image that widths are measured on: any stride up to 256 leaves a map


def trained_model(checkpoint: Checkpoint, blocks: BlockTable) -> Model:
    """The architecture of a checkpoint that was read, with as many classes as its output layer is trained for.

    Raises:
        CheckpointError: it holds no model that was built from a YAML.
    """
    module, yaml = checkpoint.model, checkpoint.yaml
    if module is None or not isinstance(yaml, dict):
        raise CheckpointError(f"{checkpoint.path} holds tensors without a model, so it has no rows")
    model = stored_model(yaml, checkpoint.path, blocks)
    rows: Any = module.model
    classes = getattr(rows[-1], "nc", None)
    return replace(
        model,
        classes=classes if isinstance(classes, int) else model.classes,
        measure=lambda: _measured(checkpoint.float_model(), len(model.graph)),
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
