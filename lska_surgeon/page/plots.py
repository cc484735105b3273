"""Plots as SVG whose points are links: scattered or joined, with error bars and base lines; it knows no networks.

Colours, lines and markers are classes, which the page's style fills in for light, dark and paper. Every series has a
marker of its own, so that grey and colour-blind eyes tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..drawing.style import SERIES
from ..reports import markup_text

_WIDTH, _HEIGHT = 470, 300  # units; small, for text has to be read where a telephone shows all of it
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 24, 12, 48
_SIZE = 5.0  # of a marker, from its centre
_LETTER = 8.5  # a digit's width, on a telephone
#: Corners of each series' marker around its centre, by turns; none is a circle.
_MARKERS: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((0, -1.2), (1.2, 0.9), (-1.2, 0.9)),
    ((0, 1.2), (1.2, -0.9), (-1.2, -0.9)),
)


@dataclass(frozen=True)
class Point:
    """One point.

    Attributes:
        x, y: where it stands.
        label: what is told of it.
        link: the id that it leads to; None where it stands for nothing on the page.
        spread: half the length of its error bar, or None.
    """

    x: float
    y: float
    label: str
    link: str | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: for the legend.
        points: in their order.
        number: which colour and marker it has; none of a base counts.
        joined: whether a line joins them.
        base: whether they are what the others are compared with: stars, each with a line across.
    """

    name: str
    points: Sequence[Point]
    number: int = 0
    joined: bool = False
    base: bool = False


def plot(
    series: Sequence[Series], title: str, x_label: str, y_label: str, ticks: Sequence[float] = (), zero: bool = False
) -> str:
    """The plot; empty for no points.

    Args:
        series: what it shows.
        title: what a screen reader calls it.
        x_label, y_label: at the axes.
        ticks: what is marked below; none for round numbers.
        zero: let the upright axis begin at 0.
    """
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    xs = _Axis([point.x for point in points], _LEFT, _WIDTH - _RIGHT, ticks)
    heights = [point.y + side * (point.spread or 0) for point in points for side in (-1, 1)]
    ys = _Axis([*heights, *([0.0] if zero else [])], _HEIGHT - _BOTTOM, _TOP, floor=0.0 if zero else None)
    parts = [f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label="{markup_text(title)}">']
    parts += _grid(xs, ys)
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) // 2}" y="{_HEIGHT - 7}" class="middle">{markup_text(x_label)}</text>'
    )
    turned = f'transform="rotate(-90)" x="{-(_TOP + _HEIGHT - _BOTTOM) // 2}" y="16"'
    parts.append(f'<text {turned} class="middle">{markup_text(y_label)}</text>')
    parts += [_across(point, ys) for one in series if one.base for point in one.points]
    parts += [_line(one, xs, ys) for one in series if one.joined]
    parts += [_mark(point, one, xs, ys) for one in series for point in one.points]
    return "\n".join([*parts, "</svg>"])


def swatch(series: Series) -> str:
    """What stands for a series in a legend."""
    line = '<line x1="0" y1="8" x2="28" y2="8"/>' if series.joined else ""
    linked = " linked" if any(point.link for point in series.points) else ""
    body = f'<g class="{_class(series)}{linked}">{line}{_shape(series, 14, 8)}</g>'
    return f'<svg class="swatch" viewBox="0 0 28 16" width="28" height="16" aria-hidden="true">{body}</svg>'


def _grid(xs: _Axis, ys: _Axis) -> list[str]:
    parts = []
    for value, text in xs.marked:
        at = xs.place(value)
        parts.append(f'<line class="grid" x1="{at}" y1="{_TOP}" x2="{at}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{at}" y="{_HEIGHT - _BOTTOM + 16}" class="middle">{text}</text>')
    for value, text in ys.marked:
        at = ys.place(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{at}" x2="{_WIDTH - _RIGHT}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{at + 4:g}" class="end">{text}</text>')
    return parts


def _across(point: Point, ys: _Axis) -> str:
    at = ys.place(point.y)
    return f'<line class="base" x1="{_LEFT}" y1="{at}" x2="{_WIDTH - _RIGHT}" y2="{at}"/>'


def _line(series: Series, xs: _Axis, ys: _Axis) -> str:
    corners = " ".join(f"{xs.place(point.x)},{ys.place(point.y)}" for point in series.points)
    return f'<polyline class="{_class(series)}" points="{corners}"/>'


def _mark(point: Point, series: Series, xs: _Axis, ys: _Axis) -> str:
    x, y = xs.place(point.x), ys.place(point.y)
    bar = ""
    if point.spread:
        low, high = ys.place(point.y - point.spread), ys.place(point.y + point.spread)
        ends = "".join(f"M{x - 4:g} {end} H{x + 4:g} " for end in (low, high))
        bar = f'<path class="bar" d="M{x} {low} V{high} {ends.rstrip()}"/>'
    inside = f"<title>{markup_text(point.label)}</title>{bar}{_shape(series, x, y)}"
    name = f'class="{_class(series)}"'
    if point.link is None:
        return f"<g {name}>{inside}</g>"
    return f'<a {name} href="#{markup_text(point.link)}" aria-label="{markup_text(point.label)}">{inside}</a>'


def _class(series: Series) -> str:
    return "of-base" if series.base else f"s{series.number % len(SERIES)}"


def _shape(series: Series, x: float, y: float) -> str:
    if series.base:
        turns = [(math.sin(step * math.pi / 5), -math.cos(step * math.pi / 5)) for step in range(10)]
        corners = [(dx * size, dy * size) for (dx, dy), size in zip(turns, [1.6, 0.7] * 5)]
    else:
        corners = list(_MARKERS[series.number % len(_MARKERS)])
    if not corners:
        return f'<circle cx="{x:g}" cy="{y:g}" r="{_SIZE:g}"/>'
    places = " ".join(f"{round(x + _SIZE * dx, 1):g},{round(y + _SIZE * dy, 1):g}" for dx, dy in corners)
    return f'<polygon points="{places}"/>'


class _Axis:
    """Values between two places, with a margin, and what is marked."""

    def __init__(
        self,
        values: Sequence[float],
        start: float,
        end: float,
        ticks: Sequence[float] = (),
        floor: float | None = None,
    ) -> None:
        low, high = min(values), max(values)
        if low == high == 0 and floor is None:
            floor = 0.0  # nothing is below zero where all is nothing
        margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
        self.low, self.high = low - margin if floor is None else floor, high + margin
        self.start, self.end = start, end
        self.marked = self._marks(ticks or self._round_numbers())

    def place(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def _marks(self, ticks: Sequence[float]) -> list[tuple[float, str]]:
        """Each tick with its text, those left out whose text would run into the one before."""
        step = min((b - a for a, b in zip(ticks, ticks[1:])), default=1.0)
        digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
        upright = self.start > self.end
        kept: list[tuple[float, str]] = []
        for value in ticks:
            text = f"{value:.{digits}f}"
            far = upright or not kept or self.place(value) - self.place(kept[-1][0]) > _LETTER * len(text) + 6
            kept += [(value, text)] if far else []
        return kept

    def _round_numbers(self) -> list[float]:
        """Three to ten round numbers inside."""
        raw = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(raw))
        step = next(one * power for one in (1, 2, 5, 10) if one * power >= raw)
        first = math.ceil(self.low / step)
        return [round(number * step, 12) for number in range(first, math.floor(self.high / step) + 1)]
