"""What a row of an unknown block does to the size of its map, as names and arguments suggest; no rule says it.

`up` in a name halves the stride; `[128, 3, 2]` doubles it, as does an argument that is 1 in some rows of a block and 2
in others. A guess serves where nothing else is known: to compare readings of a file, and to find its parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .graph import IMAGE, Graph, Layer
from .shapes import Shape, effect_of, strides_of

_UP = re.compile(r"up(?!date)|carafe|dysample|eucb|transpose", re.IGNORECASE)
_DOWN = re.compile(r"down|stem|^spd|to_?depth|patch(merg|emb)", re.IGNORECASE)
_KERNELS = (1, 2, 3, 5, 7)
_MOST_GUESSES = 64  # for each, all strides are worked out anew
LEAST_WIDTH = 8  # the least that is a number of channels and not a kernel size or a stride


def guessed_ratio(layer: Layer, layers: Sequence[Layer]) -> float:
    """Stride out over stride in of a row whose block is not known.

    Args:
        layer: the row.
        layers: all rows of its file.
    """
    numbers = [x for x in layer.args if isinstance(x, (int, float)) and not isinstance(x, bool)]
    if _UP.search(layer.block):
        return 0.5
    if len(numbers) > 2 and numbers[0] >= LEAST_WIDTH and numbers[1] in _KERNELS and numbers[2] == 2:
        return 2.0
    at = _stride_argument(layer, layers)
    if at is not None:
        return float(layer.args[at])
    if (
        len(numbers) > 1
        and layer.section == "backbone"
        and numbers[1] == 2
        and numbers[0] > _width_before(layer, layers)
    ):
        return 2.0
    return 2.0 if _DOWN.search(layer.block) or layer.index == 0 else 1.0


def _stride_argument(layer: Layer, layers: Sequence[Layer]) -> int | None:
    """Where rows of this block keep a stride: the one argument that is 1 in some of them and 2 in others."""
    if layer.section != "backbone":
        return None
    rows = [
        other.args
        for other in layers
        if (other.block, other.section, len(other.args)) == (layer.block, "backbone", len(layer.args))
    ]
    if len(rows) < 2:
        return None
    places = [
        at
        for at in range(1, len(layer.args))
        if {type(args[at]) for args in rows} == {int} and {args[at] for args in rows} == {1, 2}
    ]
    return places[0] if len(places) == 1 else None


def _width_before(layer: Layer, layers: Sequence[Layer]) -> int:
    before = (arg for other in reversed(layers[: layer.index]) for arg in other.args[:1])
    return next((arg for arg in before if isinstance(arg, int) and arg >= LEAST_WIDTH), 0)


def picked_from(graph: Graph) -> dict[int, int]:
    """Rows that each pick one map of a list -> the row that gives the list.

    They are several of one unknown block behind one layer, and differ in one whole number.
    """
    groups: dict[tuple[int, str], list[Layer]] = {}
    for layer in graph:
        if len(layer.raw_sources) == len(layer.args) == 1 and type(layer.args[0]) is int and not layer.kind.is_known:
            groups.setdefault((layer.sources[0], layer.block), []).append(layer)
    several = [rows for rows in groups.values() if len({row.args for row in rows}) > 1]
    return {
        row.index: row.sources[0] for rows in several for row in rows if all(row.args[0] < LEAST_WIDTH for row in rows)
    }


def believed_strides(graph: Graph, shapes: Sequence[Shape]) -> tuple[float | None, ...]:
    """The stride of each layer, as its shape has it; where that has none, as guesses give it, if they fit together.

    One row is guessed at a time, the first whose source is known, so that what follows from it comes before the next.
    A row that joins maps of several sizes is guessed to give the one with which most rows behind it join maps of one
    size, and of equally good ones the first.
    """
    known = tuple(shape.stride for shape in shapes)
    strides = list(known)
    layers, effects, picks = graph.layers, [effect_of(layer) for layer in graph], picked_from(graph)
    closed = {*picks, *picks.values()}
    ratios: dict[int, float] = {}

    def read_by(layer: Layer) -> float | None:
        return 1.0 if layer.sources[0] == IMAGE else strides[layer.sources[0]]

    def is_open(layer: Layer) -> bool:
        effect = effects[layer.index]
        return effect.is_map and effect.ratio is None and not effect.joins and layer.index not in ratios

    for layer in layers:
        before, here = read_by(layer), strides[layer.index]
        if is_open(layer) and before and here:
            ratios[layer.index] = here / before

    def fitted(guessed: dict[int, float]) -> list[float | None]:
        found = strides_of(layers, effects, guessed)
        return [stride or guess for stride, (guess, _) in zip(known, found)]

    for _ in range(_MOST_GUESSES):
        rows = (
            row
            for row in layers[:-1]
            if strides[row.index] is None and is_open(row) and row.index not in closed and read_by(row)
        )
        first = next(rows, None)
        if first is None:
            break
        if len(first.raw_sources) == 1:
            choices = [guessed_ratio(first, layers)]
        else:
            read = [1.0 if source == IMAGE else strides[source] for source in first.sources]
            choices = [stride / read[0] for stride in dict.fromkeys(read) if stride and read[0]]
        readings = [{**ratios, first.index: ratio} for ratio in choices]
        ratios = max(readings, key=lambda reading: _agreeing(graph, fitted(reading))) if choices[1:] else readings[0]
        strides = fitted(ratios)
    return tuple(strides) if _fit_together(graph, strides) else known


def _agreeing(graph: Graph, strides: Sequence[float | None]) -> int:
    """How many rows join maps of one size, beyond those that join maps of several."""
    joined = [
        {strides[source] for source in layer.sources if source != IMAGE}
        for layer in graph.layers[:-1]
        if len(set(layer.sources)) > 1
    ]
    return sum(1 if len(read) == 1 else -1 for read in joined if None not in read)


def _fit_together(graph: Graph, strides: Sequence[float | None]) -> bool:
    """Whether all that is joined has one stride, and no two inputs of the output layer have."""
    for layer in graph:
        read = [strides[source] for source in dict.fromkeys(layer.sources) if source != IMAGE and strides[source]]
        if (layer.kind.is_fusion and len(set(read)) > 1) or (layer == graph.output and len(set(read)) < len(read)):
            return False
    return True
