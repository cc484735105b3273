"""A figure as a Mermaid flowchart in Markdown, as GitHub and GitLab show it; it places nothing.

Both sites refuse a chart of more than 500 arrows or 50,000 characters (Mermaid's `maxEdges` and `maxTextSize`). GitLab
also puts a chart of more than 2,000 characters behind a button in issues and merge requests; so no character is spent
on looks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ..errors import SurgeonError
from ..reports import markdown_line, markdown_text
from ..wording import printable
from .figure import BACKBONE, NECK, NEW, OUTPUT, PLAIN, REWIRED, Edge, Figure, Node
from .palette import FILLS, STROKES, TYPES, UNKNOWN_DASHES

MOST_EDGES, MOST_CHARACTERS = 500, 50_000
_ARROWS = {PLAIN: "-->", NEW: "==>", REWIRED: "-.->"}
_PLAIN_TEXT = re.compile(r"[^\w .,:/+×()?-]")
_LIGHT = 0  # a chart has one set of colours, with dark text on light boxes, which both themes can show


def markdown_of(figure: Figure) -> str:
    """A Markdown file with the chart and what the image says below itself.

    Raises:
        SurgeonError: the chart is beyond the limits of the sites.
    """
    title = printable(figure.title).replace("`", "")
    parts = [f"`{title}`: {markdown_text(figure.subtitle)}", f"```mermaid\n{chart_of(figure)}```"]
    return "\n\n".join([*parts, *map(markdown_line, figure.captions), *_meanings(figure)]) + "\n"


def _meanings(figure: Figure) -> Iterator[str]:
    for name, meaning in (figure.positions or {}).items():
        yield f"`{name}`: {markdown_text(meaning)}."


def chart_of(figure: Figure) -> str:
    """The chart alone.

    Raises:
        SurgeonError: it is beyond the limits of the sites.
    """
    chart = "\n".join(_lines(figure)) + "\n"
    if len(figure.edges) > MOST_EDGES or len(chart) > MOST_CHARACTERS:
        raise SurgeonError(
            f"{figure.title} makes a Mermaid chart of {len(figure.edges)} arrows and {len(chart):,} characters, and "
            f"GitHub shows at most {MOST_EDGES} and {MOST_CHARACTERS:,}: draw it as SVG, with -o FILE.svg"
        )
    return chart


def _lines(figure: Figure) -> Iterator[str]:
    title = json.dumps(printable(f"{figure.title}, {figure.subtitle}"), ensure_ascii=False).replace("<", r"\u003c")
    yield f"---\ntitle: {title}\n---\nflowchart TB"
    for number, part in enumerate((BACKBONE, NECK, OUTPUT)):
        nodes = [node for node in figure.nodes if node.part == part]
        if nodes:
            yield f'subgraph part{number}["{part}"]'
            yield from map(_node, nodes)
            yield "end"
    yield from map(_edge, figure.edges)
    for kind in dict.fromkeys(node.kind for node in figure.nodes):
        fill = FILLS[kind]
        colours = f"fill:{fill.inside[_LIGHT]},stroke:{fill.border[_LIGHT]},color:{TYPES['name'].colour[_LIGHT]}"
        width = f",stroke-width:{fill.width:g}px" if fill.width != 1 else ""
        yield f"classDef {kind} {colours}{width}"
    unknown = [_id(node.index) for node in figure.nodes if node.unknown]
    if unknown:
        yield f"classDef unknown stroke-dasharray:{' '.join(map(str, UNKNOWN_DASHES))}"
        yield f"class {','.join(unknown)} unknown"
    for state in (NEW, REWIRED):
        numbers = [str(number) for number, edge in enumerate(figure.edges) if edge.state == state]
        if numbers:
            yield f"linkStyle {','.join(numbers)} stroke:{STROKES[state].colour[_LIGHT]}"


def _node(node: Node) -> str:
    lines = [*node.lines, *([", ".join(mark.name for mark in node.marks)] if node.marks else [])]
    return f'{_id(node.index)}["{"<br>".join(map(_escaped, lines))}"]:::{node.kind}'


def _edge(edge: Edge) -> str:
    label = f'|"{", ".join(mark.name for mark in edge.marks)}"| ' if edge.marks else ""
    return f"{_id(edge.source)} {_ARROWS[edge.state]} {label}{_id(edge.consumer)}"


def _id(index: int) -> str:
    return "image" if index < 0 else f"r{index}"


def _escaped(text: str) -> str:
    """Text as Mermaid's own entities wherever it might be read as something else."""
    return _PLAIN_TEXT.sub(lambda found: f"#{ord(found[0])};", printable(text))
