"""What was measured, as plain frozen values that print themselves; it measures nothing and knows no torch."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..tables import pipes, table

_NOISY = 0.01
_HEADER = ("model", "median ms", "p95 ms", "ratio", "95% interval")


def how_in_words(how: Mapping[str, Any]) -> str:
    """All that times depend on, in one line."""
    threads = f", {how['threads']} threads" if how["threads"] else ""
    clock = f", {how['clock_mhz']} MHz" if how["clock_mhz"] else ""
    size = "x".join(map(str, how["imgsz"]))
    nms = ", with NMS" if how["nms"] else ""
    return (
        f"{how['device']}{clock}{threads}, {how['runtime']}, {how['precision']}, batch {how['batch']}, {size}{nms}"
        f", {how['rounds']} rounds, torch {how['torch']}, ultralytics {how['ultralytics']}"
    )


@dataclass(frozen=True)
class Latency:
    """One model's times.

    Attributes:
        name: as the user gave it.
        median, p95: seconds.
        ratio: of the medians, to the first model.
        low, high: its 95% interval.
    """

    name: str
    median: float
    p95: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Latencies:
    """Models measured side by side.

    Attributes:
        rows: the models.
        again: the first model against itself: ratio and interval.
        how: device, versions and all else that the numbers depend on.
    """

    rows: tuple[Latency, ...]
    again: tuple[float, float, float]
    how: Mapping[str, Any]

    @property
    def notes(self) -> tuple[str, ...]:
        """What one has to know to read the numbers."""
        ratio = self.again[0]
        itself = f"the first model against itself: {ratio:.3f} [{self.again[1]:.3f}, {self.again[2]:.3f}]"
        if not self.quiet:
            itself += ": this machine is too noisy to tell differences of a few percent"
        return how_in_words(self.how), itself

    @property
    def quiet(self) -> bool:
        """Whether the first model takes as long as itself, within 1%."""
        return abs(self.again[0] - 1) <= _NOISY

    def _cells(self) -> list[list[str]]:
        return [
            [
                row.name,
                f"{row.median * 1e3:.2f}",
                f"{row.p95 * 1e3:.2f}",
                f"{row.ratio:.3f}",
                f"[{row.low:.3f}, {row.high:.3f}]",
            ]
            for row in self.rows
        ]

    def __str__(self) -> str:
        lines = [table(_HEADER, self._cells(), right=range(1, 5)), "", *(f"Note: {note}" for note in self.notes)]
        return "\n".join(lines)

    def markdown(self) -> str:
        """A table for a pull request."""
        return "\n".join([pipes(_HEADER, self._cells()), "", *(f"- {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """As `--json` writes it; times in seconds."""
        return {
            "schema": 1,
            "rows": [vars(row) for row in self.rows],
            "again": {"ratio": self.again[0], "low": self.again[1], "high": self.again[2], "quiet": self.quiet},
            "how": dict(self.how),
            "notes": list(self.notes),
        }
