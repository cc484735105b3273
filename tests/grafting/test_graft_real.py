"""Grafting real trained checkpoints, of several releases and tasks; skipped where they are missing.

They lie in the folder that LSKA_SURGEON_REAL names, or in ../shared/real beside the project.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from support import trained as t
from support.insertions import plan_insert
from torch import nn

from lska_surgeon.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from lska_surgeon.core.surgery import Placement
from lska_surgeon.grafting.graft import graft, ungraft
from lska_surgeon.grafting.into import plan_graft_into
from lska_surgeon.grafting.plan import plan_graft
from lska_surgeon.yolo.environment import quiet

FOLDER = Path(os.environ.get("LSKA_SURGEON_REAL") or Path(__file__).parents[3] / "shared" / "real")
FILES = {
    "yolov8n-seg.pt": ("segment", 80),
    "yolov8n-plate.pt": ("detect", 1),
    "yolov8n-obb-fibril.pt": ("obb", 1),
    "yolo11n-pose-hip.pt": ("pose", None),
}
AT = ("neck@11", "sppf@7", "residual:2,4@7")

pytestmark = pytest.mark.slow


@pytest.fixture(params=FILES)
def real(request: pytest.FixtureRequest) -> Path:
    path = FOLDER / str(request.param)
    if not path.is_file():
        pytest.skip(f"no {path.name}: put real checkpoints into a folder and name it in LSKA_SURGEON_REAL")
    return path


def yolo(path: Path) -> Any:
    from ultralytics import YOLO

    with quiet():
        return YOLO(str(path))


def same(left: nn.Module, right: nn.Module) -> bool:
    """Equal outputs for an image of the kind that the models know: smooth, not noise."""
    low = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(4))
    image = nn.functional.interpolate(low, (192, 256), mode="bicubic").clamp(0, 1)
    for mode in (False, True):
        with torch.no_grad():
            found = [list(t.tensors_in(model.float().train(mode)(image))) for model in (left, right)]
        if not t.equal(*found):
            return False
    return True


def test_graft_and_back(real: Path, tmp_path: Path) -> None:
    base = read_checkpoint(real)
    done = graft(plan_graft(base, Placement(AT, "lska", 7)))
    write_checkpoint(tmp_path / "grafted.pt", done.data)
    assert done.certificate.exact
    assert not done.certificate.skipped
    assert list(done.new) == t.assert_carried(base.model, done.data["model"])
    assert {tensor.dtype for tensor in done.data["model"].state_dict().values()} == {
        tensor.dtype for tensor in base.state_dict.values()
    }

    left, right = yolo(real), yolo(tmp_path / "grafted.pt")
    task, classes = FILES[real.name]
    assert right.task == left.task == task
    assert right.names == left.names
    assert classes in (None, len(right.names))
    assert torch.equal(left.model.stride, right.model.stride)
    assert same(left.model, right.model)

    back = ungraft(read_checkpoint(tmp_path / "grafted.pt"))
    assert back.certificate.exact
    assert t.assert_carried(base.model, back.data["model"]) == []
    assert back.data["model"].yaml == base.yaml


def test_graft_into_a_variant(real: Path, tmp_path: Path) -> None:
    base = read_checkpoint(real)
    stock = {"yolo11n-pose-hip.pt": "yolo11n-pose.yaml"}.get(real.name, f"yolov8n{t.TASKS[FILES[real.name][0]]}.yaml")
    plan = plan_insert(stock, Placement(AT, "lska", 7))
    variant = tmp_path / "yolov8n-variant.yaml"
    variant.write_text(plan.text)
    done = graft(plan_graft_into(base, str(variant)))
    here = graft(plan_graft(base, Placement(AT, "lska", 7)))
    assert done.certificate.exact
    assert done.record["index_map"] == here.record["index_map"]
    assert list(done.new) == t.assert_carried(base.model, done.data["model"])


def test_predictions_of_a_image_are_the_same(real: Path, tmp_path: Path) -> None:
    """Through Ultralytics' whole prediction: letterbox, fusing, thresholds, suppression."""
    import numpy

    base = read_checkpoint(real)
    write_checkpoint(tmp_path / "grafted.pt", graft(plan_graft(base, Placement(("neck",), "lska", 23))).data)
    rng = numpy.random.default_rng(7)
    image = numpy.kron(rng.integers(0, 255, (6, 8, 3)), numpy.ones((32, 32, 1))).astype(numpy.uint8)
    found = []
    for path in (real, tmp_path / "grafted.pt"):
        with quiet():
            result = yolo(path).predict(image, imgsz=256, conf=1e-6, verbose=False, device="cpu")[0]
        kind = result.obb if FILES[real.name][0] == "obb" else result.boxes
        found.append(kind.data)
    assert len(found[0]) > 0
    assert found[0].shape == found[1].shape
    assert torch.equal(found[0], found[1])
