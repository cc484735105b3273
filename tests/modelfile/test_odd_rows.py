"""Rows with fewer arguments than their block takes, or with odd ones: one line, or a result, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shapes import surgeon

from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.graph import Graph, Layer, scaling_of
from lska_surgeon.core.operators import operators_in
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.core.surgery import resolve_scale
from lska_surgeon.errors import SurgeonError

CASE = Path(__file__).parents[1] / "cases" / "scales" / "yolov8s-depth-multiple.yaml"
BLOCKS = sorted(block.name for block in STOCK if block.name not in ("attention", "add"))
COMMANDS = {
    "check": ["check", "--fix", "{}"],
    "positions": ["positions", "{}"],
    "insert": ["insert", "{}", "--at", "head", "--at", "backbone", "--dry-run"],
    "insert inside": ["insert", "{}", "--at", "residual", "--at", "sppf-inner", "--k", "7", "--dry-run"],
    "insert --resolve": ["insert", "{}", "--at", "head", "--resolve", "-o", "-"],
    "remove": ["remove", "{}", "--dry-run"],
    "diff": ["diff", "yolov8s.yaml", "{}"],
}


def with_row(row: str, at: int, scales: bool = True) -> str:
    """YOLOv8s with another row in the place of one of its own."""
    lines = CASE.read_text().splitlines()
    if scales:
        lines[1:3] = ["scales: {s: [0.33, 0.5, 1024]}"]
    rows = [number for number, line in enumerate(lines) if line.startswith("  - [")]
    lines[rows[at]] = f"  - {row}"
    return "\n".join(lines) + "\n"


def assert_told(words: list[str]) -> None:
    done = surgeon(*words)
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    if done.exit_code == 2:
        assert done.stderr.startswith("Error: "), done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("row", "at"),
    [
        ("[-1, 3, C2fAttn, [512]]", 12),
        ("[-1, 3, C2fAttn, [512, 256]]", 12),
        ("[-1, 3, C2fAttn, [512, wide, many]]", 12),
        ("[[15, 18, 21], 1, Segment, []]", 22),
        ("[[15, 18, 21], 1, Segment, [nc]]", 22),
        ("[[15, 18, 21], 1, Segment, [nc, 32, [256]]]", 22),
        ("[[15, 18, 21], 1, Segment, [nc, 32, .nan]]", 22),
        ("[-1, 1, RepNCSPELAN4, [256]]", 12),
        ("[-1, 1, RepNCSPELAN4, [256, 128, 64, three]]", 12),
        ("[-1, 1, SPPELAN, [512]]", 9),
        ("[-1, 1, SPPELAN, [512, x]]", 9),
        ("[-1, 2, A2C2f, [512]]", 12),
        ("[-1, 6, HGBlock, [48]]", 4),
        ("[-1, 2, C2PSA, []]", 9),
        ("[-1, 1, Classify, []]", 22),
        ("[-1, 3, C2fLSKA, [512, True, {k: 7, op: [lka]}]]", 12),
        ("[-1, 3, C2fLSKA, [512, True, {k: [7]}]]", 12),
    ],
)
def test_fewer_and_odd_arguments(command: str, row: str, at: int) -> None:
    Path("yolov8s-odd.yaml").write_text(with_row(row, at))
    assert_told([word.format("yolov8s-odd.yaml") for word in COMMANDS[command]])


def test_resolve_says_which_argument_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "yolov8s-odd.yaml"
    path.write_text(with_row("[-1, 3, C2fAttn, [512]]", 12))
    done = surgeon("insert", path, "--at", "head", "--resolve", "--unchecked", "-o", "-")
    assert done.exit_code == 2
    assert "argument 2 of row 12 (C2fAttn), the embedding width, is missing" in done.stderr
    path.write_text(with_row("[-1, 3, C2fAttn, [512, 256, 8]]", 12))
    assert (
        "C2fAttn, [256, 128, 4]"
        in surgeon("insert", path, "--at", "head", "--resolve", "--unchecked", "-o", "-").stdout
    )


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["nc", "c2", "x", "512", "nearest"])
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "d", "op", "e"]), inner),
    max_leaves=4,
)


@settings(max_examples=400)
@given(
    block=st.sampled_from(BLOCKS),
    args=st.lists(values, max_size=6).map(tuple),
    repeats=st.integers(0, 9),
    width=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_any_arguments_make_a_result_or_a_error(
    block: str, args: tuple[object, ...], repeats: int, width: float
) -> None:
    stem, row = Layer(0, "backbone", -1, 1, "Conv", (64, 3, 2)), Layer(1, "backbone", -1, repeats, block, args)
    graph = Graph((stem, row, Layer(2, "head", -1, 1, "Detect", ("nc",))), {"nc": 80})
    scaling = scaling_of({"scales": {"s": [0.33, width, 1024]}}, "s")
    for attempt in (
        lambda: operators_in(graph, 1, shapes_of(graph, scaling), scaling),
        lambda: resolve_scale(graph, shapes_of(graph, scaling), scaling),
    ):
        try:
            found = attempt()
        except SurgeonError:
            continue
        if hasattr(found, "params"):
            assert isinstance(found.params, int)
            assert found.params > 0 or not repeats
