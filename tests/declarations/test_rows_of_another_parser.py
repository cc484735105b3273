"""Rows that were written for another parser: built as their declaration reads them, and rewritten by `check --fix`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.declarations.find import VARIABLE
from lska_surgeon.yolo.build import build

BLOCKS = """from torch import nn


class Shuffle(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.groups, self.conv = groups, nn.Conv2d(channels, channels, 1, groups=groups)

    def forward(self, x):
        return x * self.conv(x).sigmoid()
"""
DECLARED = """[blocks.Shuffle]
class = "mine.py:Shuffle"
like = "attention"
"""
MODEL = """nc: 80
scales: {{n: [0.33, 0.25, 1024]}}
backbone:
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 1, Conv, [512, 3, 2]]
  - {row} # 2
head:
  - [[2], 1, Detect, [nc]]
"""
DROP, REPLACE = 'channels = "first"\ndrop = [0]\n', 'replace = { 0 = "c2" }\n'
BLOCK_STYLE = "- -1\n    - 1\n    - Shuffle\n    - - 512\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(BLOCKS, encoding="utf-8")


def written(row: str, declared: str) -> None:
    Path("mine.yaml").write_text(MODEL.format(row=row), encoding="utf-8")
    Path("lska-surgeon.toml").write_text(DECLARED + declared, encoding="utf-8")


def groups() -> int:
    return int(build("mine.yaml").model[2].groups)


@pytest.mark.parametrize(
    ("row", "declared", "args", "groups_of_it"),
    [
        ("[-1, 1, Shuffle, [512]]", DROP, "[]", 8),
        ("[-1, 1, Shuffle, [512, 4]]", DROP, "[4]", 4),
        ("[-1, 1, Shuffle, [512]]", REPLACE, "[c2]", 8),
        ("[-1, 1, Shuffle, [512, 4]]", REPLACE, "[c2, 4]", 4),
        ("[-1, 1, Shuffle, [512, True, 4]]", 'channels = "first"\ndrop = [0, 1]\n', "[4]", 4),
        ("[-1, 1, Shuffle, [512, 3]]", DROP + "replace = { 1 = 2 }\n", "[2]", 2),
    ],
)
def test_a_row_is_built_as_its_declaration_reads_it_and_rewritten(
    row: str, declared: str, args: str, groups_of_it: int
) -> None:
    written(row, declared)
    found = ls.check("mine.yaml")
    (told,) = found.findings
    was = row[row.index("[", 1) : -1]
    assert told.text == f"Shuffle says {was}, written for another parser; write {args}, as its declaration reads it"
    assert (told.severity, told.rule) == ("warning", "arguments")
    assert groups() == groups_of_it
    Path("mine.yaml").write_text(found.fixed_text, encoding="utf-8")
    assert found.fixed_text == MODEL.format(row=row.replace(was, args))
    assert ls.check("mine.yaml").findings == ()
    assert groups() == groups_of_it


@pytest.mark.parametrize(
    ("row", "declared"),
    [
        ("[-1, 1, Shuffle, [4]]", DROP),
        ("[-1, 1, Shuffle, [16, True]]", 'channels = "first"\ndrop = [0, 1]\n'),
        ("[-1, 1, Shuffle, []]", DROP),
        ("[-1, 1, Shuffle, [c2]]", REPLACE),
        ("[0, 1, Shuffle, [256]]", REPLACE),  # c2 would be the width of the row before
    ],
)
def test_other_rows_stay(row: str, declared: str) -> None:
    written(row, declared)
    found = ls.check("mine.yaml")
    assert not [finding for finding in found.findings if finding.rule == "arguments"]
    if "True" not in row:
        assert groups() == (4 if "[4]" in row else 8)


def test_a_row_in_block_style_keeps_a_list_of_arguments() -> None:
    text = MODEL.replace("- {row} # 2", BLOCK_STYLE.replace("\n    ", "\n    ").rstrip("\n").join(["- ", ""]))
    Path("mine.yaml").write_text(text.format(), encoding="utf-8")
    Path("lska-surgeon.toml").write_text(DECLARED + DROP, encoding="utf-8")
    fixed = ls.check("mine.yaml").fixed_text
    assert "    - []\n" in fixed
    Path("mine.yaml").write_text(fixed, encoding="utf-8")
    assert groups() == 8


def test_the_command_shows_the_diff() -> None:
    written("[-1, 1, Shuffle, [512]]", DROP)
    done = CliRunner().invoke(main, ["check", "--fix", "mine.yaml"])
    assert "-  - [-1, 1, Shuffle, [512]] # 2\n+  - [-1, 1, Shuffle, []] # 2\n" in done.output
