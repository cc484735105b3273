"""Operators as numbers: the paper's table, the closed forms, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lska_surgeon.core.graph import Graph, Layer, Scaling
from lska_surgeon.core.operators import OP_BLOCKS, PAPER_DILATIONS, UNDILATED_OPS, Kernel, operators_in, resolve_kernel
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.errors import KernelError

#: Table 1 of the paper's code: k, length of the first pair, length of the dilated pair, dilation.
PAPER = [(7, 3, 3, 2), (11, 3, 5, 2), (23, 5, 7, 3), (35, 5, 11, 3), (41, 5, 13, 3), (53, 5, 17, 3)]


@pytest.mark.parametrize(("k", "a", "b", "d"), PAPER)
@pytest.mark.parametrize("op", ["lska", "lka", "lska-attention"])
def test_paper_sizes_decompose_as_in_the_paper(op: str, k: int, a: int, b: int, d: int) -> None:
    kernel = resolve_kernel(op, k)
    assert (kernel.a, kernel.b, kernel.d, kernel.args) == (a, b, d, (k,))


def test_paper_sizes_are_exactly_six() -> None:
    assert list(PAPER_DILATIONS) == [k for k, *_ in PAPER]


@pytest.mark.parametrize(
    ("op", "taps", "biases", "pointwise"),
    [
        ("lska", 2 * 5 + 2 * 11, 5, 1),
        ("lska-trivial", 2 * 35, 3, 1),
        ("lka", 5**2 + 11**2, 3, 1),
        ("lka-trivial", 35**2, 2, 1),
        ("strip", 25 + 2 * 35, 4, 1),
        ("dilated-reparam", 35**2, 2, 1),
        ("lska-attention", 2 * 5 + 2 * 11, 4 + 3, 3),
    ],
)
def test_costs_follow_the_closed_form(op: str, taps: int, biases: int, pointwise: int) -> None:
    kernel = resolve_kernel(op, 35)
    for channels, height, width in ((1, 1, 1), (64, 80, 80), (255, 7, 13)):
        assert kernel.params(channels) == pointwise * channels**2 + (taps + biases) * channels
        assert kernel.macs(channels, height, width) == height * width * (pointwise * channels**2 + taps * channels)


@given(st.integers(1, 60), st.integers(2, 30))
def test_any_odd_size_with_a_fitting_dilation_covers_about_k(half: int, dilation: int) -> None:
    k = 2 * half + 1
    if k // dilation < 3:
        with pytest.raises(KernelError, match=f"^dilation {dilation} does not fit kernel size {k}: allowed is "):
            resolve_kernel("lska", k, dilation)
        return
    kernel = resolve_kernel("lska", k, dilation)
    assert kernel.a == 2 * dilation - 1
    assert kernel.b % 2 == 1
    assert kernel.b <= k / dilation < kernel.b + 2
    assert kernel.args == ((k,) if PAPER_DILATIONS.get(k) == dilation else (k, dilation))


@pytest.mark.parametrize("op", sorted(UNDILATED_OPS))
def test_one_dense_kernel_takes_any_odd_size_and_no_dilation(op: str) -> None:
    assert resolve_kernel(op, 9) == Kernel(op, 9, 1)
    assert (resolve_kernel(op, 9).a, resolve_kernel(op, 9).b) == (9, 0)
    assert resolve_kernel(op, 9, 1) == Kernel(op, 9, 1)


def test_dilated_kernels_are_those_published() -> None:
    """Sizes and dilations of UniRepLKNet's Dilated Reparam Block, by kernel size; none reaches further than that."""
    published = {
        17: ((5, 9, 3, 3, 3), (1, 2, 4, 5, 7)),
        15: ((5, 7, 3, 3, 3), (1, 2, 3, 5, 7)),
        13: ((5, 7, 3, 3, 3), (1, 2, 3, 4, 5)),
        11: ((5, 5, 3, 3, 3), (1, 2, 3, 4, 5)),
        9: ((5, 5, 3, 3), (1, 2, 3, 4)),
        7: ((5, 3, 3), (1, 2, 3)),
        5: ((3, 3), (1, 2)),
    }
    found = {k: tuple(zip(*resolve_kernel("dilated-reparam", k).branches)) for k in published}
    assert found == published
    for k in range(5, 1000, 2):
        branches = resolve_kernel("dilated-reparam", k).branches
        reaches = [dilation * (size - 1) + 1 for size, dilation in branches]
        assert max(reaches) <= k
        assert len(set(branches)) == len(branches) == (5 if k > 9 else (k - 1) // 2)
        assert all(size % 2 for size, _ in branches)


SIX = "use one of 7, 11, 23, 35, 41, 53"
NOT_ODD = f"not an odd number >= 3: {SIX}, or an odd k with its dilation"


@pytest.mark.parametrize(
    ("op", "k", "dilation", "message"),
    [
        ("ska", 7, None, "no operator 'ska': --op takes lska, lska-trivial, lka, lka-trivial, strip, dilated-reparam, "
         "lska-attention"),
        ("lska", 9, None, f"no kernel size 9 for lska in the paper: {SIX}, or give its dilation too (--dilation D; "
         "in a row of LSKA [c2, k, d])"),
        ("lska", 8, None, f"kernel size 8 is {NOT_ODD}"),
        ("lska-trivial", 1, None, "kernel size 1 is not an odd number >= 3: use an odd k >= 3, such as 23"),
        ("dilated-reparam", 4, None, "kernel size 4 is not an odd number >= 3: use an odd k >= 5, such as 23"),
        ("lka", -7, 2, f"kernel size -7 is {NOT_ODD}"),
        ("lka", 9, 4, "dilation 4 does not fit kernel size 9: allowed is 2 to 3"),
        ("lka", 9, 1, "dilation 1 does not fit kernel size 9: allowed is 2 to 3"),
        ("lka", 5, 2, "dilation 2 does not fit kernel size 5: allowed is no dilation (7 is the smallest k)"),
        ("dilated-reparam", 3, None, "kernel size 3 leaves dilated-reparam no room for dilated kernels: use an odd k "
         ">= 5"),
        ("dilated-reparam", 9, 2, "dilated-reparam has dilations that follow from k and takes no dilation: drop 2"),
        ("lka-trivial", 9, 2, "lka-trivial has one dense kernel and takes no dilation: drop 2"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_refused_with_what_does(op: str, k: int, dilation: int | None, message: str) -> None:
    with pytest.raises(KernelError) as refused:
        resolve_kernel(op, k, dilation)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("block", "args", "letter", "inside"),
    [
        ("C2f", [64], "n", (32, 2)),
        ("C3", [64, True, 1, 0.25], "n", (16, 2)),
        ("C3k2", [64, False, 0.5], "n", (32, 2)),
        ("C3k2", [64, False, 0.5], "m", (16, 4)),
        ("C3k2", [64, True], "n", (16, 4)),
        ("C3k2", [64, True, 0.5, True], "x", (32, 2)),
        ("A2C2f", [64, False, -1], "n", (16, 4)),
        ("RepNCSPELAN4", [64, 32, 16, 3], "n", (8, 6)),
        ("Bottleneck", [64], "n", (64, 2)),
        ("SPP", [64, [5, 9]], "n", (96, 2)),
        ("SPPF", [64, 5], "n", (128, 2)),
        ("SPPELAN", [64, 32], "n", (128, 2)),
    ],
)
def test_hosts_hold_so_many_operators_of_such_a_width(
    block: str, args: list[object], letter: str, inside: tuple[int, int]
) -> None:
    host = Layer(1, "backbone", -1, 2, f"{block}LSKA", (*args, {"k": 7}))
    graph = Graph((Layer(0, "backbone", -1, 1, "Conv", (64,)), host, Layer(2, "head", -1, 1, "Detect", ())))
    held = operators_in(graph, 1, shapes_of(graph, Scaling(letter)), Scaling(letter))
    assert held is not None
    assert (held.channels, held.count) == inside


def test_every_operator_has_a_block_of_its_own() -> None:
    assert len(set(OP_BLOCKS.values())) == len(OP_BLOCKS) == 7
