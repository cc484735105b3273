"""Grafting into a variant whose output layer is another: more levels or fewer, another task."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml as pyyaml
from support import trained as t
from support.shapes import surgeon
from torch import nn
from ultralytics.nn import tasks

from lska_surgeon.core.surgery import RECORD
from lska_surgeon.yolo.build import build


class NoNumbers(nn.Module):
    """Gives no numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * math.nan


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t.finished(tmp_path_factory.mktemp("trained") / "base.pt", t.trained())


def variant(folder: Path, name: str, **changes: Any) -> Path:
    """A stock YAML at the scale of the checkpoint."""
    yaml = {**t.yaml_of(name), "scales": {"n": [0.33, 0.125, 1024]}, **changes}
    path = folder / "yolov8n-mine.yaml"
    path.write_text(pyyaml.safe_dump({k: v for k, v in yaml.items() if k != "yaml_file"}), encoding="utf-8")
    return path


def grafted(base: Path, into: Path, *more: str) -> Any:
    return surgeon("graft", base, "--into", into, "--init", "default", "-o", into.parent / "out.pt", *more)


@pytest.mark.parametrize(
    ("name", "task", "strides"),
    [
        ("yolov8n-p2", "detect", [4, 8, 16, 32]),
        ("yolov8n-p6", "detect", [8, 16, 32, 64]),
        ("yolov8n-seg", "segment", [8, 16, 32]),
        ("yolov8n-cls", "classify", [1]),
    ],
)
def test_the_product_is_the_task_model_of_its_output_layer(
    base: Path, tmp_path: Path, name: str, task: str, strides: list[int]
) -> None:
    into = variant(tmp_path, name)
    done = grafted(base, into, "--format", "json")
    assert done.exit_code == 0, done.output
    product, own = t.loaded(tmp_path / "out.pt"), build(into)
    assert type(product.model) is type(own)
    assert product.task == product.model.task == product.model.args["task"] == task
    assert product.ckpt["train_args"]["task"] == task
    assert product.model.stride.tolist() == own.stride.tolist() == strides
    assert product.names == {index: f"thing {index}" for index in range(3)}
    assert {parameter.dtype for parameter in t.load(tmp_path / "out.pt")["model"].parameters()} == {torch.float16}
    head, theirs = product.model.model[-1], own.model[-1]
    for level, branch in enumerate(getattr(head, "cv3", ())):  # as Ultralytics starts the classes: seldom
        assert torch.allclose(branch[-1].bias, theirs.cv3[level][-1].bias, atol=0.1)
    certificate = json.loads(done.stdout)["certificate"]
    assert certificate["max_delta"] is not None
    assert certificate["of"].startswith("the map")
    t.outputs(product.model, size=(128, 128))


def test_what_gives_no_numbers_is_not_written(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "NoNumbers", NoNumbers, raising=False)
    yaml = t.yaml_of("yolov8n")
    yaml["head"][-1][0][-1] = 22
    into = variant(tmp_path, "yolov8n", head=[*yaml["head"][:-1], [-1, 1, "NoNumbers", []], yaml["head"][-1]])
    refused = grafted(base, into)
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "the outputs have other shapes or are no numbers" in refused.stderr
    assert refused.stderr.endswith("nothing was written\n")
    assert not (tmp_path / "out.pt").exists()


def test_output_layers_without_a_level_in_common(base: Path, tmp_path: Path) -> None:
    yaml = t.yaml_of("yolov8n")
    detect = yaml["head"][-1]
    into = variant(tmp_path, "yolov8n", head=[[2, 1, "Conv", [64, 3, 1]], [[10, 0], *detect[1:]]])
    done = grafted(base, into, "--unchecked")
    assert done.exit_code == 0, done.output
    assert "nothing can be compared: the output layers read no map of the same stride and width" in done.stdout


def test_training_says_how_to_start_from_another_network(base: Path, tmp_path: Path) -> None:
    refused = surgeon("train", variant(tmp_path, "yolov8n-p2"), "--graft", base, "data=coco8.yaml", "epochs=1")
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "has no row for layer 22 (Detect)" in refused.stderr
    assert "--init default, and train that" in refused.stderr
    assert "drop the rest" not in refused.stderr


def test_training_goes_on(base: Path, tmp_path: Path) -> None:
    """What Ultralytics trains is what it builds from the product's YAML: the record is in it."""
    assert grafted(base, variant(tmp_path, "yolov8n-p2")).exit_code == 0
    model = t.load(tmp_path / "out.pt")["model"]
    again = build({key: value for key, value in model.yaml.items() if key != RECORD})
    assert {n: s.shape for n, s in again.state_dict().items()} == {n: s.shape for n, s in model.state_dict().items()}
    assert t.equal(t.outputs(model), t.outputs(_filled(again, model)))


def _filled(again: nn.Module, model: nn.Module) -> nn.Module:
    again.load_state_dict(model.float().state_dict())
    return again
