"""`cases/check/*.yaml`: a command line, the file it is run on, and exactly what it says.

The first line is the command. Where the second is `# yolov8.base, but`, the file is that with the rows and settings
that follow: `row 7: ...` in the place of one, `behind row 7: ...` one more, `without row 7`. `--update-goldens` writes
the outputs anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.checks import RULES
from lska_surgeon.checks.blocks import is_unknown
from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.reports import Table, markdown

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "check"
BASE = (CASES / "yolov8.base").read_text(encoding="utf-8").splitlines()
FIRST_ROW, HEAD = BASE.index("backbone:") + 1, BASE.index("head:")
EDIT = re.compile(r"(row|behind row|without row) (\d+)(?:: (.*))?")
OUTPUT = "# ===== output =====\n"
#: Blocks in the cases that came after the oldest release.
NEWER = ("A2C2f", "Index", "OBB", "TorchVision")


def written(given: str) -> str:
    """The file of a case."""
    mark, _, edits = given.partition("\n")
    if mark != "# yolov8.base, but":
        return given
    lines = [[line] for line in BASE]
    for edit in edits.splitlines():
        words = EDIT.fullmatch(edit)
        if words is None:  # a setting
            lines = [[edit], *(line for line in lines if line[0].partition(":")[0] != edit.partition(":")[0])]
            continue
        what, index, row = words[1], int(words[2]), f"  - {words[3]}"
        at = len(lines) - len(BASE) + FIRST_ROW + index + (index >= HEAD - FIRST_ROW)
        lines[at] = [row] if what == "row" else [*lines[at], row] if what == "behind row" else []
    return "".join(f"{line}\n" for part in lines for line in part)


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(tmp_path)
    before, _, expected = path.read_text(encoding="utf-8").partition(OUTPUT)
    command, _, given = before.partition("\n")
    _, program, *words = command.split()
    given = written(given)
    assert program == "lska-surgeon"
    newer = [block for block in NEWER if f" {block}," in given and is_unknown(STOCK[block])]
    if newer:
        pytest.skip(f"this ultralytics has no {newer[0]}")
    Path(words[1]).write_text(given, encoding="utf-8")
    result = CliRunner().invoke(main, words)
    if request.config.getoption("--update-goldens"):
        path.write_text(f"{before}{OUTPUT}{result.stdout}", encoding="utf-8")
    assert result.stdout == expected
    fails = "error[" in expected or "+++" in expected or ("warning[" in expected and "--strict" in words)
    assert result.exit_code == (1 if fails else 0)


def test_help_and_docs_list_the_rules() -> None:
    help_text = " ".join(CliRunner().invoke(main, ["check", "--help"]).output.split())
    assert all(f" {rule.code} {rule.doc} " in help_text for rule in RULES)
    table = markdown(Table(("rule", "severity", "what it finds"), [rule[:3] for rule in RULES]))
    assert table in (ROOT / "docs" / "check.md").read_text(encoding="utf-8")


def test_every_rule_has_a_case_and_every_finding_a_rule() -> None:
    """But `build`, which `test_check` has."""
    outputs = "".join(path.read_text(encoding="utf-8").partition(OUTPUT)[2] for path in CASES.glob("*.yaml"))
    assert set(re.findall(r": (?:error|warning)\[(\w+)\]", outputs)) == {rule.code for rule in RULES} - {"build"}
