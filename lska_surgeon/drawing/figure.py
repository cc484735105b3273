"""What stands in an image of a network, before anything has a place: boxes, arrows, words; it knows no coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: Columns, from left to right; each may be drawn as several.
BACKBONE, NECK, OUTPUT = "backbone", "neck", "output layer"
#: Kind of a box -> what the legend calls it. Colours go by kind.
KINDS = {
    "conv": "convolution, down-sampling",
    "block": "block",
    "pool": "pooling",
    "psa": "self-attention",
    "fuse": "fusion",
    "up": "up-sampling",
    "other": "other",
    "output": "output layer",
    "operator": "operator",
    "kept": "in both",
    "changed": "changed",
    "new": "new",
}
#: State of an arrow -> what the legend calls it, where it calls it anything.
PLAIN, NEW, REWIRED = "plain", "new", "rewired"


class Mark(NamedTuple):
    """A position's name on a box or on an arrow.

    Attributes:
        name: the position, "neck".
        inside: whether an operator goes into the block, and not behind it.
        title: what `--at` takes for this one place.
    """

    name: str
    inside: bool
    title: str


@dataclass(frozen=True)
class Node:
    """A row of the network, or the image that it reads.

    Attributes:
        index: the row's index; `IMAGE` for the image.
        part: `BACKBONE`, `NECK` or `OUTPUT`.
        stride: pixels per cell; None where it gives no map.
        lines: what stands in the box, the first in bold.
        kind: one of `KINDS`.
        title: what is told on hover.
        marks: positions.
        unknown: whether its width or stride is not known.
    """

    index: int
    part: str
    stride: float | None
    lines: tuple[str, ...]
    kind: str
    title: str
    marks: tuple[Mark, ...] = ()
    unknown: bool = False


class Edge(NamedTuple):
    """That a row reads another.

    Attributes:
        source: an index; `IMAGE` for the image.
        consumer: an index.
        slot: which of the consumer's sources this is, counted from 0.
        state: `PLAIN`, `NEW` or `REWIRED`.
        title: what is told on hover.
        marks: positions.
    """

    source: int
    consumer: int
    slot: int
    state: str
    title: str
    marks: tuple[Mark, ...] = ()


class Figure(NamedTuple):
    """All that stands in an image.

    Attributes:
        title: the model's name.
        subtitle: scale, size, and what operators cost.
        nodes: the image and all rows, in order.
        edges: by consumer, then by slot.
        levels: stride -> the name of that level, "P3/8".
        captions: sentences below.
        positions: positions that are marked -> what they mean; empty where none are.
    """

    title: str
    subtitle: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    levels: Mapping[float, str]
    captions: tuple[str, ...] = ()
    positions: Mapping[str, str] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that occur, in the order of `KINDS`."""
        there = {node.kind for node in self.nodes if node.index >= 0}
        return tuple(kind for kind in KINDS if kind in there)
