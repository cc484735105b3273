"""The stock model that a file was made from: which row each row is, and which sources are another layer than there.

Rows match by what they do and by their arguments, never by what they read (see `core.alignment`). Strides are evidence:
a numbering by which they fit is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ..core.alignment import AlignedRow, align_rows, is_width, likenesses
from ..core.graph import IMAGE, Graph, Layer, Scaling, as_from
from ..core.shapes import Shape, shapes_of
from ..errors import GraphError
from ..modelfile.sources import stock_models
from ..modelfile.text import read_plain

#: How many stock models are aligned in full after a look at their blocks.
_CANDIDATES = 5
_SURE = 0.9
_MISSING = -0.6  # a stock row that the file does not have
#: From this confidence on a number may be off by as much as it likes.
_SAME = 0.95
#: A stock row says nothing of its place where the row in that place is less like it than this; the second when sure.
_LIKE, _LIKE_WHEN_SURE = 0.6, 0.2
_IMAGE = Shape(None, 1.0)


@dataclass(frozen=True)
class Alignment:
    """A file seen as a stock model with rows inserted, replaced or taken out.

    Attributes:
        stock: the stock model.
        rows: stock index -> file index, for the rows that are in both.
        likeness: stock index -> how like the two rows are, at most 1.
        confidence: 1.0 for the stock model with any number of operators inserted, less for everything else.
    """

    stock: Graph
    rows: dict[int, int]
    likeness: dict[int, float]
    confidence: float

    @property
    def is_sure(self) -> bool:
        """True where little but insertions and replaced blocks sets the file apart."""
        return self.confidence >= _SURE

    @cached_property
    def stock_row(self) -> dict[int, int]:
        """File index -> stock index."""
        return {new: old for old, new in self.rows.items()}


def align(layers: Sequence[Layer]) -> Alignment | None:
    """The alignment with the stock model that the rows resemble most; None when there is none to compare with."""
    best: Alignment | None = None
    for name in _candidates(layers):
        stock = stock_graph(name)
        alignment = _align_with(stock, layers) if stock else None
        if alignment and (best is None or alignment.confidence > best.confidence):
            best = alignment
    return best


def _candidates(layers: Sequence[Layer]) -> list[str]:
    own = Counter(layer.block for layer in layers)
    scores = {}
    for name, blocks in stock_blocks().items():
        common = sum((own & Counter(blocks)).values())
        scores[name] = common - 0.25 * max(len(blocks) - len(layers), 0) - 0.5 * (len(blocks) - common)
    return sorted(scores, key=lambda name: (-scores[name], len(name), name))[:_CANDIDATES]


def _align_with(stock: Graph, layers: Sequence[Layer]) -> Alignment:
    ours = [AlignedRow(layer, len(layers) - 1) for layer in layers]
    theirs = [AlignedRow(layer, len(stock) - 1, _width_factor(stock[0], layers[0])) for layer in stock]

    like = likenesses(theirs, ours, AlignedRow.likeness)
    rows = align_rows(like, [_MISSING] * len(theirs), [row.cost_of_insertion for row in ours])
    likeness = {old: like[old][new] for old, new in rows.items()}
    kept = set(rows.values())
    added = sum(row.weight for new, row in enumerate(ours) if new not in kept)
    confidence = 2 * max(sum(likeness.values()), 0.0) / (len(theirs) + len(rows) + added)
    return Alignment(stock, rows, likeness, confidence)


def _width_factor(stock: Layer, ours: Layer) -> float:
    """How much narrower a file is throughout that spells out the widths of one scale, judged by its first row."""
    if not stock.args or not ours.args or not is_width(stock.args[0]) or not is_width(ours.args[0]):
        return 1.0
    return float(ours.args[0] / stock.args[0])


_ROW = re.compile(r"^[ \t]*- (\[.*\])[ \t]*(?:#.*)?$", re.MULTILINE)
_BLOCK = re.compile(r"^[ \t]*- \[(?:\[[^\]]*\]|[^,\[]+),[ \t]*\d+,[ \t]*([\w.]+)", re.MULTILINE)
_SECTION = re.compile(r"^(backbone|head):", re.MULTILINE)
_TOKEN = re.compile(r"""[ \t]*(\[|\]|,|"[^"]*"|'[^']*'|[^\[\],]+)""")


@cache
def stock_blocks() -> dict[str, tuple[str, ...]]:
    """Stock file name -> its blocks in order."""
    return {name: tuple(_BLOCK.findall(_text(path))) for name, path in stock_models().items()}


@cache
def stock_graph(name: str) -> Graph | None:
    """A stock model's graph without its settings; None when its file is not written one row to a line."""
    text = _text(stock_models()[name])
    starts = {match[1]: match.start() for match in _SECTION.finditer(text)}
    layers: list[Layer] = []
    for match in _ROW.finditer(text):
        row = _flow(match[1])
        frm = as_from(row[0]) if len(row) == 4 else None
        if frm is None or not isinstance(row[2], str) or not isinstance(row[3], list):
            return None
        section = "head" if match.start() > starts.get("head", len(text)) else "backbone"
        layers.append(Layer(len(layers), section, frm, row[1], row[2], tuple(row[3])))
    try:
        return Graph(tuple(layers), name=name)
    except GraphError:
        return None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _flow(text: str) -> list[Any]:
    """The value of a list in flow style."""
    stack: list[list[Any]] = [[]]
    for token in _TOKEN.findall(text):
        if token == "[":
            stack.append([])
        elif token == "]":
            done = stack.pop()
            stack[-1].append(done)
        elif token != ",":
            stack[-1].append(token[1:-1] if token[0] in "'\"" else read_plain(token.strip()))
    value = stack[0][0]
    return value if isinstance(value, list) else []


def shapes_or_none(
    layers: Sequence[Layer], alignment: Alignment | None = None, scaling: Scaling | None = None
) -> tuple[Shape, ...] | None:
    """The shapes of all layers; None when their sources do not make a graph.

    A block that is not known takes its stride from the stock row in whose place it stands; it stays a guess.
    """
    try:
        graph = Graph(tuple(layers))
    except GraphError:
        return None
    return shapes_of(graph, scaling or Scaling(), _ratios(alignment) if alignment else None)


def input_shapes(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes of what a layer reads."""
    return [_IMAGE if source == IMAGE else shapes[source] for source in layer.sources]


def clashes(layers: Sequence[Layer], shapes: Sequence[Shape]) -> set[int]:
    """Rows whose inputs' strides, guesses included, do not fit: a fusion of several, an output layer out of order."""
    rows = set()
    for layer in layers:
        strides = [shape.stride for shape in input_shapes(layer, shapes) if shape.stride is not None]
        is_output = layer is layers[-1]
        if (layer.kind.is_fusion and len(set(strides)) > 1) or (is_output and strides != sorted(set(strides))):
            rows.add(layer.index)
    return rows


def is_whole(layers: Sequence[Layer], shapes: Sequence[Shape]) -> bool:
    """Whether a network fits as it stands: strides agree, outputs get coarser one by one, and every layer is read."""
    read = {source for layer in layers for source in layer.sources}
    strides = [shape.stride for shape in input_shapes(layers[-1], shapes)]
    return (
        None not in strides
        and not clashes(layers, shapes)
        and all(layer.index in read or layer.kind.same for layer in layers[:-1])
    )


def _ratios(alignment: Alignment) -> dict[int, float]:
    stock = shapes_of(alignment.stock, Scaling())
    ratios = {}
    for old, new in alignment.rows.items():
        before, after = input_shapes(alignment.stock[old], stock)[0].stride, stock[old].stride
        if before and after and len(alignment.stock[old].raw_sources) == 1:
            ratios[new] = after / before
    return ratios


@dataclass(frozen=True)
class Moved:
    """A source that is not what stands for the stock model's source.

    Attributes:
        row: file index of the consumer.
        slot: which of its inputs, counted from 0.
        reads: the layer that it reads there.
        expected: what stands for the stock model's source, inserted layers included.
        around: the inserted layers that it reads around, where that is all there is to say; else empty.
        stale: True when the number is still the stock model's.
    """

    row: int
    slot: int
    reads: int
    expected: int
    around: tuple[int, ...] = ()
    stale: bool = False


def moved_sources(layers: Sequence[Layer], alignment: Alignment) -> list[Moved]:
    """The sources that are another layer, as far as the alignment can be trusted, in row order.

    1. A slip is a number that was not changed, or the right number at another place of the same row; and, where the
       alignment is sure, one that is off by no more than the number of rows that came and went.
    2. If the corrected sources made strides clash that fit before, then the network was rebuilt on purpose.
    """
    wiring = _Wiring(layers, alignment)
    every = [moved for old in alignment.rows for moved in wiring.row(old)]
    rows = {moved.row for moved in every if not moved.around and wiring.is_slip(moved)}
    slips = _that_fit([moved for moved in every if not moved.around and moved.row in rows], layers, alignment)
    return sorted([*slips, *(moved for moved in every if moved.around)], key=lambda moved: (moved.row, moved.slot))


def rewired(layers: Sequence[Layer], moved: Sequence[Moved]) -> list[Layer]:
    """The layers with every moved source as it is expected."""
    fixed = list(layers)
    for one in moved:
        layer = fixed[one.row]
        raw = (*layer.raw_sources[: one.slot], one.expected, *layer.raw_sources[one.slot + 1 :])
        fixed[one.row] = replace(layer, frm=raw if isinstance(layer.frm, tuple) else raw[0])
    return fixed


def _that_fit(slips: list[Moved], layers: Sequence[Layer], alignment: Alignment) -> list[Moved]:
    before = shapes_or_none(layers, alignment)
    old = clashes(layers, before) if before else set(range(len(layers)))
    for chosen in (slips, [moved for moved in slips if moved.stale]):
        fixed = rewired(layers, chosen)
        after = shapes_or_none(fixed, alignment)
        new = clashes(fixed, after) if after else set()
        if not new - old:
            return [moved for moved in chosen if moved.row not in new]
    return []


class _Wiring:
    """The file's sources beside the stock model's."""

    def __init__(self, layers: Sequence[Layer], alignment: Alignment) -> None:
        self.layers, self.alignment = layers, alignment
        self.stock, self.rows, self.stock_row = alignment.stock, alignment.rows, alignment.stock_row
        came, went = len(layers) - len(self.rows), len(self.stock) - len(self.rows)
        self.room = came + went + 1

    def is_slip(self, moved: Moved) -> bool:
        """Case 1 of `moved_sources`."""
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
        """What moved in the row that stands for stock row `index`."""
        old, new = self.stock[index], self.layers[self.rows[index]]
        if len(old.raw_sources) != len(new.raw_sources):
            return []
        return [moved for slot, source in self._paired(old, new) for moved in self._moved(old, new, slot, source)]

    def _paired(self, old: Layer, new: Layer) -> list[tuple[int, int]]:
        """Each slot with the stock source that it is for; a Concat, or what stands for one, may have another order."""
        in_place = list(enumerate(old.sources))
        if new.index == len(self.layers) - 1 or (old.block == new.block and not old.kind.is_fusion):
            return in_place
        pairs = {slot: source for slot, source in in_place if self._explains(source, new.sources[slot], new.index)}
        free = [source for slot, source in in_place if slot not in pairs]
        for slot, reads in enumerate(new.sources):
            fitting = [source for source in free if slot not in pairs and self._explains(source, reads, new.index)]
            if fitting:
                pairs[slot] = fitting[0]
                free.remove(fitting[0])
        return [(slot, pairs[slot] if slot in pairs else free.pop(0)) for slot in range(len(new.raw_sources))]

    def _moved(self, old: Layer, new: Layer, slot: int, source: int) -> list[Moved]:
        reads, stand = new.sources[slot], self._stand_in(source)
        if stand is None or stand == IMAGE:
            return []
        trunk = self._trunk(stand, new.index)
        moved = Moved(new.index, slot, reads, trunk[-1])
        stale = new.raw_sources[slot] >= 0 and new.raw_sources[slot] == old.raw_sources[old.sources.index(source)]
        if not self._explains(source, reads, new.index):
            return [self._blamed(replace(moved, stale=stale))]
        if reads in trunk and reads != trunk[-1]:
            return [replace(moved, around=tuple(trunk[trunk.index(reads) + 1 :]), stale=stale)]
        return []

    def _blamed(self, moved: Moved) -> Moved:
        """The same of the inserted row that reads the wrong layer, where a side branch is what is read."""
        row = moved.reads
        while 0 <= row < moved.row and row not in self.stock_row and len(self.layers[row].raw_sources) == 1:
            source = self.layers[row].sources[0]
            if source in self.stock_row and source != row - 1:
                return Moved(row, 0, source, moved.expected)
            row = source
        return moved

    def _stand_in(self, source: int) -> int | None:
        """The file's row for a stock row; for one that is gone, its own source's; None where that is not known."""
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
            ways += [source for source in further if source < way and source not in seen]
            seen.update(further)
        return False
