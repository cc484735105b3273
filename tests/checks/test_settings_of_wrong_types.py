"""What stands beside the rows and has a wrong type: `check` says what to write, every other command one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shapes import NETWORK, surgeon

#: A setting as it is written -> what is expected of it.
WRONG = {
    "nc: 1000 classes": "nc is '1000 classes', and has to be the number of classes: write nc: 1000 # classes",
    "nc: '80'": "nc is '80', and has to be the number of classes, such as nc: 80",
    "nc:": "nc is empty, and has to be the number of classes, such as nc: 80",
    "nc: [2, 3]": "nc is [2, 3], and has to be the number of classes, such as nc: 80",
    "nc: true": "nc is True, and has to be the number of classes, such as nc: 80",
    "nc: -1": "nc is -1, and has to be the number of classes, such as nc: 80",
    "nc: 0": "nc is 0, and has to be the number of classes, such as nc: 80",
    "scales: n": "scales is 'n', and has to be a mapping of letters, such as scales: {n: [0.33, 0.25, 1024]}",
    "depth_multiple: x": "depth_multiple is 'x', and has to be a number, such as depth_multiple: 0.33",
    "width_multiple: [1]": "width_multiple is [1], and has to be a number, such as width_multiple: 0.25",
    "max_channels: 1k": "max_channels is '1k', and has to be a number, such as max_channels: 1024",
    "ch: three": "ch is 'three', and has to be the number of the image's channels, such as ch: 3",
    "channels: 4 bands": (
        "channels is '4 bands', and has to be the number of the image's channels: write channels: 4 # bands"
    ),
    "kpt_shape: 17": (
        "kpt_shape is 17, and has to be the number of keypoints, and 2 or 3 numbers for each, "
        "such as kpt_shape: [17, 3]"
    ),
    "activation: [x]": "activation is ['x'], and has to be a module of torch, such as activation: nn.ReLU()",
    "reg_max: none": "reg_max is 'none', and has to be a whole number from 1 on, such as reg_max: 16",
    "end2end: maybe": "end2end is 'maybe', and has to be true or false, such as end2end: true",
    "text_model: 7": "text_model is 7, and has to be the name of a text encoder, such as text_model: mobileclip:blt",
}
COMMANDS = {
    "positions": ["positions", "odd.yaml"],
    "insert": ["insert", "odd.yaml", "--at", "neck", "--dry-run", "--unchecked"],
    "diff": ["diff", "odd.yaml", "odd.yaml"],
    "draw": ["draw", "odd.yaml", "-o", "odd.svg", "--force"],
    "curves": ["curves", "odd.yaml", "--at", "neck"],
    "flops": ["flops", "odd.yaml", "--imgsz", "64"],
    "variants": ["variants", "recipe.yaml", "--dry-run"],
}


def odd(setting: str) -> None:
    text = NETWORK.replace("nc: 2\n", f"{setting}\n") if setting.startswith("nc:") else f"{setting}\n{NETWORK}"
    Path("odd.yaml").write_text(text, encoding="utf-8")
    Path("recipe.yaml").write_text("base: odd.yaml\nmatrix: {at: [neck], k: [7]}\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("setting", WRONG)
def test_check_says_what_to_write(setting: str) -> None:
    odd(setting)
    done = surgeon("check", "odd.yaml")
    assert done.exit_code == 1
    assert f"odd.yaml:1: error[setting]: {WRONG[setting]}\n" in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it_in_one_line(command: str) -> None:
    for setting, expected in WRONG.items():
        odd(setting)
        done = surgeon(*COMMANDS[command])
        assert done.exit_code == 2, (setting, done.exception)
        (line,) = done.stderr.splitlines()
        assert expected in line


def test_what_is_written_instead_is_right() -> None:
    odd("nc: 1000 # classes")
    assert surgeon("check", "odd.yaml").exit_code == 0
    for fine in ("scales:", "activation:", "end2end: false", "kpt_shape: [17, 2]", "names: 1000 classes", "mine: [x]"):
        odd(fine)
        assert "error[" not in surgeon("check", "odd.yaml").output, fine


def test_a_model_without_an_output_layer() -> None:
    Path("odd.yaml").write_text(f"{NETWORK.partition('head:')[0]}head: []\n", encoding="utf-8")
    expected = "has no rows under head: its last row is the output layer, such as [[15, 18, 21], 1, Detect, [nc]]"
    done = surgeon("check", "odd.yaml")
    assert done.exit_code == 1
    assert f"odd.yaml:9: error[row]: the file {expected}\n" in done.output
    built = surgeon("flops", "odd.yaml", "--imgsz", "64")
    assert (built.exit_code, built.stderr) == (2, f"Error: odd.yaml {expected}\n")


@pytest.mark.parametrize("block", ["5", "null", "[Conv]", "2001-01-01"])
def test_a_row_whose_module_is_no_word(block: str) -> None:
    text = NETWORK.replace("[-1, 1, SPPF, [16, 5]]", f"[-1, 1, {block}, [16, 5]]")
    Path("odd.yaml").write_text(text, encoding="utf-8")
    done = surgeon("flops", "odd.yaml", "--imgsz", "64")
    assert done.exit_code == 2, done.exception
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: odd.yaml")
