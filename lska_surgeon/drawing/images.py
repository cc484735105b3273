"""A figure as an image: shapes with places and styles, and these as SVG, PNG and PDF; the same figure, the same bytes.

SVG has selectable text, titles on hover, light and (on screens) dark colours, and needs no library. No element has an
id, so that several images may stand in one page. matplotlib, which comes with Ultralytics, is imported for PNG and PDF
alone. Their text is in DejaVu Sans, which it brings along, so that an image does not depend on the machine's fonts, but
for characters that DejaVu Sans lacks; no date is written.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple, Union

from ..reports import markup_text
from ..wording import Said, printable
from .content import KINDS, NEW, PLAIN, REWIRED, Figure, FigureNode, PositionMark
from .layout import LABELS, LINE, MARGIN, MARK_GAP, MARK_HEIGHT, Layout, Point, Rect, layout_of, mark_width
from .style import FILLS, FONTS, STROKES, TYPES, UNKNOWN_DASHES, fitted, width_of, wrapped

_HEAD = 46.0  # of the page: title and subtitle
_NARROWEST, _WIDEST_TITLE = 440.0, 1200.0
_SWATCH = (16.0, 10.0)
_LEGEND_LINE = 18.0
_KEY = Said("In a box: index, block × repeats (where not 1); channels × height × width of what it gives.")
_FREE = Said("Besides these: --at after:SEL and before:SEL at any row, and --at 'edge:A->B' at any arrow.")
CORNER = 4.0
ARROW = (6.5, 3.2)  # length of an arrow's head, and half of its width
OWN_FONT = "DejaVu Sans"
#: Fonts that have Chinese, Japanese and Korean, the first that is there.
OTHER_FONTS: tuple[str, ...] = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC",
    "Noto Sans CJK JP", "Noto Serif CJK SC", "Arial Unicode MS", "Unifont",
)  # fmt: skip
_PER_INCH = 96.0  # pixels of the scene
_POINT = 72.0 / _PER_INCH
_SHARPNESS = 2  # pixels of a PNG per pixel of the scene


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


def svg_of(scene: Scene) -> str:
    """The scene as an SVG document."""
    size = f'width="{_number(scene.width)}" height="{_number(scene.height)}"'
    box = f"0 0 {_number(scene.width)} {_number(scene.height)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="{box}" role="img" class="lsd">',
        f"<title>{markup_text(scene.title)}</title>",
        f"<desc>{markup_text(scene.description)}</desc>",
        f"<style>\n{_style_sheet(scene)}</style>",
        *(line for group in scene.groups for line in _group(group)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{round(value, 2):g}" if abs(value) < 1e5 else f"{value:.0f}"


def _group(group: Group) -> Iterator[str]:
    yield f'<g data-name="{markup_text(group.name)}">' if group.name else "<g>"
    if group.title:
        yield f"<title>{markup_text(group.title)}</title>"
    for shape in group.shapes:
        yield from _shape(shape)
    yield "</g>"


def _shape(shape: Shape) -> Iterator[str]:
    if isinstance(shape, Box):
        x, y, width, height, radius = map(_number, (shape.x, shape.y, shape.width, shape.height, shape.radius))
        dashes = f' stroke-dasharray="{_numbers(UNKNOWN_DASHES)}"' if shape.dashed else ""
        place = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}"'
        yield f'<rect {place} class="lsd-b-{shape.style}"{dashes}/>'
    elif isinstance(shape, Polyline):
        curves = (f"L{_numbers(begin)} Q{_numbers(corner)} {_numbers(end)}" for begin, corner, end in _rounded(shape))
        path = " ".join([f"M{_numbers(shape.points[0])}", *curves, f"L{_numbers(shape.points[-1])}"])
        yield f'<path d="{path}" class="lsd-l-{shape.style}"/>'
        if shape.head:
            corners = " L".join(map(_numbers, _head(shape.points)))
            yield f'<path d="M{corners} Z" class="lsd-h-{shape.style}"/>'
    else:
        anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
        place = f'x="{_number(shape.x)}" y="{_number(shape.y)}"'
        yield f'<text {place} class="lsd-t-{shape.style}"{anchor}>{markup_text(shape.text)}</text>'


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(map(_number, values))


def _head(points: tuple[Point, ...]) -> tuple[Point, Point, Point]:
    """The corners of the head of an arrow that ends in the last point."""
    (x0, y0), (x, y) = points[-2:]
    length, half = ARROW
    if x0 == x:
        back = y - length if y > y0 else y + length
        return (x, y), (x - half, back), (x + half, back)
    back = x - length if x > x0 else x + length
    return (x, y), (back, y - half), (back, y + half)


def _rounded(line: Polyline) -> Iterator[tuple[Point, Point, Point]]:
    """Each corner of a line: where the curve begins, the corner, and where the curve ends."""
    for before, corner, behind in zip(line.points, line.points[1:], line.points[2:]):
        yield _towards(corner, before), corner, _towards(corner, behind)


def _towards(corner: Point, other: Point) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    step = min(CORNER, length / 2) / length if length else 0.0
    return corner[0] + dx * step, corner[1] + dy * step


def _style_sheet(scene: Scene) -> str:
    """The styles that occur: what holds always, then the colours of light screens and paper, then of dark screens."""
    always, light, dark = [f".lsd {{ font-family: {FONTS}; }}\n"], [], []
    for name, look, colours in _styles({(type(shape), shape.style) for one in scene.groups for shape in one.shapes}):
        always += [f".lsd-{name} {{ {look} }}\n"] if look else []
        light.append(f".lsd-{name} {{ {colours[0]} }}\n")
        dark.append(f"  .lsd-{name} {{ {colours[1]} }}\n")
    return "".join([*always, *light, "@media screen and (prefers-color-scheme: dark) {\n", *dark, "}\n"])


def _styles(used: Collection[tuple[type, str]]) -> Iterator[tuple[str, str, list[str]]]:
    """Class, what holds always, and the colours, light and dark."""
    for style, fill in FILLS.items():
        if (Box, style) in used:
            colours = [f"fill: {inside}; stroke: {border};" for inside, border in zip(fill.inside, fill.border)]
            yield f"b-{style}", f"stroke-width: {_number(fill.width)};", colours
    for style, stroke in STROKES.items():
        if (Polyline, style) in used:
            dashes = f" stroke-dasharray: {_numbers(stroke.dashes)};" if stroke.dashes else ""
            look = f"fill: none; stroke-width: {_number(stroke.width)};{dashes}"
            yield f"l-{style}", look, [f"stroke: {colour};" for colour in stroke.colour]
            yield f"h-{style}", "", [f"fill: {colour};" for colour in stroke.colour]
    for style, kind in TYPES.items():
        if (Text, style) in used:
            look = f"font-size: {_number(kind.size)}px;{' font-weight: bold;' if kind.bold else ''}"
            yield f"t-{style}", look, [f"fill: {colour};" for colour in kind.colour]


def raster_of(scene: Scene, form: str) -> bytes:
    """The scene in its light colours, by matplotlib.

    Args:
        scene: the image.
        form: "png", at two pixels for one, or "pdf", with text that can be selected.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    from .plots import UNDATED, check_matplotlib, plotting

    check_matplotlib(f"a .{form}")
    fonts, _ = fonts_for(scene)
    kind = 42 if len(fonts) == 1 else 3  # 42 can't hold fonts with PostScript outlines, as those for Chinese mostly are
    out = io.BytesIO()
    style = {"pdf.fonttype": kind, "font.family": fonts, "path.simplify": False}
    with plotting(style=style) as figure, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the font does not have is drawn as a box
        drawn = figure.Figure(figsize=(scene.width / _PER_INCH, scene.height / _PER_INCH))
        axes = drawn.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set(xlim=(0, scene.width), ylim=(scene.height, 0))
        axes.axis("off")
        for order, shape in enumerate(shape for group in scene.groups for shape in group.shapes):
            _draw(axes, shape, order)
        drawn.savefig(out, format=form, dpi=_PER_INCH * _SHARPNESS, metadata=UNDATED[f".{form}"])
    return out.getvalue()


def _draw(axes: Any, shape: Shape, order: int) -> None:
    from matplotlib import patches
    from matplotlib.path import Path

    if isinstance(shape, Box):
        fill = FILLS[shape.style]
        (inside, _), (border, _) = fill.inside, fill.border
        axes.add_patch(
            patches.FancyBboxPatch(
                (shape.x, shape.y), shape.width, shape.height, boxstyle=f"round,pad=0,rounding_size={shape.radius}",
                facecolor=inside, edgecolor=border, linewidth=0.0 if border == "none" else fill.width * _POINT,
                linestyle=(0, UNKNOWN_DASHES) if shape.dashed else "solid", zorder=order,
            )
        )  # fmt: skip
    elif isinstance(shape, Polyline):
        stroke = STROKES[shape.style]
        curves = list(_rounded(shape))
        corners = [shape.points[0], *(point for curve in curves for point in curve), shape.points[-1]]
        codes = [Path.MOVETO, *[Path.LINETO, Path.CURVE3, Path.CURVE3] * len(curves), Path.LINETO]
        dashes = (0, tuple(dash / stroke.width for dash in stroke.dashes)) if stroke.dashes else "solid"
        look = {"edgecolor": stroke.colour[0], "linewidth": stroke.width * _POINT, "linestyle": dashes}
        axes.add_patch(patches.PathPatch(Path(corners, codes), fill=False, capstyle="butt", zorder=order, **look))
        if shape.head:
            axes.add_patch(patches.Polygon(_head(shape.points), facecolor=stroke.colour[0], zorder=order))
    else:
        kind = TYPES[shape.style]
        axes.text(
            shape.x, shape.y, printable(shape.text), fontsize=kind.size * _POINT, color=kind.colour[0],
            fontweight="bold" if kind.bold else "normal", va="baseline",
            ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor], parse_math=False, zorder=order,
        )  # fmt: skip


def fonts_for(scene: Scene) -> tuple[list[str], str]:
    """The fonts of this machine that a scene needs, `OWN_FONT` first, and the characters that none of them has."""
    from matplotlib import font_manager

    shapes = (shape for group in scene.groups for shape in group.shapes)
    fonts, missing = [OWN_FONT], {char for one in shapes if isinstance(one, Text) for char in one.text}
    missing -= _characters_of(OWN_FONT)
    there = {font.name for font in font_manager.fontManager.ttflist} if missing else set()
    for name in OTHER_FONTS:
        if missing and name in there and missing & (known := _characters_of(name)):
            fonts.append(name)
            missing -= known
    return fonts, "".join(sorted(missing))


def _characters_of(font: str) -> set[str]:
    """What a font has in both weights that images use."""
    from matplotlib import font_manager

    weights = (font_manager.FontProperties(family=font, weight=weight) for weight in ("normal", "bold"))
    plain, bold = (font_manager.get_font(font_manager.findfont(one)).get_charmap() for one in weights)
    return {chr(code) for code in plain.keys() & bold.keys()}
