"""Which taps of a file read another layer than the stock model's, once insertions are explained; it knows no YAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.graph import IMAGE, Layer
from .stock_alignment import Alignment
from .strides import clashes, shapes_or_none

#: From this confidence on a number may be off by as much as it likes.
_SAME = 0.95
#: A stock row says nothing of its place where the row in that place is less like it than this; the second when sure.
_LIKE, _LIKE_WHEN_SURE = 0.6, 0.2


@dataclass(frozen=True)
class Moved:
    """A tap that does not read what stands for the stock model's source.

    Attributes:
        row: file index of the consumer.
        tap: which of its taps, counted from 0.
        reads: what it reads.
        expected: what stands for the stock model's source, inserted layers included.
        around: the inserted layers that it reads around, where that is all there is to say; else empty.
        stale: True when the tap still says the stock model's number.
    """

    row: int
    tap: int
    reads: int
    expected: int
    around: tuple[int, ...] = ()
    stale: bool = False


def moved_taps(layers: Sequence[Layer], alignment: Alignment) -> list[Moved]:
    """The taps that read another layer, as far as the alignment can be trusted, in row order.

    1. A slip is a number that was not changed, or the right number at another place of the same row; and, where the
       alignment is sure, one that is off by no more than the number of rows that came and went.
    2. If the taps, put right, made strides clash that fit before, then the network was rebuilt on purpose.
    """
    wiring = _Wiring(layers, alignment)
    every = [found for old in alignment.rows for found in wiring.row(old)]
    rows = {found.row for found in every if not found.around and wiring.is_slip(found)}
    slips = _that_fit([found for found in every if not found.around and found.row in rows], layers, alignment)
    return sorted([*slips, *(found for found in every if found.around)], key=lambda found: (found.row, found.tap))


def put_right(layers: Sequence[Layer], moved: Sequence[Moved]) -> list[Layer]:
    """The layers with every moved tap reading what is expected."""
    fixed = list(layers)
    for found in moved:
        layer = fixed[found.row]
        taps = (*layer.raw_sources[: found.tap], found.expected, *layer.raw_sources[found.tap + 1 :])
        fixed[found.row] = replace(layer, frm=taps if isinstance(layer.frm, tuple) else taps[0])
    return fixed


def _that_fit(slips: list[Moved], layers: Sequence[Layer], alignment: Alignment) -> list[Moved]:
    before = shapes_or_none(layers, alignment)
    old = clashes(layers, before) if before else set(range(len(layers)))
    for chosen in (slips, [found for found in slips if found.stale]):
        fixed = put_right(layers, chosen)
        after = shapes_or_none(fixed, alignment)
        new = clashes(fixed, after) if after else set()
        if not new - old:
            return [found for found in chosen if found.row not in new]
    return []


class _Wiring:
    """The file's taps beside the stock model's."""

    def __init__(self, layers: Sequence[Layer], alignment: Alignment) -> None:
        self.layers, self.alignment = layers, alignment
        self.stock, self.rows, self.stock_row = alignment.stock, alignment.rows, alignment.stock_row
        came, went = len(layers) - len(self.rows), len(self.stock) - len(self.rows)
        self.room = came + went + 1

    def is_slip(self, moved: Moved) -> bool:
        """Case 1 of `moved_taps`."""
        sure = self.alignment.is_sure
        base = moved.expected
        while base not in self.stock_row:
            base = self.layers[base].sources[0]
        if self.alignment.likeness[self.stock_row[base]] < (_LIKE_WHEN_SURE if sure else _LIKE):
            return False
        swapped = moved.expected in self.layers[moved.row].sources
        near = abs(moved.reads - moved.expected) <= self.room or self.alignment.confidence >= _SAME
        return moved.stale or swapped or (sure and near)

    def row(self, index: int) -> list[Moved]:
        """What is to say of the row that stands for stock row `index`."""
        old, new = self.stock[index], self.layers[self.rows[index]]
        if len(old.raw_sources) != len(new.raw_sources):
            return []
        return [found for tap, source in self._paired(old, new) for found in self._tap(old, new, tap, source)]

    def _paired(self, old: Layer, new: Layer) -> list[tuple[int, int]]:
        """Each tap with the stock source that it is for; a Concat, or what stands for one, may have another order."""
        in_place = list(enumerate(old.sources))
        if new.index == len(self.layers) - 1 or (old.block == new.block != "Concat"):
            return in_place
        pairs = {tap: source for tap, source in in_place if self._explains(source, new.sources[tap], new.index)}
        free = [source for tap, source in in_place if tap not in pairs]
        for tap, reads in enumerate(new.sources):
            fitting = [source for source in free if tap not in pairs and self._explains(source, reads, new.index)]
            if fitting:
                pairs[tap] = fitting[0]
                free.remove(fitting[0])
        return [(tap, pairs[tap] if tap in pairs else free.pop(0)) for tap in range(len(new.raw_sources))]

    def _tap(self, old: Layer, new: Layer, tap: int, source: int) -> list[Moved]:
        reads, stand = new.sources[tap], self._stand_in(source)
        if stand is None or stand == IMAGE:
            return []
        trunk = self._trunk(stand, new.index)
        moved = Moved(new.index, tap, reads, trunk[-1])
        stale = new.raw_sources[tap] >= 0 and new.raw_sources[tap] == old.raw_sources[old.sources.index(source)]
        if not self._explains(source, reads, new.index):
            return [self._blamed(replace(moved, stale=stale))]
        if reads in trunk and reads != trunk[-1]:
            return [replace(moved, around=tuple(trunk[trunk.index(reads) + 1 :]), stale=stale)]
        return []

    def _blamed(self, moved: Moved) -> Moved:
        """The same, told of the inserted row that reads the wrong layer, where a side branch is what is read."""
        row = moved.reads
        while 0 <= row < moved.row and row not in self.stock_row and len(self.layers[row].raw_sources) == 1:
            source = self.layers[row].sources[0]
            if source in self.stock_row and source != row - 1:
                return Moved(row, 0, source, moved.expected)
            row = source
        return moved

    def _stand_in(self, source: int) -> int | None:
        """The file's row for a stock row; for one that is gone, its own source's; None where that can't be told."""
        while source != IMAGE and source not in self.rows:
            if len(self.stock[source].raw_sources) != 1:
                return None
            source = self.stock[source].sources[0]
        return IMAGE if source == IMAGE else self.rows[source]

    def _trunk(self, start: int, before: int) -> list[int]:
        """`start` and the inserted rows that stand right behind it, each reading the one before."""
        run = [start]
        while self._is_inserted(run[-1] + 1, before) and self.layers[run[-1] + 1].sources == (run[-1],):
            run.append(run[-1] + 1)
        return run

    def _is_inserted(self, index: int, before: int) -> bool:
        return 0 <= index < before and index not in self.stock_row

    def _explains(self, source: int, reads: int, before: int) -> bool:
        """True when the way from the stock's source to what is read leads through inserted rows alone."""
        wanted = self._stand_in(source)
        ways, seen = [reads], {reads}
        while ways:
            way = ways.pop()
            if way == wanted:
                return True
            further = self.layers[way].sources if self._is_inserted(way, before) else ()
            ways += [one for one in further if one < way and one not in seen]
            seen.update(further)
        return False
