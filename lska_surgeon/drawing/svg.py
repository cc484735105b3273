"""A scene as SVG: selectable text, titles on hover, light and (on screens) dark; it needs no library.

The same scene gives the same bytes. No element has an id, so that several images may stand in one page.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..reports import markup_text
from .palette import FILLS, FONTS, STROKES, TYPES, UNKNOWN_DASHES
from .scene import Box, Group, Line, Point, Scene, Shape, Text

CORNER = 4.0
HEAD = (6.5, 3.2)  # length of an arrow's head, and half of its width


def svg_of(scene: Scene) -> str:
    """The scene as an SVG document."""
    size = f'width="{number(scene.width)}" height="{number(scene.height)}"'
    box = f"0 0 {number(scene.width)} {number(scene.height)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="{box}" role="img" class="lsd">',
        f"<title>{markup_text(scene.title)}</title>",
        f"<desc>{markup_text(scene.description)}</desc>",
        f"<style>\n{_style_sheet(scene)}</style>",
        *(line for group in scene.groups for line in _group(group)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """A coordinate with at most two digits behind the point."""
    return f"{round(value, 2):g}" if abs(value) < 1e5 else f"{value:.0f}"


def _group(group: Group) -> Iterator[str]:
    name = f' data-name="{markup_text(group.name)}"' if group.name else ""
    yield f"<g{name}>"
    if group.title:
        yield f"<title>{markup_text(group.title)}</title>"
    for shape in group.shapes:
        yield from _shape(shape)
    yield "</g>"


def _shape(shape: Shape) -> Iterator[str]:
    if isinstance(shape, Box):
        place = " ".join(
            f'{key}="{number(value)}"'
            for key, value in (("x", shape.x), ("y", shape.y), ("width", shape.width), ("height", shape.height))
        )
        dashes = f' stroke-dasharray="{" ".join(map(number, UNKNOWN_DASHES))}"' if shape.dashed else ""
        yield f'<rect {place} rx="{number(shape.radius)}" class="lsd-b-{shape.style}"{dashes}/>'
    elif isinstance(shape, Line):
        yield f'<path d="{_path(shape)}" class="lsd-l-{shape.style}"/>'
        if shape.head:
            corners = " L".join(f"{number(x)} {number(y)}" for x, y in head_of(shape.points))
            yield f'<path d="M{corners} Z" class="lsd-h-{shape.style}"/>'
    else:
        yield _text(shape)


def _text(text: Text) -> str:
    anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
    place = f'x="{number(text.x)}" y="{number(text.y)}"'
    return f'<text {place} class="lsd-t-{text.style}"{anchor}>{markup_text(text.text)}</text>'


def head_of(points: tuple[Point, ...]) -> tuple[Point, Point, Point]:
    """The corners of the head of an arrow that ends in the last point."""
    (x0, y0), (x, y) = points[-2:]
    length, half = HEAD
    if x0 == x:
        back = y - length if y > y0 else y + length
        return (x, y), (x - half, back), (x + half, back)
    back = x - length if x > x0 else x + length
    return (x, y), (back, y - half), (back, y + half)


def rounded(line: Line) -> Iterator[tuple[Point, Point, Point]]:
    """Each corner of a line: where the curve begins, the corner, and where the curve ends."""
    for before, corner, behind in zip(line.points, line.points[1:], line.points[2:]):
        yield _towards(corner, before), corner, _towards(corner, behind)


def _towards(corner: Point, other: Point) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    step = min(CORNER, length / 2) / length if length else 0.0
    return corner[0] + dx * step, corner[1] + dy * step


def _path(line: Line) -> str:
    parts = [f"M{_at(line.points[0])}"]
    for begin, corner, end in rounded(line):
        parts.append(f"L{_at(begin)} Q{_at(corner)} {_at(end)}")
    return " ".join([*parts, f"L{_at(line.points[-1])}"])


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _style_sheet(scene: Scene) -> str:
    """The styles that occur."""
    shapes = [shape for group in scene.groups for shape in group.shapes]
    boxes = [style for style in FILLS if any(isinstance(one, Box) and one.style == style for one in shapes)]
    lines = [style for style in STROKES if any(isinstance(one, Line) and one.style == style for one in shapes)]
    texts = [style for style in TYPES if any(isinstance(one, Text) and one.style == style for one in shapes)]
    light = [f".lsd {{ font-family: {FONTS}; }}"]
    light += [_rule(f"b-{style}", stroke_width=number(FILLS[style].width)) for style in boxes]
    for style in lines:
        stroke = STROKES[style]
        dashes = {"stroke_dasharray": " ".join(map(number, stroke.dashes))} if stroke.dashes else {}
        light.append(_rule(f"l-{style}", fill="none", stroke_width=number(stroke.width), **dashes))
    for style in texts:
        weight = {"font_weight": "bold"} if TYPES[style].bold else {}
        light.append(_rule(f"t-{style}", font_size=f"{number(TYPES[style].size)}px", **weight))
    light += _colours(boxes, lines, texts, 0)
    dark = "".join(f"  {rule}\n" for rule in _colours(boxes, lines, texts, 1))
    return "\n".join(light) + "\n@media screen and (prefers-color-scheme: dark) {\n" + dark + "}\n"


def _colours(boxes: list[str], lines: list[str], texts: list[str], theme: int) -> list[str]:
    return [
        *(_rule(f"b-{one}", fill=FILLS[one].inside[theme], stroke=FILLS[one].border[theme]) for one in boxes),
        *(_rule(f"l-{one}", stroke=STROKES[one].colour[theme]) for one in lines),
        *(_rule(f"h-{one}", fill=STROKES[one].colour[theme]) for one in lines),
        *(_rule(f"t-{one}", fill=TYPES[one].colour[theme]) for one in texts),
    ]


def _rule(name: str, **properties: str) -> str:
    body = " ".join(f"{key.replace('_', '-')}: {value};" for key, value in properties.items())
    return f".lsd-{name} {{ {body} }}"
