"""Where everything of a figure stands, in pixels; it knows no format and no colour.

Boxes of one slot have one middle, so that arrows between them are straight; gutters and corridors are as wide as the
arrows in them need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .content import Figure, Node
from .grid import Grid, grid_of
from .routing import Heights, Routes, Wire, routes_of
from .style import TYPES, width_of

MARGIN = 12.0
LABELS = 47.0  # for the names of levels
HEADING = 20.0  # for the names of the parts
LINE = 13.0
BESIDE = 7.0  # between a box's border and its text
MARK_HEIGHT, MARK_GAP = 13.0, 4.0
_PADDING = 5.0
_BETWEEN = 13.0  # between boxes of one column, for an arrow
_BAND = 8.0  # between a level's boxes and its edge
_CORRIDOR, _TRACK, _FIRST_TRACK = 8.0, 6.0, 4.0
_GUTTER, _LANE, _FIRST_LANE = 26.0, 6.5, 11.0
_HEAD = 12.0  # a gutter's last pixels, for heads of arrows
_NARROWEST = 72.0
_PIN = 8.0  # of a box's side, for each arrow


Point = tuple[float, float]


class Rect(NamedTuple):
    """A box's place."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


class Layout(NamedTuple):
    """Where everything stands; the first box's part begins at `HEADING` from above.

    Attributes:
        grid: where the boxes stand on the grid.
        boxes: for each node of the figure.
        wires: for each edge, the corners of its arrow.
        bands: top and bottom of each level.
        parts: name, left and right of the backbone, the neck and the output layer.
        width, height: of all.
        beside: room at the left of the output layer's box for the names of positions.
    """

    grid: Grid
    boxes: tuple[Rect, ...]
    wires: tuple[tuple[Point, ...], ...]
    bands: tuple[tuple[float, float], ...]
    parts: tuple[tuple[str, float, float], ...]
    width: float
    height: float
    beside: float


def mark_width(name: str) -> float:
    """How wide a position's name is with its border."""
    return width_of(name, TYPES["mark"].size, bold=True) + 8


def layout_of(figure: Figure) -> Layout:
    """The places of all that stands in a figure."""
    grid = grid_of(figure)
    corridors = [0] * (len(grid.levels) + 1)
    while True:  # a corridor only grows, and needs no more tracks than there are arrows
        rows = _rows(figure, grid, corridors)
        routes = routes_of(figure, grid, rows.heights)
        needed = [routes.tracks_in(corridor) for corridor in range(len(corridors))]
        if all(need <= there for need, there in zip(needed, corridors)):
            break
        corridors = [max(pair) for pair in zip(needed, corridors)]
    return _placed(figure, grid, rows, routes)


class _Rows(NamedTuple):
    heights: Heights
    bands: tuple[tuple[float, float], ...]
    tracks: tuple[float, ...]  # of the first track of each corridor
    bottom: float


def _rows(figure: Figure, grid: Grid, corridors: Sequence[int]) -> _Rows:
    """Where everything stands from above, with so many tracks in each corridor."""
    output = grid.columns[-1].nodes[-1]
    slots = Counter(edge.consumer for edge in figure.edges)
    tall = [max(_height(node), _PIN * slots[node.index] + 2 * _PADDING) for node in figure.nodes]
    top, bottom = [0.0] * len(tall), [0.0] * len(tall)
    bands, tracks, middles = [], [], []
    y = HEADING
    for level in range(len(grid.levels)):
        tracks.append(y + _FIRST_TRACK)
        depth = _CORRIDOR + _TRACK * corridors[level]
        middles.append(y + depth / 2)
        y += depth
        band_top = y
        y += _BAND
        for slot in range(grid.slots[level]):
            place = (level, slot)
            here = [node for node in range(len(tall)) if node != output and place == grid.place(node)]
            height = max((tall[node] for node in here), default=0.0)
            for node in here:
                top[node] = y + (height - tall[node]) / 2
                bottom[node] = top[node] + tall[node]
            y += height + _BETWEEN
        y += _BAND - _BETWEEN
        bands.append((band_top, y))
    tracks.append(y + _FIRST_TRACK)
    middles.append(y + (_CORRIDOR + _TRACK * corridors[-1]) / 2)
    top[output], bottom[output] = _beside_sources(figure, top, bottom, tall[output])
    end = max(y + (_CORRIDOR + _TRACK * corridors[-1] if corridors[-1] else 0.0), bottom[output])
    return _Rows(Heights(top, bottom, middles), tuple(bands), tuple(tracks), end)


def _beside_sources(figure: Figure, top: Sequence[float], bottom: Sequence[float], tall: float) -> tuple[float, float]:
    """Top and bottom of the output layer's box: as tall as all that it reads."""
    at = {node.index: position for position, node in enumerate(figure.nodes)}
    consumer = figure.nodes[-1].index
    sources = [at[edge.source] for edge in figure.edges if edge.consumer == consumer]
    above, below = min(top[one] for one in sources), max(bottom[one] for one in sources)
    pins = 18.0 * len(sources) + 8
    more = max(0.0, max(tall, pins) - (below - above)) / 2
    return above - more, below + more


def _height(node: Node) -> float:
    marks = MARK_HEIGHT + MARK_GAP if node.marks else 0.0
    return 2 * _PADDING + LINE * len(node.lines) + marks


def _width(node: Node) -> float:
    lines = [
        width_of(line, TYPES["detail" if number else "name"].size, bold=not number)
        for number, line in enumerate(node.lines)
    ]
    marks = sum(mark_width(mark.name) + MARK_GAP for mark in node.marks) - MARK_GAP
    return max(*lines, marks) + 2 * BESIDE


def _placed(figure: Figure, grid: Grid, rows: _Rows, routes: Routes) -> Layout:
    output = len(grid.columns) - 1
    beside = max((mark_width(mark.name) + MARK_GAP for edge in figure.edges for mark in edge.marks), default=0.0)
    x = MARGIN + LABELS
    left, right, gutters = [], [], []
    for number, column in enumerate(grid.columns):
        gutters.append(x)
        lanes = routes.lanes_in(number)
        x += 0.0 if number == 0 else max(_GUTTER, _FIRST_LANE + _LANE * lanes + _HEAD)
        left.append(x)
        x += max([_NARROWEST, *(_width(figure.nodes[node]) for node in column.nodes)])
        x += beside if number == output else 0.0
        if column.part not in [one.part for one in grid.columns[:number]]:
            x = max(x, left[-1] + width_of(column.part, TYPES["part"].size, bold=True))
        right.append(x)
    last = routes.lanes_in(output + 1)
    assert not last
    heights = rows.heights
    boxes = tuple(
        Rect(
            left[grid.column[node]],
            heights.top[node],
            right[grid.column[node]] - left[grid.column[node]],
            heights.bottom[node] - heights.top[node],
        )
        for node in range(len(figure.nodes))
    )
    wires = tuple(_corners(wire, boxes, grid, rows, routes, gutters) for wire in routes.wires)
    return Layout(grid, boxes, wires, rows.bands, _parts(grid, left, right), x, rows.bottom, beside)


def _parts(grid: Grid, left: Sequence[float], right: Sequence[float]) -> tuple[tuple[str, float, float], ...]:
    found: dict[str, tuple[float, float]] = {}
    for column, begin, end in zip(grid.columns, left, right):
        found[column.part] = (found.get(column.part, (begin, end))[0], end)
    return tuple((part, *ends) for part, ends in found.items())


def _corners(
    wire: Wire, boxes: Sequence[Rect], grid: Grid, rows: _Rows, routes: Routes, gutters: Sequence[float]
) -> tuple[Point, ...]:
    source, consumer = boxes[wire.source], boxes[wire.consumer]

    def lane(gutter: int) -> float:
        return gutters[gutter] + _FIRST_LANE + _LANE * routes.lanes[gutter, wire.source]

    if wire.way == "straight down":
        x = source.middle[0]
        return ((x, source.bottom), (x, consumer.y)) if source.y < consumer.y else ((x, source.y), (x, consumer.bottom))
    first, last = grid.column[wire.source] + 1, grid.column[wire.consumer]
    begin = (source.right, wire.leaves)
    if wire.way == "skip":
        x = lane(first)
        return begin, (x, wire.leaves), (x, wire.arrives), (consumer.right, wire.arrives)
    end = (consumer.x, wire.arrives)
    if wire.way == "corridor":
        y = rows.tracks[wire.corridor] + _TRACK * routes.tracks[wire.corridor, wire.source]
        out, into = lane(first), lane(last)
        return begin, (out, wire.leaves), (out, y), (into, y), (into, wire.arrives), end
    if wire.leaves == wire.arrives:
        return begin, end
    x = lane(first if wire.way == "late" else last)
    return begin, (x, wire.leaves), (x, wire.arrives), end
