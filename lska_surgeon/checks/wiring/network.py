"""Rows as the inference sees them: what each does, what of it is not known, and what a first guess of that is.

A *kind* is a group of rows whose stride ratio (stride out over stride in) is not known and has to be one number: rows
of one block that differ in nothing but their width. Such a ratio is a variable beside the numbers; see `fit` in
`cost.py`. The guess is what names and arguments say, see `core.parts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Union

from ...core.graph import IMAGE, MAY_BE_ATTENTION, Layer, outputs_of, role_of
from ...core.parts import guessed_ratio, picked_from
from ...core.shapes import Effect, effect_of
from ..alignment import Alignment

#: For each row the indices that it reads.
Wiring = tuple[tuple[int, ...], ...]
#: A stride ratio; of a fusion of unknown kind, which of its inputs' strides it gives.
Ratio = Union[float, str]
Ratios = tuple[Ratio, ...]
#: The ratio of a row that picks one map of a list.
UNKNOWN: Ratio = "?"
#: One of the numbers: a row, and which of its sources.
Slot = tuple[int, int]
Kind = tuple[Any, ...]

_FUSION = re.compile(r"concat|bifpn|add|^sdi$|fpn", re.IGNORECASE)


class WiredRows:
    """The rows of a file.

    Args:
        layers: the rows; their sources may be wrong.
        comments: row -> the number in its index comment.
        alignment: the stock model that they resemble, or None.

    Attributes:
        written: the wiring as it stands in the file.
        outputs: the rows of the output layers.
        picks: rows that each pick one map of a list -> the row that gives it.
        slots: the numbers that an edit makes wrong: those that count from the first row, and those that count back
            beyond it. Others that count back are wrong only by themselves.
        fusion: of each row with several sources how sure it is that these need one stride: "joins" for Concat and its
            like, "named" for a name that says so, "own"; None for other rows.
        kinds: what rows of unknown ratio have in common -> those rows.
        guess: a ratio for each row.
        refines: whether a row is attention, or unknown, that reads the row before it and keeps its size.
        narrows: whether it is a 1x1 convolution.
        followed: whether the row behind it reads it alone.
        taken: whether the row behind it reads it.
        fuses_all_ups: whether every upsampled map is read from afar by a row with several sources.
    """

    def __init__(self, layers: Sequence[Layer], comments: Mapping[int, int], alignment: Alignment | None) -> None:
        self.layers, self.comments, self.alignment = layers, comments, alignment
        size = self.size = len(layers)
        self.last = size - 1
        self.outputs = frozenset(layer.index for layer in outputs_of(layers))
        self.picks = picked_from(layers)
        self.written: Wiring = tuple(tuple(layer.sources) for layer in layers)
        self.numbers = [layer.raw_sources for layer in layers]
        places = [(i, j) for i, numbers in enumerate(self.numbers) for j in range(len(numbers)) if layers[i].has_row]
        self.slots: list[Slot] = [
            (i, j) for i, j in places if self.numbers[i][j] >= 0 or self.written[i][j] < (0 if i else IMAGE)
        ]
        absolute = set(self.slots)
        self.relative: list[Slot] = [place for place in places if place not in absolute]
        self.effects: list[Effect] = [effect_of(layer) for layer in layers]
        self.roles = [role_of(layer, self.last) for layer in layers]
        self.fusion = [self._fusion(layer) for layer in layers]
        self.guess: Ratios = tuple(map(self._ratio, layers))
        self.kinds: dict[Kind, list[int]] = {}
        for layer in layers[:-1]:
            kind = self._kind(layer)
            if kind is not None:
                self.kinds.setdefault(kind, []).append(layer.index)
        self.narrows = [role == "conv" for role in self.roles]
        self.refines = [
            i > 0 and self.numbers[i] == (-1,) and self.roles[i] in MAY_BE_ATTENTION and self.guess[i] == 1
            for i in range(size)
        ]
        self.followed = [i + 1 < self.last and self.written[i + 1] == (i,) for i in range(size)]
        ups = {i for i, role in enumerate(self.roles) if role == "up"}
        fused = {x for i, sources in enumerate(self.written) if len(sources) > 1 for x in sources if x < i - 1}
        self.fuses_all_ups = len(ups) > 1 and ups <= fused
        self.taken = [i + 1 < size and i in self.written[i + 1] for i in range(size)]

    def keeps(self, index: int) -> bool:
        """Whether a row reads the row before it and keeps its size, as far as is guessed, and is no 1x1 convolution."""
        return self.numbers[index] == (-1,) and not self.narrows[index] and self.guess[index] == 1

    def start_of_run(self, index: int) -> int:
        """The row that a run of attention refines, for a row of the run; any other row is its own."""
        while index > 0 and index < self.size and self.refines[index]:
            index -= 1
        return index

    def modulo_runs(self, wiring: Wiring) -> Wiring:
        """A wiring in which what reads a run of attention, anywhere but right behind it, reads its start."""
        return tuple(
            tuple(x if i == x + 1 else self.start_of_run(x) for x in sources) for i, sources in enumerate(wiring)
        )

    def ends_of_levels(self, before: int) -> dict[float, int]:
        """Stride -> the last row of it, of the rows before an index, each as far as is guessed."""
        strides: list[float | None] = []
        ends: dict[float, int] = {}
        for i in range(before):
            source, ratio = self.written[i][0], self.guess[i]
            read = strides[source] if 0 <= source < i else 1.0
            strides.append(None if read is None or isinstance(ratio, str) else read * ratio)
            if strides[-1] is not None:
                ends[strides[-1]] = i
        return ends

    def in_one_run(self, one: int, other: int) -> bool:
        """Whether two rows are the same, or so near that nothing between them changes the size."""
        low, high = sorted((one, other))
        return low == high or (high - low <= 3 and all(self._passes(row) for row in range(low + 1, high + 1)))

    def _passes(self, index: int) -> bool:
        return 0 < index < self.last and self.numbers[index] == (-1,) and self.guess[index] == 1

    def _fusion(self, layer: Layer) -> str | None:
        if len(layer.raw_sources) < 2 or layer.index in self.outputs:
            return None
        if self.effects[layer.index].joins:
            return "joins"
        if self.effects[layer.index].ratio is not None:
            return None  # it resizes what it reads
        return "named" if _FUSION.search(layer.block) else "own"

    def _kind(self, layer: Layer) -> Kind | None:
        if len(layer.raw_sources) > 1:
            return (layer.block, "fusion") if self.fusion[layer.index] == "named" else None
        if self.effects[layer.index].ratio is not None or layer.index in self.picks or layer.index in self.outputs:
            return None
        return (layer.block, repr(layer.args[1:]), self.guess[layer.index])

    def _ratio(self, layer: Layer) -> Ratio:
        known = self.effects[layer.index].ratio
        if layer.index in self.picks:
            return UNKNOWN
        if len(layer.raw_sources) > 1 or layer.index in self.outputs:
            return 1.0
        return guessed_ratio(layer, self.layers) if known is None else known


def is_forward(wiring: Wiring) -> bool:
    """Whether any row reads itself, a later one, or one before the first."""
    return any(x >= i or x < IMAGE or (x == IMAGE and i > 0) for i, sources in enumerate(wiring) for x in sources)
