"""`cases/check/*.yaml`: a command line, the file it is run on, and exactly what it says.

`--update-goldens` writes the outputs anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.cases import CASES, OUTPUT, read_case

from lska_surgeon.checks.check import RULES
from lska_surgeon.checks.known import is_unknown
from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.reports import Table, markdown

ROOT = Path(__file__).parents[2]
#: Blocks in the cases that came after the oldest release.
NEWER = ("A2C2f", "Index", "OBB", "TorchVision")


@pytest.mark.parametrize("path", sorted((CASES / "check").iterdir()), ids=lambda path: path.stem)
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    command, given, expected = read_case(f"check/{path.stem}")
    _, program, *words = command.split()
    assert program == "lska-surgeon"
    newer = [block for block in NEWER if f" {block}," in given and is_unknown(STOCK[block])]
    if newer:
        pytest.skip(f"this ultralytics has no {newer[0]}")
    Path(words[1]).write_text(given, encoding="utf-8")
    result = CliRunner().invoke(main, words)
    if request.config.getoption("--update-goldens"):
        before = path.read_text(encoding="utf-8").partition(OUTPUT)[0]
        path.write_text(f"{before}{OUTPUT}{result.stdout}", encoding="utf-8")
    assert result.stdout == expected
    found = CliRunner().invoke(main, [word for word in words if not word.startswith("--fix")]).stdout
    fails = "error[" in found or ("warning[" in found and "--strict" in words)
    assert result.exit_code == (1 if fails else 0)


def test_help_and_docs_list_the_rules() -> None:
    help_text = " ".join(CliRunner().invoke(main, ["check", "--help"]).output.split())
    assert all(f" {rule.code} {rule.doc} " in help_text for rule in RULES)
    table = markdown(Table(("rule", "severity", "what it finds"), [rule[:3] for rule in RULES]))
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    assert table in re.sub(r"\[(\w+)\]\(rules/\1\.md\)", r"\1", page)


@pytest.mark.parametrize("page", [f"{rule.code}{ending}" for rule in RULES for ending in (".md", ".zh-CN.md")])
def test_the_page_of_a_rule_shows_what_check_says(page: str) -> None:
    """Its file breaks the rule with the very words that it shows, and breaks it no longer once it is edited so."""
    text = (ROOT / "docs" / "rules" / page).read_text(encoding="utf-8")
    code, (command,) = page.partition(".")[0], re.findall(r"^`lska-surgeon (check .*?)`", text, re.MULTILINE)
    given, said, edits = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)[1] for kind in ("yaml", "text", "diff"))
    words = command.split()
    Path(words[1]).write_text(given, encoding="utf-8")
    result = CliRunner().invoke(main, words)
    assert result.stdout.rpartition("\n1 file: ")[0] == said.rstrip()
    assert f"[{code}]" in said
    old, new = ("".join(re.findall(rf"^[ {sign}](.*\n)", edits, re.MULTILINE)) for sign in (r"\-", r"\+"))
    assert given.count(old) == 1
    Path(words[1]).write_text(given.replace(old, new), encoding="utf-8")
    assert f"[{code}]" not in CliRunner().invoke(main, words).stdout


def test_every_rule_has_a_case_and_every_finding_a_rule() -> None:
    """But `build`, which `test_check` has."""
    outputs = "".join(path.read_text(encoding="utf-8").partition(OUTPUT)[2] for path in (CASES / "check").iterdir())
    assert set(re.findall(r": (?:error|warning)\[(\w+)\]", outputs)) == {rule.code for rule in RULES} - {"build"}
