"""A scene as SVG, and through matplotlib as PNG and PDF; the same scene gives the same bytes.

SVG has selectable text, titles on hover, light and (on screens) dark colours, and needs no library. No element has an
id, so that several images may stand in one page. matplotlib, which comes with Ultralytics, is imported for PNG and PDF
alone. Their text is in DejaVu Sans, which it brings along, so that an image does not depend on the machine's fonts, but
for characters that DejaVu Sans lacks; no date is written.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Iterator
from typing import Any

from ..reports import markup_text
from ..wording import printable
from .layout import Point
from .scene import Box, Group, Polyline, Scene, Shape, Text
from .style import FILLS, FONTS, STROKES, TYPES, UNKNOWN_DASHES

CORNER = 4.0
HEAD = (6.5, 3.2)  # length of an arrow's head, and half of its width
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
    length, half = HEAD
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
