"""Checkpoints drawn: the network that they hold, widths measured where no rule has them, a graft beside its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support import images, trained
from support.insertions import plan_insert
from support.shapes import surgeon

import lska_surgeon as ls
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.core.graph import graph_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import SurgeonError


def widths(model: Any) -> dict[str, str]:
    """What each layer really gives for an image of 64 pixels, as an image says it."""
    found: dict[str, str] = {}
    for layer in list(model.model)[:-1]:
        layer.register_forward_hook(
            lambda module, inputs, out: found.update({f"row-{module.i}": " × ".join(map(str, out.shape[1:]))})
        )
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 64, 64))
    return found


def test_checkpoint_is_drawn_with_the_widths_that_it_has(tmp_path: Path) -> None:
    model = trained.trained()
    path = trained.finished(tmp_path / "best.pt", model)
    drawing = ls.draw(path, imgsz=64)
    image = images.read(drawing.svg)
    images.assert_sound(image, graph_of(model.yaml, "best.pt"))
    real = widths(trained.load(path)["model"].float())
    assert {name: image.lines(name)[1] for name in real} == real
    assert drawing.output == Path("best.svg")
    assert image.lines("row-22")[1] == "3 classes"


def test_the_output_layer_has_the_classes_that_it_was_trained_for(tmp_path: Path) -> None:
    model = trained.trained()
    model.yaml["nc"] = 80  # as a YAML says that nobody edited
    drawing = ls.draw(trained.finished(tmp_path / "best.pt", model), imgsz=64)
    assert images.read(drawing.svg).lines("row-22")[1] == "3 classes"


def test_widths_that_no_rule_knows_are_measured(tmp_path: Path) -> None:
    yaml = trained.yaml_of("yolov8n", scales={"n": [0.33, 0.125, 1024]})
    yaml["backbone"][9] = [-1, 1, "nn.Conv2d", [128, 128, 2, 2]]  # a block that the rules do not know, halving the map
    yaml["head"][0] = [-1, 1, "nn.Upsample", [None, 4, "nearest"]]
    yaml["head"][10] = [[-1, 8], 1, "Concat", [1]]
    model = trained.trained_model(yaml)
    path = trained.finished(tmp_path / "own.pt", model)
    image = images.read(ls.draw(path, imgsz=64).svg)
    real = widths(trained.load(path)["model"].float())
    assert real["row-9"] == "128 × 1 × 1"
    assert {name: image.lines(name)[1] for name in real} == real


def test_graft_beside_its_base(tmp_path: Path) -> None:
    base = trained.finished(tmp_path / "base.pt", trained.trained())
    graft = tmp_path / "graft.pt"
    done = surgeon("graft", base, "--at", "neck", "--k", 7, "-o", graft)
    assert done.exit_code == 0, done.output
    image = images.read(ls.draw(base, graft, imgsz=64).svg)
    operators = [name for name, style in image.styles.items() if style == "operator"]
    assert operators == ["row-13", "row-17", "row-21", "row-25"]
    dashed = {name.rpartition("-")[0] for name, style in image.styles.items() if style == "rewired"}
    assert dashed == {
        "edge-13-14", "edge-13-19", "edge-17-18", "edge-17-26", "edge-21-22", "edge-21-26", "edge-25-26"
    }  # fmt: skip


def test_read_checkpoints_and_insertions_are_drawn_too(tmp_path: Path) -> None:
    path = trained.finished(tmp_path / "best.pt", trained.trained())
    assert ls.draw(read_checkpoint(path)).svg == ls.draw(path).svg
    insertion = plan_insert("yolov8s.yaml", Placement(("neck",), k=35))
    Path("yolov8s-lska-neck-k35.yaml").write_text(insertion.text, encoding="utf-8")
    drawing = ls.draw("yolov8s.yaml", insertion)
    assert drawing.svg == ls.draw("yolov8s.yaml", "yolov8s-lska-neck-k35.yaml").svg
    assert drawing.output == Path("yolov8s-lska-neck-k35.svg")


def test_what_holds_no_network_is_told(tmp_path: Path) -> None:
    tensors = trained.save(tmp_path / "tensors.pt", trained.trained().state_dict())
    with pytest.raises(SurgeonError, match="holds tensors without a model, so it has no rows"):
        ls.draw(tensors)
    path = trained.finished(tmp_path / "best.pt", trained.trained())
    with pytest.raises(SurgeonError, match="scale 's' is for a model YAML"):
        ls.draw(path, scale="s")
    with pytest.raises(SurgeonError, match="int can't be drawn"):
        ls.draw(3)
    with pytest.raises(SurgeonError, match="is not a size"):
        ls.draw("yolov8s.yaml", imgsz=(64, 0))
