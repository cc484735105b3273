"""An image as shapes with places and styles, the same for every format that has them; it knows no network."""

from __future__ import annotations

from typing import NamedTuple, Union

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle with rounded corners; `style` is a name of the palette."""

    x: float
    y: float
    width: float
    height: float
    style: str
    radius: float = 4.0
    dashed: bool = False


class Line(NamedTuple):
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


Shape = Union[Box, Line, Text]


class Group(NamedTuple):
    """Shapes that are one thing, told by `title` on hover.

    Attributes:
        name: "row-15", "edge-12-15-0", "mark-neck-12", or nothing.
        title: what is told.
        shapes: in the order in which they are drawn.
    """

    name: str
    title: str
    shapes: tuple[Shape, ...]


class Scene(NamedTuple):
    """An image: its size in pixels, its title and description, and what is in it, in the order of drawing."""

    width: float
    height: float
    title: str
    description: str
    groups: tuple[Group, ...]
