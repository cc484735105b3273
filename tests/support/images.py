"""Images read back from their SVG, and what must be true of each of them; text is measured with a real font."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
from fontTools.ttLib import TTFont

from lska_surgeon.core.graph import Graph

SVG = "{http://www.w3.org/2000/svg}"
Point = tuple[float, float]
_TOUCHING = 0.02  # coordinates have two digits behind the point


@dataclass(frozen=True)
class Rect:
    """A rectangle, by its sides."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Rect) -> bool:
        return (
            self.left < other.right - _TOUCHING
            and other.left < self.right - _TOUCHING
            and self.top < other.bottom - _TOUCHING
            and other.top < self.bottom - _TOUCHING
        )

    def holds(self, other: Rect) -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True)
class Words:
    """A text, the group that it stands in, and the room that it takes."""

    group: str
    text: str
    room: Rect


@dataclass(frozen=True)
class Image:
    """An SVG, read back.

    Attributes:
        page: the page.
        boxes: of rows and the image, by name.
        marks: names of positions, with their place.
        wires: corners of each arrow, by name.
        styles: of boxes, marks and arrows, by name.
        words: all texts.
        names: of all groups that have one, as often as they stand there.
        titles: what is told on hover, by name.
    """

    page: Rect
    boxes: dict[str, Rect]
    marks: dict[str, Rect]
    wires: dict[str, tuple[Point, ...]]
    styles: dict[str, str]
    words: tuple[Words, ...]
    names: Counter[str]
    titles: dict[str, str]

    def lines(self, name: str) -> list[str]:
        """The texts in a group."""
        return [words.text for words in self.words if words.group == name]


def read(svg: str) -> Image:
    """Read an SVG back."""
    root = ElementTree.fromstring(svg)
    boxes: dict[str, Rect] = {}
    marks: dict[str, Rect] = {}
    wires: dict[str, tuple[Point, ...]] = {}
    styles: dict[str, str] = {}
    words: list[Words] = []
    names: Counter[str] = Counter()
    titles: dict[str, str] = {}
    kinds = _types(svg)
    for group in root.iter(f"{SVG}g"):
        name = group.get("data-name", "")
        if name:
            names[name] += 1
            if name.startswith("mark-") and names[name] > 1:  # of a map that two output layers read
                name = f"{name}-{names[name]}"
            titles[name] = group.findtext(f"{SVG}title") or ""
        words += [_words(name, text, kinds) for text in group.iter(f"{SVG}text")]
        for rect in group.iter(f"{SVG}rect"):
            if name:
                (marks if name.startswith("mark-") else boxes)[name] = _rect(rect)
                styles[name] = rect.get("class", "").removeprefix("lsd-b-")
        for path in group.iter(f"{SVG}path"):
            if name and "lsd-l-" in path.get("class", ""):
                wires[name] = _corners(path.get("d", ""))
                styles[name] = path.get("class", "").removeprefix("lsd-l-")
    page = Rect(0.0, 0.0, float(root.get("width", 0)), float(root.get("height", 0)))
    return Image(page, boxes, marks, wires, styles, tuple(words), names, titles)


def assert_sound(image: Image, graph: Graph) -> None:
    """All that must be true of the image of any network."""
    assert_complete(image, graph)
    for (one, here), (other, there) in combinations(image.boxes.items(), 2):
        assert not here.meets(there), f"{one} and {other} overlap"
    for words in image.words:
        box = image.boxes.get(words.group) or image.marks.get(words.group) or image.page
        assert box.holds(words.room), f"{words.text!r} leaves {words.group or 'the page'}"
    for one, other in combinations(image.words, 2):
        assert not one.room.meets(other.room), f"{one.text!r} and {other.text!r} overlap"
    for (one, here), (other, there) in combinations(image.marks.items(), 2):
        assert not here.meets(there), f"{one} and {other} overlap"
    for name, points in image.wires.items():
        for segment in zip(points, points[1:]):
            room = _room(*segment)
            assert image.page.holds(room), f"{name} leaves the page"
            for box, rect in image.boxes.items():
                assert not rect.meets(room), f"{name} runs through {box}"
            for words in image.words:
                assert not words.room.meets(room), f"{name} crosses {words.text!r}"
    assert_ends_meet(image)
    assert_apart(image)


def assert_complete(image: Image, graph: Graph) -> None:
    """Every row and every source of the graph stands in the image once, and nothing else does."""
    rows = {f"row-{layer.index}": 1 for layer in graph}
    edges = {f"edge-{source}-{layer.index}-{slot}": 1 for layer in graph for slot, source in enumerate(layer.sources)}
    drawn = {name: count for name, count in image.names.items() if not name.startswith("mark-")}
    assert drawn == {**rows, **edges, "image": 1}
    assert set(image.wires) == set(edges)
    assert set(image.boxes) == {*rows, "image"}


def assert_ends_meet(image: Image) -> None:
    """Every arrow begins on the border of its source and ends on that of its consumer."""
    for name, points in image.wires.items():
        found = re.fullmatch(r"edge-(-?\d+)-(\d+)-\d+", name)
        assert found, name
        source = image.boxes["image" if found[1] == "-1" else f"row-{found[1]}"]
        assert _on_border(points[0], source), f"{name} does not begin at its source"
        assert _on_border(points[-1], image.boxes[f"row-{found[2]}"]), f"{name} does not end at its consumer"
        for (x0, y0), (x1, y1) in zip(points, points[1:]):
            assert x0 == x1 or y0 == y1, f"{name} is not right-angled"


def assert_apart(image: Image) -> None:
    """No arrow runs on one of another source, and no two end in one point."""
    ends = Counter(points[-1] for points in image.wires.values())
    assert max(ends.values()) == 1, ends.most_common(3)
    segments = [
        (name.split("-", 1)[1].rsplit("-", 2)[0], name, segment)
        for name, points in image.wires.items()
        for segment in zip(points, points[1:])
    ]
    for (source, one, a), (other_source, other, b) in combinations(segments, 2):
        assert source == other_source or not _run_together(a, b), f"{one} runs on {other}"


def _run_together(a: tuple[Point, Point], b: tuple[Point, Point]) -> bool:
    for across in (0, 1):
        along = 1 - across
        if a[0][across] == a[1][across] and b[0][across] == b[1][across]:
            near = abs(a[0][across] - b[0][across]) < 2
            low = max(min(a[0][along], a[1][along]), min(b[0][along], b[1][along]))
            high = min(max(a[0][along], a[1][along]), max(b[0][along], b[1][along]))
            if near and high - low > _TOUCHING:
                return True
    return False


def _on_border(point: Point, rect: Rect) -> bool:
    x, y = point
    upright = min(abs(x - rect.left), abs(x - rect.right)) <= _TOUCHING and rect.top < y < rect.bottom
    level = min(abs(y - rect.top), abs(y - rect.bottom)) <= _TOUCHING and rect.left < x < rect.right
    return upright or level


def _room(begin: Point, end: Point) -> Rect:
    """A segment as a thin rectangle, its ends left out where it is long enough."""
    (x0, x1), (y0, y1) = sorted((begin[0], end[0])), sorted((begin[1], end[1]))
    return Rect(x0 - 0.3, y0, x1 + 0.3, y1) if x0 == x1 else Rect(x0, y0 - 0.3, x1, y1 + 0.3)


def _rect(element: Any) -> Rect:
    x, y, width, height = (float(element.get(key)) for key in ("x", "y", "width", "height"))
    return Rect(x, y, x + width, y + height)


def _corners(path: str) -> tuple[Point, ...]:
    """The corners of a line whose corners are rounded: where it begins, what its curves lean to, where it ends."""
    commands = re.findall(r"([MLQ])([-\d. ]+)", path)
    numbers = [(letter, [float(one) for one in values.split()]) for letter, values in commands]
    assert numbers[0][0] == "M"
    assert numbers[-1][0] == "L"
    corners = [(values[0], values[1]) for letter, values in numbers if letter == "Q"]
    return ((numbers[0][1][0], numbers[0][1][1]), *corners, (numbers[-1][1][0], numbers[-1][1][1]))


def _types(svg: str) -> dict[str, tuple[float, bool]]:
    """Class of texts -> size, and whether it is bold."""
    rules = re.findall(r"^\.(lsd-t-[\w-]+) \{ font-size: ([\d.]+)px;( font-weight: bold;)? \}", svg, re.MULTILINE)
    return {name: (float(size), bool(bold)) for name, size, bold in rules}


def _words(group: str, element: Any, kinds: dict[str, tuple[float, bool]]) -> Words:
    size, bold = kinds[element.get("class")]
    text, x, y = element.text or "", float(element.get("x")), float(element.get("y"))
    width = measured(text, size, bold)
    left = {"middle": x - width / 2, "end": x - width}.get(element.get("text-anchor", "start"), x)
    return Words(group, text, Rect(left, y - 0.76 * size, left + width, y + 0.24 * size))


@cache
def _font(bold: bool) -> tuple[dict[int, int], float]:
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")
    font = TTFont(path)
    metrics = font["hmtx"]
    return {code: metrics[name][0] for code, name in font.getBestCmap().items()}, font["head"].unitsPerEm


def measured(text: str, size: float, bold: bool) -> float:
    """How wide a text is in DejaVu Sans, the widest of the fonts that a viewer may take."""
    widths, units = _font(bold)
    return sum(widths.get(ord(one), units) for one in text) * size / units
