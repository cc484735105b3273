"""A scatter plot as SVG whose points are links, with error bars and the bases' lines; it knows no networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from ..figures import COLOURS

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 16, 48


@dataclass(frozen=True)
class Point:
    """One network.

    Attributes:
        x, y: where it stands.
        spread: half the length of its error bar, or None.
        label: what its title says.
        link: the id that it leads to.
        base: whether it is a base, whose height is drawn as a line.
    """

    x: float
    y: float
    label: str
    link: str
    spread: float | None = None
    base: bool = False


def scatter(points: Sequence[Point], x_label: str, y_label: str) -> str:
    """The plot, 720 x 380 units; empty for no points."""
    if not points:
        return ""
    xs = _Axis([p.x for p in points], _LEFT, _WIDTH - _RIGHT)
    spread = [p.y + side * (p.spread or 0) for p in points for side in (-1, 1)]
    ys = _Axis(spread, _HEIGHT - _BOTTOM, _TOP)
    name = quoteattr(f"{y_label} / {x_label}")
    parts = [f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label={name}>']
    for value in xs.ticks:
        at = xs.place(value)
        parts.append(f'<line class="grid" x1="{at}" y1="{_TOP}" x2="{at}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{at}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    for value in ys.ticks:
        at = ys.place(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{at}" x2="{_WIDTH - _RIGHT}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:g}" text-anchor="end">{value:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) // 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="rotate(-90)" x="{-(_TOP + _HEIGHT - _BOTTOM) // 2}" y="14"'
    parts.append(f'<text {turned} text-anchor="middle">{escape(y_label)}</text>')
    parts += [_base_line(point, ys) for point in points if point.base]
    parts += [_mark(point, xs, ys) for point in points]
    return "\n".join([*parts, "</svg>"])


def _base_line(point: Point, ys: _Axis) -> str:
    at = ys.place(point.y)
    return f'<line class="base" x1="{_LEFT}" y1="{at}" x2="{_WIDTH - _RIGHT}" y2="{at}"/>'


def _mark(point: Point, xs: _Axis, ys: _Axis) -> str:
    x, y = xs.place(point.x), ys.place(point.y)
    bar = ""
    if point.spread:
        low, high = ys.place(point.y - point.spread), ys.place(point.y + point.spread)
        bar = f'<line class="bar" x1="{x}" y1="{low}" x2="{x}" y2="{high}"/>'
    # A base is a square, so that grey and colour-blind eyes tell it apart.
    if point.base:
        shape = f'<rect x="{x - 5:g}" y="{y - 5:g}" width="10" height="10" fill="{COLOURS[1]}"/>'
    else:
        shape = f'<circle cx="{x}" cy="{y}" r="5" fill="{COLOURS[0]}"/>'
    return f"<a href={quoteattr('#' + point.link)}><title>{escape(point.label)}</title>{bar}{shape}</a>"


class _Axis:
    """Values between two places, with a margin, and round numbers to mark."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
        self.low, self.high = low - margin, high + margin
        self.start, self.end = start, end

    def place(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Four to ten round numbers inside."""
        raw = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(raw))
        step = next(one * power for one in (1, 2, 5, 10) if one * power >= raw)
        first = math.ceil(self.low / step)
        return [round(number * step, 12) for number in range(first, math.floor(self.high / step) + 1)]
