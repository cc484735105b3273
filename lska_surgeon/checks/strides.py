"""Strides of a file's layers, and the rows where strides do not fit together; it knows no YAML and no wording."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.graph import IMAGE, Graph, Layer, Scaling
from ..core.shapes import Shape, shapes_of
from ..errors import GraphError
from .stock_alignment import Alignment

_IMAGE = Shape(None, 1.0)


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
    """Rows whose inputs' strides, guesses included, do not fit: a Concat of several, an output layer out of order."""
    found = set()
    for layer in layers:
        strides = [shape.stride for shape in input_shapes(layer, shapes) if shape.stride is not None]
        if layer.block == "Concat" and len(set(strides)) > 1:
            found.add(layer.index)
        if layer is layers[-1] and strides != sorted(set(strides)):
            found.add(layer.index)
    return found


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
