"""Edits on a graph: what is rewired, what the index map says, and how edits stack."""

from __future__ import annotations

from typing import Any

import pytest

from lska_surgeon.core.graph import Graph, Layer
from lska_surgeon.core.operators import Kernel, resolve_kernel
from lska_surgeon.core.positions import Site
from lska_surgeon.core.surgery import Edit, Rewrite, insert, remove
from lska_surgeon.errors import GraphError, PositionError

K = resolve_kernel("lska", 23)


def graph(*rows: tuple[Any, str, list[Any]], split: int = 1) -> Graph:
    """Rows as (from, block, args); the first `split` make the backbone."""
    return Graph(
        tuple(
            Layer(i, "backbone" if i < split else "head", tuple(f) if isinstance(f, list) else f, 1, block, tuple(args))
            for i, (f, block, args) in enumerate(rows)
        ),
        name="my.yaml",
    )


def behind(layer: int, consumer: int | None = None, kernel: Kernel = K) -> Edit:
    return Edit(Site(f"after:{layer}", "after", layer, consumer), kernel)


def inside(layer: int, kernel: Kernel = K) -> Edit:
    return Edit(Site(f"residual:{layer}", "residual", layer, inside=True), kernel)


def rows(rewrite: Rewrite) -> list[tuple[Any, str]]:
    return [(layer.frm, layer.block) for layer in rewrite.after]


# 0 -> 1 -> 2, and 3 reads 2 and 0, 4 reads 0 relatively, 5 reads 3 and 4.
SMALL = graph(
    (-1, "Conv", [8]),
    (-1, "Conv", [8]),
    (-1, "C2f", [8, True]),
    ([-1, 0], "Concat", [1]),
    (-4, "Conv", [8]),
    ([3, 4], "Detect", ["nc"]),
    split=2,
)


def test_operators_behind_one_layer_stack_first_for_all_then_for_single_consumers() -> None:
    kernels = [resolve_kernel("lska", k) for k in (7, 11, 35)]
    rewrite = insert(SMALL, [behind(0, 4, kernels[0]), behind(0, 3, kernels[1]), behind(0, None, kernels[2])])
    assert [(x.index, x.frm, x.args) for x in rewrite.after if x.block == "LSKA"] == [
        (1, -1, ("c2", 35)), (2, -1, ("c2", 11)), (3, 1, ("c2", 7))
    ]  # fmt: skip
    assert rows(rewrite)[4:] == [
        (-3, "Conv"), (-1, "C2f"), ((-1, 2), "Concat"), (-4, "Conv"), ((6, 7), "Detect")
    ]  # fmt: skip
    assert rewrite.rewired(1) == (4, 6, 7)
    assert [rewrite.rewired(i) for i in (2, 3)] == [(6,), (7,)]
    assert {i: edit.kernel.k for i, edit in rewrite.edits.items()} == {1: 35, 2: 11, 3: 7}


def test_a_host_takes_the_operator_as_its_last_argument_and_moves_nothing() -> None:
    rewrite = insert(SMALL, [inside(2, resolve_kernel("lka", 9, 2))])
    assert rewrite.after[2] == Layer(2, "head", -1, 1, "C2fLSKA", (8, True, {"op": "lka", "k": 9, "d": 2}))
    assert rewrite.inserted == ()
    assert [layer for layer in rewrite.after if layer.index != 2] == [x for x in SMALL if x.index != 2]
    assert list(rewrite.edits) == [2]


@pytest.mark.parametrize(
    "edits",
    [
        [behind(0, 3), behind(0), behind(0, 1), behind(3, 5), behind(4)],
        [inside(2), behind(2), behind(2, 3)],
    ],
    ids=["stacked", "hosted"],
)
def test_removing_undoes_inserting(edits: list[Edit]) -> None:
    rewrite = insert(SMALL, edits)
    back = remove(rewrite.after)
    assert back.after == SMALL
    assert back.index_map == {new: old for old, new in rewrite.index_map.items()}


@pytest.mark.parametrize("edits", [[behind(0), behind(0)], [behind(0, 3), behind(0, 3)], [inside(2), inside(2)]])
def test_one_place_takes_one_operator(edits: list[Edit]) -> None:
    layer = edits[0].site.layer
    with pytest.raises(PositionError, match=rf"^--at .* and --at .* both name layer {layer} \(.*\): name it once$"):
        insert(SMALL, edits)


@pytest.mark.parametrize(
    ("block", "args", "plain"),
    [
        ("SPPF_LSKA", [1024, 5], ("SPPF", (1024, 5))),
        ("SPPF_LSKA", [1024, 5, 7], ("SPPF", (1024, 5))),
        ("C2f_LSKA", [512, True], ("C2f", (512, True))),
        ("C2f_LSKA_Attention", [512], ("C2f", (512,))),
        ("C2f_LSKA", [1024, True, 7], ("C2f", (1024, True))),
        ("C2f_LSKA", [1024, True, 2], ("C2f", (1024, True, 2))),
        ("C3_LSKA", [512, False, 7], ("C3", (512, False))),
        ("C3k2_LSKA", [512, True, 0.5], ("C3k2", (512, True, 0.5))),
        ("C3k2_LSKA_Attention", [512, True, 0.5, 7], ("C3k2", (512, True, 0.5))),
        ("A2C2f_LSKA", [1024, True, 4], ("A2C2f", (1024, True, 4))),
        ("RepNCSPELAN4_LSKA", [64, 32, 16, 1, 7], ("RepNCSPELAN4", (64, 32, 16, 1))),
        ("Bottleneck_LSKA", [64], ("Bottleneck", (64,))),
        ("SPPF_LSKA", [1024, 5, 9], ("SPPF", (1024, 5))),
        ("SPPF_LSKA_Attention", [1024, 5], ("SPPF", (1024, 5))),
        ("SPPELAN_LSKA", [64, 32, 5], ("SPPELAN", (64, 32, 5))),
        ("C2fLSKA", [512, True, {"k": 9}], ("C2f", (512, True))),
        ("C3k2LSKA", [512, False, 0.25, {"k": 7}], ("C3k2", (512, False, 0.25))),
        ("RepNCSPELAN4LSKA", [64, 32, 16, 1, {"op": "lka", "k": 7}], ("RepNCSPELAN4", (64, 32, 16, 1))),
    ],
)
def test_hosts_that_people_wrote_become_plain(block: str, args: list[Any], plain: tuple[str, tuple[Any, ...]]) -> None:
    written = graph((-1, "Conv", [8]), (-1, block, args), ([1], "Detect", []))
    row = remove(written).after[1]
    assert (row.block, row.args) == plain


@pytest.mark.parametrize("args", [[], [11], ["c2", 35], [256, 35], [256, 9, 2]])
def test_operator_rows_that_people_wrote_go(args: list[Any]) -> None:
    written = graph(
        (-1, "Conv", [8]), (-1, "LSKA", args), (-1, "LSKA", args), ([1, -1], "Concat", [1]), (-1, "Detect", [])
    )
    back = remove(written)
    assert rows(back) == [(-1, "Conv"), ((0, -1), "Concat"), (-1, "Detect")]
    assert back.index_map == {0: 0, 3: 1, 4: 2}


def test_nothing_to_remove_is_a_error() -> None:
    with pytest.raises(PositionError) as refused:
        remove(SMALL)
    assert str(refused.value) == "my.yaml has no LSKA to remove: of its 6 rows none is an operator or a host"


@pytest.mark.parametrize(
    ("frm", "message"),
    [
        (1, "my.yaml: row 1 (Conv) reads layer 1, which is the row itself: a row may read 0-0"),
        (2, "my.yaml: row 1 (Conv) reads layer 2, which looks forward: a row may read 0-0"),
        (-2, "my.yaml: row 1 (Conv) reads -2, which is before layer 0: a row may read 0-0"),
        (-3, "my.yaml: row 1 (Conv) reads -3, which is before layer 0: a row may read 0-0"),
        ([], "my.yaml: row 1 (Conv) reads nothing: its first column is an empty list"),
    ],
)
def test_a_graph_refuses_sources_that_cannot_be(frm: Any, message: str) -> None:
    with pytest.raises(GraphError) as refused:
        graph((-1, "Conv", [8]), (frm, "Conv", [8]), (-1, "Detect", []))
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("frm", "message"), [(0, "is the row itself"), (2, "looks forward"), (-2, "is before layer 0")]
)
def test_row_0_reads_the_image_alone(frm: int, message: str) -> None:
    with pytest.raises(GraphError, match=f"^my.yaml: row 0 .* which {message}: row 0 reads -1, the image$"):
        graph((frm, "Conv", [8]), (-1, "Detect", []))


def test_a_graph_needs_rows() -> None:
    with pytest.raises(GraphError, match=r"^my\.yaml has no rows under backbone and head$"):
        graph()
