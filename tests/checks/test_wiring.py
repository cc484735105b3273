"""`check` on networks that were right before people edited them: what it finds, restores, and leaves alone."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.damages import Damaged, damages, renamed, right

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.sources import stock_models

#: Families that differ in their heads, their levels and their blocks.
MODELS = (
    "yolov5.yaml", "yolov8.yaml", "yolov8-p2.yaml", "yolov8-p6.yaml", "yolov8-pose.yaml", "yolov9c.yaml",
    "yolov10s.yaml", "yolo11.yaml", "yolo12.yaml", "yolo26-seg.yaml", "rtdetr-l.yaml",
)  # fmt: skip


def checked(net: Damaged, path: Path) -> ls.api.CheckedFile:  # type: ignore[name-defined]
    path.write_text(net.text, encoding="utf-8")
    return ls.check(path)


def sources_in(text: str) -> list[tuple[int, ...]]:
    return [layer.sources for layer in Document(text, "fixed.yaml", []).layers]


def test_what_people_break_is_found_and_restored(tmp_path: Path) -> None:
    kinds: dict[str, Counter[str]] = {}
    for net in damages(MODELS, seed=1):
        file = checked(net, tmp_path / "net.yaml")
        wrong = net.wrong(sources_in(file.fixed_text))
        seen = kinds.setdefault(net.kind, Counter())
        harmed = bool(wrong) and comments_in(file.fixed_text) != comments_in(net.text)
        seen.update(all=1, found=not file.ok, exact=not wrong, worse=wrong > net.wrong_as_written, harmed=harmed)
    total = sum(kinds.values(), Counter())
    assert total["worse"] == total["harmed"] == 0, kinds
    assert total["found"] >= 0.98 * total["all"], kinds
    assert total["exact"] >= 0.95 * total["all"], kinds
    for kind, seen in kinds.items():
        assert seen["exact"] >= 0.8 * seen["all"], (kind, seen)


def comments_in(text: str) -> list[str]:
    return re.findall(r"# \d+", text)


@pytest.mark.parametrize("name", ["yolov8-p2.yaml", "yolo11.yaml", "yolov9c.yaml"])
def test_what_was_fixed_is_right_or_said_to_be_left(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    for net in damages([name], seed=7):
        file = checked(net, path)
        reported = {(finding.rule, finding.row) for finding in file.findings}
        for text in {file.fixed_text, *file.choices} - {net.text}:
            path.write_text(text, encoding="utf-8")
            again = ls.check(path)
            left = [finding for finding in again.findings if finding.severity == "error"]
            assert {(finding.rule, finding.row) for finding in left} <= reported, (net.kind, net.text, left)
            assert again.fixed_text == text, (net.kind, net.text)
            assert not left or text in file.choices, (net.kind, net.text, left)


def test_right_networks_with_blocks_of_unknown_names_are_left_alone(tmp_path: Path) -> None:
    for name in stock_models():
        net = renamed(right(name), random.Random(name))
        file = checked(net, tmp_path / "net.yaml")
        assert file.ok, (name, file.findings)
        assert file.fixed_text == net.text


AMBIGUOUS = """\
nc: 80
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128]]
  - [3, 1, C2f, [128]]
  - [3, 1, C2f, [128]]
  - [[4, 5], 1, Concat, [1]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 3, C2f, [256]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 8], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 8], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]
  - [[11, 14], 1, Detect, [nc]]
"""


def test_where_several_readings_are_as_likely_a_person_chooses() -> None:
    Path("net.yaml").write_text(AMBIGUOUS, encoding="utf-8")
    result = CliRunner().invoke(main, ["check", "net.yaml"])
    assert result.exit_code == 1
    assert "write 6 (Concat) or 5 (C2f) or 4 (C2f)" in result.stdout
    assert "3 readings explain the numbers: lska-surgeon check --fix=1 to --fix=3 show each" in result.stderr
    assert "\n+" not in CliRunner().invoke(main, ["check", "net.yaml", "--fix"]).stdout
    for choice, source in enumerate((6, 5, 4), 1):
        result = CliRunner().invoke(main, ["check", "--fix=" + str(choice), "net.yaml"])
        assert f"-  - [[-1, 8], 1, Concat, [1]]\n+  - [[-1, {source}], 1, Concat, [1]]\n" in result.stdout
        assert ls.check("net.yaml").chosen(choice).fixed_text in AMBIGUOUS.replace("-1, 8", f"-1, {source}", 1)
    result = CliRunner().invoke(main, ["check", "--fix=9", "net.yaml"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        "no reading 9: net.yaml has 3 readings to choose from; lska-surgeon check --fix shows what is sure"
        in result.stderr
    )


def test_the_row_that_is_named_is_the_one_that_came(tmp_path: Path) -> None:
    lines = stock_models()["yolov8.yaml"].read_text(encoding="utf-8").splitlines()
    behind = next(at for at, line in enumerate(lines) if "SPPF" in line and not line.startswith("#"))
    lines.insert(behind + 1, "  - [-1, 1, LSKA, [1024, 7]]")
    (tmp_path / "net.yaml").write_text("\n".join(lines), encoding="utf-8")
    reasons = [one.message for one in ls.check(tmp_path / "net.yaml").findings if one.rule == "source"]
    assert reasons
    assert all("before row 10 (LSKA) was inserted" in reason for reason in reasons), reasons
