"""Small checkpoints as Ultralytics writes them, and what reading a file refuses; for the tests alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.errors import CheckpointError
from lska_surgeon.yolo.build import build

from .trained import tensors_in

YAMLS = {
    "detect": "yolov8n.yaml",
    "segment": "yolov8n-seg.yaml",
    "pose": "yolov8n-pose.yaml",
    "obb": "yolov8n-obb.yaml",
    "classify": "yolov8n-cls.yaml",
}


torch.set_num_threads(1)


def trained(task: str) -> nn.Module:
    """A half-precision model with what a training hangs on it."""
    torch.manual_seed(0)
    model = build(YAMLS[task]).half().requires_grad_(False)
    model.names = {index: f"class {index}" for index in range(model.yaml["nc"])}
    model.args = {"imgsz": 64, "task": task}
    model.task = task
    return model


def finished(model: nn.Module) -> dict[str, Any]:
    """The file that is left at the end of a training."""
    empty = dict.fromkeys(("best_fitness", "ema", "updates", "optimizer"))
    args = {"imgsz": 64, "save_dir": Path("runs") / "detect"}
    return {"epoch": -1, **empty, "model": model, "train_args": args, "date": "2024-01-01", "version": "8.3.0"}


def variant_yaml() -> dict[str, Any]:
    """A small network with LSKA in it."""
    return {
        "nc": 2,
        "backbone": [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "LSKA", ["c2", 11]], [-1, 1, "Conv", [16, 3, 2]]],
        "head": [[[2], 1, "Detect", ["nc"]]],
    }


def outputs(model: nn.Module) -> list[torch.Tensor]:
    """Every tensor that comes out of a model, for the same seeded input."""
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = list(tensors_in(model(image)))
    assert found
    return found


def refusal(path: Path, *, trust: bool = False) -> CheckpointError:
    """The error that reading a file ends in: one line that names the file."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, trust=trust)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return caught.value
