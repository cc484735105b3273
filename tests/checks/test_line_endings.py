"""Lines are counted, and files fixed, whichever line endings a file has, all those of PyYAML included."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lska_surgeon.checks.check import check_file
from lska_surgeon.cli.main import main
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.sources import stock_models

ENDINGS = {
    "LF": "\n",
    "CRLF": "\r\n",
    "CR": "\r",
    "NEL": "\x85",
    "LS": "\u2028",
    "PS": "\u2029",
    "mixed": "\n \r\n \r \x85 \u2028 \u2029",
}
BASE = stock_models()["yolov8.yaml"].read_text(encoding="utf-8")
#: One error for each way to a line number: a row, a source, a comment, the scales, a whole row that can't be read.
WRONG = (
    BASE.replace("[[-1, 6], 1, Concat, [1]]", "[[-1, 60], 1, Concat, [1]]")
    .replace("# 12\n", "# 13\n")
    .replace("Conv, [64, 3, 2]", "Convv, [64, 3, 2]")
    .replace("  - [-1, 3, C2f, [1024]]", "  - [-1, 3, C2f]")
    .replace("\nscales:", "\nscales: #")
    .replace("  s: [", "  t: [")
)


def written(text: str, ending: str) -> str:
    """The text with another line ending, or with several in turn."""
    one = itertools.cycle(ENDINGS[ending].split(" "))
    return "".join(line.rstrip("\n") + next(one) for line in text.splitlines(keepends=True))


def found(text: str) -> list[tuple[int, str, str]]:
    Path("my-yolov8s.yaml").write_bytes(text.encode())
    findings = check_file("my-yolov8s.yaml").findings
    return [(finding.line, finding.rule, finding.message) for finding in findings]


@pytest.mark.parametrize("ending", ENDINGS)
def test_findings_stand_on_the_same_lines(ending: str) -> None:
    expected = found(WRONG)
    assert {rule for _, rule, _ in expected} >= {"row", "source", "comment", "scale", "module"}
    assert len({line for line, _, _ in expected}) > 4
    assert found(written(WRONG, ending)) == expected


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_are_those_of_pyyaml(ending: str) -> None:
    text = written(BASE, ending)
    read, document = yaml.safe_load(text), Document(text)
    assert len(document.graph) == len(read["backbone"]) + len(read["head"]) == 23
    assert [document.line_of(row) for row in range(23)] == [Document(BASE).line_of(row) for row in range(23)]
    assert document.comment_index(22) is None
    assert document.comment_index(21) is not None


@pytest.mark.parametrize(
    ("ending", "final", "tool"),
    [
        *((ending, final, "git apply -") for ending in ENDINGS for final in ("with", "without")),
        *((ending, "without", "patch --binary -p1") for ending in ("LF", "CRLF", "mixed")),
    ],
)
def test_the_fix_applies(ending: str, final: str, tool: str) -> None:
    if shutil.which(tool.split()[0]) is None:
        pytest.skip(f"needs {tool.split()[0]}")
    right = BASE if final == "with" else BASE.rstrip("\n")
    wrong = right.replace("# 12\n", "# 13\n").replace("[[15, 18, 21], 1", "[[15, 18, 20], 1")
    right, wrong = (written(f"# 特\n{text}", ending) for text in (right, wrong))
    if final == "without":
        right, wrong = (text.rstrip("".join(ENDINGS.values())) for text in (right, wrong))
    comment = "特".encode()
    path = Path("my-yolov8s.yaml")
    path.write_bytes(wrong.encode().replace(comment, b"\xb8\xbd"))  # in GBK
    fixed = CliRunner().invoke(main, ["check", "my-yolov8s.yaml", "--fix"])
    assert (fixed.exit_code, fixed.stderr.splitlines()[-1]) == (1, "1 file: 1 error, 1 warning")
    subprocess.run(tool.split(), input=fixed.stdout_bytes, check=True, capture_output=True)
    assert path.read_bytes() == right.encode().replace(comment, b"\xb8\xbd")
