"""`cases/check/*.yaml`: a command line, the file it is run on, and exactly what it says.

The first line is the command; a file without an output passes, with exit code 0. `--update-goldens` rewrites outputs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.checks.known_blocks import is_unknown
from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK

CASES = Path(__file__).parents[1] / "cases" / "check"
OUTPUT = "# ===== output =====\n"
#: Blocks in the cases that came after the oldest release.
NEWER = ("A2C2f", "Index", "OBB", "TorchVision")


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(tmp_path)
    before, _, expected = path.read_text(encoding="utf-8").partition(OUTPUT)
    command, _, given = before.partition("\n")
    _, program, *words = command.split()
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
