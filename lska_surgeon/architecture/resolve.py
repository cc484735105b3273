"""A graph with its scale worked into the rows: real widths and repeats, so that no file name matters; no text.

The arguments that Ultralytics' parser scales, and how (ultralytics 8.3 to 8.4):
  1. `repeats`: max(round(n * depth), 1) when n > 1;
  2. the first argument of the blocks in `shapes.WIDTH_SCALED`: make_divisible(min(c, max_channels) * width, 8);
  3. C2fAttn's embedding channels and heads;
  4. the prototype channels of the segmentation heads.
Blocks that the parser builds by scale letter (C3k2, A2C2f) keep one entry in `scales`, with that letter: see
`kept_letter`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import GraphError
from .attention import OPERATOR_ROWS, read_attention
from .declared import like
from .graph import Graph, Layer
from .scaling import Scaling
from .shapes import WIDTH_SCALED, Shape

_BUILT_BY_LETTER = frozenset({"C3k2", "A2C2f"})
_PROTOTYPES = frozenset({"Segment", "Segment26", "YOLOESegment", "YOLOESegment26"})


def resolve_scale(graph: Graph, shapes: tuple[Shape, ...], scaling: Scaling) -> Graph:
    """The graph whose rows, taken literally, build what `graph` builds at `scaling`.

    Raises:
        GraphError: a row's width is not a number.
    """
    layers = tuple(_resolve_layer(layer, graph, shapes, scaling) for layer in graph)
    return Graph(layers, graph.settings, graph.name)


def kept_letter(graph: Graph, scaling: Scaling) -> str | None:
    """The scale letter that the resolved file still has to carry, or None when its rows say everything."""
    plain = {_plain_block(layer) for layer in graph}
    return scaling.letter if plain & _BUILT_BY_LETTER and graph.settings.get("scales") else None


def _resolve_layer(layer: Layer, graph: Graph, shapes: tuple[Shape, ...], scaling: Scaling) -> Layer:
    args: list[Any] = list(layer.args)
    block = _plain_block(layer)
    if layer.block in OPERATOR_ROWS or layer.block == "CBAM":
        if args and args[0] == "c2":
            args[0] = shapes[layer.index].channels
    elif block in WIDTH_SCALED:
        width = shapes[layer.index].channels
        if width is None:
            found = args[0] if args else "missing"
            raise GraphError(f"--resolve needs real widths, and that of row {layer.index} ({layer.block}) is {found}")
        args[0] = width
        if block == "C2fAttn":
            args[1:3] = _attn_args(args, scaling)
    elif block in _PROTOTYPES and len(args) > 2:
        args[2] = scaling.channels(args[2])
    return replace(layer, repeats=scaling.repeats(layer.repeats), args=tuple(args))


def _attn_args(args: list[Any], scaling: Scaling) -> list[int]:
    embedding, heads = args[1], args[2]
    most = scaling.max_channels
    if most != float("inf"):
        embedding = min(embedding, most // 2)
        heads = min(heads, most // 2 // 32) if heads > 1 else heads
    scaled_heads = int(max(round(heads) * scaling.width, 1)) if heads > 1 else heads
    return [Scaling(width=scaling.width).channels(embedding), scaled_heads]


def _plain_block(layer: Layer) -> str:
    attention = None if layer.block in OPERATOR_ROWS else read_attention(layer.block, layer.args)
    return attention.host if attention and attention.host else like(layer.block)
