"""`diff --textconv`: an insertion shows as added lines, and git says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import builds
from support.insertions import plan_insert

from lska_surgeon.cli.main import main
from lska_surgeon.core.graph import Graph
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.surgery import Placement, edits_for, insert
from lska_surgeon.errors import PositionError
from lska_surgeon.modelfile.diff import canonical_text
from lska_surgeon.modelfile.document import Document, format_value
from lska_surgeon.modelfile.model import Model, load
from lska_surgeon.modelfile.sources import stock_models

LINE = re.compile(r"(\S+) = (?:(\d+) x )?([\w.]+)(\[.*\])\((.*)\)")


def lines_that_changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """What went, and what came."""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def rows_of(text: str) -> set[tuple[object, ...]]:
    """Each row of a canonical text as nested tuples, its sources inside: the network without any name."""
    named: dict[str, tuple[object, ...]] = {"image": ()}
    rows = set()
    for line in text.partition("\n\n")[2].splitlines():
        name, repeats, block, args, sources = LINE.fullmatch(line).groups()  # type: ignore[union-attr]
        named[name] = (int(repeats or 1), block, args, *(hash(named[source]) for source in sources.split(", ")))
        rows.add(named[name])
    return rows


def rows_in(graph: Graph) -> set[tuple[object, ...]]:
    """The same from a graph."""
    rows: dict[int, tuple[object, ...]] = {-1: ()}
    for x in graph:
        rows[x.index] = (x.repeats, x.block, format_value(x.args), *(hash(rows[source]) for source in x.sources))
    return {row for index, row in rows.items() if index >= 0}


def with_operators(base: Model, at: str) -> Graph:
    """What `insert` makes of a base, without the way through a text."""
    graph = base.graph
    return insert(graph, edits_for(Placement((at,)), graph, base.shapes)).after


@pytest.mark.parametrize("name", builds.SOME)
def test_text_says_the_whole_network(name: str) -> None:
    base = load(name)
    assert rows_of(canonical_text(base.graph)) == rows_in(base.graph)
    names = list(named_sites(base.graph, base.shapes))
    edges = [f"edge:{x.sources[-1]}->{x.index}" for x in base.graph if min(x.sources) >= 0]
    for at in [*names, *edges]:
        try:
            graph = with_operators(base, at)
        except PositionError:  # not every edge carries one map
            continue
        assert rows_of(canonical_text(graph)) == rows_in(graph), at


@pytest.mark.parametrize("name", ["yolov5s", "yolov8s", "yolov8s-p2", "yolov8s-seg", "yolo11s"])
@pytest.mark.parametrize("at", ["neck", "head", "backbone"])
def test_insertion_adds_lines_and_changes_none(name: str, at: str) -> None:
    base = load(name)
    variant = with_operators(base, at)
    went, came = lines_that_changed(canonical_text(base.graph), canonical_text(variant))
    assert not went
    assert len(came) == len(variant) - len(base.graph)


def test_base_reads_as_a_program() -> None:
    text = canonical_text(load("yolov8s.yaml").graph)
    assert text.startswith("nc: 80\nscales.n: [0.33, 0.25, 1024]\n")
    assert "\n\nbackbone.p1.down = Conv[64, 3, 2](image)\n" in text
    assert "\nhead.p4.fuse-2 = Concat[1](head.p4.down, head.p4.block)\n" in text
    assert text.endswith("output = Detect[nc](head.p3.block, head.p4.block-2, head.p5.block)\n")


def test_consumer_of_a_branch_does_change() -> None:
    base = load("yolov8s.yaml")
    texts = [canonical_text(graph) for graph in (base.graph, with_operators(base, "edge:15->16"))]
    assert lines_that_changed(*texts) == (
        ["head.p4.down = Conv[256, 3, 2](head.p3.block)"],
        ["head.p3.operator = LSKA[c2, 23](head.p3.block)", "head.p4.down = Conv[256, 3, 2](head.p3.operator)"],
    )


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a: 1\n", ""),
        ("backbone: [\n", ""),
        ("backbone: [\nhead: []\n", "Note: shown as it is: x.yaml, line "),
        ("backbone: [[5, 1, Conv, [8]]]\nhead: []\n", "Note: shown as it is: x.yaml: row 0 (Conv) reads layer 5"),
    ],
)
def test_what_is_no_model_is_shown_as_it_is(text: str, note: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, ["diff", "--textconv", str(path)])
    assert (result.exit_code, result.stdout) == (0, text)
    assert [line[: len(note)] for line in result.stderr.splitlines()] == ([note] if note else [])


@pytest.mark.parametrize("stride", [".inf", ".nan", "0", "100000000000000000"])
def test_stride_that_is_none_has_no_level(stride: str) -> None:
    rows = f"backbone:\n  - [-1, 1, Conv, [64, 3, {stride}]]\nhead:\n  - [-1, 1, Detect, [nc]]\n"
    assert re.search(r"\nbackbone\.(p0\.)?(down|conv) = Conv\[", canonical_text(Document(rows).graph))


def test_textconv_of_nothing_is_a_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["diff", "--textconv", str(tmp_path / "none.yaml")])
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_diff_shows_only_the_added_rows(tmp_path: Path) -> None:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1",
    }  # fmt: skip

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    file = tmp_path / "yolov8s-mine.yaml"
    git("init", "--quiet")
    file.write_bytes(stock_models()["yolov8.yaml"].read_bytes())
    (tmp_path / ".gitattributes").write_text("*.yaml diff=lska-surgeon\n", encoding="utf-8")
    git("config", "diff.lska-surgeon.textconv", f"'{sys.executable}' -m lska_surgeon diff --textconv")
    git("add", "--all")
    file.write_text(plan_insert("yolov8s.yaml", Placement(("neck",), k=35)).text, encoding="utf-8")
    shown = [line for line in git("diff").splitlines() if re.match(r"[-+](?![-+])", line)]
    assert shown == [f"+{name} = LSKA[c2, 35]({name})" for name in
                     ("head.p4.block", "head.p3.block", "head.p4.block-2", "head.p5.block")]  # fmt: skip
    assert "-  - [[15, 18, 21], 1, Detect, [nc]]" in git("diff", "--no-textconv")
