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

from .content import OUTPUT, Edge, Figure, Node

DOWN, UP = 1, -1
_SWEEPS = 3


@dataclass(eq=False, repr=False)
class Column:
    """One column.

    Attributes:
        part: whose column it is, `BACKBONE`, `NECK` or `OUTPUT`.
        nodes: positions in `Figure.nodes`, in order.
        way: `DOWN` or `UP`; 0 where all is on one level.
    """

    part: str
    nodes: list[int] = field(default_factory=list)
    way: int = 0


class Grid(NamedTuple):
    """Every node's place.

    Attributes:
        columns: from left to right.
        levels: strides, from above.
        column: node -> column.
        level: node -> level; of the output layer, the first that it stands beside.
        slot: node -> slot inside of its level, from above.
        slots: slots of each level.
        span: first and last level of the output layer.
    """

    columns: tuple[Column, ...]
    levels: tuple[float, ...]
    column: tuple[int, ...]
    level: tuple[int, ...]
    slot: tuple[int, ...]
    slots: tuple[int, ...]
    span: tuple[int, int]

    def place(self, node: int) -> tuple[int, int]:
        """Level and slot of a node."""
        return self.level[node], self.slot[node]

    def follows(self, source: int, consumer: int) -> bool:
        """Whether one node is right behind another in a column."""
        nodes = self.columns[self.column[consumer]].nodes
        return consumer in nodes[1:] and nodes[nodes.index(consumer) - 1] == source


def grid_of(figure: Figure) -> Grid:
    """The grid of a figure."""
    strides = tuple(sorted({node.stride for node in figure.nodes if node.stride is not None}))
    level = _levels(figure.nodes, strides)
    reads = _reads(figure.nodes, figure.edges)
    columns = _columns(figure.nodes, level, reads)
    column = [0] * len(figure.nodes)
    for number, one in enumerate(columns):
        for node in one.nodes:
            column[node] = number
    output = columns[-1].nodes[-1]
    beside = [level[source] for source in reads[output]] or [level[output]]
    level[output] = min(beside)
    slots = [max([1, *(_count(one, level, row) for one in columns[:-1])]) for row in range(len(strides))]
    slot = _slots(columns, level, slots, reads)
    return Grid(
        tuple(columns),
        strides,
        tuple(column),
        tuple(level),
        tuple(slot),
        tuple(slots),
        (min(beside), max(beside)),
    )


def _levels(nodes: Sequence[Node], strides: tuple[float, ...]) -> list[int]:
    """The level of each node; one that gives no map stands where the one before it does."""
    found: list[int] = []
    for node in nodes:
        found.append(found[-1] if node.stride is None else strides.index(node.stride))
    return found


def _reads(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[list[int]]:
    """The sources of each node, as positions among the nodes."""
    at = {node.index: position for position, node in enumerate(nodes)}
    found: list[list[int]] = [[] for _ in nodes]
    for edge in edges:
        found[at[edge.consumer]].append(at[edge.source])
    return found


def _columns(nodes: Sequence[Node], level: Sequence[int], reads: Sequence[Sequence[int]]) -> list[Column]:
    columns: list[Column] = []
    for number, node in enumerate(nodes):
        if not columns or node.part == OUTPUT or columns[-1].part != node.part:
            columns.append(Column(node.part))
        else:
            step = level[number] - level[number - 1]
            way = (step > 0) - (step < 0)
            turns = way and columns[-1].way == -way
            on_its_own = abs(step) > 1 and number - 1 not in reads[number]
            if turns or on_its_own:
                columns.append(Column(node.part))
            elif way:
                columns[-1].way = way
        columns[-1].nodes.append(number)
    return columns


def _count(column: Column, level: Sequence[int], row: int) -> int:
    return sum(level[node] == row for node in column.nodes)


def _slots(
    columns: Sequence[Column], level: Sequence[int], slots: Sequence[int], reads: Sequence[Sequence[int]]
) -> list[int]:
    """The slot of each node."""
    place = [0] * len(level)
    groups = []
    for column in columns[:-1]:
        for row in sorted({level[node] for node in column.nodes}):
            nodes = [node for node in column.nodes if level[node] == row]
            groups.append(nodes[::-1] if column.way == UP else nodes)
            _put(groups[-1], slots[row] - len(nodes) if column.way == UP else 0, place)
    read_by: list[list[int]] = [[] for _ in level]
    for consumer, sources in enumerate(reads):
        for source in sources:
            read_by[source].append(consumer)
    for _ in range(_SWEEPS):
        for nodes in groups:
            row = level[nodes[0]]
            now = place[nodes[0]]

            def straight(start: int, nodes: list[int] = nodes, row: int = row, now: int = now) -> tuple[int, int]:
                there = [
                    (start + at, other)
                    for at, node in enumerate(nodes)
                    for other in (*reads[node], *read_by[node])
                    if level[other] == row and other not in nodes and other != columns[-1].nodes[-1]
                ]
                return sum(slot == place[other] for slot, other in there), -abs(start - now)

            _put(nodes, max(range(slots[row] - len(nodes) + 1), key=straight), place)
    return place


def _put(nodes: Sequence[int], start: int, place: list[int]) -> None:
    for at, node in enumerate(nodes):
        place[node] = start + at
