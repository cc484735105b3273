"""`diff`: rows are matched by structure, so index maps of insertions come out exactly; networks as text, for git."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import builds
from support.insertions import plan_insert

from lska_surgeon.cli.main import main
from lska_surgeon.core.graph import Graph
from lska_surgeon.core.operators import params_added
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.surgery import Placement, Rewrite, edits_for, insert
from lska_surgeon.cost.closed_form import closed_form_costs
from lska_surgeon.errors import PositionError
from lska_surgeon.modelfile.diff import Rewiring, RowDifference, canonical_text, compare
from lska_surgeon.modelfile.document import Document, format_value
from lska_surgeon.modelfile.model import Model, load, model_of
from lska_surgeon.modelfile.sources import Source, stock_models

HEADER = "nc: 80\nscales:\n  s: [0.33, 0.50, 1024]\n"
ROWS = """\
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128, True]]
head:
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 3, C2f, [256]]
  - [[2, 4], 1, Detect, [nc]]
"""


def model(text: str, name: str = "yolov8s.yaml") -> Model:
    return model_of(Document(text), load("yolov8s.yaml").scaling, Source(Path(name), name, "s"))


def changed(old: str, new: str) -> RowDifference:
    assert old in HEADER + ROWS
    return compare(model(HEADER + ROWS), model((HEADER + ROWS).replace(old, new)))


def inserted(base: Model, at: list[str], k: int = 23) -> tuple[Model, Rewrite]:
    """What `insert` makes of a base, without the way through a text."""
    graph = base.graph
    rewrite = insert(graph, edits_for(Placement(tuple(at), k=k), graph, base.shapes))
    return replace(base, graph=rewrite.after), rewrite


@pytest.mark.parametrize("name", builds.SOME)
def test_index_map_and_costs_of_every_insertion_are_exact(name: str) -> None:
    base = load(name)
    names = list(named_sites(base.graph, base.shapes))
    for at in [*([one] for one in names), *([names] if names else [])]:
        variant, rewrite = inserted(base, at)
        found, back = compare(base, variant), compare(variant, base)
        assert found.index_map == rewrite.index_map, at
        assert found.added == rewrite.inserted
        assert {new: old for old, new in back.index_map.items()} == found.index_map
        assert (back.added, back.removed, found.removed, found.settings) == ((), found.added, (), ())
        costs = closed_form_costs(found, (640, 640))
        assert costs.params == params_added(variant.graph, variant.shapes, base.scaling)
        assert costs.macs is None or costs.macs > 0


@pytest.mark.parametrize(
    ("second", "k"),
    [("after:17", 11), ("edge:13->14", 11), ("edge:13->18", 11), ("neck", 7), ("head", 11), ("residual", 11)],
)
def test_second_insertion_is_told_from_the_first_one(second: str, k: int) -> None:
    first, _ = inserted(load("yolov8s.yaml"), ["neck:p4,p5"], 11)
    variant, rewrite = inserted(first, [second], k)
    assert compare(first, variant).index_map == rewrite.index_map


def test_of_two_equal_operators_in_a_row_either_may_be_the_new_one() -> None:
    first, _ = inserted(load("yolov8s.yaml"), ["neck:p5"])
    found = compare(first, inserted(first, ["neck:p5"])[0])
    assert (len(found.added), found.removed, found.changed) == (1, (), ())


def test_resolved_variant_differs_from_its_base_by_the_insertion_alone() -> None:
    plan = plan_insert("yolo11m.yaml", Placement(("neck",)), resolve=True, output="-")
    base = load("yolo11m.yaml")
    found = compare(base, plan.variant)
    assert found.by_width
    assert (found.changed, found.settings, found.added) == ((), (), plan.rewrite.inserted)


def test_equal_files_do_not_differ() -> None:
    assert not compare(model(HEADER + ROWS), model(HEADER + ROWS + "# a remark\n"))


@pytest.mark.parametrize(("before", "after"), [("yolov8n.yaml", "yolov8s.yaml"), ("yolov8n.yaml", "yolov8n-p2.yaml")])
def test_costs_are_not_known_where_more_than_operators_differs(before: str, after: str) -> None:
    costs = closed_form_costs(compare(load(before), load(after)), (640, 640))
    assert (costs.params, costs.macs) == (None, None)


def test_image_that_a_stride_does_not_divide_leaves_only_the_macs_unknown() -> None:
    found = changed("  - [[2, 4], 1,", "  - [-1, 1, LSKA, [c2, 7]]\n  - [[2, 5], 1,")
    costs = closed_form_costs(found, (100, 100))
    assert (costs.params, costs.macs) == (128**2 + 128 * (2 * 3 + 2 * 3 + 5), None)


def test_row_that_changed_says_in_what() -> None:
    found = changed("[-1, 3, C2f, [256]]", "[-1, 6, C3, [256]]")
    assert [change.fields for change in found.changed] == [("block", "repeats")]
    assert not found.added + found.removed + found.rewired


def test_wrong_source_is_a_rewiring_and_no_new_row() -> None:
    found = changed("[2, 4]", "[1, 4]")
    assert found.rewired == (Rewiring((5, 5), 0, 2, 1),)
    assert not found.added + found.removed + found.changed


def test_source_that_came_and_source_that_went() -> None:
    assert changed("[[2, 4], 1", "[[1, 2, 4], 1").rewired == (Rewiring((5, 5), 0, None, 1),)
    assert changed("[[2, 4], 1", "[[4], 1").rewired == (Rewiring((5, 5), 0, 2, None),)


def test_relative_and_absolute_sources_are_one() -> None:
    assert not changed("[-1, 3, C2f, [256]]", "[3, 3, C2f, [256]]")


def test_consumer_of_a_removed_row_is_rewired() -> None:
    found = changed("  - [-1, 3, C2f, [256]]\n  - [[2, 4], 1,", "  - [[2, 3], 1,")
    assert found.removed == (4,)
    assert found.rewired == (Rewiring((5, 4), 1, 4, 3),)


def test_settings_that_differ_are_named() -> None:
    found = changed("nc: 80\n", "nc: 3\nactivation: nn.ReLU()\n")
    assert [(x.key, x.before, x.after) for x in found.settings] == [
        ("nc", 80, 3), ("activation", None, "nn.ReLU()")]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "letters"),
    [
        ("yolov8s.yaml", "yolo11s.yaml", []),
        ("yolov8s.yaml", "yolo11n.yaml", [("s", "n")]),
        ("yolov8s.yaml", "yolov8n.yaml", [("s", "n")]),
    ],
)
def test_scales_are_named_where_they_differ(before: str, after: str, letters: list[tuple[str, str]]) -> None:
    settings = compare(load(before), load(after)).settings
    assert [(one.before, one.after) for one in settings if one.key == "scale"] == letters


def test_maps_of_another_size_are_told() -> None:
    found = changed("[-1, 1, Conv, [128, 3, 2]]", "[-1, 1, nn.Identity, []]")
    assert found.footnotes()[0] == "maps of rows 1-4 are 2 times as wide and high (stride 4 -> 2 at 1)"
    back = compare(found.after, found.before)
    assert back.footnotes()[0] == "maps of rows 1-4 are 1/2 times as wide and high (stride 2 -> 4 at 1)"
    assert back.data()["strides"] == [{"rows": [1, 4], "before": 2.0, "after": 4.0}]
    assert changed("[256, 3, 2]", "[128, 3, 2]").strides == ()


# `diff --textconv`: an insertion shows as added lines, and git says so.

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


@pytest.mark.parametrize("name", builds.SOME)
def test_text_says_the_whole_network(name: str) -> None:
    base = load(name)
    assert rows_of(canonical_text(base.graph)) == rows_in(base.graph)
    names = list(named_sites(base.graph, base.shapes))
    edges = [f"edge:{x.sources[-1]}->{x.index}" for x in base.graph if min(x.sources) >= 0]
    for at in [*names, *edges]:
        try:
            graph = inserted(base, [at])[0].graph
        except PositionError:  # not every edge carries one map
            continue
        assert rows_of(canonical_text(graph)) == rows_in(graph), at


@pytest.mark.parametrize("name", ["yolov5s", "yolov8s", "yolov8s-p2", "yolov8s-seg", "yolo11s"])
@pytest.mark.parametrize("at", ["neck", "head", "backbone"])
def test_insertion_adds_lines_and_changes_none(name: str, at: str) -> None:
    base = load(name)
    variant = inserted(base, [at])[0].graph
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
    texts = [canonical_text(graph) for graph in (base.graph, inserted(base, ["edge:15->16"])[0].graph)]
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
