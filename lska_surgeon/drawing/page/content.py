"""What a report shows, as plain values; it knows neither recipes nor HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Score:
    """A metric over several trainings.

    Attributes:
        mean, deviation: over the seeds; the deviation is None for one seed.
        seeds: how many trainings.
        difference: to the base, in words ("+0.004 (-0.002 to +0.010)"), or None.
    """

    mean: float
    deviation: float | None
    seeds: int
    difference: str | None = None


@dataclass(frozen=True)
class ReportRow:
    """One network of a report.

    Attributes:
        name: its file, or the base's name.
        edits: what was done to its base, in words; empty for a base.
        base: name of its base; its own name for a base.
        params, macs: of the whole network for one picture, fused; None when not known.
        params_added, macs_added: what it has more than its base; None when not known.
        latency: median seconds for one picture, or None.
        scores: metric -> its score; empty where nothing was trained.
        drawing: the network as SVG, or None.
        notes: what the reader should be told.
    """

    name: str
    edits: str
    base: str
    params: int | None
    macs: int | None
    params_added: int | None = None
    macs_added: int | None = None
    latency: float | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    drawing: str | None = None
    notes: Sequence[str] = ()

    @property
    def gflops(self) -> float | None:
        """2 x GMACs."""
        return None if self.macs is None else 2 * self.macs / 1e9


@dataclass(frozen=True)
class Report:
    """All of a report.

    Attributes:
        title: the recipe's name.
        command: what made it, to be typed again.
        imgsz: height and width at which costs were counted, pixels.
        rows: bases first, each followed by its variants.
        curves: title -> SVG of cost against kernel size.
        fields: title -> picture of receptive fields, as a data URL.
        missing: what is not there, and the command that would bring it.
    """

    title: str
    command: str
    imgsz: tuple[int, int]
    rows: Sequence[ReportRow]
    curves: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[tuple[str, str]] = ()

    @property
    def metrics(self) -> list[str]:
        """Every metric that some row has."""
        return list(dict.fromkeys(metric for row in self.rows for metric in row.scores))
