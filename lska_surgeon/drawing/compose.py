"""From a figure to a scene: title, levels, boxes, arrows and legend, each with its style; it writes no format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .figure import KINDS, NEW, PLAIN, REWIRED, Edge, Figure, Mark, Node
from .layout import LABELS, LINE, MARGIN, MARK_GAP, MARK_HEIGHT, Layout, Rect, layout_of, mark_width
from .palette import TYPES
from .scene import Box, Group, Line, Scene, Shape, Text
from .text_width import fitted, width_of, wrapped

_HEAD = 46.0  # of the page: title and subtitle
_NARROWEST = 440.0
_SWATCH = (16.0, 10.0)
_LEGEND_LINE = 18.0
_KEY = "In a box: index, block × repeats (where not 1); channels × height × width of what it gives."
_FREE = "Besides these: --at after:SEL and before:SEL at any row, and --at 'edge:A->B' at any arrow."


def scene_of(figure: Figure) -> Scene:
    """The image of a figure."""
    layout = layout_of(figure)
    width = max(layout.width + MARGIN, _NARROWEST, width_of(figure.title, TYPES["title"].size, bold=True) + 2 * MARGIN)
    width = min(width, max(layout.width + MARGIN, 1200.0))
    below = list(_below(figure, width, _HEAD + layout.height + 14))
    height = max((_lowest(group) for group in below), default=_HEAD + layout.height) + MARGIN
    groups = [
        Group("", "", (Box(0, 0, width, height, "page", radius=0),)),
        Group("", "", tuple(_heading(figure, width))),
        *(_moved(group) for group in _inside(figure, layout, width)),
        *below,
    ]
    description = f"{len(figure.nodes) - 1} rows and {len(figure.edges)} connections; {figure.subtitle}"
    return Scene(width, height, figure.title, description, tuple(groups))


def _heading(figure: Figure, width: float) -> Iterator[Shape]:
    for y, text, style in ((24.0, figure.title, "title"), (40.0, figure.subtitle, "subtitle")):
        kind = TYPES[style]
        yield Text(MARGIN, y, fitted(text, width - 2 * MARGIN, kind.size, kind.bold), style, "start")


def _inside(figure: Figure, layout: Layout, width: float) -> Iterator[Group]:
    yield Group("", "", tuple(_levels(figure, layout)))
    pairs = list(zip(figure.edges, layout.wires))
    for state in (PLAIN, NEW, REWIRED):
        for edge, points in pairs:
            if edge.state == state:
                name = f"edge-{edge.source}-{edge.consumer}-{edge.slot}"
                yield Group(name, edge.title, (Line(points, state),))
    for node, rect in zip(figure.nodes, layout.boxes):
        beside = layout.beside if node is figure.nodes[-1] else 0.0
        yield _box(node, rect, beside)
        yield from _marks(node, rect)
    for edge, points in pairs:
        yield from _marks_on(edge, points[-1])


def _levels(figure: Figure, layout: Layout) -> Iterator[Shape]:
    for (top, bottom), stride in zip(layout.bands, layout.grid.levels):
        yield Box(MARGIN, top, layout.width - MARGIN, bottom - top, "band", radius=5)
        label = fitted(figure.levels[stride], LABELS - 8, TYPES["level"].size, bold=True)
        yield Text(MARGIN + 5, (top + bottom) / 2 + 4, label, "level", "start")
    for part, left, right in layout.parts:
        yield Text((left + right) / 2, 15, part, "part")


def _box(node: Node, rect: Rect, beside: float) -> Group:
    marks = MARK_HEIGHT + MARK_GAP if node.marks else 0.0
    x = (rect.x + beside + rect.right) / 2
    y = rect.y + (rect.height - marks - LINE * len(node.lines)) / 2 + 10
    shapes: list[Shape] = [Box(rect.x, rect.y, rect.width, rect.height, node.kind, dashed=node.unknown)]
    for number, line in enumerate(node.lines):
        shapes.append(Text(x, y + LINE * number, line, "detail" if number else "name"))
    return Group("image" if node.index < 0 else f"row-{node.index}", node.title, tuple(shapes))


def _marks(node: Node, rect: Rect) -> Iterator[Group]:
    total = sum(mark_width(mark.name) + MARK_GAP for mark in node.marks) - MARK_GAP
    x = rect.middle[0] - total / 2
    for mark in node.marks:
        yield _mark(mark, x, rect.bottom - MARK_HEIGHT - 4, node.index)
        x += mark_width(mark.name) + MARK_GAP


def _marks_on(edge: Edge, end: tuple[float, float]) -> Iterator[Group]:
    x, y = end
    for mark in edge.marks:
        yield _mark(mark, x + MARK_GAP, y - MARK_HEIGHT / 2, edge.source)
        x += mark_width(mark.name) + MARK_GAP


def _mark(mark: Mark, x: float, y: float, index: int) -> Group:
    return Group(f"mark-{mark.name}-{index}", mark.title, tuple(_pill(mark.name, x, y)))


def _pill(name: str, x: float, y: float) -> Iterator[Shape]:
    style = f"mark-{name}"
    yield Box(x, y, mark_width(name), MARK_HEIGHT, style, radius=6)
    yield Text(x + mark_width(name) / 2, y + 9.6, name, style if style in TYPES else "mark")


def _moved(group: Group) -> Group:
    """A group of the network, below the title."""
    return group._replace(shapes=tuple(_lowered(shape) for shape in group.shapes))


def _lowered(shape: Shape) -> Shape:
    if isinstance(shape, Line):
        return shape._replace(points=tuple((x, y + _HEAD) for x, y in shape.points))
    return shape._replace(y=shape.y + _HEAD)


def _lowest(group: Group) -> float:
    bottoms = [shape.y + shape.height for shape in group.shapes if isinstance(shape, Box)]
    return max([*bottoms, *(shape.y + 3 for shape in group.shapes if isinstance(shape, Text))])


class _Entry(NamedTuple):
    """One entry of the legend: how wide its sample is, and what it says."""

    style: str
    what: str
    text: str

    @property
    def sample(self) -> float:
        return mark_width(self.style) if self.what == "mark" else _SWATCH[0] + (8 if self.what == "line" else 0)

    @property
    def width(self) -> float:
        return self.sample + 5 + width_of(self.text, TYPES["note"].size) + 16


def _below(figure: Figure, width: float, top: float) -> Iterator[Group]:
    """The legend, then sentences."""
    x, y, last = MARGIN, top, ""
    for entry in _entries(figure):
        new_sort = entry.what == "mark" and last not in ("", "mark")
        if x > MARGIN and (new_sort or x + entry.width - 16 > width - MARGIN):
            x, y = MARGIN, y + _LEGEND_LINE
        last = entry.what
        yield Group("", "", tuple(_sample(entry, x, y)))
        x += entry.width
    y += _LEGEND_LINE + 10
    sentences = [*figure.captions, _KEY, *([_FREE] if figure.positions else [])]
    for sentence in sentences:
        for line in wrapped(sentence.split(), width - 2 * MARGIN, TYPES["note"].size):
            yield Group("", "", (Text(MARGIN, y, line, "note", "start"),))
            y += LINE + 1


def _entries(figure: Figure) -> Iterator[_Entry]:
    for kind in figure.kinds:
        yield _Entry(kind, "box", KINDS[kind])
    states = {edge.state for edge in figure.edges}
    if NEW in states:
        yield _Entry(NEW, "line", "new connection")
    if REWIRED in states:
        yield _Entry(REWIRED, "line", "rewired")
    for name, meaning in (figure.positions or {}).items():
        yield _Entry(name, "mark", meaning)


def _sample(entry: _Entry, x: float, y: float) -> Iterator[Shape]:
    middle = y + 6.5
    if entry.what == "mark":
        yield from _pill(entry.style, x, y)
    elif entry.what == "line":
        yield Line(((x, middle), (x + entry.sample, middle)), entry.style)
    else:
        yield Box(x, middle - _SWATCH[1] / 2, *_SWATCH, entry.style, radius=2)
    yield Text(x + entry.sample + 5, middle + 3.5, entry.text, "note", "start")
