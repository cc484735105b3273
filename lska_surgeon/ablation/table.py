"""The table of an ablation, or of runs that were there, as a value: rows, runs and notes; it compares nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..recipes.variants import Kind, Looks, Shown
from .outcomes import KnownCosts, Outcome, columns
from .runs import BASE, LARGER, VARIANT
from .statistics import Comparison

#: Metrics that a table shows, where the runs have them, in this order.
_METRICS = ("mAP50", "mAP50-95", "precision", "recall", "top1", "top5")
_KERNEL = re.compile(r"^(.*)-k(\d{1,9})(.*)$")


@dataclass(frozen=True)
class Summary:
    """A metric over seeds; `sd` is None for one seed."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class TableRow:
    """One network on one data set.

    Attributes:
        network, data, role, base: which one, and what it is compared with.
        costs: parameters and GFLOPs.
        unfinished: state -> how many of its runs are in it; those whose numbers count are left out.
        metrics: metric -> its summary.
        values: seed -> the value of the metric that is compared.
        comparison: against the base; None for a base, and where no seed is common.
        verdict: what the comparison says, or why it says nothing; "" without one.
        dominated: how plain scaling does better at the same GFLOPs, or None.
        seconds: runtime -> median latency of one image, where it was measured.
        best: metrics of which it is distinguishably the best.
        warnings: kind of what one has to know, such as "early stop" -> how many of its runs it concerns.
        notes: what one has to know of its runs, in words.
    """

    network: str
    data: str
    role: str
    base: str
    costs: KnownCosts
    unfinished: Mapping[str, int]
    metrics: Mapping[str, Summary]
    values: Mapping[int, float]
    comparison: Comparison | None = None
    verdict: str = ""
    dominated: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    best: tuple[str, ...] = ()
    warnings: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def differences(self, base: TableRow) -> dict[int, float]:
        """Seed -> the difference of the values, for all seeds that both have."""
        return {seed: self.values[seed] - base.values[seed] for seed in self.common_seeds(base)}

    def common_seeds(self, other: TableRow) -> list[int]:
        """The seeds that both have."""
        return sorted(set(self.values) & set(other.values))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        plain = {name: value for name, value in vars(self).items() if name not in ("costs", "metrics", "comparison")}
        return {
            **plain,
            **vars(self.costs),
            "metrics": {name: vars(summary) for name, summary in self.metrics.items()},
            "comparison": vars(self.comparison) if self.comparison else None,
        }


@dataclass(frozen=True, repr=False)
class TableOfRuns:
    """The table of an ablation, or of runs that were there.

    Attributes:
        name: of the recipe, or of the folders.
        metric: what is compared.
        rows: all networks, a base before its variants.
        runs: every training behind them.
        notes: what one has to know to read the numbers.
        resolution: what the seeds can resolve.
        columns: those that are shown, by name; none for all.
        axes: the costs that the figure shows accuracy against; none for latency where it was measured, else GFLOPs.
        headings: column -> what stands above it in place of its name.
        labels: network, data or family -> what to call it where it is shown.
        kinds: network -> what it has, where that is one kernel size throughout.
        sequential: of an ablation in rounds, what was decided, see `Rounds.to_dict`; None of one with fixed seeds.
        pooled: with several data and fixed seeds, variant -> what all of them say together, in spreads of each.
    """

    name: str
    metric: str
    rows: tuple[TableRow, ...]
    runs: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    resolution: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    headings: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    sequential: Mapping[str, Any] | None = None
    pooled: Mapping[str, Comparison] = field(default_factory=dict)

    @property
    def data(self) -> list[str]:
        """The names of all data."""
        return list(dict.fromkeys(row.data for row in self.rows))

    @property
    def runtimes(self) -> list[str]:
        """Where latency was measured."""
        return list(dict.fromkeys(name for row in self.rows for name in row.seconds))

    @property
    def costs(self) -> dict[str, Callable[[TableRow], float | None]]:
        """Column of costs -> what a row has there."""

        def milliseconds(runtime: str) -> Callable[[TableRow], float | None]:
            return lambda row: row.seconds[runtime] * 1e3 if runtime in row.seconds else None

        times = {name: milliseconds(runtime) for runtime, name in columns(self.runtimes)}
        return {"params": lambda row: row.costs.params, "GFLOPs": lambda row: row.costs.gflops, **times}

    @property
    def shown_costs(self) -> tuple[str, ...]:
        """Those that the figure shows accuracy against."""
        return self.axes or tuple(name for _, name in columns(self.runtimes)) or ("GFLOPs",)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are shown, those of what is compared first: of masks before boxes; others when asked for."""
        own = self.metric.partition("(")[2]  # `M)` of `mAP50(M)`
        there = dict.fromkeys(name for row in self.rows for name in row.metrics)
        known = [(name, *name.partition("(")[::2]) for name in there if name.partition("(")[0] in _METRICS]
        known.sort(key=lambda one: (one[2] != own, _METRICS.index(one[1])))
        asked = [name for name in (self.metric, *self.columns) if name in there]
        return tuple(dict.fromkeys([*(name for name, *_ in known), *asked]))

    def metrics_of(self, row: TableRow) -> Summary:
        """What a row came to in the metric that is compared."""
        return row.metrics[self.metric]

    def label(self, name: str) -> str:
        """What to call a network, data or a family where it is shown."""
        return self.labels.get(name, name)

    def kind(self, row: TableRow) -> Kind | None:
        """What a variant has; of plain runs by its name, such as `yolov8s-lska-neck-k35`."""
        named = _KERNEL.match(row.network)
        if row.role != VARIANT or row.network in self.kinds or named is None:
            return self.kinds.get(row.network)
        return Kind(row.base, (named[1] + named[3],), "", int(named[2]))

    @cached_property
    def looks(self) -> Looks:
        """How its networks look."""
        rows = [row for role in (BASE, VARIANT, LARGER) for row in self.rows if row.role == role]
        shown = dict.fromkeys(Shown(row.network, row.base, self.kind(row), row.network) for row in rows)
        return Looks(tuple(shown), self.labels)
