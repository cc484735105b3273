"""Where everything of a figure stands, in pixels: boxes on a grid, and arrows between them; it knows no format.

Boxes stand in columns, on pyramid levels. Those of one slot have one middle, so that arrows between them are straight.

1. The backbone and the neck are cut into columns in which the stride goes one way, down to small maps or up to large
   ones; a new column starts where it turns, or where a row far from the one before starts on its own.
2. The output layer has a column to itself and stands beside all levels that it reads.
3. Each level has as many slots as its fullest column. A column that goes up is filled from below, so that its arrows
   point upwards; then columns are shifted inside of a level wherever that makes more arrows straight.

No arrow runs through a box and no two run on one another. Every arrow goes from the right side of its source to the
left side of its consumer, but a row that stands right behind its source is joined to it straight, and one further on in
the same column is reached from the right. Between two columns is a gutter with lanes, between two levels a corridor
with tracks, as wide as the arrows in them need; boxes stand in neither. All arrows of one source share their lanes:
they are one net.

1. An arrow crosses the columns in between on the height where it leaves, where nothing stands in its way; else on the
   height where it arrives; else in the nearest corridor.
2. Each box side gets pins so far from one another, and from those across the gutter, that no two nets meet there.
3. The nets of a gutter are ordered so that few cross.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .content import OUTPUT, Figure, FigureNode
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
_BEHIND = 14.0  # between two nets that have one lane
_APART = 4.0  # between two heights in one gutter
_FROM_CORNER = 6.0
_CLEAR = 5.0
_PINS = 8.0  # between two pins of one box, where it has that much room
_MARKED = 15.0  # the same where a position's name stands beside each
_UP = -1  # the way of a column
_SWEEPS, _ROUNDS = 3, 12
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
    grid = _grid(figure)
    corridors = [0] * (len(grid.levels) + 1)
    pins = Counter(consumer for _, consumer in figure.pairs)
    while True:  # corridors and boxes only grow, and need no more room than there are arrows
        rows = _rows(figure, grid, corridors, pins)
        routes = _Router(figure, grid, rows).routes()
        needed = [max(_used(routes.tracks, number), there) for number, there in enumerate(corridors)]
        if needed == corridors and not routes.crowded:
            return _placed(figure, grid, rows, routes)
        corridors = needed
        pins.update(routes.crowded)


@dataclass(eq=False, repr=False)
class _Column:
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

    columns: Sequence[_Column]
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


def _grid(figure: Figure) -> Grid:
    """The grid of a figure."""
    strides = sorted({node.stride for node in figure.nodes if node.stride is not None})
    level: list[int] = []
    for node in figure.nodes:  # one that gives no map stands where the one before it does
        level.append(level[-1] if node.stride is None else strides.index(node.stride))
    reads: list[list[int]] = [[] for _ in figure.nodes]
    for source, consumer in figure.pairs:
        reads[consumer].append(source)
    columns = _columns(figure.nodes, level, reads)
    column = {node: number for number, here in enumerate(columns) for node in here.nodes}
    output = columns[-1].nodes[-1]
    level[output] = min((level[source] for source in reads[output]), default=level[output])
    full = [[sum(level[node] == row for node in here.nodes) for here in columns[:-1]] for row in range(len(strides))]
    slots = [max([1, *counts]) for counts in full]
    nodes = range(len(figure.nodes))
    return Grid(columns, strides, [column[node] for node in nodes], level, _slots(columns, level, slots, reads), slots)


def _columns(nodes: Sequence[FigureNode], level: Sequence[int], reads: Sequence[Sequence[int]]) -> list[_Column]:
    columns: list[_Column] = []
    for number, node in enumerate(nodes):
        if not columns or node.part == OUTPUT or columns[-1].part != node.part:
            columns.append(_Column(node.part))
        else:
            step = level[number] - level[number - 1]
            way = (step > 0) - (step < 0)
            on_its_own = abs(step) > 1 and number - 1 not in reads[number]
            if (way and columns[-1].way == -way) or on_its_own:
                columns.append(_Column(node.part))
            elif way:
                columns[-1].way = way
        columns[-1].nodes.append(number)
    return columns


def _slots(
    columns: Sequence[_Column], level: Sequence[int], slots: Sequence[int], reads: Sequence[Sequence[int]]
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


class _Rows(NamedTuple):
    """Where boxes and corridors stand, from above.

    Attributes:
        top, bottom: of each node.
        bands: top and bottom of each level.
        corridors: middle of the corridor above each level, and of the one below the last.
        busy: top and bottom of each corridor that has tracks.
        tracks: the first track of each corridor.
        end: the lowest of all.
    """

    top: Sequence[float]
    bottom: Sequence[float]
    bands: Sequence[tuple[float, float]]
    corridors: Sequence[float]
    busy: Sequence[tuple[float, float]]
    tracks: Sequence[float]
    end: float


def _rows(figure: Figure, grid: Grid, corridors: Sequence[int], pins: Counter[int]) -> _Rows:
    """Where everything stands from above, with so many tracks in each corridor and pins at each box."""
    output = grid.columns[-1].nodes[-1]
    tall = [
        max(_height(node), (_OUTPUT_PIN if beside else _PIN) * pins[number] + 2 * _PADDING)
        for number, (node, beside) in enumerate(zip(figure.nodes, _beside(figure)))
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
    sources = [source for source, consumer in figure.pairs if consumer == output]
    high, low = min(top[node] for node in sources), max(bottom[node] for node in sources)
    more = max(0.0, max(tall[output], _OUTPUT_PIN * pins[output] + 8) - (low - high)) / 2
    top[output], bottom[output] = high - more, low + more  # as tall as all that it reads
    middles = [start + depth / 2 for start, depth in zip(above, depths)]
    busy = [(start, start + depth) for start, depth, tracks in zip(above, depths, corridors) if tracks]
    end = max(y + (depths[-1] if corridors[-1] else 0.0), bottom[output])
    return _Rows(top, bottom, bands, middles, busy, [start + _FIRST_TRACK for start in above], end)


def _height(node: FigureNode) -> float:
    marks = MARK_HEIGHT + MARK_GAP if node.marks else 0.0
    return 2 * _PADDING + LINE * len(node.lines) + marks


def _beside(figure: Figure) -> list[float]:
    room = [0.0] * len(figure.nodes)
    for edge, (_, consumer) in zip(figure.edges, figure.pairs):
        room[consumer] = max([room[consumer], *(mark_width(mark.name) + MARK_GAP for mark in edge.marks)])
    return room


@dataclass(eq=False, repr=False)
class _Wire:
    """One arrow.

    Attributes:
        source, consumer: nodes.
        way: "straight down", "skip" (in one column), "direct", "late" or "corridor".
        first, last: the gutters in which it leaves and arrives; gutter g is left of column g.
        leaves, arrives: heights of its pins; 0 while it has none.
        corridor: which one, where it takes one.
    """

    source: int
    consumer: int
    way: str
    first: int
    last: int
    leaves: float = 0.0
    arrives: float = 0.0
    corridor: int = 0


class _Routes(NamedTuple):
    """Every arrow's way.

    Attributes:
        wires: one for each edge, in order.
        lanes: (gutter, source) -> lane, from the left.
        tracks: (corridor, source) -> track, from above.
        crowded: nodes with a side that is too short for its pins.
    """

    wires: tuple[_Wire, ...]
    lanes: Mapping[tuple[int, int], int]
    tracks: Mapping[tuple[int, int], int]
    crowded: Collection[int]


@dataclass(eq=False, repr=False)
class _Net:
    """What one source has in one gutter: heights of its stubs on either side."""

    left: set[float] = field(default_factory=set)
    right: set[float] = field(default_factory=set)

    @property
    def reach(self) -> tuple[float, float]:
        heights = self.left | self.right
        return min(heights), max(heights)


def _used(places: Mapping[tuple[int, int], int], where: int) -> int:
    """How many lanes of a gutter, or tracks of a corridor, are taken."""
    return 1 + max((number for (here, _), number in places.items() if here == where), default=-1)


class _Router:
    def __init__(self, figure: Figure, grid: Grid, rows: _Rows) -> None:
        self.figure, self.grid, self.rows = figure, grid, rows
        self.marked = {consumer for edge, (_, consumer) in zip(figure.edges, figure.pairs) if edge.marks}
        self.taken: dict[int, set[tuple[float, int]]] = {}  # gutter -> heights and whose they are
        self.passing: list[tuple[float, int, int, int]] = []  # height, first and last column, source
        self.pinned: list[_Wire] = []
        self.crowded: set[int] = set()

    def routes(self) -> _Routes:
        wires = self._wires()
        bent = [wire for wire in wires if wire.way != "straight down"]
        for wire in bent:
            wire.leaves = (self.rows.top[wire.source] + self.rows.bottom[wire.source]) / 2
            self._take(wire.first, wire.leaves, wire.source)
        for wire in bent:
            if wire.way == "direct" and wire.first != wire.last:
                self._cross_where_it_leaves(wire)
        for consumer in range(len(self.figure.nodes)):
            here = [wire for wire in bent if wire.consumer == consumer]
            self._pin_side([wire for wire in here if wire.way == "skip"])
            self._pin_side([wire for wire in here if wire.way != "skip"])
        lanes = self._lanes(wires)
        return _Routes(tuple(wires), lanes, _tracks(wires, lanes), self.crowded)

    def _wires(self) -> list[_Wire]:
        wires: list[_Wire] = []
        joined: set[int] = set()
        for source, consumer in self.figure.pairs:
            first, last, way = self.grid.column[source] + 1, self.grid.column[consumer], "direct"
            if self.grid.follows(source, consumer) and consumer not in joined:
                joined.add(consumer)
                way = "straight down"
            elif last < first:
                way, last = "skip", first
            wires.append(_Wire(source, consumer, way, first, last))
        return wires

    def _take(self, gutter: int, height: float, source: int) -> None:
        self.taken.setdefault(gutter, set()).add((height, source))

    def _cross_where_it_leaves(self, wire: _Wire) -> None:
        if self._is_clear(wire.leaves, wire):
            self.passing.append((wire.leaves, wire.first, wire.last - 1, wire.source))
            self._take(wire.last, wire.leaves, wire.source)
        else:
            wire.way = "late"

    def _is_clear(self, height: float, wire: _Wire) -> bool:
        """Whether nothing stands at a height in the columns that an arrow crosses."""
        if any(top < height < bottom for top, bottom in self.rows.busy):
            return False
        for column in self.grid.columns[wire.first : wire.last]:
            for node in column.nodes:
                if self.rows.top[node] - _CLEAR < height < self.rows.bottom[node] + _CLEAR:
                    return False
        return not any(
            abs(height - other) < _APART and begin <= wire.last and wire.first <= end + 1
            for other, begin, end, source in self.passing
            if source != wire.source
        )

    def _pin_side(self, wires: list[_Wire]) -> None:
        """Give the arrows that one side of one box takes their heights there, in the order in which they come.

        Those that may run straight go first. Where there is no height left, an arrow that crosses columns takes a
        corridor, and then pins stand closer.
        """
        wires.sort(key=lambda wire: (wire.leaves, wire.source))
        apart = _MARKED if any(wire.consumer in self.marked for wire in wires) else _PINS
        for wire in wires:
            if wire.way == "direct" and self._fits(wire, wire.leaves, apart):
                self._pin(wire, wire.leaves)
        for number, wire in enumerate(wires, 1):
            if wire.arrives:
                continue
            heights = self._by_nearness(wire, number / (len(wires) + 1))
            height = next((height for height in heights if self._fits(wire, height, apart)), None)
            if height is None:
                wire.way = "corridor" if wire.way == "late" else wire.way
                closer = (height for less in (apart, _APART) for height in heights if self._fits(wire, height, less))
                height = next(closer, None)
            if height is None:
                self.crowded.add(wire.consumer)
                height = heights[0]
            self._pin(wire, height)

    def _by_nearness(self, wire: _Wire, share: float) -> list[float]:
        """The heights at which a box may be reached, those nearest to its share of the side first."""
        top, bottom = self.rows.top[wire.consumer] + _FROM_CORNER, self.rows.bottom[wire.consumer] - _FROM_CORNER
        wanted = top + share * (bottom - top)
        heights = [top + step for step in range(int(bottom - top) + 1)]
        return sorted(heights, key=lambda height: (abs(height - wanted), height))

    def _fits(self, wire: _Wire, height: float, apart: float) -> bool:
        top, bottom = self.rows.top[wire.consumer], self.rows.bottom[wire.consumer]
        if not top + _FROM_CORNER <= height <= bottom - _FROM_CORNER or not self._is_free(
            wire.last, height, wire, apart
        ):
            return False
        return wire.way != "late" or (self._is_clear(height, wire) and self._is_free(wire.first, height, wire, _APART))

    def _is_free(self, gutter: int, height: float, wire: _Wire, apart: float) -> bool:
        return not any(
            abs(other.arrives - height) < apart for other in self.pinned if other.consumer == wire.consumer
        ) and not any(
            abs(height - other) < _APART and (source != wire.source or height != other)
            for other, source in self.taken.get(gutter, ())
        )

    def _pin(self, wire: _Wire, height: float) -> None:
        wire.arrives = height
        self.pinned.append(wire)
        self._take(wire.last, height, wire.source)
        if wire.way == "late":
            self.passing.append((height, wire.first, wire.last - 1, wire.source))
            self._take(wire.first, height, wire.source)
        elif wire.way == "corridor":
            away = [abs(middle - wire.leaves) + abs(middle - height) for middle in self.rows.corridors]
            wire.corridor = away.index(min(away))

    def _lanes(self, wires: Sequence[_Wire]) -> dict[tuple[int, int], int]:
        """(gutter, source) -> lane; nets that do not meet may have one."""
        nets: dict[int, dict[int, _Net]] = {}
        for wire in wires:
            for gutter, left, right in self._stubs(wire):
                net = nets.setdefault(gutter, {}).setdefault(wire.source, _Net())
                net.left |= left
                net.right |= right
        lanes: dict[tuple[int, int], int] = {}
        for gutter, here in nets.items():
            order = _few_crossings(here)
            for at, source in enumerate(order):
                before = [lanes[gutter, other] for other in order[:at] if _meet(here[other], here[source])]
                lanes[gutter, source] = 1 + max(before, default=-1)
        return lanes

    def _stubs(self, wire: _Wire) -> Iterator[tuple[int, set[float], set[float]]]:
        """Each gutter in which an arrow runs up or down, with its heights on the left and on the right."""
        if wire.way == "skip":
            yield wire.first, {wire.leaves, wire.arrives}, set()
        elif wire.way == "corridor":
            middle = self.rows.corridors[wire.corridor]
            yield wire.first, {wire.leaves}, {middle}
            yield wire.last, {middle}, {wire.arrives}
        elif wire.way != "straight down" and wire.leaves != wire.arrives:
            yield wire.first if wire.way == "late" else wire.last, {wire.leaves}, {wire.arrives}


def _meet(one: _Net, other: _Net) -> bool:
    return one.reach[0] < other.reach[1] + _BEHIND and other.reach[0] < one.reach[1] + _BEHIND


def _few_crossings(nets: Mapping[int, _Net]) -> list[int]:
    """The nets of a gutter from the left to the right; neighbours change places while that saves crossings."""

    def crossings(left: int, right: int) -> int:
        low, high = nets[left].reach
        below, above = nets[right].reach
        return sum(low < y < high for y in nets[right].left) + sum(below < y < above for y in nets[left].right)

    order = sorted(nets, key=lambda source: (nets[source].reach, source))
    for _ in range(_ROUNDS):
        before = list(order)
        for at in range(len(order) - 1):
            one, other = order[at : at + 2]
            if crossings(other, one) < crossings(one, other):
                order[at : at + 2] = [other, one]
        if order == before:
            break
    return order


def _tracks(wires: Sequence[_Wire], lanes: Mapping[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """(corridor, source) -> track, the first that is free where the arrow runs."""
    reach: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for wire in wires:
        if wire.way == "corridor":
            ends = [(gutter, lanes[gutter, wire.source]) for gutter in (wire.first, wire.last)]
            reach.setdefault((wire.corridor, wire.source), []).extend(ends)
    tracks: dict[tuple[int, int], int] = {}
    for (corridor, source), ends in sorted(reach.items(), key=lambda item: (item[0][0], min(item[1]), item[0])):
        taken = {
            track
            for (where, other), track in tracks.items()
            if where == corridor and min(reach[where, other]) <= max(ends) and min(ends) <= max(reach[where, other])
        }
        tracks[corridor, source] = next(track for track in range(len(reach) + 1) if track not in taken)
    return tracks


def _width(node: FigureNode) -> float:
    name, *details = node.lines
    lines = [width_of(name, TYPES["name"].size, bold=True), *(width_of(line, TYPES["detail"].size) for line in details)]
    marks = sum(mark_width(mark.name) + MARK_GAP for mark in node.marks) - MARK_GAP
    return max(*lines, marks) + 2 * BESIDE


def _placed(figure: Figure, grid: Grid, rows: _Rows, routes: _Routes) -> Layout:
    """All of it from left to right, with gutters as wide as the lanes in them."""
    beside = _beside(figure)
    x = MARGIN + LABELS
    left, right, gutters = [], [], []
    parts: dict[str, tuple[float, float]] = {}
    for number, column in enumerate(grid.columns):
        gutters.append(x)
        x += 0.0 if number == 0 else max(_GUTTER, _FIRST_LANE + _LANE * _used(routes.lanes, number) + _HEAD)
        left.append(x)
        x += max(max(_NARROWEST, _width(figure.nodes[node])) + beside[node] for node in column.nodes)
        if column.part not in parts:
            x = max(x, left[-1] + width_of(column.part, TYPES["part"].size, bold=True))
        right.append(x)
        parts[column.part] = (parts.get(column.part, (left[-1], x))[0], x)
    boxes = [
        Rect(left[column], top, right[column] - left[column], bottom - top)
        for column, top, bottom in zip(grid.column, rows.top, rows.bottom)
    ]
    wires = [_corners(wire, boxes, rows, routes, gutters) for wire in routes.wires]
    names = [(part, *ends) for part, ends in parts.items()]
    return Layout(grid, boxes, wires, rows.bands, names, x, rows.end, beside)


def _corners(
    wire: _Wire, boxes: Sequence[Rect], rows: _Rows, routes: _Routes, gutters: Sequence[float]
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
