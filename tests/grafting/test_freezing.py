"""What a training could not carry over stays trainable and is named, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.shapes import QUICK, graft, surgeon, write_checkpoint, write_data
from support.trained import trained
from torch import nn

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.core.operators import resolve_kernel
from lska_surgeon.grafting.trainers import frozen_parts, not_carried, starts_anew
from lska_surgeon.grafting.transplant import layer_of, moved_name
from lska_surgeon.nn import attach, named_operators
from lska_surgeon.yolo.build import build

#: What the data ask for -> the task, changes of the model dictionary, and what starts anew: parts of the head, or the
#: first convolution. 8.3 builds the class branch anew where its width follows the number of classes.
REBUILT = {
    "fewer classes": ("detect", {"nc": 2}, ("cv3.0.2.weight", "cv3.2.2.bias")),
    "more classes": ("segment", {"nc": 90}, ("cv3.0.2.weight", "cv3.2.2.bias")),
    "keypoints": ("pose", {"kpt_shape": [5, 2]}, ("cv4.0.2.weight", "cv4.2.2.bias")),
    "reg_max": ("detect", {"reg_max": 8}, ("cv2.0.2.weight", "cv2.2.2.bias")),
    "channels": ("detect", {"ch": 6, "channels": 6}, ("conv.weight",)),
    "classes of a classifier": ("classify", {"nc": 2}, ("linear.weight", "linear.bias")),
}


def frozen_by_name(model: nn.Module, parts: list[int | str]) -> set[str]:
    """By Ultralytics' rule: a parameter is frozen when `model.NAME.` is in its name."""
    rules = [f"model.{part}." for part in parts]
    return {name for name, _ in model.named_parameters() if any(rule in name for rule in rules)}


@pytest.mark.parametrize("what", REBUILT)
def test_what_is_rebuilt_trains_and_all_else_is_frozen(what: str) -> None:
    task, changes, expected = REBUILT[what]
    weights = trained("yolov8", task)
    attach(weights.model[2], resolve_kernel("lska", 7))
    weights.yaml["backbone"][2][2:] = ["C2fLSKA", [128, True, {"k": 7}]]
    model = type(weights)({**weights.yaml, **changes}, ch=6 if what == "channels" else 3, verbose=False)
    model.load(weights)
    fresh = not_carried(model, weights)
    shapes = {name: tensor.shape for name, tensor in weights.named_parameters()}
    rebuilt = {name for name, tensor in model.named_parameters() if shapes.get(name) != tensor.shape}
    if what == "reg_max" and not rebuilt:
        pytest.skip("this Ultralytics reads no reg_max from a YAML")
    assert {name for name in fresh if name.endswith(expected)}, fresh
    assert rebuilt - set(fresh) <= {name for name in rebuilt if ".dfl." in name}
    frozen = frozen_by_name(model, frozen_parts(model, fresh))
    assert not frozen & set(fresh)
    operators = {f"{prefix}.{name}" for prefix, part in named_operators(model) for name, _ in part.named_parameters()}
    assert operators
    free = {name for name, _ in model.named_parameters()} - frozen - set(fresh) - operators
    assert free <= {"model.0.bn.weight", "model.0.bn.bias"}, free  # the norm right behind a new first convolution
    assert bool(free) is (what == "channels")


@pytest.mark.parametrize("what", ["the same", "in another order"])
def test_carried_tensors_are_not_named(what: str) -> None:
    weights = trained("yolov8", "detect")
    model = build(dict(weights.yaml))
    weights.names, model.names = {0: "a", 1: "b", 2: "c"}, {0: "a", 1: "b", 2: "c"}
    if what != "the same":
        model.names = {0: "c", 1: "a", 2: "b"}
    model.load(weights)
    assert not_carried(model, weights) == []
    assert len(not_carried(build(dict(weights.yaml)), weights)) > 50


def test_line_names_layers_and_says_what_becomes_of_them() -> None:
    names = [f"model.{layer}.cv.weight" for layer in range(6)]
    line = starts_anew(names)
    assert "6 tensors could not be carried over" in line
    assert "model.3 (1: model.3.cv.weight) and 2 more layers" in line
    assert "they train in every stage" in line
    assert "freeze= may keep them so" in starts_anew(names[:1], trained=False)
    assert len(line.splitlines()) == 1


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of three classes, for a network of two."""
    data = write_data(tmp_path_factory.mktemp("data"))
    data.write_text(data.read_text().replace("[square, circle]", "[box, ball, cone]"))
    return data


def states(before: Path, after: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    return read_checkpoint(before).state_dict, read_checkpoint(after).state_dict


def test_stage_attention_trains_a_classifier_that_is_new(
    three_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    grafted = graft(write_checkpoint(tmp_path), "neck", "residual")
    said: list[str] = []
    from lska_surgeon.grafting import trainers

    monkeypatch.setattr(trainers.LOGGER, "warning", said.append)
    words = [*QUICK, "epochs=2", "optimizer=SGD", "warmup_epochs=0", f"project={tmp_path / 'out'}", "name=run"]
    made = surgeon("train", grafted, f"data={three_classes}", "--stage", "both", "--warm", "2", *words)
    assert made.exit_code == 0, (made.output, made.exception)
    told = [line for line in said if "carried over" in line]
    assert len(told) == 1
    assert "4 tensors" in told[0]
    assert "model.10.cv3.0.2.weight" in told[0]

    warm = tmp_path / "out" / "run-warm"
    old, new = states(grafted, warm / "weights" / "last.pt")
    assert list(old) == list(new)
    classifier = {name for name in old if ".cv3." in name and name.split(".")[4] == "2"}
    operators = tuple(f"{prefix}." for prefix, _ in named_operators(read_checkpoint(grafted).model))
    assert {name for name in old if old[name].shape != new[name].shape} == classifier
    moved = {name for name in old if name not in classifier and not torch.equal(old[name], new[name])}
    assert moved
    assert all(name.startswith(operators) for name in moved)
    # Of a classifier that stood still, every bias would still be the one that all classes of a level start with.
    assert any(len(new[name].unique()) > 1 for name in classifier if name.endswith("bias"))
    args = read_checkpoint(warm / "weights" / "last.pt").train_args["freeze"]
    assert 10 not in args
    assert "10.cv3.0.1" in args
    assert "10.cv3.0.1" in (warm / "args.yaml").read_text()


def test_stage_attention_without_weights_is_refused(three_classes: Path, tmp_path: Path) -> None:
    grafted = graft(write_checkpoint(tmp_path), "neck")
    made = surgeon("train", grafted, f"data={three_classes}", "--stage", "attention", "pretrained=False", *QUICK)
    assert made.exit_code == 2
    assert "pretrained=False drops them" in made.stderr


def test_names_of_tensors_with_digits_that_are_no_numbers() -> None:
    names = ("model.13.m.0.weight", "model.².weight", "model.999999999999999999999.weight", "heads.1.weight")
    assert [layer_of(name) for name in names] == [13, -1, -1, -1]
    assert [moved_name(name, {13: 14}) for name in names] == ["model.14.m.0.weight", *names[1:]]
