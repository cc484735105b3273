"""Where arrows run between the boxes of a grid, so that none runs through a box and no two run on one another.

Every arrow goes from the right side of its source to the left side of its consumer, but a row that stands right behind
its source is joined to it straight, and one further on in the same column is reached from the right. Between two
columns is a gutter with lanes, between two levels a corridor with tracks; boxes stand in neither. All arrows of one
source share their lanes: they are one net.

1. An arrow crosses the columns in between on the height where it leaves, where nothing stands in its way; else on the
   height where it arrives; else in the nearest corridor.
2. Each box side gets pins so far from one another, and from those across the gutter, that no two nets meet there.
3. `lanes` orders what runs up and down in a gutter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .content import Figure
from .grid import Grid

_BEHIND = 14.0  # pixels between two nets that have one lane
_ROUNDS = 12


@dataclass(eq=False, repr=False)
class Net:
    """What one source has in one gutter: heights of its stubs on either side."""

    left: set[float] = field(default_factory=set)
    right: set[float] = field(default_factory=set)

    @property
    def reach(self) -> tuple[float, float]:
        heights = self.left | self.right
        return min(heights), max(heights)


def lanes_of(nets: Mapping[int, Mapping[int, Net]]) -> dict[tuple[int, int], int]:
    """(gutter, source) -> lane, from the left.

    Args:
        nets: gutter -> source -> its net there.
    """
    lanes: dict[tuple[int, int], int] = {}
    for gutter, here in nets.items():
        order = _few_crossings(here)
        for at, source in enumerate(order):
            before = [lanes[gutter, other] for other in order[:at] if _overlap(here[other], here[source])]
            lanes[gutter, source] = 1 + max(before, default=-1)
    return lanes


def _overlap(one: Net, other: Net) -> bool:
    return one.reach[0] < other.reach[1] + _BEHIND and other.reach[0] < one.reach[1] + _BEHIND


def _few_crossings(nets: Mapping[int, Net]) -> list[int]:
    """The nets of a gutter from the left to the right; neighbours change places while that saves crossings."""

    def crossings(left: int, right: int) -> int:
        low, high = nets[left].reach
        below, above = nets[right].reach
        return sum(low < y < high for y in nets[right].left) + sum(below < y < above for y in nets[left].right)

    order = sorted(nets, key=lambda source: (nets[source].reach, source))
    for _ in range(_ROUNDS):
        changed = False
        for at in range(len(order) - 1):
            one, other = order[at : at + 2]
            if crossings(other, one) < crossings(one, other):
                order[at : at + 2] = [other, one]
                changed = True
        if not changed:
            break
    return order


_APART = 4.0  # pixels between two heights in one gutter
_FROM_CORNER = 6.0
_CLEAR = 5.0
_PINS = 8.0  # pixels between two pins of one box, where it has that much room
_MARKED = 15.0  # the same where a position's name stands beside each


class Heights(NamedTuple):
    """Where boxes and corridors stand, from above.

    Attributes:
        top, bottom: of each node.
        corridors: middle of the corridor above each level, and of the one below the last.
    """

    top: Sequence[float]
    bottom: Sequence[float]
    corridors: Sequence[float]

    def middle(self, node: int) -> float:
        return (self.top[node] + self.bottom[node]) / 2


@dataclass(eq=False, repr=False)
class Wire:
    """One arrow.

    Attributes:
        source, consumer: nodes.
        way: "straight down", "skip" (in one column), "direct", "late" or "corridor".
        leaves, arrives: heights of its pins; 0 while it has none.
        corridor: which one, where it takes one.
    """

    source: int
    consumer: int
    way: str
    leaves: float = 0.0
    arrives: float = 0.0
    corridor: int = 0


class Routes(NamedTuple):
    """Every arrow's way.

    Attributes:
        wires: one for each edge, in order.
        lanes: (gutter, source) -> lane, from the left; gutter g is left of column g.
        tracks: (corridor, source) -> track, from above.
    """

    wires: tuple[Wire, ...]
    lanes: dict[tuple[int, int], int]
    tracks: dict[tuple[int, int], int]

    def lanes_in(self, gutter: int) -> int:
        return 1 + max((lane for (where, _), lane in self.lanes.items() if where == gutter), default=-1)

    def tracks_in(self, corridor: int) -> int:
        return 1 + max((track for (where, _), track in self.tracks.items() if where == corridor), default=-1)


def routes_of(figure: Figure, grid: Grid, heights: Heights) -> Routes:
    """The ways of all arrows."""
    return _Router(figure, grid, heights).routes()


class _Router:
    def __init__(self, figure: Figure, grid: Grid, heights: Heights) -> None:
        self.figure, self.grid, self.heights = figure, grid, heights
        self.taken: dict[int, list[tuple[float, int]]] = {}  # gutter -> heights and whose they are
        self.passing: list[tuple[float, int, int, int]] = []  # height, first and last column, source
        self.pinned: list[Wire] = []

    def routes(self) -> Routes:
        wires = self._wires()
        for wire in wires:
            if wire.way != "straight down":
                wire.leaves = self.heights.middle(wire.source)
                self._take(self._column(wire.source) + 1, wire.leaves, wire.source)
        self._cross_where_it_leaves(wires)
        for consumer in range(len(self.figure.nodes)):
            self._pins([wire for wire in wires if wire.consumer == consumer and wire.way == "skip"])
            self._pins(
                [wire for wire in wires if wire.consumer == consumer and wire.way not in ("skip", "straight down")]
            )
        lanes = lanes_of(self._nets(wires))
        return Routes(tuple(wires), lanes, self._tracks(wires, lanes))

    def _column(self, node: int) -> int:
        return self.grid.column[node]

    def _wires(self) -> list[Wire]:
        at = {node.index: position for position, node in enumerate(self.figure.nodes)}
        wires: list[Wire] = []
        joined: set[int] = set()
        for edge in self.figure.edges:
            source, consumer = at[edge.source], at[edge.consumer]
            way = "direct"
            if self.grid.follows(source, consumer) and consumer not in joined:
                joined.add(consumer)
                way = "straight down"
            elif self._column(source) == self._column(consumer):
                way = "skip"
            wires.append(Wire(source, consumer, way))
        return wires

    def _take(self, gutter: int, height: float, source: int) -> None:
        if (height, source) not in self.taken.setdefault(gutter, []):
            self.taken[gutter].append((height, source))

    def _cross_where_it_leaves(self, wires: Sequence[Wire]) -> None:
        for wire in wires:
            first, last = self._column(wire.source) + 1, self._column(wire.consumer)
            if wire.way != "direct" or first == last:
                continue
            if self._is_clear(wire.leaves, first, last - 1, wire.source):
                self.passing.append((wire.leaves, first, last - 1, wire.source))
                self._take(last, wire.leaves, wire.source)
            else:
                wire.way = "late"

    def _is_clear(self, height: float, first: int, last: int, source: int) -> bool:
        """Whether nothing stands at a height in some columns."""
        for column in self.grid.columns[first : last + 1]:
            for node in column.nodes:
                if self.heights.top[node] - _CLEAR < height < self.heights.bottom[node] + _CLEAR:
                    return False
        return not any(
            abs(height - other) < _APART and begin <= last + 1 and first <= end + 1
            for other, begin, end, whose in self.passing
            if whose != source
        )

    def _pins(self, wires: list[Wire]) -> None:
        """Give the arrows that one side of one box takes their heights there, in the order in which they come."""
        wires.sort(key=lambda wire: (wire.leaves, wire.source))
        marked = any(edge.marks for edge in self.figure.edges)
        output = bool(wires) and wires[0].consumer == self.grid.columns[-1].nodes[-1]
        apart = _MARKED if marked and output else _PINS
        for straight in (True, False):
            for number, wire in enumerate(wires):
                level = [wire.leaves] if straight and wire.way == "direct" else []
                heights = level if straight else self._by_nearness(wire, (number + 1) / (len(wires) + 1))
                found = next((height for height in heights if self._fits(wire, height, apart)), None)
                if wire.arrives or (straight and found is None):
                    continue
                if found is None:
                    self._to_corridor(wire, heights, apart)
                    continue
                self._pin(wire, found)

    def _by_nearness(self, wire: Wire, share: float) -> list[float]:
        """The heights at which a box may be reached, those nearest to its share of the side first."""
        top, bottom = self.heights.top[wire.consumer] + _FROM_CORNER, self.heights.bottom[wire.consumer] - _FROM_CORNER
        wanted = top + share * (bottom - top)
        heights = [top + step for step in range(int(bottom - top) + 1)]
        return sorted(heights, key=lambda height: (abs(height - wanted), height))

    def _fits(self, wire: Wire, height: float, apart: float) -> bool:
        top, bottom = self.heights.top[wire.consumer], self.heights.bottom[wire.consumer]
        if not top + _FROM_CORNER <= height <= bottom - _FROM_CORNER:
            return False
        last = self._column(wire.consumer)
        gutter = last + 1 if wire.way == "skip" else last
        if not self._is_free(gutter, height, wire, apart):
            return False
        if wire.way == "late":
            first = self._column(wire.source) + 1
            return self._is_clear(height, first, last - 1, wire.source) and self._is_free(first, height, wire, _APART)
        return True

    def _is_free(self, gutter: int, height: float, wire: Wire, apart: float) -> bool:
        on_same_side = [other for other in self.pinned if other.consumer == wire.consumer]
        return not any(abs(other.arrives - height) < apart for other in on_same_side) and not any(
            abs(height - other) < _APART and (source != wire.source or height != other)
            for other, source in self.taken.get(gutter, ())
        )

    def _pin(self, wire: Wire, height: float) -> None:
        last = self._column(wire.consumer)
        wire.arrives = height
        self.pinned.append(wire)
        self._take(last + 1 if wire.way == "skip" else last, height, wire.source)
        if wire.way == "late":
            first = self._column(wire.source) + 1
            self.passing.append((height, first, last - 1, wire.source))
            self._take(first, height, wire.source)

    def _to_corridor(self, wire: Wire, heights: Sequence[float], apart: float) -> None:
        """Send an arrow through a corridor; where a side has no room at all, let pins stand closer."""
        if wire.way == "late":
            wire.way = "corridor"
        fitting = (height for less in (apart, _APART) for height in heights if self._fits(wire, height, less))
        found = next(fitting, heights[0])
        corridors = self.heights.corridors
        wire.corridor = min(
            range(len(corridors)),
            key=lambda one: (abs(corridors[one] - wire.leaves) + abs(corridors[one] - found), one),
        )
        self._pin(wire, found)

    def _nets(self, wires: Sequence[Wire]) -> dict[int, dict[int, Net]]:
        """Gutter -> source -> its net there."""
        nets: dict[int, dict[int, Net]] = {}
        for wire in wires:
            first, last = self._column(wire.source) + 1, self._column(wire.consumer)
            if wire.way == "straight down":
                continue
            if wire.way == "skip":
                net = nets.setdefault(first, {}).setdefault(wire.source, Net())
                net.left |= {wire.leaves, wire.arrives}
            elif wire.way == "corridor":
                middle = self.heights.corridors[wire.corridor]
                leaving = nets.setdefault(first, {}).setdefault(wire.source, Net())
                leaving.left.add(wire.leaves)
                leaving.right.add(middle)
                arriving = nets.setdefault(last, {}).setdefault(wire.source, Net())
                arriving.left.add(middle)
                arriving.right.add(wire.arrives)
            elif wire.leaves != wire.arrives:
                net = nets.setdefault(first if wire.way == "late" else last, {}).setdefault(wire.source, Net())
                net.left.add(wire.leaves)
                net.right.add(wire.arrives)
        return nets

    def _tracks(self, wires: Sequence[Wire], lanes: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
        reach: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for wire in wires:
            if wire.way == "corridor":
                for gutter in (self._column(wire.source) + 1, self._column(wire.consumer)):
                    ends = reach.setdefault((wire.corridor, wire.source), [])
                    ends.append((gutter, lanes[gutter, wire.source]))
        tracks: dict[tuple[int, int], int] = {}
        for (corridor, source), ends in sorted(reach.items(), key=lambda item: (item[0][0], min(item[1]), item[0])):
            taken = {
                track
                for (where, other), track in tracks.items()
                if where == corridor and min(reach[where, other]) <= max(ends) and min(ends) <= max(reach[where, other])
            }
            tracks[corridor, source] = next(track for track in range(len(reach) + 1) if track not in taken)
        return tracks
