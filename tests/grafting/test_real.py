"""Checkpoints that other people trained, saved by Ultralytics 8.0.0 to 8.3.70: read, grafted, and back again.

They lie in the folder that LSKA_SURGEON_REAL names, or in ../shared/real beside the project; skipped without them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from support import trained as t
from support.insertions import plan_insert
from support.saved import outputs

from lska_surgeon.checkpoints.checkpoint import globals_of, read_checkpoint, write_checkpoint
from lska_surgeon.core.surgery import Placement
from lska_surgeon.grafting.graft import graft, ungraft
from lska_surgeon.grafting.into import plan_graft_into
from lska_surgeon.grafting.plan import plan_graft
from lska_surgeon.yolo.environment import import_offline, quiet

FOLDER = Path(os.environ.get("LSKA_SURGEON_REAL") or Path(__file__).parents[3] / "shared" / "real")
#: file -> (release that saved it, task, classes, the YAML of its network)
FILES = {
    "yolov8n-seg.pt": ("8.0.0.dev0", "segment", 80, "yolov8n-seg.yaml"),
    "yolov8n-plate.pt": ("8.0.136", "detect", 1, "yolov8n.yaml"),
    "yolov8n-obb-fibril.pt": ("8.2.63", "obb", 1, "yolov8n-obb.yaml"),
    "yolo11n-pose-hip.pt": ("8.3.70", "pose", 2, "yolo11n-pose.yaml"),
}
AT = ("neck@11", "sppf@7", "residual:2,4@7")

pytestmark = pytest.mark.slow


@pytest.fixture(params=FILES)
def real(request: pytest.FixtureRequest) -> Path:
    path = FOLDER / str(request.param)
    if not path.is_file():
        pytest.skip(f"no {path.name}: put real checkpoints into a folder and name it in LSKA_SURGEON_REAL")
    return path


def test_it_is_read_and_written_as_it_was_stored(real: Path, tmp_path: Path) -> None:
    version, _, classes, _ = FILES[real.name]
    checkpoint = read_checkpoint(real)
    assert (checkpoint.kind, checkpoint.key, checkpoint.version) == ("checkpoint", "model", version)
    assert len(checkpoint.names or ()) == classes
    assert checkpoint.train_args["imgsz"]
    assert {tensor.dtype for tensor in checkpoint.state_dict.values()} == {torch.float16, torch.int64}
    assert (globals_of(real).refused, globals_of(real).missing) == ((), ())
    tasks = import_offline()
    load: Any = getattr(tasks, "load_checkpoint", None) or tasks.attempt_load_one_weight
    assert t.equal(outputs(checkpoint.float_model()), outputs(load(str(real))[0]))
    write_checkpoint(tmp_path / "again.pt", checkpoint.data)
    again = read_checkpoint(tmp_path / "again.pt")
    assert again.data.keys() == checkpoint.data.keys()
    assert all(torch.equal(again.state_dict[key], value) for key, value in checkpoint.state_dict.items())
    assert (tmp_path / "again.pt").stat().st_size < 1.02 * real.stat().st_size


def test_graft_and_back(real: Path, tmp_path: Path) -> None:
    _, task, _, stock = FILES[real.name]
    base = read_checkpoint(real)
    done = graft(plan_graft(base, Placement(AT, "lska", 7)))
    write_checkpoint(tmp_path / "grafted.pt", done.data)
    assert done.certificate.exact
    assert not done.certificate.skipped
    assert list(done.new) == t.assert_carried(base.model, done.data["model"])
    back = ungraft(read_checkpoint(tmp_path / "grafted.pt"))
    assert back.certificate.exact
    assert t.assert_carried(base.model, back.data["model"]) == []
    assert back.data["model"].yaml == base.yaml

    variant = tmp_path / "yolov8n-variant.yaml"
    variant.write_text(plan_insert(stock, Placement(AT, "lska", 7)).text)
    into = graft(plan_graft_into(base, str(variant)))
    assert into.certificate.exact
    assert into.record["index_map"] == done.record["index_map"]
    assert into.new == done.new
    assert t.loaded(tmp_path / "grafted.pt").task == t.loaded(real).task == task


#: Checkpoint, the network that it goes into -> tensors that are carried, and percent of the parameters that are exact.
INTO = {
    ("yolov8n-plate.pt", "yolov8n-p2.yaml"): (262, 49.8),
    ("yolov8n-plate.pt", "yolov8n-p6.yaml"): (173, 7.4),
    ("yolov8n-plate.pt", "yolov8n-seg.yaml"): (298, 92.3),
    ("yolov8n-seg.pt", "yolov8n.yaml"): (298, 100.0),
}


@pytest.mark.parametrize("pair", INTO, ids=" ".join)
def test_what_is_carried_into_another_network(pair: tuple[str, str]) -> None:
    name, variant = pair
    if not (FOLDER / name).is_file():
        pytest.skip(f"no {name}: put real checkpoints into a folder and name it in LSKA_SURGEON_REAL")
    done = graft(plan_graft_into(read_checkpoint(FOLDER / name), variant), identity=False)
    assert done.certificate.proof is not None
    carried = {old for old in done.sources.values() if not old.endswith("num_batches_tracked")}
    assert (len(carried), round(100 * done.certificate.proof.shares["exact"], 1)) == INTO[pair]


def test_predictions_of_an_image_are_the_same(real: Path, tmp_path: Path) -> None:
    """Through Ultralytics' whole prediction: letterbox, fusing, thresholds, suppression."""
    import numpy

    base = read_checkpoint(real)
    write_checkpoint(tmp_path / "grafted.pt", graft(plan_graft(base, Placement(("neck",), "lska", 23))).data)
    rng = numpy.random.default_rng(7)
    image = numpy.kron(rng.integers(0, 255, (6, 8, 3)), numpy.ones((32, 32, 1))).astype(numpy.uint8)
    boxes = []
    for path in (real, tmp_path / "grafted.pt"):
        with quiet():
            result = t.loaded(path).predict(image, imgsz=256, conf=1e-6, verbose=False, device="cpu")[0]
        boxes.append((result.obb if FILES[real.name][1] == "obb" else result.boxes).data)
    assert len(boxes[0]) > 0
    assert torch.equal(*boxes)
