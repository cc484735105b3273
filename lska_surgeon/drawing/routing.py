"""Where arrows run between the boxes of a grid, so that none runs through a box and no two run on one another.

Every arrow goes from the right side of its source to the left side of its consumer, but a row that stands right behind
its source is joined to it straight, and one further on in the same column is reached from the right. Between two
columns is a gutter with lanes, between two levels a corridor with tracks; boxes stand in neither. All arrows of one
source share their lanes: they are one net.

1. An arrow crosses the columns in between on the height where it leaves, where nothing stands in its way; else on the
   height where it arrives; else in the nearest corridor.
2. Each box side gets pins so far from one another, and from those across the gutter, that no two nets meet there.
3. The nets of a gutter are ordered so that few cross.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .content import Figure
from .grid import Grid

_BEHIND = 14.0  # pixels between two nets that have one lane
_APART = 4.0  # between two heights in one gutter
_FROM_CORNER = 6.0
_CLEAR = 5.0
_PINS = 8.0  # between two pins of one box, where it has that much room
_MARKED = 15.0  # the same where a position's name stands beside each
_ROUNDS = 12


class Heights(NamedTuple):
    """Where boxes and corridors stand, from above.

    Attributes:
        top, bottom: of each node.
        corridors: middle of the corridor above each level, and of the one below the last.
        busy: top and bottom of each corridor that has tracks.
    """

    top: Sequence[float]
    bottom: Sequence[float]
    corridors: Sequence[float]
    busy: Sequence[tuple[float, float]]


@dataclass(eq=False, repr=False)
class Wire:
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


class Routes(NamedTuple):
    """Every arrow's way.

    Attributes:
        wires: one for each edge, in order.
        lanes: (gutter, source) -> lane, from the left.
        tracks: (corridor, source) -> track, from above.
        crowded: nodes with a side that is too short for its pins.
    """

    wires: tuple[Wire, ...]
    lanes: Mapping[tuple[int, int], int]
    tracks: Mapping[tuple[int, int], int]
    crowded: frozenset[int]

    def lanes_in(self, gutter: int) -> int:
        return 1 + max((lane for (where, _), lane in self.lanes.items() if where == gutter), default=-1)

    def tracks_in(self, corridor: int) -> int:
        return 1 + max((track for (where, _), track in self.tracks.items() if where == corridor), default=-1)


@dataclass(eq=False, repr=False)
class _Net:
    """What one source has in one gutter: heights of its stubs on either side."""

    left: set[float] = field(default_factory=set)
    right: set[float] = field(default_factory=set)

    @property
    def reach(self) -> tuple[float, float]:
        heights = self.left | self.right
        return min(heights), max(heights)


def routes_of(figure: Figure, grid: Grid, heights: Heights) -> Routes:
    """The ways of all arrows."""
    return _Router(figure, grid, heights).routes()


class _Router:
    def __init__(self, figure: Figure, grid: Grid, heights: Heights) -> None:
        self.figure, self.grid, self.heights = figure, grid, heights
        self.taken: dict[int, set[tuple[float, int]]] = {}  # gutter -> heights and whose they are
        self.passing: list[tuple[float, int, int, int]] = []  # height, first and last column, source
        self.pinned: list[Wire] = []
        self.crowded: set[int] = set()

    def routes(self) -> Routes:
        wires = self._wires()
        bent = [wire for wire in wires if wire.way != "straight down"]
        for wire in bent:
            wire.leaves = (self.heights.top[wire.source] + self.heights.bottom[wire.source]) / 2
            self._take(wire.first, wire.leaves, wire.source)
        for wire in bent:
            if wire.way == "direct" and wire.first != wire.last:
                self._cross_where_it_leaves(wire)
        for consumer in range(len(self.figure.nodes)):
            here = [wire for wire in bent if wire.consumer == consumer]
            self._pin_side([wire for wire in here if wire.way == "skip"])
            self._pin_side([wire for wire in here if wire.way != "skip"])
        lanes = self._lanes(wires)
        return Routes(tuple(wires), lanes, _tracks(wires, lanes), frozenset(self.crowded))

    def _wires(self) -> list[Wire]:
        at = {node.index: position for position, node in enumerate(self.figure.nodes)}
        wires: list[Wire] = []
        joined: set[int] = set()
        for edge in self.figure.edges:
            source, consumer = at[edge.source], at[edge.consumer]
            first, last, way = self.grid.column[source] + 1, self.grid.column[consumer], "direct"
            if self.grid.follows(source, consumer) and consumer not in joined:
                joined.add(consumer)
                way = "straight down"
            elif last < first:
                way, last = "skip", first
            wires.append(Wire(source, consumer, way, first, last))
        return wires

    def _take(self, gutter: int, height: float, source: int) -> None:
        self.taken.setdefault(gutter, set()).add((height, source))

    def _cross_where_it_leaves(self, wire: Wire) -> None:
        if self._is_clear(wire.leaves, wire):
            self.passing.append((wire.leaves, wire.first, wire.last - 1, wire.source))
            self._take(wire.last, wire.leaves, wire.source)
        else:
            wire.way = "late"

    def _is_clear(self, height: float, wire: Wire) -> bool:
        """Whether nothing stands at a height in the columns that an arrow crosses."""
        if any(top < height < bottom for top, bottom in self.heights.busy):
            return False
        for column in self.grid.columns[wire.first : wire.last]:
            for node in column.nodes:
                if self.heights.top[node] - _CLEAR < height < self.heights.bottom[node] + _CLEAR:
                    return False
        return not any(
            abs(height - other) < _APART and begin <= wire.last and wire.first <= end + 1
            for other, begin, end, source in self.passing
            if source != wire.source
        )

    def _pin_side(self, wires: list[Wire]) -> None:
        """Give the arrows that one side of one box takes their heights there, in the order in which they come.

        Those that may run straight go first. Where there is no height left, an arrow that crosses columns takes a
        corridor, and then pins stand closer.
        """
        wires.sort(key=lambda wire: (wire.leaves, wire.source))
        here = {self.figure.nodes[wire.consumer].index for wire in wires}
        apart = _MARKED if any(edge.marks and edge.consumer in here for edge in self.figure.edges) else _PINS
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

    def _by_nearness(self, wire: Wire, share: float) -> list[float]:
        """The heights at which a box may be reached, those nearest to its share of the side first."""
        top, bottom = self.heights.top[wire.consumer] + _FROM_CORNER, self.heights.bottom[wire.consumer] - _FROM_CORNER
        wanted = top + share * (bottom - top)
        heights = [top + step for step in range(int(bottom - top) + 1)]
        return sorted(heights, key=lambda height: (abs(height - wanted), height))

    def _fits(self, wire: Wire, height: float, apart: float) -> bool:
        top, bottom = self.heights.top[wire.consumer], self.heights.bottom[wire.consumer]
        if not top + _FROM_CORNER <= height <= bottom - _FROM_CORNER or not self._is_free(
            wire.last, height, wire, apart
        ):
            return False
        return wire.way != "late" or (self._is_clear(height, wire) and self._is_free(wire.first, height, wire, _APART))

    def _is_free(self, gutter: int, height: float, wire: Wire, apart: float) -> bool:
        return not any(
            abs(other.arrives - height) < apart for other in self.pinned if other.consumer == wire.consumer
        ) and not any(
            abs(height - other) < _APART and (source != wire.source or height != other)
            for other, source in self.taken.get(gutter, ())
        )

    def _pin(self, wire: Wire, height: float) -> None:
        wire.arrives = height
        self.pinned.append(wire)
        self._take(wire.last, height, wire.source)
        if wire.way == "late":
            self.passing.append((height, wire.first, wire.last - 1, wire.source))
            self._take(wire.first, height, wire.source)
        elif wire.way == "corridor":
            away = [abs(middle - wire.leaves) + abs(middle - height) for middle in self.heights.corridors]
            wire.corridor = away.index(min(away))

    def _lanes(self, wires: Sequence[Wire]) -> dict[tuple[int, int], int]:
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

    def _stubs(self, wire: Wire) -> Iterator[tuple[int, set[float], set[float]]]:
        """Each gutter in which an arrow runs up or down, with its heights on the left and on the right."""
        if wire.way == "skip":
            yield wire.first, {wire.leaves, wire.arrives}, set()
        elif wire.way == "corridor":
            middle = self.heights.corridors[wire.corridor]
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


def _tracks(wires: Sequence[Wire], lanes: Mapping[tuple[int, int], int]) -> dict[tuple[int, int], int]:
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
