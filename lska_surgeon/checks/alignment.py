"""The stock model that a file was made from, which row of it each row is, and what strides that gives unknown blocks.

Rows match by what they do and by their arguments, never by what they read (see `core.alignment`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ..core.alignment import AlignedRow, align_rows, is_width, likenesses
from ..core.graph import IMAGE, Graph, Layer, Scaling, as_from
from ..core.shapes import Shape, shapes_of
from ..errors import GraphError
from ..modelfile.sources import released_models, stock_models
from ..modelfile.text import read_plain

#: How many stock models are aligned in full after a look at their blocks.
_CANDIDATES = 5
_SURE = 0.9
_MISSING = -0.6  # a stock row that the file does not have
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

    def stand_in(self, source: int) -> int | None:
        """The file's row for a stock row; for one that is gone, its own source's; None where that can't be told."""
        while source != IMAGE and source not in self.rows:
            if len(self.stock[source].raw_sources) != 1:
                return None
            source = self.stock[source].sources[0]
        return IMAGE if source == IMAGE else self.rows[source]

    @cached_property
    def stock_row(self) -> dict[int, int]:
        """File index -> stock index."""
        return {new: old for old, new in self.rows.items()}

    @cached_property
    def levels(self) -> list[float | None]:
        """The strides that the stock model's output layer reads."""
        return [shape.stride for shape in input_shapes(self.stock.output, self._stock_shapes)]

    @cached_property
    def ratios(self) -> dict[int, float]:
        """File index -> the stride ratio of the stock row in whose place it stands."""
        ratios = {}
        for old, new in self.rows.items():
            before, after = input_shapes(self.stock[old], self._stock_shapes)[0].stride, self._stock_shapes[old].stride
            if before and after and len(self.stock[old].raw_sources) == 1:
                ratios[new] = after / before
        return ratios

    @cached_property
    def _stock_shapes(self) -> tuple[Shape, ...]:
        return shapes_of(self.stock, Scaling())


def align(layers: Sequence[Layer]) -> Alignment | None:
    """The alignment with the stock model that the rows resemble most; None when there is none to compare with."""
    best: Alignment | None = None
    ours = [AlignedRow(layer, len(layers) - 1) for layer in layers]
    for name in _candidates(layers):
        stock = stock_graph(name)
        alignment = _align_with(stock, ours, layers[0]) if stock else None
        if alignment and (best is None or alignment.confidence > best.confidence):
            best = alignment
        if best and best.confidence == 1.0:  # none is better
            break
    return best


def _candidates(layers: Sequence[Layer]) -> list[str]:
    own = Counter(layer.block for layer in layers)
    scores = {}
    for name, blocks in stock_blocks().items():
        common = sum(min(number, blocks.count(block)) for block, number in own.items())
        scores[name] = common - 0.25 * max(len(blocks) - len(layers), 0) - 0.5 * (len(blocks) - common)
    return sorted(scores, key=lambda name: (-scores[name], len(name), name))[:_CANDIDATES]


def _align_with(stock: Graph, ours: Sequence[AlignedRow], first: Layer) -> Alignment:
    theirs = [AlignedRow(layer, len(stock) - 1, _width_factor(stock[0], first)) for layer in stock]
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


# A row begins with the end of the line before: a plain character, which is looked for fast.
_ROW = re.compile(r"\n[ \t]*- (\[.*\])[ \t]*(?:#.*)?$", re.MULTILINE)
_BLOCK = re.compile(r"\n[ \t]*- \[(?:\[[^\]]*\]|[^,\[]+),[ \t]*\d+,[ \t]*([\w.]+)")
_SECTION = re.compile(r"^(backbone|head):", re.MULTILINE)
_TOKEN = re.compile(r"""[ \t]*(\[|\]|,|"[^"]*"|'[^']*'|[^\[\],]+)""")


def stock_blocks() -> dict[str, tuple[str, ...]]:
    """File name of each model that a release has -> its blocks in order."""
    return _blocks_of(tuple(released_models().items()))


@cache
def _blocks_of(models: tuple[tuple[str, Path], ...]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(_BLOCK.findall(_text(path))) for name, path in models}


def stock_graph(name: str) -> Graph | None:
    """A stock model's graph without its settings; None when its file is not written one row to a line."""
    return _graph_of(name, stock_models()[name])


@cache
def _graph_of(name: str, path: Path) -> Graph | None:
    text = _text(path)
    starts = {match[1]: match.start() for match in _SECTION.finditer(text)}
    layers: list[Layer] = []
    for match in _ROW.finditer(text):
        row = _row(match[1])
        if row is None:
            return None
        section = "head" if match.start() > starts.get("head", len(text)) else "backbone"
        layers.append(Layer(len(layers), section, *row))
    try:
        return Graph(tuple(layers), name=name)
    except GraphError:
        return None


def _text(path: Path) -> str:
    with open(path, "rb", buffering=0) as file:  # many small ones, in half the time of a text file's
        return file.read().decode("utf-8", errors="replace").replace("\r\n", "\n")


@cache
def _row(text: str) -> tuple[int | tuple[int, ...], int, str, tuple[Any, ...]] | None:
    """From, repeats, block and arguments of a row; None where it is written in another way."""
    row = _flow(text)
    frm = as_from(row[0]) if len(row) == 4 else None
    if frm is None or not isinstance(row[2], str) or not isinstance(row[3], list):
        return None
    return frm, row[1], row[2], tuple(row[3])


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
    return shapes_of(graph, scaling or Scaling(), alignment.ratios if alignment else None)


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
