"""The table of an ablation, or of runs that were there, with its report and its gate; it reads no files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..errors import AblationError, TargetError
from ..files import as_path, check_target, write_text
from ..recipes.variants import Kind
from ..reports import Report, Result, Sheet, Strong, Table, render
from ..wording import counted, decimals, did_you_mean
from . import statistics
from .outcomes import Costs, Outcome
from .runs import BASE, LARGER, VARIANT
from .statistics import ALPHA, Comparison

#: Metrics that a table shows, where the runs have them, in this order.
_METRICS = ("mAP50", "mAP50-95", "precision", "recall", "top1", "top5")
#: What a comparison comes to where the runs themselves say that nothing was compared.
NOTHING_LEARNED, DOES_NOTHING = VOID = ("nothing learned", "does nothing")
#: Forms that have all that is known, of which no columns can be chosen.
DATA = ("csv", "json")
#: Ending of a file -> format.
_ENDINGS = {".md": "md", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html"}
FIGURES = (".png", ".svg", ".pdf")
_DIGITS = 4  # of the smallest GFLOPs that count
_TEXTS = ("network", "data", "verdict", "warnings")  # columns that are no numbers
_KERNEL = re.compile(r"^(.*)-k(\d{1,9})(.*)$")
_GATE = re.compile(r"\s*(\S+)\s*>=\s*base\s*(?:-\s*(\d*\.?\d+))?\s*")


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
        unfinished: state -> how many of its runs are in it; those whose numbers count are left out.
        metrics: metric -> its summary.
        values: seed -> the value of the metric that is compared.
        comparison: against the base; None for a base, and where no seed is common.
        verdict: what the comparison says, or why it says nothing; "" without one.
        dominated: how plain scaling does better at the same GFLOPs, or None.
        seconds: median latency of one image, where it was measured.
        best: metrics of which it is distinguishably the best.
        warnings: kind of what one has to know, such as "early stop" -> how many of its runs it concerns.
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
    warnings: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def differences(self, base: Row) -> list[float]:
        """Of the values of all seeds that both have, seed by seed."""
        return [self.values[seed] - base.values[seed] for seed in self.common_seeds(base)]

    def common_seeds(self, other: Row) -> list[int]:
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
class Results(Result):
    """The table of an ablation, or of runs that were there.

    Attributes:
        name: of the recipe, or of the folders.
        metric: what is compared.
        rows: all networks, a base before its variants.
        runs: every training behind them.
        notes: what one has to know to read the numbers.
        resolution: what the seeds can resolve.
        columns: those that are shown, by name; none for all.
        labels: network, data or family -> what to call it where it is shown.
        kinds: network -> what it has, where that is one kernel size throughout.
    """

    schema: ClassVar[int] = 2

    name: str
    metric: str
    rows: tuple[Row, ...]
    runs: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    resolution: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def data(self) -> list[str]:
        """The names of all data."""
        return list(dict.fromkeys(row.data for row in self.rows))

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are shown, those of what is compared first: of masks before boxes."""
        own = self.metric.partition("(")[2]  # `M)` of `mAP50(M)`
        there = dict.fromkeys(name for row in self.rows for name in row.metrics)
        known = [(name, *name.partition("(")[::2]) for name in there if name.partition("(")[0] in _METRICS]
        known.sort(key=lambda one: (one[2] != own, _METRICS.index(one[1])))
        return tuple(dict.fromkeys([*(name for name, *_ in known), *([self.metric] if self.metric in there else [])]))

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
        rows = [row for role in (VARIANT, LARGER) for row in self.rows if row.role == role]
        return {name: number for number, name in enumerate(dict.fromkeys(map(self.series_of, rows)))}

    def report(self) -> Report:
        """The table, in two halves for a terminal, and what one has to know to read it.

        Raises:
            AblationError: a column was chosen that there is not, or one twice.
        """
        data = {
            "schema": self.schema,
            "name": self.name,
            "metric": self.metric,
            "rows": [row.to_dict() for row in self.rows],
            "runs": [{**vars(run), "folder": str(run.folder)} for run in self.runs],
            "resolution": dict(self.resolution),
            "notes": list(self.notes),
        }
        return Report(self.name, (self.table(),), self.notes, data, self._sheet())

    def table(self) -> Table:
        """The table as it is shown: its own columns or those that were chosen, its own names or those of the recipe.

        Raises:
            AblationError: there is no such column, or one is chosen twice.
        """
        header, rows = self._cells()
        right = [column for column, name in enumerate(header) if name not in _TEXTS]
        pairs = enumerate(zip(self.rows, self.rows[1:]), 1)
        groups = [at for at, (before, row) in pairs if (before.data, before.base) != (row.data, row.base)]
        names, middle, seeds = (header.index(name) for name in ("params", f"{self.metric} - base", "seeds"))
        compared = (column for column in range(middle, len(header)) if column != seeds)
        whole = Table(header, rows, right, groups, ((*range(middle), seeds), (*range(names), *compared)))
        for name in self.columns:
            if name not in header:
                raise AblationError(f"no column {name!r}{did_you_mean(name, header)}: there are {', '.join(header)}")
            if self.columns.count(name) > 1:
                raise AblationError(f"the columns name {name!r} twice: name it once")
        return whole.part([header.index(name) for name in self.columns]) if self.columns else whole

    def write(self, path: str | Path, *, force: bool = False) -> Path:
        """Write a figure (.png, .svg, .pdf) or the table (.md, .tex, .csv, .json, .html), by the file's ending.

        Raises:
            TargetError: another ending, or the file is there and `force` is off.
        """
        target = as_path(path)
        check_target(target, force=force)
        if target.suffix in FIGURES:
            from .figure import write_figure

            write_figure(self, target, force=force)
        elif target.suffix in _ENDINGS:
            write_text(target, render(self.report(), _ENDINGS[target.suffix]) + "\n", force=force)
        else:
            raise TargetError(f"{target} has no ending that says what to write: {', '.join([*FIGURES, *_ENDINGS])}")
        return target

    def worse(self, gate: str) -> list[str]:
        """Variants that a gate such as "mAP50-95 >= base" or "mAP50 >= base - 0.005" does not let pass, in words.

        Raises:
            AblationError: the gate can't be read, or asks for a metric that is not compared.
        """
        asked = _GATE.fullmatch(gate)
        if asked is None or not math.isfinite(float(asked[2] or 0)):
            raise AblationError(
                f"can't read the gate {gate!r}: write METRIC >= base, such as '{self.metric} >= base', "
                f"or with a margin, '{self.metric} >= base - 0.005'"
            )
        if asked[1] != self.metric:
            raise AblationError(f"the gate asks for {asked[1]}, and {self.metric} is compared: add --metric {asked[1]}")
        margin = float(asked[2] or 0)
        bases = {(row.data, row.network): row for row in self.rows if row.role == BASE}
        variants = [(row, row.comparison) for row in self.rows if row.role == VARIANT and row.comparison]
        shifted = [
            statistics.compare([one + margin for one in row.differences(bases[row.data, row.base])])
            for row, _ in variants
        ]
        corrected = statistics.holm([one.p for one in shifted])
        return [
            f"{row.network} on {row.data}: {self.metric} is {comparison.mean:+.4f} against {row.base}, "
            f"distinguishably below {gate.partition('>=')[2].strip()} (p {p:.3g}, {one.n} seeds)"
            for (row, comparison), one, p in zip(variants, shifted, corrected)
            if p <= ALPHA and one.mean < 0
        ]

    @property
    def gate_notes(self) -> tuple[str, ...]:
        """Why a gate that lets everything pass may not have looked, in words."""
        variants = [row for row in self.rows if row.role == VARIANT]
        unseen = [row.network for row in variants if row.comparison is None]
        pairs = [row.comparison.n for row in variants if row.comparison]
        notes = [f"not compared yet, for no seed of base and variant is done: {', '.join(unseen)}"] if unseen else []
        notes += [f"{row.network}: {row.verdict}, so that it can't be worse" for row in variants if row.verdict in VOID]
        least = statistics.fewest_seeds(ALPHA / max(1, len(pairs)))
        if any(row.verdict not in VOID for row in variants) and pairs and max(pairs) < least:
            seeds = counted(max(pairs), "seed")
            notes.append(f"with {seeds} nothing is distinguishably worse, however bad: it takes {least} seeds")
        return tuple(notes)

    def _repr_html_(self) -> str:
        from ..drawing.plots import inline

        return f"{inline(self.write)}\n{super()._repr_html_()}"

    def _sheet(self) -> Sheet:
        """One line for every run."""
        names = list(dict.fromkeys(name for run in self.runs for name in run.metrics))
        header = ["network", "role", "base", "data", "seed", "state", "epoch", *names, "notes", "folder"]
        rows = [
            [*(getattr(run, name) for name in header[:7]), *map(run.metrics.get, names), "; ".join(run.notes.values()),
             str(run.folder)]
            for run in self.runs
        ]  # fmt: skip
        return Sheet(header, rows)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows, every column."""
        several, measured = len(self.data) > 1, any(row.seconds is not None for row in self.rows)
        warned = any(row.warnings for row in self.rows)
        digits = decimals((row.costs.gflops for row in self.rows), _DIGITS)
        header = ["network", *(["data"] if several else []), "params", "GFLOPs", *(["ms"] if measured else [])]
        header += [*self.names, f"{self.metric} - base", "95% interval", "p", "p (Holm)", "seeds", "verdict"]
        header += ["warnings"] if warned else []
        rows = []
        for row in self.rows:
            one, total = row.comparison, len(row.values) + sum(row.unfinished.values())
            cells = [self._name(row), *([self.label(row.data)] if several else [])]
            cells.append(_cell(row.costs.params, ",d"))
            cells.append(_cell(row.costs.gflops, f".{digits}f"))
            cells += [_cell(row.seconds and row.seconds * 1e3, ".2f")] if measured else []
            for name in self.names:
                cells.append((Strong if name in row.best else str)(_metric(row.metrics.get(name))))
            cells.append(_cell(one.mean if one else None, "+.4f"))
            cells.append(f"[{one.low:+.4f}, {one.high:+.4f}]" if one and one.low is not None else "")
            cells += [_cell(one.p if one else None, ".3f"), _cell(one.p_holm if one else None, ".3f")]
            cells.append(f"{len(row.values)} of {total}" if row.unfinished else str(total))
            cells.append(", ".join(filter(None, [row.verdict, "below plain scaling" if row.dominated else ""])))
            cells += [", ".join(f"{kind} {number}" for kind, number in row.warnings.items())] if warned else []
            rows.append(cells)
        return header, rows

    def _name(self, row: Row) -> str:
        if row.network in self.labels:
            return self.labels[row.network]
        kind = self.kind(row)
        if kind and kind.family in self.labels:
            several = len({other.base for other in self.rows}) > 1
            label = f"{self.label(row.base)}: " if several else ""
            return f"{label}{self.labels[kind.family]}, k{kind.k}"
        return f"{row.network} ({row.role})" if row.role in (BASE, LARGER) else row.network


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _metric(summary: Summary | None) -> str:
    if summary is None:
        return ""
    return f"{summary.mean:.4f}" if summary.sd is None else f"{summary.mean:.4f} ± {summary.sd:.4f}"
