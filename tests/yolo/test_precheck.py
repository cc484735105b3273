"""Errors that are told before torch is imported or a build begins, and files that only Ultralytics can judge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main
from lska_surgeon.errors import GraphError
from lska_surgeon.yolo.build import build

MODEL = """\
nc: 2
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [-1, 1, Conv, [16, 3, 1]]
  - [[1, 2], 1, Concat, [1]]
  - [[3], 1, Detect, [nc]]
"""
FIRST = "[-1, 1, Conv, [16, 3, 2]]\n  - [-1"
REPEATS = "row 0 (Conv) has 99999999999 repeats: it may have 1 to 1000"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model, one for each kind of error in it, and an empty file in place of a checkpoint."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "good": MODEL,
        "repeats": MODEL.replace(FIRST, FIRST.replace("-1, 1", "-1, 99999999999")),
        "wide": MODEL.replace(FIRST, FIRST.replace("[16", "[99999999999")),
        "forward": MODEL.replace("[[1, 2], 1, Concat", "[[1, 9], 1, Concat"),
        "round": "nc: 2\nbackbone: &a\n  - *a\nhead:\n  - *a\n",
        "alias": MODEL.replace(FIRST, "&row " + FIRST).replace("  - [-1, 1, Conv, [16, 3, 2]]\n", "  - *row\n"),
        "twice": MODEL + "nc: 2\n",
    }
    for name, text in texts.items():
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    Path("x.pt").touch()


MISTAKES = {
    "flops repeats.yaml": f"repeats.yaml: {REPEATS}",
    "flops wide.yaml": "wide.yaml: row 0 (Conv) is 99999999999 channels wide: it may be 1 to ",
    "flops round.yaml": "round.yaml is nested too deep, or contains itself: write it out plainly",
    "flops nope.pt": "no file nope.pt: give the path of a .pt that is here; nothing is downloaded",
    "inspect nope.pt": "no file nope.pt: give the path",
    "ungraft nope.pt": "no file nope.pt: give the path",
    "ungraft x.pt -o x.pt": "x.pt is already there: choose another name with -o",
    "graft nope.pt --at neck": "no file nope.pt: give the path",
    "graft x.pt --at nek": "no position 'nek' (did you mean neck?)",
    "graft x.pt --at neck@8": "kernel size 8 is not an odd number",
    "graft x.pt --at neck --k 9": "no kernel size 9 for lska in the paper",
    "graft x.pt --at neck -o x.pt": "x.pt is already there: choose another name with -o",
    "graft x.pt --into repeats.yaml": f"repeats.yaml: {REPEATS}",
    "graft x.pt --into nope.yaml": "no file nope.yaml",
    "train nope.pt data=d.yaml": "no file nope.pt: give the path",
    "train repeats.yaml data=d.yaml": f"repeats.yaml: {REPEATS}",
    "train good.yaml epochs=1": "say what to train on: data=FILE.yaml (for a classifier data=FOLDER)",
}


def test_what_needs_no_torch_is_told_without_it() -> None:
    code = f"""if True:
        import sys
        from click.testing import CliRunner
        from lska_surgeon.cli.main import main
        for words in {list(MISTAKES)!r}:
            result = CliRunner().invoke(main, words.split())
            assert "torch" not in sys.modules, words
            print(result.exit_code, result.output, end="")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    for line, (words, message) in zip(done.stdout.splitlines(), MISTAKES.items()):
        assert line.startswith(f"2 Error: {message}"), words
    assert len(done.stdout.splitlines()) == len(MISTAKES)


def test_a_source_that_looks_forward_is_told_as_positions_tells_it() -> None:
    said = [
        CliRunner().invoke(main, words.split()).output for words in ("flops forward.yaml", "positions forward.yaml")
    ]
    problem = "row 3 (Concat) reads layer 9, which looks forward: a row may read 0-2"
    assert said == [f"Error: forward.yaml: {problem}\n"] * 2


@pytest.mark.parametrize("name", ["repeats", "wide", "forward"])
def test_build_refuses_what_the_commands_refuse(name: str) -> None:
    with pytest.raises(GraphError, match=f"^{name}.yaml: row "):
        build(f"{name}.yaml")


@pytest.mark.parametrize("name", ["good", "alias", "twice"])
def test_what_only_ultralytics_can_judge_is_left_to_it(name: str) -> None:
    result = CliRunner().invoke(main, ["flops", f"{name}.yaml", "--imgsz", "64"])
    assert (result.exit_code, f"{name}.yaml" in result.output) == (0, True), result.output
