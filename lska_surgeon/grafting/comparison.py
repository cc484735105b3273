"""Outputs that an original has saved, held against those of a model; it knows no checkpoints."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..files import open_to_read
from ..yolo.environment import quiet
from .certificate import image_from, tensors_in


def saved_tensors(path: Path) -> list[Tensor]:
    """The tensors in a file that `torch.save` or `numpy.save` wrote; nothing of it runs.

    Raises:
        CheckpointError: it can't be read, or holds no tensors.
    """
    import numpy

    try:
        with open_to_read(path) as file:
            content = file.read()
        if path.suffix.lower() == ".npy":
            return [torch.from_numpy(numpy.load(io.BytesIO(content), allow_pickle=False))]
        found = list(tensors_in(torch.serialization.load(io.BytesIO(content), map_location="cpu", weights_only=True)))
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {error.strerror}") from error
    except Exception as error:  # whatever bytes that are no tensors make of the readers
        raise CheckpointError(f"{path} holds no tensors: save them with torch.save or numpy.save") from error
    if not found:
        raise CheckpointError(f"{path} holds no tensors: save what the model gave with torch.save")
    return found


def largest_difference(model: nn.Module, image: Path, outputs: Path) -> float:
    """max |Δ| between what a model gives for an image and what an original gave.

    Args:
        model: in float32 and eval mode.
        image: a JPEG or PNG; or the very input, shape (N, C, H, W), as .pt or .npy.
        outputs: the tensors that the original gave for it, as .pt or .npy, in their order.

    Raises:
        CheckpointError: a file can't be read, or the outputs have other shapes.
    """
    is_input = image.suffix.lower() in (".pt", ".npy")
    x = saved_tensors(image)[0].float() if is_input else image_from(image, model)
    with quiet(), torch.no_grad():
        ours: list[Any] = list(tensors_in(model(x)))
    theirs = saved_tensors(outputs)
    shapes = [tuple(tensor.shape) for tensor in ours[: len(theirs)]]
    if shapes != [tuple(tensor.shape) for tensor in theirs]:
        raise CheckpointError(
            f"{outputs} has outputs of shape {', '.join(str(tuple(t.shape)) for t in theirs)}, the model gives "
            f"{', '.join(map(str, shapes))}: save what the original's model(input) gave for the same input"
        )
    return max(float((one.double() - two.double()).abs().max()) for one, two in zip(ours, theirs))
