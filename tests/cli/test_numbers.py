"""Numbers in options: what no comparison holds with is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.shapes import surgeon

from lska_surgeon.cli.main import COMMANDS, main
from lska_surgeon.grafting.transplant import layer_of, moved_name


def number_options() -> Iterator[tuple[str, str]]:
    """Command and option of everything that takes a number with a point."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        for parameter in command.params if command else ():
            if getattr(parameter.type, "kind", None) is float:
                yield name, parameter.opts[0]


@pytest.mark.parametrize("number", ["nan", "NaN", "-nan", "inf", "1e999"])
def test_what_is_no_number_is_refused_everywhere(number: str) -> None:
    options = [*number_options()]
    assert ("flops", "--max-gflops") in options
    for command, option in options:
        told = CliRunner().invoke(main, [command, "yolov8n.yaml", option, number])
        assert (told.exit_code, told.stdout) == (2, "")
        assert f"{number!r} is not a number that can be compared with: give one such as 0.5 (see " in told.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("latency", "yolov8n.yaml", "--batch", "²"), "'²' is not a whole number: give one, or several as 1,16"),
        (("latency", "yolov8n.yaml", "--batch", "1,"), "'' is not a whole number"),
        (("latency", "yolov8n.yaml", "--batch", "9" * 5000), "is not a whole number"),
        (
            ("latency", "yolov8n.yaml", "--threads", "99999999999"),
            "is not a number of threads: give 1 to 4096",
        ),
        (("latency", "yolov8n.yaml", "--threads", "²"), "'²' is not a whole number: give one such as 1"),
        (("check", "x.yaml", "--fix=abc"), "'--fix': 'abc' is not a whole number: give one such as 1 (see "),
        (("flops", "yolov8n.yaml", "--top", "0"), "'--top': '0' is too small: give 1 or more (see "),
        (("flops", "yolov8n.yaml", "--max-gflops", "-1"), "'-1' is too small: give 0 or more (see "),
        (("latency", "yolov8n.yaml", "--device", "²"), "no device '²' here: there are "),
        (("latency", "yolov8n.yaml", "--device", "99999999999"), "no device '99999999999' here: there are "),
        (
            ("ablate", "recipe.yaml", "--devices", "²"),
            "'²' is no device: give the numbers of GPUs, such as 0,1",
        ),
        (("ablate", "recipe.yaml", "--devices", "-1"), "'-1' is no device"),
        (
            ("ablate", "recipe.yaml", "--devices", "0,00"),
            "device 0 is there twice, and one training runs on each",
        ),
        (("ablate", "recipe.yaml", "--devices", "cpu,cpu"), "device cpu is there twice"),
        (("ablate", "recipe.yaml", "--devices", ","), "no device was given: such as --devices 0,1 or --devices cpu"),
        (("ablate", "recipe.yaml", "--devices", "9" * 5000), "is no device"),
    ],
)
def test_what_looks_like_a_number_and_is_none(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "base: yolov8n.yaml\nmatrix: {at: sppf, k: 7}\ntrain: {data: coco8.yaml}\n"
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    for dry in ([], ["--dry-run"])[: 1 + (words[0] == "ablate")]:
        result = surgeon(*words, *dry)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert message in result.output
        assert len(result.output) < 300


def test_names_of_tensors_with_digits_that_are_no_numbers() -> None:
    names = ("model.13.m.0.weight", "model.².weight", "model.999999999999999999999.weight", "heads.1.weight")
    assert [layer_of(name) for name in names] == [13, -1, -1, -1]
    assert [moved_name(name, {13: 14}) for name in names] == ["model.14.m.0.weight", *names[1:]]
