"""Checkpoints in which something has another type than what torch and Ultralytics write there: one line, no traceback.

A thinned fuzz: each place of a small graft gets a few wrong values, and every command that reads a checkpoint looks at
it. What is refused when the file is read is told with its place; what passes may fail later, in one line as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from support.shapes import graft, surgeon, write_checkpoint
from torch import nn

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.errors import CheckpointError

VALUES: dict[str, Any] = {
    "None": None,
    "a number": 7,
    "a huge number": 10**30,
    "NaN": float("nan"),
    "text": "x",
    "a list": [None],
    "no list": [],
    "a dictionary": {1: []},
    "no dictionary": OrderedDict(),
    "a tensor": torch.full((2,), float("nan")),
    "no end": torch.full((1,), float("inf")),
    "no image": torch.full((1,), 1e6),
    "a module": nn.Conv2d(1, 1, 1),
}
COMMANDS = {
    "inspect": ["inspect", "FILE", "--format", "json"],
    "graft": ["graft", "FILE", "--at", "sppf", "--k", "7", "--dry-run"],
    "graft --into": ["graft", "FILE", "--into", "tiny.yaml", "--dry-run"],
    "ungraft": ["ungraft", "FILE", "-o", "out.pt", "--force"],
    "adopt": ["adopt", "FILE", "-o", "out.pt", "--force"],
    "flops": ["flops", "FILE", "--imgsz", "64"],
    "diff": ["diff", "FILE", "tiny.yaml"],
    "draw": ["draw", "FILE", "-o", "out.svg", "--force"],
    "erf --gates": ["erf", "FILE", "--gates"],
    "train": ["train", "FILE", "data=data.yaml"],
}
Change = Callable[[dict[str, Any], Any], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("types")
    write_checkpoint(found)
    graft(found / "base.pt", "neck")
    (found / "data.yaml").write_text("train: images\nval: images\nnames: [square, circle]\n", encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def content(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = torch.serialization.load(folder / "graft.pt", weights_only=False)
    return data


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def written(content: dict[str, Any], change: Change, value: Any) -> str:
    data = deepcopy(content)
    change(data, value)
    torch.serialization.save(data, "changed.pt")
    return "changed.pt"


def attribute(layer: int | None, name: str, part: str | None = None) -> Change:
    """Sets an attribute of the model, or of one of its layers, or what stands in it by a name."""

    def change(data: dict[str, Any], value: Any) -> None:
        module = data["model"] if layer is None else data["model"].model[layer]
        if part is None:
            vars(module)[name] = value
        else:
            vars(module)[name][part] = value

    return change


def entry(*keys: Any) -> Change:
    """Sets an entry of the dictionary."""

    def change(data: dict[str, Any], value: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


def in_yaml(*keys: Any) -> Change:
    """Sets an entry of the stored YAML."""

    def change(data: dict[str, Any], value: Any) -> None:
        entry(*keys)(data["model"].yaml, value)

    return change


#: Where a wrong type is told as the file is read -> how, and values that are wrong there.
REFUSED: dict[str, tuple[Change, tuple[str, ...]]] = {
    "model._modules": (attribute(None, "_modules"), ("a number", "a list", "a dictionary")),
    "model.model.0._modules": (attribute(0, "_modules", "conv"), ("a number", "a tensor")),
    "model.model.0._parameters": (attribute(0, "_parameters"), ("None", "text", "a tensor")),
    "model.model.2._buffers": (attribute(2, "_buffers", "x"), ("a number", "no list")),
    "model.model.0._forward_hooks": (attribute(0, "_forward_hooks"), ("no list", "a dictionary")),
    "model.model.0.training": (attribute(0, "training"), ("None", "text")),
    "model.model.10.anchors": (attribute(10, "anchors"), ("a number", "a list")),
    "model.model.10.stride": (
        attribute(10, "stride"),
        ("None", "a number", "text", "a tensor", "no end", "no image"),
    ),
    "model.float": (attribute(None, "float"), ("a number", "None")),
    "model.stride": (attribute(None, "stride"), ("None", "a list", "a tensor", "no end", "no image")),
    "model.save": (attribute(None, "save"), ("a number", "a list")),
    "model.names": (attribute(None, "names"), ("a number", "a list", "a dictionary")),
    "model.args": (attribute(None, "args"), ("a number", "a list", "a dictionary")),
    "model.model.0.f": (attribute(0, "f"), ("None", "text", "a list")),
    "model.model.0.i": (attribute(0, "i"), ("None", "no list")),
    "train_args": (entry("train_args"), ("a number", "a list", "a dictionary")),
    "lska_surgeon": (entry("lska_surgeon"), ("a number", "a list", "a tensor")),
    "the record of a graft": (entry("lska_surgeon", "edits"), ("a number", "a list", "NaN", "a module")),
    "in its YAML nc is": (in_yaml("nc"), ("None", "text", "a list")),
    "in its YAML scales is": (in_yaml("scales"), ("a number", "text")),
    "its YAML: head": (in_yaml("head"), ("a number", "text")),
    "its YAML has a row": (in_yaml("backbone", 0), ("None", "a number", "text")),
    "its YAML has a row that is not [from, repeats, module, args]": (in_yaml("head", -1, 3), ("None", "text")),
    "model.yaml is a dict, and has to be plain data": (in_yaml("x"), ("a tensor", "a module")),
}


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, (_, names) in REFUSED.items() for name in names])
def test_a_wrong_type_is_told_with_its_place(content: dict[str, Any], place: str, name: str) -> None:
    path = written(content, REFUSED[place][0], VALUES[name])
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert str(caught.value).startswith("changed.pt is damaged (")
    assert place in str(caught.value)
    assert str(caught.value).endswith("): copy or download it again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it_in_one_line(content: dict[str, Any], command: str) -> None:
    path = written(content, attribute(0, "_modules"), 7)
    done = surgeon(*(path if word == "FILE" else word for word in COMMANDS[command]))
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    wrong = "model.model.0._modules is an int, and has to be a dict"
    assert line == f"Error: changed.pt is damaged ({wrong}): copy or download it again"


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "train"])
def test_what_passes_breaks_no_command(content: dict[str, Any], command: str) -> None:
    """Attributes that only a layer reads, and entries that nobody needs."""
    places = {
        **{f"data[{key}]": entry(key) for key in ("date", "version", "epoch", "git", "optimizer")},
        **{f"yaml[{key}]": in_yaml(key) for key in ("activation", "scale", "ch", "kpt_shape")},
        "Upsample.mode": attribute(6, "mode"),
        "C2f.c": attribute(2, "c"),
        "Detect.nc": attribute(10, "nc"),
        "task": entry("train_args", "task"),
        "epochs": entry("train_args", "epochs"),
        "certificate": entry("lska_surgeon", "certificate"),
    }
    turn = list(COMMANDS).index(command)
    for number, (place, change) in list(enumerate(places.items()))[turn % 3 :: 3]:
        name = list(VALUES)[(3 * number + turn) % len(VALUES)]
        path = written(content, change, VALUES[name])
        done = surgeon(*(path if word == "FILE" else word for word in COMMANDS[command]))
        assert done.exception is None or isinstance(done.exception, SystemExit), (place, name, done.exception)
        assert done.exit_code in (0, 1, 2), (place, name)
        assert done.exit_code != 2 or done.stderr.splitlines()[-1].startswith("Error: "), (place, name)


def test_a_module_that_contains_itself(content: dict[str, Any]) -> None:
    def change(data: dict[str, Any], _: Any) -> None:
        data["model"].model[2]._modules["again"] = data["model"].model

    with pytest.raises(CheckpointError, match=r"model\.model\.2\.again contains itself"):
        read_checkpoint(written(content, change, None))


def test_modules_that_unfold_without_end(content: dict[str, Any]) -> None:
    """Each of thirty holds the next twice: a state dict of them would have a billion tensors."""
    many = nn.Sequential(nn.Conv2d(1, 1, 1))
    for _ in range(30):
        many = nn.Sequential(many, many)
    with pytest.raises(CheckpointError, match="contains more than 1,000,000 modules"):
        read_checkpoint(written(content, attribute(0, "_modules", "many"), many))


@pytest.mark.parametrize("key", [1, None, (1, 2)])
def test_tensors_without_names_are_no_state_dict(key: Any) -> None:
    torch.serialization.save({key: torch.zeros(1)}, "changed.pt")
    done = surgeon("graft", "changed.pt", "--into", "tiny.yaml", "--dry-run")
    assert done.exit_code == 2, done.exception
    assert "neither an Ultralytics model nor tensors by name" in done.stderr
