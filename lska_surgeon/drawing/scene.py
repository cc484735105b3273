"""From a figure to an image as shapes with places and styles, the same for every format that has them.

Title, levels, boxes, arrows and legend; it writes no format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Union

from ..wording import Said
from .content import KINDS, NEW, PLAIN, REWIRED, Figure, FigureNode, PositionMark
from .layout import LABELS, LINE, MARGIN, MARK_GAP, MARK_HEIGHT, Layout, Point, Rect, layout_of, mark_width
from .style import TYPES, fitted, width_of, wrapped

_HEAD = 46.0  # of the page: title and subtitle
_NARROWEST, _WIDEST_TITLE = 440.0, 1200.0
_SWATCH = (16.0, 10.0)
_LEGEND_LINE = 18.0
_KEY = Said("In a box: index, block × repeats (where not 1); channels × height × width of what it gives.")
_FREE = Said("Besides these: --at after:SEL and before:SEL at any row, and --at 'edge:A->B' at any arrow.")


class Box(NamedTuple):
    """A rectangle with rounded corners; `style` is a name of the palette."""

    x: float
    y: float
    width: float
    height: float
    style: str
    radius: float = 4.0
    dashed: bool = False


class Polyline(NamedTuple):
    """A line through right-angled corners, which are rounded; with `head`, an arrow."""

    points: tuple[Point, ...]
    style: str
    head: bool = True


class Text(NamedTuple):
    """A line of text: where its base line begins, ends or has its middle, by `anchor`, "start", "middle" or "end"."""

    x: float
    y: float
    text: str
    style: str
    anchor: str = "middle"


Shape = Union[Box, Polyline, Text]


class Group(NamedTuple):
    """Shapes that are one thing, in the order in which they are drawn.

    Attributes:
        shapes: the shapes.
        name: "row-15", "edge-12-15-0", "mark-neck-12", or nothing.
        title: what is shown on hover.
    """

    shapes: tuple[Shape, ...]
    name: str = ""
    title: str = ""


class Scene(NamedTuple):
    """An image: its size in pixels, its title and description, and what is in it, in the order of drawing."""

    width: float
    height: float
    title: str
    description: str
    groups: tuple[Group, ...]


def scene_of(figure: Figure, say: Callable[[str], str] = str) -> Scene:
    """The image of a figure.

    Args:
        figure: all that stands in it.
        say: gives the words of the legend and of the parts in the language of the figure.
    """
    layout = layout_of(figure)
    room = layout.width + MARGIN
    title = width_of(figure.title, TYPES["title"].size, bold=True) + 2 * MARGIN
    width = max(room, _NARROWEST, min(title, _WIDEST_TITLE))
    below = list(_below(figure, width, _HEAD + layout.height + 14, say))
    height = max(map(_lowest, below), default=_HEAD + layout.height) + MARGIN
    groups = [
        Group((Box(0, 0, width, height, "page", radius=0),)),
        Group(tuple(_heading(figure, width))),
        *(group._replace(shapes=tuple(map(_lowered, group.shapes))) for group in _network(figure, layout, say)),
        *below,
    ]
    return Scene(width, height, figure.title, f"{say(figure.counts)}; {figure.subtitle}", tuple(groups))


def _heading(figure: Figure, width: float) -> Iterator[Shape]:
    for y, text, style in ((24.0, figure.title, "title"), (40.0, figure.subtitle, "subtitle")):
        kind = TYPES[style]
        yield Text(MARGIN, y, fitted(text, width - 2 * MARGIN, kind.size, kind.bold), style, "start")


def _network(figure: Figure, layout: Layout, say: Callable[[str], str]) -> Iterator[Group]:
    """Levels, then arrows, those that matter above the others, then boxes, then names of positions."""
    yield Group(tuple(_levels(figure, layout, say)))
    pairs = list(zip(figure.edges, layout.wires))
    for edge, points in sorted(pairs, key=lambda pair: (PLAIN, NEW, REWIRED).index(pair[0].state)):
        yield Group((Polyline(points, edge.state),), f"edge-{edge.source}-{edge.consumer}-{edge.slot}", edge.title)
    for node, rect, beside in zip(figure.nodes, layout.boxes, layout.beside):
        yield _box(node, rect, beside)
        x = rect.middle[0] - (sum(mark_width(mark.name) + MARK_GAP for mark in node.marks) - MARK_GAP) / 2
        yield from _marks(node.marks, node.index, x, rect.bottom - MARK_HEIGHT - 4)
    for edge, points in pairs:
        x, y = points[-1]
        yield from _marks(edge.marks, edge.source, x + MARK_GAP, y - MARK_HEIGHT / 2)


def _levels(figure: Figure, layout: Layout, say: Callable[[str], str]) -> Iterator[Shape]:
    for (top, bottom), stride in zip(layout.bands, layout.grid.levels):
        yield Box(MARGIN, top, layout.width - MARGIN, bottom - top, "band", radius=5)
        label = fitted(figure.levels[stride], LABELS - 8, TYPES["level"].size, bold=True)
        yield Text(MARGIN + 5, (top + bottom) / 2 + 4, label, "level", "start")
    for part, left, right in layout.parts:
        yield Text((left + right) / 2, 15, say(Said(part)), "part")


def _box(node: FigureNode, rect: Rect, beside: float) -> Group:
    marks = MARK_HEIGHT + MARK_GAP if node.marks else 0.0
    x = (rect.x + beside + rect.right) / 2
    y = rect.y + (rect.height - marks - LINE * len(node.lines)) / 2 + 10
    shapes: list[Shape] = [Box(rect.x, rect.y, rect.width, rect.height, node.kind, dashed=node.unknown)]
    for number, line in enumerate(node.lines):
        shapes.append(Text(x, y + LINE * number, line, "detail" if number else "name"))
    return Group(tuple(shapes), "image" if node.index < 0 else f"row-{node.index}", node.title)


def _marks(marks: tuple[PositionMark, ...], index: int, x: float, y: float) -> Iterator[Group]:
    """Names of positions side by side."""
    for mark in marks:
        yield Group(tuple(_pill(mark.name, x, y)), f"mark-{mark.name}-{index}", mark.title)
        x += mark_width(mark.name) + MARK_GAP


def _pill(name: str, x: float, y: float) -> Iterator[Shape]:
    style = f"mark-{name}"
    yield Box(x, y, mark_width(name), MARK_HEIGHT, style, radius=6)
    yield Text(x + mark_width(name) / 2, y + 9.6, name, style if style in TYPES else "mark")


def _lowered(shape: Shape) -> Shape:
    """A shape of the network, below the title."""
    if isinstance(shape, Polyline):
        return shape._replace(points=tuple((x, y + _HEAD) for x, y in shape.points))
    return shape._replace(y=shape.y + _HEAD)


def _lowest(group: Group) -> float:
    bottoms = [shape.y + shape.height for shape in group.shapes if isinstance(shape, Box)]
    return max([*bottoms, *(shape.y + 3 for shape in group.shapes if isinstance(shape, Text))])


def _below(figure: Figure, width: float, top: float, say: Callable[[str], str]) -> Iterator[Group]:
    """The legend, then sentences."""
    size = TYPES["note"].size
    x, y, last = MARGIN, top, ""
    for sort, style, english in _legend(figure):
        text = say(english)
        sample = {"mark": mark_width(style), "box": _SWATCH[0], "line": _SWATCH[0] + 8}[sort]
        room = sample + 5 + width_of(text, size)
        if x > MARGIN and (x + room > width - MARGIN or (sort == "mark" and last != "mark")):
            x, y = MARGIN, y + _LEGEND_LINE
        last = sort
        yield Group((*_sample(sort, style, sample, x, y), Text(x + sample + 5, y + 10, text, "note", "start")))
        x += room + 16
    y += _LEGEND_LINE + 10
    for sentence in [*figure.captions, say(_KEY), *([say(_FREE)] if figure.positions else [])]:
        for line in wrapped(sentence.split(), width - 2 * MARGIN, size):
            yield Group((Text(MARGIN, y, line, "note", "start"),))
            y += LINE + 1


def _legend(figure: Figure) -> Iterator[tuple[str, str, str]]:
    """Of each entry: what its sample is, in which style, and what it says."""
    yield from (("box", kind, Said(KINDS[kind])) for kind in figure.kinds)
    states = {edge.state for edge in figure.edges}
    yield from (
        ("line", state, text)
        for state, text in ((NEW, Said("new connection")), (REWIRED, Said("rewired")))
        if state in states
    )
    yield from (("mark", name, Said(meaning)) for name, meaning in figure.positions.items())


def _sample(sort: str, style: str, width: float, x: float, y: float) -> Iterator[Shape]:
    middle = y + 6.5
    if sort == "mark":
        yield from _pill(style, x, y)
    elif sort == "line":
        yield Polyline(((x, middle), (x + width, middle)), style)
    else:
        yield Box(x, middle - _SWATCH[1] / 2, *_SWATCH, style, radius=2)
