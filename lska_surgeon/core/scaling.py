"""What a scale means for widths and repeats; it knows no block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import GraphError

#: More than any network's depth or width is scaled by.
MOST_SCALED = 1000
#: Larger widths and repeats are as absurd as this one; it keeps what is worked out of them small.
_FAR = 2**40


class AbsurdScaleError(GraphError):
    """Numbers that no network is scaled by."""


@dataclass(frozen=True)
class Scaling:
    """What a scale means: `[depth, width, max_channels]`."""

    letter: str | None = None
    depth: float = 1.0
    width: float = 1.0
    max_channels: float = math.inf

    def channels(self, c: float) -> int:
        """make_divisible(min(c, max_channels) * width, 8)."""
        return math.ceil(max(min(c, self.max_channels, _FAR), -_FAR) * self.width / 8) * 8

    def repeats(self, n: int) -> int:
        """A row's repeats after depth scaling."""
        return max(round(min(n, _FAR) * self.depth), 1) if n > 1 else n


def scaling_of(settings: Mapping[str, Any], letter: str | None = None) -> Scaling:
    """The scaling that Ultralytics takes for a scale; without a letter, the first of `scales`.

    Raises:
        GraphError: the model has no such scale, or its entry is not three numbers.
        AbsurdScaleError: they are three numbers by which no network is scaled.
    """
    scales = settings.get("scales")
    if not scales:
        return Scaling(letter, _multiple(settings, "depth_multiple"), _multiple(settings, "width_multiple"))
    if not isinstance(scales, Mapping):
        raise GraphError("scales is not a mapping such as {n: [0.33, 0.25, 1024]}")
    entries = {str(key): entry for key, entry in scales.items()}
    letter = letter or next(iter(entries))
    if letter not in entries:
        raise GraphError(f"no scale {letter}: this model has {', '.join(entries)}")
    entry = entries[letter]
    if not isinstance(entry, list) or len(entry) != 3 or not (all(map(_is_factor, entry[:2])) and _is_most(entry[2])):
        raise GraphError(f"scale {letter} is {entry}: it needs [depth, width, max_channels]")
    _refuse_absurd(f"scale {letter}", entry[:2])
    return Scaling(letter, *map(float, entry))


def _multiple(settings: Mapping[str, Any], key: str) -> float:
    value = settings.get(key, 1.0)
    if not _is_factor(value):
        raise GraphError(f"{key} is {value!r}: it needs a number")
    _refuse_absurd(key, [value])
    return float(value)


def _refuse_absurd(what: str, factors: Sequence[float]) -> None:
    worst = max(factors)
    if worst > MOST_SCALED:
        raise AbsurdScaleError(f"{what} multiplies by {worst}: depth and width may be multiplied by 0 to {MOST_SCALED}")


def _is_factor(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < math.inf


def _is_most(value: Any) -> bool:
    return isinstance(value, (int, float)) and value > 0
