"""What `check` says inside of a fork: of its blocks' arguments, of blocks that it lacks, and nothing of its models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.forks import Fork, make_fork

from lska_surgeon.checks.check import check_file
from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import blocks_here
from lska_surgeon.modelfile.sources import find_source, released_models, stock_models


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Fork:
    return make_fork(tmp_path_factory.mktemp("branch") / "fork", "branch")


@pytest.fixture
def inside(fork: Fork, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fork]:
    with fork.imported(monkeypatch):
        yield fork


def told(rows: str) -> list[str]:
    """What is said of a model with such rows behind its first, line for line."""
    text = f"nc: 1\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n{rows}head:\n  - [[-1], 1, Detect, [nc]]\n"
    Path("net.yaml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["check", "net.yaml"]).stdout.splitlines()[:-1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("[-1, 1, Scan, [5]]", []),
        ("[-1, 1, Scan, []]", []),
        ("[-1, 1, Scan, [5, 7]]", ["Scan takes at most [k], and is given [5, 7]"]),
        ("[-1, 1, Fold, []]", []),
        ("[[-1, 0], 1, Sum, [plain, 1]]", ["Sum takes at most [mode], and is given [plain, 1]"]),
        ("[-1, 1, Conv, []]", ["Conv wants [width], as 11/yolo11.yaml has [64, 3, 2], and is given []"]),
        ("[-1, 1, Scam, []]", ["the installed ultralytics knows no block Scam"]),
        ("[-1, 1, Sacn, []]", ["the installed ultralytics knows no block Sacn; write Scan"]),
        ("[-1, 1, Twice, [64]]", ["the installed ultralytics knows no block Twice"]),  # it is not imported
    ],
)
def test_arguments_and_unknown_blocks_are_those_of_the_fork(row: str, said: list[str], inside: Fork) -> None:
    lines = told(f"  - {row}\n")
    assert len(lines) == len(said), lines
    for line, expected in zip(lines, said):
        assert expected.split(", as ")[0] in line


def test_every_model_that_the_fork_has_is_right(inside: Fork) -> None:
    blocks = blocks_here()
    for name, path in stock_models().items():
        assert not check_file(str(path), blocks).findings, name


def test_a_forks_own_variant_is_no_stock_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is compared with what a release has, though a variant of the fork's is as it is."""
    fork = make_fork(tmp_path / "fork", "branch")
    stock = fork.package / "cfg" / "models" / "v8" / "yolov8.yaml"
    text = stock.read_text(encoding="utf-8").replace("[-1, 1, Conv, [128, 3, 2]]", "[-1, 1, Fold, []]")
    assert "Fold" in text
    for path in (stock.with_name("yolov8-fold.yaml"), tmp_path / "mine.yaml"):
        path.write_text(text, encoding="utf-8")
    with fork.imported(monkeypatch):
        assert "yolov8-fold.yaml" in stock_models()
        assert "yolov8-fold.yaml" not in released_models()
        assert check_file(str(tmp_path / "mine.yaml"), blocks_here()).stock == "yolov8.yaml"
        assert not find_source("yolov8-fold.yaml").is_stock
        assert find_source("yolov8n.yaml").is_stock


def test_the_blocks_that_are_known_are_those_of_the_fork_too(inside: Fork) -> None:
    lines = [line.split() for line in CliRunner().invoke(main, ["blocks"]).stdout.splitlines()]
    theirs = {line[0]: line[2:] for line in lines if line[1:2] == ["fork"]}
    where = "ultralytics/nn/own.py"
    assert theirs["Scan"] == ["attention", where]
    assert theirs["Fold"] == theirs["Sum"] == ["-", where]
    assert not theirs.keys() & {"C2f", "RepConv"}
    assert {"C2f", "RepConv"} <= {line[0] for line in lines if line[1:2] == ["stock"]}
