"""A figure as text in Graphviz' DOT language; it places nothing and needs no Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from ..wording import printable_lines
from .figure import BACKBONE, NECK, NEW, OUTPUT, PLAIN, REWIRED, Edge, Figure, Node
from .palette import FILLS, STROKES

_STYLES = {PLAIN: "solid", NEW: "bold", REWIRED: "dashed"}
_LIGHT = 0


def dot_of(figure: Figure) -> str:
    """The figure as a digraph, with a cluster for each part."""
    return "\n".join(_lines(figure)) + "\n"


def _lines(figure: Figure) -> Iterator[str]:
    yield f"digraph {_quoted(figure.title)} {{"
    title = _quoted(f"{figure.title}\n{figure.subtitle}")
    yield f'  graph [label={title}, labelloc=t, fontname="Helvetica", bgcolor="white"]'
    yield '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11]'
    yield '  edge [fontname="Helvetica", fontsize=9]'
    for number, part in enumerate((BACKBONE, NECK, OUTPUT)):
        nodes = [node for node in figure.nodes if node.part == part]
        if nodes:
            yield f"  subgraph cluster_{number} {{\n    label={_quoted(part)}; color=gray"
            yield from (f"    {_node(node)}" for node in nodes)
            yield "  }"
    yield from (f"  {_edge(edge)}" for edge in figure.edges)
    yield "}"


def _node(node: Node) -> str:
    lines = [*node.lines, *([", ".join(mark.name for mark in node.marks)] if node.marks else [])]
    fill = FILLS[node.kind]
    style = ', style="rounded,filled,dashed"' if node.unknown else ""
    colours = f'fillcolor="{fill.inside[_LIGHT]}", color="{fill.border[_LIGHT]}", penwidth={fill.width:g}'
    return f"{_id(node.index)} [label={_quoted(chr(10).join(lines))}, {colours}{style}, tooltip={_quoted(node.title)}]"


def _edge(edge: Edge) -> str:
    label = f", label={_quoted(', '.join(mark.name for mark in edge.marks))}" if edge.marks else ""
    colour = STROKES[edge.state].colour[_LIGHT]
    return (
        f'{_id(edge.source)} -> {_id(edge.consumer)} [style={_STYLES[edge.state]}, color="{colour}"{label}, '
        f"tooltip={_quoted(edge.title)}]"
    )


def _id(index: int) -> str:
    return "image" if index < 0 else f"row{index}"


def _quoted(text: str) -> str:
    """Text in lines; Graphviz reads entities in it, and what shows a drawing might read tags."""
    escaped = printable_lines(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = escaped.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
