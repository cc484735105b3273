"""Which lane of a gutter each net runs up and down in; it knows no boxes.

Lanes are ordered so that few nets cross; nets that do not overlap may have the same lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_BEHIND = 14.0  # pixels between two nets that have one lane
_ROUNDS = 12


@dataclass(eq=False, repr=False)
class Net:
    """What one source has in one gutter: heights of its stubs on either side."""

    left: set[float] = field(default_factory=set)
    right: set[float] = field(default_factory=set)

    @property
    def reach(self) -> tuple[float, float]:
        heights = self.left | self.right
        return min(heights), max(heights)


def lanes_of(nets: Mapping[int, Mapping[int, Net]]) -> dict[tuple[int, int], int]:
    """(gutter, source) -> lane, from the left.

    Args:
        nets: gutter -> source -> its net there.
    """
    lanes: dict[tuple[int, int], int] = {}
    for gutter, here in nets.items():
        order = _few_crossings(here)
        for at, source in enumerate(order):
            before = [lanes[gutter, other] for other in order[:at] if _overlap(here[other], here[source])]
            lanes[gutter, source] = 1 + max(before, default=-1)
    return lanes


def _overlap(one: Net, other: Net) -> bool:
    return one.reach[0] < other.reach[1] + _BEHIND and other.reach[0] < one.reach[1] + _BEHIND


def _few_crossings(nets: Mapping[int, Net]) -> list[int]:
    """The nets of a gutter from the left to the right; neighbours change places while that saves crossings."""

    def crossings(left: int, right: int) -> int:
        low, high = nets[left].reach
        below, above = nets[right].reach
        return sum(low < y < high for y in nets[right].left) + sum(below < y < above for y in nets[left].right)

    order = sorted(nets, key=lambda source: (nets[source].reach, source))
    for _ in range(_ROUNDS):
        changed = False
        for at in range(len(order) - 1):
            one, other = order[at : at + 2]
            if crossings(other, one) < crossings(one, other):
                order[at : at + 2] = [other, one]
                changed = True
        if not changed:
            break
    return order
