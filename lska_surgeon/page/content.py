"""What a report shows, as plain values; it knows neither recipes nor HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..cost.curves import CurvePoint
from ..recipes.variants import Kind


@dataclass(frozen=True)
class Score:
    """A metric over several trainings; `deviation` is None for one seed."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class ReportRow:
    """One network of a report.

    Attributes:
        name: its file, or the base's name.
        edits: what was done to its base, in words; empty for a base.
        base: name of its base; its own name for a base.
        params, macs: of the whole network for one image, fused; None when not known.
        params_added, macs_added: what it has more than its base; None when not known.
        latency: median seconds for one image, or None.
        scores: data -> the report's metric; empty where nothing was trained.
        kind: what it has, where that is one kernel size throughout.
        drawing: the network as SVG, or None.
        notes: what the reader should be told.
    """

    name: str
    edits: str
    base: str
    params: int | None = None
    macs: int | None = None
    params_added: int | None = None
    macs_added: int | None = None
    latency: float | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    kind: Kind | None = None
    drawing: str | None = None
    notes: Sequence[str] = ()

    @property
    def is_base(self) -> bool:
        return self.name == self.base

    @property
    def series(self) -> tuple[str, str]:
        """What has one colour: all of one base that differ in kernel size alone, or this one network."""
        return self.base, self.kind.family if self.kind else self.name

    @property
    def gflops(self) -> float | None:
        """2 x GMACs."""
        return None if self.macs is None else 2 * self.macs / 1e9

    @property
    def gflops_added(self) -> float | None:
        """The same of what it has more."""
        return None if self.macs_added is None else 2 * self.macs_added / 1e9


@dataclass(frozen=True)
class Results:
    """What trainings came to, as `lska-surgeon results` tells it.

    Attributes:
        metric: what is compared.
        header: of its table.
        rows: name of a report's row -> its cells, the network's own name first.
        best: (row, column) of cells that are distinguishable from the next best.
        markdown, latex: the table to copy.
        notes: what one has to know to read it.
        labels: network or family of networks -> what the recipe calls it.
    """

    metric: str
    header: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    best: frozenset[tuple[int, int]] = frozenset()
    markdown: str = ""
    latex: str = ""
    notes: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CostCurves:
    """What operators at some positions of a base cost, against their kernel size."""

    base: str
    at: tuple[str, ...]
    points: Sequence[CurvePoint]


@dataclass(frozen=True)
class FieldImage:
    """The effective receptive field of one layer.

    Attributes:
        network: name of a report's row.
        at: "p3", or "layer 9".
        url: the heat map, as a data URL.
        areas: share of the contribution -> part of the image's area that holds it; None for all of it.
    """

    network: str
    at: str
    url: str
    areas: Mapping[float, float | None]


@dataclass(frozen=True)
class Missing:
    """What is not there.

    Attributes:
        what: which part, a key of the report's words.
        command: what would bring it.
        reason: what is in the way, or "".
    """

    what: str
    command: str
    reason: str = ""


@dataclass(frozen=True)
class Trained:
    """What is known of a recipe's networks beside their costs.

    Attributes:
        rows: those that were given, with scores and latency, and the larger bases that were trained.
        results: what trainings came to, or None.
        measured: how latency was measured, and of what it was not.
        fields: effective receptive fields.
        seen: what they were measured with, or "".
        missing: what is not there.
    """

    rows: Sequence[ReportRow]
    results: Results | None = None
    measured: Sequence[str] = ()
    fields: Sequence[FieldImage] = ()
    seen: str = ""
    missing: Sequence[Missing] = ()


@dataclass(frozen=True)
class Report:
    """All of a report.

    Attributes:
        title: the recipe's name.
        command: what made it, to be typed again.
        imgsz: height and width at which costs were counted, pixels.
        rows: bases first, each followed by its variants.
        results: what trainings came to, or None.
        measured: how latency was measured, and of what it was not.
        curves: cost against kernel size.
        fields: effective receptive fields.
        seen: what they were measured with, or "".
        missing: what is not there.
    """

    title: str
    command: str
    imgsz: tuple[int, int]
    rows: Sequence[ReportRow]
    results: Results | None = None
    measured: Sequence[str] = ()
    curves: Sequence[CostCurves] = ()
    fields: Sequence[FieldImage] = ()
    seen: str = ""
    missing: Sequence[Missing] = ()

    @property
    def data(self) -> list[str]:
        """The names of all data that something was trained on."""
        return list(dict.fromkeys(name for row in self.rows for name in row.scores))

    @property
    def series(self) -> dict[tuple[str, str], int]:
        """What has a colour -> its number: base after base, larger bases last, as in the figure of `results`."""
        bases = dict.fromkeys(row.base for row in self.rows)
        rows = [row for base in bases for row in self.rows if row.base == base and not row.is_base]
        rows.sort(key=lambda row: not row.edits)
        return {name: number for number, name in enumerate(dict.fromkeys(row.series for row in rows))}
