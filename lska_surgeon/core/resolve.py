"""A graph with its scale worked into the rows: real widths and repeats, so that no file name matters; no text.

The arguments that Ultralytics' parser scales, and how (ultralytics 8.3 to 8.4):
  1. `repeats`: max(round(n * depth), 1) when n > 1;
  2. the first argument of the blocks whose width is `scaled`: make_divisible(min(c, max_channels) * width, 8);
  3. C2fAttn's embedding channels and heads;
  4. the prototype channels of the segmentation heads.
Blocks that the parser builds by scale (C3k2, A2C2f) keep one entry in `scales`, with that letter: see
`kept_letter`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import GraphError
from .graph import Graph, Layer
from .scaling import Scaling
from .shapes import MOST_CHANNELS, Shape


def resolve_scale(graph: Graph, shapes: tuple[Shape, ...], scaling: Scaling) -> Graph:
    """The graph whose rows, taken literally, build what `graph` builds at `scaling`.

    Raises:
        GraphError: a row's width is not a number.
    """
    layers = tuple(_resolve_layer(layer, graph, shapes, scaling) for layer in graph)
    return Graph(layers, graph.settings, graph.name)


def kept_letter(graph: Graph, scaling: Scaling) -> str | None:
    """The scale that the resolved file still has to carry, or None when its rows say everything."""
    by_letter = any(layer.kind.letters for layer in graph)
    return scaling.letter if by_letter and graph.settings.get("scales") else None


def _resolve_layer(layer: Layer, graph: Graph, shapes: tuple[Shape, ...], scaling: Scaling) -> Layer:
    args: list[Any] = list(layer.args)
    kind = layer.kind
    if kind.role == "operator" and kind.custom is None:
        if args and args[0] == "c2":
            args[0] = shapes[layer.index].channels
    elif kind.width == "scaled":
        width = shapes[layer.index].channels
        if width is None:
            found = args[0] if args else "missing"
            raise GraphError(f"--resolve needs real widths, and that of row {layer.index} ({layer.block}) is {found}")
        args[0] = width
        if kind.plain == "C2fAttn":
            args[1:3] = _attn_args(layer, scaling)
    elif kind.scaled is not None and len(args) > kind.scaled:
        args[kind.scaled] = scaling.channels(_number(layer, kind.scaled, "width of its prototypes"))
    return replace(layer, repeats=scaling.repeats(layer.repeats), args=tuple(args))


def _attn_args(layer: Layer, scaling: Scaling) -> list[int]:
    embedding, heads = _number(layer, 1, "embedding width"), _number(layer, 2, "number of heads")
    most = scaling.max_channels
    if most != float("inf"):
        embedding = min(embedding, most // 2)
        heads = min(heads, most // 2 // 32) if heads > 1 else heads
    scaled_heads = int(max(round(heads) * scaling.width, 1)) if heads > 1 else int(heads)
    return [Scaling(width=scaling.width).channels(embedding), scaled_heads]


def _number(layer: Layer, at: int, what: str) -> float:
    """An argument that is scaled, of a row as it is written.

    Raises:
        GraphError: it is not there, or no number that a network could have.
    """
    value = layer.args[at] if len(layer.args) > at else "missing"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_CHANNELS:
        raise GraphError(
            f"--resolve needs real widths, and argument {at + 1} of row {layer.index} ({layer.block}), the {what}, "
            f"is {value}"
        )
    return value
