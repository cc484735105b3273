"""Which row of a network stands in the place of which layer of another; it knows no tensor and no file.

1. A row has coordinates: the strides that it reads and gives, its role (down, up, fuse, block, output) and its phase,
   how often the path to it has turned. What differs in role or stride never stands for each other.
2. A pair has a score: how much of the layer fits into the row, how like their classes are, less for each phase apart.
3. The best alignment is the one with the highest sum that keeps the order of both, in an order that follows from the
   coordinates, so that the order of lines means nothing. Once there is one, pairs that agree in what they read and who
   reads them score more, and it is made again, until nothing changes. What a crossing leaves over is taken last.
4. Twins, rows that are built alike and of which one reads the other, through new rows or not, can't be told apart: the
   first along the path are taken, and so are the first layers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core.graph import IMAGE, Graph

#: What the parts of a score weigh: all of a layer fits, its class is the row's (or a relative of it), and so on.
_FITS, _SAME, _RELATED, _PLACE, _PHASE, _NEIGHBOURS = 6.0, 3.0, 1.5, 0.5, 4.0, 2.0
_OUTPUT = 50.0
_ROUNDS = 6


@dataclass(frozen=True)
class Coordinates:
    """Where a row stands in its network.

    Attributes:
        index: its number.
        sources: the rows that it reads.
        role: down, up, fuse, block or output.
        phase: how often the path to it has turned, from down to up and back.
        reads, gives: strides; None for what is no map.
        depth: rows on the longest path to it.
    """

    index: int
    sources: tuple[int, ...]
    role: str
    phase: int
    reads: tuple[float | None, ...]
    gives: float | None
    depth: int

    def may_stand_for(self, other: Coordinates) -> bool:
        """Case 1."""
        if self.role != other.role:
            return False
        return self.role == "output" or (
            self.gives == other.gives and (self.role == "fuse" or self.reads == other.reads)
        )

    @property
    def order(self) -> tuple[float, ...]:
        """Along the path, whatever the order of lines."""
        along = (self.gives or 0.0) * (1 if self.phase % 2 == 0 else -1)
        return (self.role == "output", self.phase, along, self.depth, self.index)


def places_of(graph: Graph, strides: Sequence[float | None]) -> list[Coordinates]:
    """Each row's place, from the stride of each row's map."""
    places: list[Coordinates] = []
    ways: dict[int, tuple[int, int]] = {IMAGE: (0, 1)}  # phase, and whether the strides grow (1) or shrink (-1)
    for layer in graph:
        reads = tuple(1.0 if source == IMAGE else strides[source] for source in layer.sources)
        gives = strides[layer.index]
        phase, way = max((ways[source] for source in layer.sources), key=lambda found: found[0])
        turn = 0
        if layer is graph.output:
            role, gives = "output", None
        elif len(layer.sources) > 1:
            role = "fuse"
        else:
            turn = 0 if gives is None or reads[0] is None else (gives > reads[0]) - (gives < reads[0])
            role = {1: "down", -1: "up", 0: "block"}[turn]
        if turn not in (0, way):
            phase, way = phase + 1, turn
        ways[layer.index] = phase, way
        depth = 1 + max(0 if source == IMAGE else places[source].depth for source in layer.sources)
        places.append(Coordinates(layer.index, layer.sources, role, phase, reads, gives, depth))
    return places


@dataclass(frozen=True)
class Likeness:
    """How like a layer and a row are.

    Attributes:
        share: of their tensors that fit, from 0 to 1.
        same, related: whether the row's class is the layer's, or computes alike.
    """

    share: float
    same: bool
    related: bool

    @property
    def score(self) -> float:
        """Case 2, without the phase."""
        return _FITS * self.share + (_SAME if self.same else _RELATED if self.related else 0.0) + _PLACE


def match(
    base: Sequence[Coordinates], variant: Sequence[Coordinates], likeness: Callable[[int, int], Likeness]
) -> dict[int, int]:
    """Index of a layer -> index of the row that stands in its place."""
    local: dict[tuple[int, int], float] = {}
    for one in base:
        for other in variant:
            if one.may_stand_for(other):
                score = _OUTPUT if one.role == "output" else likeness(one.index, other.index).score
                local[one.index, other.index] = score - _PHASE * abs(one.phase - other.phase) * (one.role != "output")
    ordered = [sorted(rows, key=lambda place: place.order) for rows in (base, variant)]
    found: dict[int, int] = {}
    for _ in range(_ROUNDS):
        scores = _Scores(base, variant, local, found)
        again = _in_order(ordered[0], ordered[1], scores)
        _add_crossings(again, ordered, local, scores)
        if again == found:
            break
        found = again
    return dict(sorted(found.items()))


class _Scores:
    """The score of each pair, given an alignment to agree with."""

    def __init__(
        self,
        base: Sequence[Coordinates],
        variant: Sequence[Coordinates],
        local: Mapping[tuple[int, int], float],
        found: Mapping[int, int],
    ) -> None:
        self.local, self.found = local, {**found, IMAGE: IMAGE}
        taken = {IMAGE, *found.values()}
        self.reads = (_through(base, self.found), _through(variant, taken))
        self.readers = tuple(_readers(reads) for reads in self.reads)
        self.known: dict[tuple[int, int], float] = {}

    def of(self, one: int, other: int) -> float:
        """0 or less for what can't be a pair."""
        if (one, other) not in self.known:
            self.known[one, other] = self._of(one, other)
        return self.known[one, other]

    def _of(self, one: int, other: int) -> float:
        score = self.local.get((one, other), 0.0)
        if not score or len(self.found) == 1:
            return score
        score += self._agreement(self.reads[0][one], self.reads[1][other])
        return score + self._agreement(self.readers[0].get(one, ()), self.readers[1].get(other, ()))

    def _agreement(self, mine: Sequence[int], theirs: Sequence[int]) -> float:
        stand = [self.found[index] for index in mine if index in self.found]
        return _NEIGHBOURS * sum(index in theirs for index in stand) / len(mine) if mine else 0.0


def _through(places: Sequence[Coordinates], known: Iterable[int]) -> list[tuple[int, ...]]:
    """What each row reads; where that is a row which nothing is known of and that keeps the stride, what that reads."""
    known = set(known)
    reads: list[tuple[int, ...]] = []

    def real(source: int) -> int:
        while source not in known and places[source].role == "block":
            source = places[source].sources[0]
        return source

    for place in places:
        reads.append(tuple(map(real, place.sources)))
    return reads


def _readers(reads: Sequence[Sequence[int]]) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    for index, sources in enumerate(reads):
        for source in dict.fromkeys(sources):
            found[source] = (*found.get(source, ()), index)
    return found


def _in_order(base: Sequence[Coordinates], variant: Sequence[Coordinates], score: _Scores) -> dict[int, int]:
    """The alignment with the highest sum that keeps both orders; of equal ones, the one that takes rows first."""
    best = [[0.0] * (len(variant) + 1) for _ in range(len(base) + 1)]
    for i in range(len(base) - 1, -1, -1):
        for j in range(len(variant) - 1, -1, -1):
            pair = score.of(base[i].index, variant[j].index)
            best[i][j] = max(best[i + 1][j], best[i][j + 1], pair + best[i + 1][j + 1] if pair > 0 else 0.0)
    found: dict[int, int] = {}
    i = j = 0
    while i < len(base) and j < len(variant):
        pair = score.of(base[i].index, variant[j].index)
        if pair > 0 and best[i][j] == pair + best[i + 1][j + 1]:
            found[base[i].index] = variant[j].index
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def _add_crossings(
    found: dict[int, int],
    ordered: Sequence[Sequence[Coordinates]],
    local: Mapping[tuple[int, int], float],
    score: _Scores,
) -> None:
    """Pair what is left over where it is mostly the same and of one phase: rows whose order was changed."""
    taken = set(found.values())
    left = [
        (-score.of(one.index, other.index), n, m, one.index, other.index)
        for n, one in enumerate(ordered[0])
        if one.index not in found
        for m, other in enumerate(ordered[1])
        if other.index not in taken and one.phase == other.phase and local.get((one.index, other.index), 0.0) > _SAME
    ]
    for *_, one, two in sorted(left):
        if one not in found and two not in taken:
            found[one] = two
            taken.add(two)


def twins(
    places: Sequence[Coordinates], taken: Collection[int], alike: Callable[[int, int], bool]
) -> list[tuple[int, ...]]:
    """Case 4: groups of rows that can't be told apart, of which some are taken and some are not, along the path.

    Args:
        places: the rows.
        taken: the rows that something was carried into, or of which something was.
        alike: whether two rows are built alike.
    """
    group_of: dict[int, list[int]] = {}
    for place in sorted(places, key=lambda place: place.order):
        group_of[place.index] = [place.index]
        source = place.sources[0]
        while place.role == "block" and source != IMAGE and places[source].role == "block":
            if alike(place.index, source):
                group_of[source].append(place.index)
                group_of[place.index] = group_of[source]
                break
            if source in taken:
                break
            source = places[source].sources[0]
    groups = {id(group): tuple(group) for group in group_of.values()}
    return [group for group in groups.values() if 0 < sum(row in taken for row in group) < len(group)]
