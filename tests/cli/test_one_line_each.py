"""Names with newlines and control characters in them: no command lets one make a line of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import lska_surgeon as ls
from lska_surgeon.checkpoints.contents import surgery_in_words
from lska_surgeon.cli import say
from lska_surgeon.cli.main import main
from lska_surgeon.errors import SurgeonError
from lska_surgeon.reports import Table as TableOf
from lska_surgeon.reports import csv, html, latex, markdown, table
from lska_surgeon.wording import clean, printable, visible

#: What GitHub would take for an order, and what a terminal or a consumer would take for another text.
ORDER = "::error::of mine"
NAME = f"a\n{ORDER}\r\x1b[2J\u202e注b"
SHOWN = f"a\\n{ORDER}\\r\\x1b[2J\\u202e注b"
BLOCK = '"a\\n::error::of mine\\r\\x1b[2J\\u202e注b"'
MODEL = (
    f"nc: 1\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, {BLOCK}, []]\nhead:\n  - [[-1], 1, Detect, [nc]]\n"
)
PACKAGE = Path(ls.__file__).parent


@pytest.fixture(autouse=True)
def in_a_folder_with_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"{NAME.replace('/', '')}.yaml").write_text(MODEL, encoding="utf-8")
    Path("odd.yaml").write_text(MODEL, encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        "check odd.yaml",
        "check NAME",
        "check NAME --format github",
        "check NAME gone/NAME",
        "positions NAME",
        "blocks NAME",
        "diff NAME yolov8n.yaml",
        "diff NAME yolov8n.yaml --format md",
        "draw NAME",
        "insert NAME --at neck",
        "insert NAME --at backbone --dry-run",
        "insert yolov8n.yaml --at neck -o NAME",
        "insert yolov8n.yaml --at neck -o gone/NAME",
        "insert yolov8n.yaml --at NAME",
        "insert yolov8n.yaml --at neck --op NAME",
        "remove NAME",
        "flops NAME.pt",
        "latency NAME.pt",
        "graft NAME.pt --at neck",
        "train gone/NAME data=x.yaml",
        "NAME",
        "positions --NAME",
    ],
)
def test_a_name_makes_no_line_of_its_own(words: str) -> None:
    name = {"NAME": f"{NAME}.yaml", "gone/NAME": f"gone/{NAME}.yaml", "NAME.pt": f"{NAME}.pt", "--NAME": f"--{NAME}"}
    output = CliRunner().invoke(main, [name.get(word, word) for word in words.split()]).output
    assert ORDER in output
    assert not [line for line in re.split("[\r\n]", output) if line.lstrip().startswith(ORDER)], output
    assert "\x1b[2J" not in output


def test_an_error_is_one_line_in_python_too() -> None:
    assert str(SurgeonError(f"no file {NAME}, {chr(0xDCFF)}")) == f"no file {SHOWN}, \\xff"
    with pytest.raises(SurgeonError) as told:
        ls.positions(f"gone/{NAME}.yaml")
    assert "\n" not in str(told.value)
    assert "\n" not in ls.check("odd.yaml").line + ls.positions(f"{NAME}.yaml").line


def test_a_record_of_a_graft_has_its_own_lines_only() -> None:
    told = surgery_in_words({"version": "1", "base": NAME, "certificate": {"max_delta": 0.0}})
    assert len(told.splitlines()) == 3  # what was grafted is empty here
    assert told.startswith(f"lska-surgeon 1, base {SHOWN} (SHA-256 None)\n")


def test_cells_are_of_one_line_in_every_kind_of_table() -> None:
    for drawn in (
        table(["x"], [[NAME]]),
        csv(["x"], [[NAME]]),
        *(form(TableOf([NAME], [[NAME]])) for form in (markdown, latex, html)),
    ):
        assert f"\n{ORDER}" not in drawn


def test_what_is_there_to_be_seen_stays() -> None:
    for text in ("a b", "注意力", "é😀", "max |Δ| 0.0"):
        assert printable(text) == visible(text) == clean(text) == text
    assert printable(NAME) == visible(NAME) == SHOWN
    assert printable("\udcff") == "\udcff"  # standard output gives the byte back


def test_commands_say_nothing_past_the_one_place() -> None:
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        said = re.findall(r"click\.(?:s?echo)\(([^)]*)", path.read_text(encoding="utf-8"))
        assert path.samefile(say.__file__) or said in ([], ["err=True"]), path
