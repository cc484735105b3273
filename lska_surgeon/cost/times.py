"""What was measured, as plain frozen values that print themselves; it measures nothing and knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..reports import Part, Table, bullets, drawn, html, markdown
from ..wording import counted, message

_NOISY, _WIDE = 0.01, 0.03  # how far from 1 the first model against itself may be, and the ends of its interval
_HEADER = ("model", "median ms", "p95 ms", "ratio", "95% interval")


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
        how, ratio = self.how, self.again[0]
        threads = f", {counted(how['threads'], 'thread')}" if how["threads"] else ""
        clock = f", {how['clock_mhz']} MHz" if how["clock_mhz"] else ""
        size = "x".join(map(str, how["imgsz"]))
        nms = ", with NMS" if how["nms"] else ""
        said = (
            f"{how['device']}{clock}{threads}, {how['runtime']}, {how['precision']}, batch {how['batch']}, {size}{nms}"
            f", {how['rounds']} rounds, torch {how['torch']}, ultralytics {how['ultralytics']}"
        )
        itself = f"the first model against itself: {ratio:.3f} [{self.again[1]:.3f}, {self.again[2]:.3f}]"
        if not self.quiet:
            itself += ": this machine is too noisy to tell differences of a few percent"
        return said, itself

    @property
    def quiet(self) -> bool:
        """Whether the first model takes as long as itself, within 1%, and not by chance: its interval within 3%."""
        ratio, low, high = self.again
        return abs(ratio - 1) <= _NOISY and max(abs(low - 1), abs(high - 1)) <= _WIDE

    def _table(self) -> Table:
        rows = [
            [
                row.name,
                f"{row.median * 1e3:.2f}",
                f"{row.p95 * 1e3:.2f}",
                f"{row.ratio:.3f}",
                f"[{row.low:.3f}, {row.high:.3f}]",
            ]
            for row in self.rows
        ]
        return Table(_HEADER, rows, range(1, 5))

    def __str__(self) -> str:
        return drawn(self.parts())

    def parts(self) -> tuple[Part, ...]:
        """The table, and what one has to know to read it."""
        return self._table(), "\n".join(message(f"Note: {note}") for note in self.notes)

    def markdown(self) -> str:
        """A table for a pull request."""
        return f"{markdown(self._table())}\n\n{bullets(self.notes)}"

    def _repr_html_(self) -> str:
        return "\n".join(map(html, self.parts()))

    def to_dict(self) -> dict[str, Any]:
        """As `--json` writes it; times in seconds."""
        return {
            "schema": 1,
            "rows": [vars(row) for row in self.rows],
            "again": {"ratio": self.again[0], "low": self.again[1], "high": self.again[2], "quiet": self.quiet},
            "how": dict(self.how),
            "notes": list(self.notes),
        }
