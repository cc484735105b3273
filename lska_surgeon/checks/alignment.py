"""Which stock model a file was made from, and which row of it each row is; it judges no wiring.

The rows of the two are aligned as sequences (Needleman and Wunsch): rows match by what they do and by their
arguments, never by what they read, so that a wrong source does not hide the row that has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..graph import Graph, Layer
from .kinds import kind
from .stock_rows import stock_blocks, stock_graph

#: How many stock models are aligned in full after a look at their blocks.
_CANDIDATES = 5
_SURE = 0.9
_NEVER = -1e9
_MISSING = -0.6  # a stock row that the file does not have
#: What an inserted row weighs beside the stock's rows; an operator weighs nothing, a second neck much.
_WEIGHTS = {"operator": 0.0, "other": 0.0, "fuse": 1.0, "up": 1.0}


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
        found = _align_with(stock, layers) if stock else None
        if found and (best is None or found.confidence > best.confidence):
            best = found
    return best


def _candidates(layers: Sequence[Layer]) -> list[str]:
    own = Counter(layer.block for layer in layers)
    scores = {}
    for name, blocks in stock_blocks().items():
        common = sum((own & Counter(blocks)).values())
        scores[name] = common - 0.25 * max(len(blocks) - len(layers), 0) - 0.5 * (len(blocks) - common)
    return sorted(scores, key=lambda name: (-scores[name], len(name), name))[:_CANDIDATES]


def _align_with(stock: Graph, layers: Sequence[Layer]) -> Alignment:
    ours = [_Row(layer, len(layers) - 1) for layer in layers]
    theirs = [_Row(layer, len(stock) - 1, _width_factor(stock[0], layers[0])) for layer in stock]
    score = _scores(theirs, ours)
    likeness: dict[int, float] = {}
    rows: dict[int, int] = {}
    i, j = len(theirs), len(ours)
    while i and j:
        here = theirs[i - 1].likeness(ours[j - 1])
        if score[i][j] == score[i - 1][j - 1] + here:
            i, j = i - 1, j - 1
            rows[i], likeness[i] = j, here
        elif score[i][j] == score[i][j - 1] + ours[j - 1].cost_of_insertion:
            j -= 1
        else:
            i -= 1
    added = sum(row.weight for j, row in enumerate(ours) if j not in rows.values())
    total = max(sum(likeness.values()), 0.0)
    confidence = 2 * total / (len(theirs) + len(rows) + added)
    return Alignment(stock, dict(sorted(rows.items())), likeness, confidence)


def _scores(theirs: Sequence[_Row], ours: Sequence[_Row]) -> list[list[float]]:
    """The best score for each pair of beginnings, [rows of the stock model + 1][rows of the file + 1]."""
    inserted = [row.cost_of_insertion for row in ours]
    first = [0.0]
    for cost in inserted:
        first.append(first[-1] + cost)
    score = [first]
    for row in theirs:
        above = score[-1]
        here = [above[0] + _MISSING]
        for j, other in enumerate(ours):
            here.append(max(above[j] + row.likeness(other), above[j + 1] + _MISSING, here[j] + inserted[j]))
        score.append(here)
    return score


def _width_factor(stock: Layer, ours: Layer) -> float:
    """How much narrower a file is throughout that spells out the widths of one scale, judged by its first row."""
    if not stock.args or not ours.args or not _is_width(stock.args[0]) or not _is_width(ours.args[0]):
        return 1.0
    return float(ours.args[0] / stock.args[0])


def _is_width(value: Any) -> bool:
    return isinstance(value, int) and value >= 8


class _Row:
    """A row as the alignment sees it; a stock model's with its width made the file's by a factor."""

    def __init__(self, layer: Layer, output: int, factor: float = 1.0) -> None:
        args = layer.args
        self.args = (args[0] * factor, *args[1:]) if args and _is_width(args[0]) else args
        self.block, self.section, self.arity = layer.block, layer.section, len(layer.taps)
        self.kind = kind(layer, output)
        self.weight = _WEIGHTS.get(self.kind, 0.5)
        self.cost_of_insertion = -0.05 if self.kind in ("operator", "other") else -0.3

    def likeness(self, other: _Row) -> float:
        """From 1 for the same row down; `_NEVER` where `other`, of the file, can't stand for this one."""
        if "output" in (self.kind, other.kind):
            if self.kind != other.kind:
                return _NEVER
            return 1.0 if self.block == other.block else 0.9
        same_width = self.args[:1] == other.args[:1]
        if self.block == other.block:
            value = 1.0 if self.args == other.args else 0.9 if same_width else 0.7
        elif self.kind == other.kind:
            value = 0.8 if same_width else 0.6
        elif other.kind == "other" and self.kind != "fuse":
            value = 0.4 if same_width else 0.2
        else:
            return _NEVER
        return value - 0.3 * (self.section != other.section) - 0.1 * (self.arity != other.arity)
