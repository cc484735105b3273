"""A figure as a flowchart in text, Mermaid or Graphviz' DOT; it places nothing and needs neither of the two.

GitHub and GitLab refuse a Mermaid chart of more than 500 arrows or 50,000 characters (Mermaid's `maxEdges` and
`maxTextSize`). GitLab also puts a chart of more than 2,000 characters behind a button in issues and merge requests; so
no character is spent on looks. Both languages have one set of colours, dark text on light boxes, which both themes can
show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from ..errors import SurgeonError
from ..reports import markdown_line, markdown_text
from ..wording import printable, printable_lines
from .content import BACKBONE, NECK, NEW, OUTPUT, PLAIN, REWIRED, Edge, Figure, FigureNode, PositionMark
from .style import FILLS, STROKES, TYPES, UNKNOWN_DASHES

MOST_EDGES, MOST_CHARACTERS = 500, 50_000
_ARROWS = {PLAIN: "-->", NEW: "==>", REWIRED: "-.->"}
_DOT_STYLES = {PLAIN: "solid", NEW: "bold", REWIRED: "dashed"}
_PLAIN_TEXT = re.compile(r"[^\w .,:/+×()?-]")


def markdown_of(figure: Figure) -> str:
    """A Markdown file with the Mermaid chart and what the image says below itself.

    Raises:
        SurgeonError: the chart is beyond the limits of the sites.
    """
    title = printable(figure.title).replace("`", "")
    parts = [f"`{title}`: {markdown_text(figure.subtitle)}", f"```mermaid\n{mermaid_of(figure)}```"]
    meanings = (f"`{name}`: {markdown_text(meaning)}." for name, meaning in figure.positions.items())
    return "\n\n".join([*parts, *map(markdown_line, figure.captions), *meanings]) + "\n"


def mermaid_of(figure: Figure) -> str:
    """The Mermaid chart alone.

    Raises:
        SurgeonError: it is beyond the limits of the sites.
    """
    chart = "\n".join(_mermaid_lines(figure)) + "\n"
    if len(figure.edges) > MOST_EDGES or len(chart) > MOST_CHARACTERS:
        raise SurgeonError(
            f"{figure.title} makes a Mermaid chart of {len(figure.edges)} arrows and {len(chart):,} characters, and "
            f"GitHub shows at most {MOST_EDGES} and {MOST_CHARACTERS:,}: draw it as SVG, with -o FILE.svg"
        )
    return chart


def _parts(figure: Figure) -> Iterator[tuple[int, str, list[FigureNode]]]:
    """Number, name and boxes of each part that has some."""
    for number, part in enumerate((BACKBONE, NECK, OUTPUT)):
        nodes = [node for node in figure.nodes if node.part == part]
        if nodes:
            yield number, part, nodes


def _id(index: int, row: str) -> str:
    return "image" if index < 0 else f"{row}{index}"


def _names(marks: Sequence[PositionMark]) -> list[str]:
    """The names of positions in one line; none where there are none."""
    return [", ".join(mark.name for mark in marks)] if marks else []


def _mermaid_lines(figure: Figure) -> Iterator[str]:
    title = json.dumps(printable(f"{figure.title}, {figure.subtitle}"), ensure_ascii=False).replace("<", r"\u003c")
    yield f"---\ntitle: {title}\n---\nflowchart TB"
    for number, part, nodes in _parts(figure):
        yield f'subgraph part{number}["{part}"]'
        for node in nodes:
            yield f'{_id(node.index, "r")}["{"<br>".join(map(_mermaid_text, _lines(node)))}"]:::{node.kind}'
        yield "end"
    for edge in figure.edges:
        label = "".join(f'|"{names}"| ' for names in _names(edge.marks))
        yield f"{_id(edge.source, 'r')} {_ARROWS[edge.state]} {label}{_id(edge.consumer, 'r')}"
    for kind in dict.fromkeys(node.kind for node in figure.nodes):
        fill = FILLS[kind]
        width = f",stroke-width:{fill.width:g}px" if fill.width != 1 else ""
        yield f"classDef {kind} fill:{fill.inside[0]},stroke:{fill.border[0]},color:{TYPES['name'].colour[0]}{width}"
    unknown = [_id(node.index, "r") for node in figure.nodes if node.unknown]
    if unknown:
        yield f"classDef unknown stroke-dasharray:{' '.join(map(str, UNKNOWN_DASHES))}"
        yield f"class {','.join(unknown)} unknown"
    for state in (NEW, REWIRED):
        numbers = [str(number) for number, edge in enumerate(figure.edges) if edge.state == state]
        if numbers:
            yield f"linkStyle {','.join(numbers)} stroke:{STROKES[state].colour[0]}"


def _lines(node: FigureNode) -> list[str]:
    return [*node.lines, *_names(node.marks)]


def _mermaid_text(text: str) -> str:
    """Text as Mermaid's own entities wherever it might be read as something else."""
    return _PLAIN_TEXT.sub(lambda match: f"#{ord(match[0])};", printable(text))


def dot_of(figure: Figure) -> str:
    """The figure as a digraph in DOT, with a cluster for each part."""
    return "\n".join(_dot_lines(figure)) + "\n"


def _dot_lines(figure: Figure) -> Iterator[str]:
    yield f"digraph {_dot_text(figure.title)} {{"
    title = _dot_text(f"{figure.title}\n{figure.subtitle}")
    yield f'  graph [label={title}, labelloc=t, fontname="Helvetica", bgcolor="white"]'
    yield '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11]'
    yield '  edge [fontname="Helvetica", fontsize=9]'
    for number, part, nodes in _parts(figure):
        yield f"  subgraph cluster_{number} {{\n    label={_dot_text(part)}; color=gray"
        yield from (f"    {_dot_node(node)}" for node in nodes)
        yield "  }"
    yield from (f"  {_dot_edge(edge)}" for edge in figure.edges)
    yield "}"


def _dot_node(node: FigureNode) -> str:
    fill = FILLS[node.kind]
    style = ', style="rounded,filled,dashed"' if node.unknown else ""
    colours = f'fillcolor="{fill.inside[0]}", color="{fill.border[0]}", penwidth={fill.width:g}'
    label, tooltip = _dot_text("\n".join(_lines(node))), _dot_text(node.title)
    return f"{_id(node.index, 'row')} [label={label}, {colours}{style}, tooltip={tooltip}]"


def _dot_edge(edge: Edge) -> str:
    label = "".join(f", label={_dot_text(names)}" for names in _names(edge.marks))
    look = f'style={_DOT_STYLES[edge.state]}, color="{STROKES[edge.state].colour[0]}"{label}'
    return f"{_id(edge.source, 'row')} -> {_id(edge.consumer, 'row')} [{look}, tooltip={_dot_text(edge.title)}]"


def _dot_text(text: str) -> str:
    """Text in lines; Graphviz reads entities in it, and what shows a drawing might read tags."""
    escaped = printable_lines(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = escaped.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
