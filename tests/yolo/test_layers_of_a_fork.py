"""In a fork of Ultralytics its own layers are layers, in every command; what else a model would run is refused by name.

Each fork is a process of its own, for a process has one Ultralytics; all its commands run in that one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from support.forks import STYLES, Fork, Style, edited, make_fork

MODEL = """\
nc: 2
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [[2], 1, Detect, [nc]]
"""

_PROGRAM = """
import json, sys
from click.testing import CliRunner
from lska_surgeon.cli.main import main

said = []
for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(main, words)
    said.append([done.exit_code, done.output])
print("\\n" + json.dumps(said))
"""


def said_in(fork: Fork, folder: Path, *commands: str) -> list[tuple[int, str]]:
    """Exit code and output of each command."""
    done = fork.python("-c", _PROGRAM, json.dumps([words.split() for words in commands]), cwd=folder)
    assert done.returncode == 0, done.stderr
    found: list[tuple[int, str]] = [(code, output) for code, output in json.loads(done.stdout.splitlines()[-1])]
    return found


BUILDING = (
    "check {} --build --quiet",
    "flops {} --imgsz 64",
    "diff {} {} --costs",
    "latency {} --imgsz 64 --rounds 2",
)


def test_layers_of_a_fork_are_built_wherever_they_are_defined(tmp_path: Path) -> None:
    fork = make_fork(tmp_path / "fork", replace(STYLES["branch"], file="nn/extra/own.py", edit=_in_a_package))
    (fork.package / "nn" / "extra" / "__init__.py").touch()
    for words, (code, output) in zip(
        BUILDING, said_in(fork, tmp_path, *(one.format(*2 * [fork.yaml]) for one in BUILDING))
    ):
        assert code == 0, f"{words}: {output}"


def _in_a_package(text: str) -> str:
    return STYLES["branch"].edit(text).replace("from .own import", "from .extra.own import")


def test_a_function_of_a_fork_is_refused_by_name_and_may_be_trusted(tmp_path: Path) -> None:
    fork = make_fork(tmp_path / "fork", "pyramid")
    refused, trusted, counted = said_in(
        fork,
        tmp_path,
        f"check {fork.yaml} --build --quiet",
        f"check {fork.yaml} --build --quiet --trust",
        f"flops {fork.yaml} --imgsz 64",
    )
    why = "would run more than layers: backbone row stages_small; nothing of it was run; if you trust whoever made it, "
    assert refused[0] == 1
    assert f"error[build]: {fork.yaml} {why}add --trust\n" in refused[1]
    assert trusted[0] == 0, trusted[1]
    assert (counted[0], counted[1].splitlines()[-1]) == (2, f"Error: {fork.yaml} {why}add --trust")


def test_what_loads_a_network_is_no_layer(tmp_path: Path) -> None:
    late = "\n\nfrom ultralytics.nn.autobackend import AutoBackend\n"
    fork = make_fork(tmp_path / "fork", Style("", lambda text: text + late, (), MODEL))
    rows = ("AutoBackend, [weights.pt]", "DetectionModel, [net.yaml]", "Ensemble, []")
    for number, row in enumerate(rows):
        text = MODEL.replace("Conv, [16, 3, 2]", row, 1)
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    for number, (code, output) in enumerate(
        said_in(fork, tmp_path, *(f"flops {number}.yaml --imgsz 64" for number in range(len(rows))))
    ):
        block = rows[number].partition(",")[0]
        assert code == 2
        assert f"\nError: {number}.yaml would run more than layers: backbone row {block}; nothing" in output


def test_a_parser_that_evaluates_texts_gets_none_but_names_and_literals(tmp_path: Path) -> None:
    edit = edited(
        ("ast.literal_eval(a)", "eval(a)"), ("contextlib.suppress(ValueError)", "contextlib.suppress(Exception)")
    )
    fork = make_fork(tmp_path / "fork", Style("", edit, (), MODEL))
    text = MODEL.replace("[16, 3, 2]]", "[16, 3, \"__import__('pathlib').Path('ran').touch()\"]]", 1)
    (tmp_path / "evil.yaml").write_text(text, encoding="utf-8")
    refused, built = said_in(fork, tmp_path, "flops evil.yaml --imgsz 64", f"check {fork.yaml} --build --quiet")
    assert refused[0] == 2
    assert "would run more than layers: backbone row __import__('pathlib').Path('ran').touch(); not" in refused[1]
    assert not (tmp_path / "ran").exists()
    assert built[0] == 0, built[1]
