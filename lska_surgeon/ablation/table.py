"""The table of results as a value: rows, runs and notes; it compares nothing and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..recipes.variants import Kind
from .networks import LARGER, VARIANT
from .runs import Costs, Run
from .statistics import Comparison

#: Metrics that a table shows, where the runs have them, in this order.
SHOWN = ("mAP50", "mAP50-95", "precision", "recall", "top1", "top5")
_KERNEL = re.compile(r"^(.*)-k(\d{1,9})(.*)$")


def _parts(metric: str) -> tuple[str, str]:
    """`mAP50(M)` -> `mAP50` and `(M)`."""
    name, bracket, letter = metric.partition("(")
    return name, bracket + letter


@dataclass(frozen=True)
class Summary:
    """A metric over seeds; `sd` is None for one seed."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Row:
    """One network on one data set.

    Attributes:
        network, data, role, base: which one, and what it is compared with.
        costs: parameters and GFLOPs.
        unfinished: state -> how many of its cells are in it; those whose numbers count are left out.
        metrics: metric -> its summary.
        values: seed -> the value of the metric that is compared.
        comparison: against the base; None for a base, and where no seed is common.
        verdict: what the comparison shows, or why it shows nothing; "" without one.
        dominated: how plain scaling does better at the same GFLOPs, or None.
        seconds: median latency of one image, where it was measured.
        best: metrics of which it is the best by far, see `results`.
        noticed: kind of what one has to know, such as "early stop" -> how many of its runs it concerns.
        notes: what one has to know of its runs, in words.
    """

    network: str
    data: str
    role: str
    base: str
    costs: Costs
    unfinished: Mapping[str, int]
    metrics: Mapping[str, Summary]
    values: Mapping[int, float]
    comparison: Comparison | None = None
    verdict: str = ""
    dominated: str | None = None
    seconds: float | None = None
    best: tuple[str, ...] = ()
    noticed: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        plain = {name: value for name, value in vars(self).items() if name not in ("costs", "metrics", "comparison")}
        return {
            **plain,
            **vars(self.costs),
            "metrics": {name: vars(summary) for name, summary in self.metrics.items()},
            "comparison": vars(self.comparison) if self.comparison else None,
        }


@dataclass(frozen=True)
class Table:
    """The table of an ablation, or of runs that were there.

    Attributes:
        name: of the recipe, or of the folders.
        metric: what is compared.
        rows: all networks, a base before its variants.
        runs: every training behind them.
        notes: what one has to know to read the numbers.
        resolution: what the seeds can show.
        columns: those that are shown, by name; none for all.
        labels: network, data or family -> what to call it where it is shown.
        kinds: network -> what it has, where that is one kernel size throughout.
    """

    name: str
    metric: str
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    resolution: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def data(self) -> list[str]:
        """The names of all data."""
        return list(dict.fromkeys(row.data for row in self.rows))

    def metrics_of(self, row: Row) -> Summary:
        """What a row came to in the metric that is compared."""
        return row.metrics[self.metric]

    def label(self, name: str) -> str:
        """What to call a network, data or a family where it is shown."""
        return self.labels.get(name, name)

    def kind(self, row: Row) -> Kind | None:
        """What a variant has; of plain runs by its name, such as `yolov8s-lska-neck-k35`."""
        named = _KERNEL.match(row.network)
        if row.role != VARIANT or row.network in self.kinds or named is None:
            return self.kinds.get(row.network)
        return Kind(row.base, (named[1] + named[3],), "", int(named[2]))

    def series_of(self, row: Row) -> tuple[str, str]:
        """What has one colour: all of one base that differ in kernel size alone, or this one network."""
        kind = self.kind(row)
        return row.base, kind.family if kind else row.network

    @property
    def series(self) -> dict[tuple[str, str], int]:
        """What has a colour -> its number: base after base, larger bases last, as in the report of a recipe."""
        roles = (VARIANT, LARGER)
        rows = [row for role in roles for row in self.rows if row.role == role]
        return {name: number for number, name in enumerate(dict.fromkeys(map(self.series_of, rows)))}

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are shown, those of what is compared first: of masks before boxes."""
        there = dict.fromkeys(name for row in self.rows for name in row.metrics)
        known = [name for name in there if _parts(name)[0] in SHOWN]
        known.sort(key=lambda name: (_parts(name)[1] != _parts(self.metric)[1], SHOWN.index(_parts(name)[0])))
        return tuple(dict.fromkeys([*known, *([self.metric] if self.metric in there else [])]))

    def to_dict(self) -> dict[str, Any]:
        """As `--json` writes it, with every run."""
        return {
            "schema": 1,
            "name": self.name,
            "metric": self.metric,
            "rows": [row.to_dict() for row in self.rows],
            "runs": [run.to_dict() for run in self.runs],
            "resolution": dict(self.resolution),
            "notes": list(self.notes),
        }
