"""Where everything of a figure stands, in pixels; it knows no format and no colour.

Boxes of one slot have one middle, so that arrows between them are straight; gutters and corridors are as wide as the
arrows in them need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .content import Figure, FigureNode
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
_OUTPUT_PIN = 18.0  # the same of the output layer
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
        beside: for each box, room at its left for the names of positions on its arrows.
    """

    grid: Grid
    boxes: Sequence[Rect]
    wires: Sequence[tuple[Point, ...]]
    bands: Sequence[tuple[float, float]]
    parts: Sequence[tuple[str, float, float]]
    width: float
    height: float
    beside: Sequence[float]


def mark_width(name: str) -> float:
    """How wide a position's name is with its border."""
    return width_of(name, TYPES["mark"].size, bold=True) + 8


def layout_of(figure: Figure) -> Layout:
    """The places of all that stands in a figure."""
    grid = grid_of(figure)
    corridors = [0] * (len(grid.levels) + 1)
    pins = Counter(edge.consumer for edge in figure.edges)
    while True:  # corridors and boxes only grow, and need no more room than there are arrows
        rows = _rows(figure, grid, corridors, pins)
        routes = routes_of(figure, grid, rows.heights)
        needed = [max(routes.tracks_in(number), there) for number, there in enumerate(corridors)]
        if needed == corridors and not routes.crowded:
            return _placed(figure, grid, rows, routes)
        corridors = needed
        pins.update(figure.nodes[node].index for node in routes.crowded)


class _Rows(NamedTuple):
    heights: Heights
    bands: Sequence[tuple[float, float]]
    tracks: Sequence[float]  # of the first track of each corridor
    bottom: float


def _rows(figure: Figure, grid: Grid, corridors: Sequence[int], pins: Counter[int]) -> _Rows:
    """Where everything stands from above, with so many tracks in each corridor and pins at each box."""
    output = grid.columns[-1].nodes[-1]
    tall = [
        max(_height(node), (_OUTPUT_PIN if beside else _PIN) * pins[node.index] + 2 * _PADDING)
        for node, beside in zip(figure.nodes, _beside(figure))
    ]
    top, bottom = [0.0] * len(tall), [0.0] * len(tall)
    depths = [_CORRIDOR + _TRACK * tracks for tracks in corridors]
    bands, above = [], []
    y = HEADING
    for level, depth in enumerate(depths[:-1]):
        above.append(y)
        y += depth
        band_top = y
        y += _BAND
        for slot in range(grid.slots[level]):
            places = enumerate(zip(grid.level, grid.slot))
            here = [node for node, place in places if node != output and place == (level, slot)]
            height = max((tall[node] for node in here), default=0.0)
            for node in here:
                top[node] = y + (height - tall[node]) / 2
                bottom[node] = top[node] + tall[node]
            y += height + _BETWEEN
        y += _BAND - _BETWEEN
        bands.append((band_top, y))
    above.append(y)
    at = {node.index: position for position, node in enumerate(figure.nodes)}
    sources = [at[edge.source] for edge in figure.edges if at[edge.consumer] == output]
    high, low = min(top[node] for node in sources), max(bottom[node] for node in sources)
    more = max(0.0, max(tall[output], _OUTPUT_PIN * pins[figure.nodes[output].index] + 8) - (low - high)) / 2
    top[output], bottom[output] = high - more, low + more  # as tall as all that it reads
    middles = [start + depth / 2 for start, depth in zip(above, depths)]
    busy = [(start, start + depth) for start, depth, tracks in zip(above, depths, corridors) if tracks]
    end = max(y + (depths[-1] if corridors[-1] else 0.0), bottom[output])
    return _Rows(Heights(top, bottom, middles, busy), bands, [start + _FIRST_TRACK for start in above], end)


def _height(node: FigureNode) -> float:
    marks = MARK_HEIGHT + MARK_GAP if node.marks else 0.0
    return 2 * _PADDING + LINE * len(node.lines) + marks


def _beside(figure: Figure) -> list[float]:
    room = dict.fromkeys((node.index for node in figure.nodes), 0.0)
    for edge in figure.edges:
        room[edge.consumer] = max([room[edge.consumer], *(mark_width(mark.name) + MARK_GAP for mark in edge.marks)])
    return list(room.values())


def _width(node: FigureNode) -> float:
    name, *details = node.lines
    lines = [width_of(name, TYPES["name"].size, bold=True), *(width_of(line, TYPES["detail"].size) for line in details)]
    marks = sum(mark_width(mark.name) + MARK_GAP for mark in node.marks) - MARK_GAP
    return max(*lines, marks) + 2 * BESIDE


def _placed(figure: Figure, grid: Grid, rows: _Rows, routes: Routes) -> Layout:
    """All of it from left to right, with gutters as wide as the lanes in them."""
    beside = _beside(figure)
    x = MARGIN + LABELS
    left, right, gutters = [], [], []
    parts: dict[str, tuple[float, float]] = {}
    for number, column in enumerate(grid.columns):
        gutters.append(x)
        x += 0.0 if number == 0 else max(_GUTTER, _FIRST_LANE + _LANE * routes.lanes_in(number) + _HEAD)
        left.append(x)
        x += max(max(_NARROWEST, _width(figure.nodes[node])) + beside[node] for node in column.nodes)
        if column.part not in parts:
            x = max(x, left[-1] + width_of(column.part, TYPES["part"].size, bold=True))
        right.append(x)
        parts[column.part] = (parts.get(column.part, (left[-1], x))[0], x)
    boxes = [
        Rect(left[column], top, right[column] - left[column], bottom - top)
        for column, top, bottom in zip(grid.column, rows.heights.top, rows.heights.bottom)
    ]
    wires = [_corners(wire, boxes, rows, routes, gutters) for wire in routes.wires]
    names = [(part, *ends) for part, ends in parts.items()]
    return Layout(grid, boxes, wires, rows.bands, names, x, rows.bottom, beside)


def _corners(
    wire: Wire, boxes: Sequence[Rect], rows: _Rows, routes: Routes, gutters: Sequence[float]
) -> tuple[Point, ...]:
    source, consumer = boxes[wire.source], boxes[wire.consumer]

    def lane(gutter: int) -> float:
        return gutters[gutter] + _FIRST_LANE + _LANE * routes.lanes[gutter, wire.source]

    if wire.way == "straight down":
        x = source.middle[0]
        return ((x, source.bottom), (x, consumer.y)) if source.y < consumer.y else ((x, source.y), (x, consumer.bottom))
    begin, end = (source.right, wire.leaves), (consumer.x, wire.arrives)
    if wire.way == "skip":
        x = lane(wire.first)
        return begin, (x, wire.leaves), (x, wire.arrives), (consumer.right, wire.arrives)
    if wire.way == "corridor":
        y = rows.tracks[wire.corridor] + _TRACK * routes.tracks[wire.corridor, wire.source]
        out, into = lane(wire.first), lane(wire.last)
        return begin, (out, wire.leaves), (out, y), (into, y), (into, wire.arrives), end
    if wire.leaves == wire.arrives:
        return begin, end
    x = lane(wire.first if wire.way == "late" else wire.last)
    return begin, (x, wire.leaves), (x, wire.arrives), end
