"""A model's layers and positions, as tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence

from ...architecture.graph import Graph
from ...architecture.positions import Site
from ...architecture.shapes import Shape
from ...model_yaml.document import format_value
from ...tables import table
from ...wording import numbers
from .json import SCHEMA, dump


def layers_table(graph: Graph, shapes: Sequence[Shape]) -> str:
    """Every layer of a model."""
    header = ("layer", "section", "sources", "repeats", "block", "args", "channels", "stride", "level", "read by")
    rows = [
        (
            str(layer.index),
            layer.section,
            numbers(layer.sources).replace("-1", "picture"),
            str(layer.repeats),
            layer.block,
            format_value(layer.args),
            _channels(shape),
            _stride(shape),
            shape.level or "-",
            numbers(graph.readers(layer.index)) or "-",
        )
        for layer, shape in zip(graph, shapes)
    ]
    return table(header, rows)


def names_table(graph: Graph, shapes: Sequence[Shape], named: dict[str, tuple[Site, ...]]) -> str:
    """Every name that `--at` accepts in a model, with its sites."""
    rows = []
    for name, sites in named.items():
        places = ", ".join(f"{s.layer} ({shapes[s.layer].level or graph[s.layer].block})" for s in sites)
        rows.append((f"--at {name}", places, _who_reads(name)))
    rows.append(("--at after:SEL", f"0-{len(graph) - 2}, or a block such as {graph[0].block}#0", "every reader"))
    rows.append(("--at before:SEL", f"1-{len(graph) - 1}", "that layer alone"))
    rows.append(("--at 'edge:A->B'", "any connection above", "B alone"))
    return table(("position", "sites", "who reads the new layer"), rows)


def layers_json(
    graph: Graph, shapes: Sequence[Shape], named: dict[str, tuple[Site, ...]], scale: str | None, path: str
) -> str:
    """Layers and positions as JSON."""
    layers = [
        {
            "index": layer.index,
            "section": layer.section,
            "sources": list(layer.sources),
            "repeats": layer.repeats,
            "block": layer.block,
            "args": list(layer.args),
            "channels": shape.channels,
            "stride": shape.stride,
            "level": shape.level,
            "readers": list(graph.readers(layer.index)),
        }
        for layer, shape in zip(graph, shapes)
    ]
    positions = {name: [site.layer for site in sites] for name, sites in named.items()}
    return dump({"schema": SCHEMA, "model": path, "scale": scale, "layers": layers, "positions": positions})


def _who_reads(name: str) -> str:
    if name in ("residual", "sppf-inner"):
        return "in place"
    return "the output layer alone" if name == "head" else "every reader"


def _channels(shape: Shape) -> str:
    if shape.stride is None and not shape.guessed:
        return "-"
    return "?" if shape.channels is None else str(shape.channels)


def _stride(shape: Shape) -> str:
    mark = "?" if shape.guessed else ""
    return mark or "-" if shape.stride is None else f"{shape.stride:g}{mark}"
