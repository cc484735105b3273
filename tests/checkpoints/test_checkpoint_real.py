"""Checkpoints that other people trained, saved by Ultralytics 8.0.0 to 8.3.70; skipped where they are not at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from support.saved import outputs, same

from lska_surgeon.checkpoints.checkpoint import globals_of, read_checkpoint, write_checkpoint
from lska_surgeon.checkpoints.contents import Checkpoint
from lska_surgeon.yolo.environment import import_offline

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
#: file -> (release that saved it, model, classes)
FILES = {
    "yolov8n-seg.pt": ("8.0.0.dev0", "SegmentationModel", 80),
    "yolov8n-plate.pt": ("8.0.136", "DetectionModel", 1),
    "yolov8n-obb-fibril.pt": ("8.2.63", "OBBModel", 1),
    "yolo11n-pose-hip.pt": ("8.3.70", "PoseModel", 2),
}

pytestmark = pytest.mark.slow


@pytest.fixture(params=FILES)
def path(request: pytest.FixtureRequest) -> Path:
    found = REAL / request.param
    if not found.is_file():
        pytest.skip(f"no real checkpoints: {os.path.relpath(found, Path(__file__).parents[2])} is not there")
    return found


@pytest.fixture
def checkpoint(path: Path) -> Checkpoint:
    return read_checkpoint(path)


def test_reads_it_as_it_was_stored(path: Path, checkpoint: Checkpoint) -> None:
    version, model, classes = FILES[path.name]
    assert (checkpoint.kind, checkpoint.key, checkpoint.version) == ("checkpoint", "model", version)
    assert type(checkpoint.model).__name__ == model
    assert checkpoint.names is not None
    assert len(checkpoint.names) == classes
    assert checkpoint.train_args["imgsz"]
    assert {tensor.dtype for tensor in checkpoint.state_dict.values()} == {torch.float16, torch.int64}
    assert (globals_of(path).refused, globals_of(path).missing) == ((), ())


def test_predicts_what_ultralytics_own_loader_predicts(path: Path, checkpoint: Checkpoint) -> None:
    tasks = import_offline()
    load: Any = getattr(tasks, "load_checkpoint", None) or tasks.attempt_load_one_weight
    model, _ = load(str(path))
    assert same(outputs(checkpoint.float_model()), outputs(model))


def test_survives_being_written(path: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "again.pt", checkpoint.data)
    again = read_checkpoint(tmp_path / "again.pt")
    assert again.data.keys() == checkpoint.data.keys()
    assert list(again.state_dict) == list(checkpoint.state_dict)
    assert all(torch.equal(again.state_dict[key], value) for key, value in checkpoint.state_dict.items())
    assert same(outputs(again.float_model()), outputs(checkpoint.float_model()))
    assert (tmp_path / "again.pt").stat().st_size < 1.02 * path.stat().st_size


def test_half_of_it_is_called_damaged(path: Path, tmp_path: Path) -> None:
    (tmp_path / "half.pt").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Exception, match="cut short or damaged"):
        read_checkpoint(tmp_path / "half.pt")
