"""A whole backbone in one row, which the numbers of a file count as several layers, where nothing says that it is one.

Forks write `[-1, 1, convnextv2_atto, []]` as their first row. It gives four maps, and their parser counts it as five
layers. What it is has to be said, by the fork's parser or by a declaration; here it is only recognized, so that it can
be named: not by one number that looks forward, which a row that went leaves too, but by a network that is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import GraphError
from .blocks import BACKBONE, Block, BlockTable, packed_maps
from .graph import SECTIONS, Graph, Layer, Scaling, consumers_of, counted_layers, packed_row, role_of
from .parts import believed_strides, fit_together
from .shapes import shapes_of

#: How many layers such a row may count as, what forks do first.
_COUNTS = (5, 4, 3, 6, 7)
#: How many of its maps are read by other rows than the next.
_FEWEST_READ = 2


def unsaid_backbone(layers: Sequence[Layer]) -> Layer | None:
    """The first row as a whole backbone, by a table that says so, where only so the numbers make a network."""
    readings = (as_backbone(layers, count) for count in _COUNTS)
    return next((row for row in readings if row is not None and _is_whole(layers, row.blocks)), None)


def as_backbone(layers: Sequence[Layer], count: int = _COUNTS[0]) -> Layer | None:
    """The first row as a whole backbone, by a table that says so; None where it is none, or no number looks forward."""
    if all(layer.problem() is None for layer in layers) or packed_row(layers) is not None:
        return None
    first = next((layer for layer in layers if not layer.kind.same), None)
    if first is None or first.kind.is_known or first.kind.custom or first.section != SECTIONS[0] or first.problem():
        return None
    behind = [layer for layer in layers[first.index + 1 :] if layer.section == SECTIONS[0]]
    if any(role_of(layer, len(layers) - 1) == "down" for layer in behind):
        return None  # a whole backbone leaves nothing to sample down
    return replace(first, blocks=first.blocks.with_rows(Block(first.block, "other", packed=packed_maps(count))))


def packed_problem(row: Layer) -> str:
    """What such a row is, in one sentence."""
    return (
        f"row {row.index} ({row.block}) is a whole backbone that gives a list of maps, and the numbers count it as "
        f"{len(row.blocks[row.block].packed)} layers, for a parser patched for that: plain Ultralytics does not build "
        f'such a file; declare {row.block} with like = "{BACKBONE}" to work with it'
    )


def _is_whole(rows: Sequence[Layer], blocks: BlockTable) -> bool:
    """Whether these rows are a network that reads several of the maps, whose strides fit, with no row unread."""
    layers: list[Layer] = []
    for row in rows:
        layers += counted_layers(replace(row, index=len(layers), blocks=blocks))
    try:
        graph = Graph(tuple(layers))
    except GraphError:
        return False
    read = consumers_of(layers)
    maps = [layer.index for layer in layers if layer.map is not None]
    if sum(any(row != index + 1 for row in read.get(index, ())) for index in maps) < _FEWEST_READ:
        return False
    strides = believed_strides(graph, shapes_of(graph, Scaling()))
    levels = [strides[source] for source in graph.output.sources]
    doubling = all(a is None or b is None or b == 2 * a for a, b in zip(levels, levels[1:]))
    return doubling and fit_together(graph, strides) and all(layer.index in read for layer in layers[:-1])
