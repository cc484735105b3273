"""Where each box stands on a grid of columns and pyramid levels; it knows no coordinates and no text.

1. The backbone and the neck are cut into columns in which the stride goes one way, down to small maps or up to large
   ones; a new column starts where it turns, or where a row far from the one before starts on its own.
2. The output layer has a column to itself and stands beside all levels that it reads.
3. Each level has as many slots as its fullest column. A column that goes up is filled from below, so that its arrows
   point upwards; then columns are shifted inside of a level wherever that makes more arrows straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .content import OUTPUT, Figure, FigureNode

_UP = -1  # the way of a column
_SWEEPS = 3


@dataclass(eq=False, repr=False)
class Column:
    """One column.

    Attributes:
        part: whose column it is, `BACKBONE`, `NECK` or `OUTPUT`.
        nodes: positions in `Figure.nodes`, in order.
        way: 1 down to small maps, -1 up to large ones; 0 where all is on one level.
    """

    part: str
    nodes: list[int] = field(default_factory=list)
    way: int = 0


class Grid(NamedTuple):
    """Every node's place.

    Attributes:
        columns: from left to right; the last has the output layer alone.
        levels: strides, from above.
        column: node -> column.
        level: node -> level; of the output layer, the first that it stands beside.
        slot: node -> slot inside of its level, from above.
        slots: slots of each level.
    """

    columns: Sequence[Column]
    levels: Sequence[float]
    column: Sequence[int]
    level: Sequence[int]
    slot: Sequence[int]
    slots: Sequence[int]

    def follows(self, source: int, consumer: int) -> bool:
        """Whether one node is right behind another in a column."""
        nodes = self.columns[self.column[consumer]].nodes
        at = nodes.index(consumer)
        return at > 0 and nodes[at - 1] == source


def grid_of(figure: Figure) -> Grid:
    """The grid of a figure."""
    strides = sorted({node.stride for node in figure.nodes if node.stride is not None})
    level: list[int] = []
    for node in figure.nodes:  # one that gives no map stands where the one before it does
        level.append(level[-1] if node.stride is None else strides.index(node.stride))
    at = {node.index: position for position, node in enumerate(figure.nodes)}
    reads: list[list[int]] = [[] for _ in figure.nodes]
    for edge in figure.edges:
        reads[at[edge.consumer]].append(at[edge.source])
    columns = _columns(figure.nodes, level, reads)
    column = {node: number for number, here in enumerate(columns) for node in here.nodes}
    output = columns[-1].nodes[-1]
    level[output] = min((level[source] for source in reads[output]), default=level[output])
    full = [[sum(level[node] == row for node in here.nodes) for here in columns[:-1]] for row in range(len(strides))]
    slots = [max([1, *counts]) for counts in full]
    nodes = range(len(figure.nodes))
    return Grid(columns, strides, [column[node] for node in nodes], level, _slots(columns, level, slots, reads), slots)


def _columns(nodes: Sequence[FigureNode], level: Sequence[int], reads: Sequence[Sequence[int]]) -> list[Column]:
    columns: list[Column] = []
    for number, node in enumerate(nodes):
        if not columns or node.part == OUTPUT or columns[-1].part != node.part:
            columns.append(Column(node.part))
        else:
            step = level[number] - level[number - 1]
            way = (step > 0) - (step < 0)
            on_its_own = abs(step) > 1 and number - 1 not in reads[number]
            if (way and columns[-1].way == -way) or on_its_own:
                columns.append(Column(node.part))
            elif way:
                columns[-1].way = way
        columns[-1].nodes.append(number)
    return columns


def _slots(
    columns: Sequence[Column], level: Sequence[int], slots: Sequence[int], reads: Sequence[Sequence[int]]
) -> list[int]:
    """The slot of each node."""
    slot = [0] * len(level)
    output = columns[-1].nodes[-1]
    groups = []  # what a column has on a level, from above
    for column in columns[:-1]:
        for row in sorted({level[node] for node in column.nodes}):
            nodes = [node for node in column.nodes if level[node] == row]
            groups.append(nodes[::-1] if column.way == _UP else nodes)
            _put(groups[-1], slots[row] - len(nodes) if column.way == _UP else 0, slot)
    pairs = [(source, consumer) for consumer, sources in enumerate(reads) for source in sources if consumer != output]
    level_with = [(one, other) for pair in pairs for one, other in (pair, pair[::-1]) if level[one] == level[other]]
    for _ in range(_SWEEPS):
        for nodes in groups:
            beside = [(nodes.index(one), other) for one, other in level_with if one in nodes and other not in nodes]

            def straight(
                start: int, beside: Sequence[tuple[int, int]] = beside, now: int = slot[nodes[0]]
            ) -> tuple[int, int]:
                return sum(start + at == slot[other] for at, other in beside), -abs(start - now)

            _put(nodes, max(range(slots[level[nodes[0]]] - len(nodes) + 1), key=straight), slot)
    return slot


def _put(nodes: Sequence[int], start: int, slot: list[int]) -> None:
    for at, node in enumerate(nodes):
        slot[node] = start + at
