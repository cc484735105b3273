"""A network that is in memory already, as a checkpoint; it reads no file, and leaves the network as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError
from ..wording import a_value
from .contents import Checkpoint, is_ultralytics_model


def checkpoint_of(yolo: Any) -> Checkpoint:
    """A copy of a loaded network, on the CPU, as a checkpoint that was never written.

    Args:
        yolo: a `YOLO` object, or the module in it.

    Raises:
        CheckpointError: it is neither, or it was fused for prediction, which mixes norms into convolutions for good.
    """
    is_module = is_ultralytics_model(yolo)
    module = yolo if is_module else getattr(yolo, "model", None)
    if not isinstance(module, nn.Module) or not is_ultralytics_model(module):
        raise CheckpointError(f"{a_value(yolo)} holds no network of ultralytics: give a .pt, or YOLO(FILE.pt)")
    path = Path(str((None if is_module else yolo.ckpt_path or yolo.model_name) or "model.pt"))
    if module.is_fused():
        raise CheckpointError(f"this network was fused when it predicted: load it anew, YOLO({path.name!r})")
    model = deepcopy(module).cpu()
    vars(model).pop("pt_path", None)  # where the file lies on this machine
    stored = {} if is_module else getattr(yolo, "ckpt", None) or {}
    data = {"model": model, "ema": None, **{key: value for key, value in stored.items() if key not in ("model", "ema")}}
    return Checkpoint(path, _digest(model.state_dict()), "checkpoint", data, "model", trusted=True)


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the names, shapes and bytes of all tensors, hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
