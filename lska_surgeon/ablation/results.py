"""From runs to an honest table: means, paired differences, and what these allow to say or don't; with its report."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import AblationError, TargetError
from ..files import as_path, check_target, write_text
from ..reports import Report, Result, Sheet, Strong, Table, render
from ..wording import Listed, Said, counted, decimals, did_you_mean, plural, some
from . import statistics
from .outcomes import (
    NOT_MEASURED,
    KnownCosts,
    KnownLatencies,
    Outcome,
    left_out,
    main_metric,
    named_seeds,
    warnings_of,
)
from .records import DONE
from .rounds import Rounds
from .runs import BASE, LARGER, VARIANT
from .statistics import ALPHA, Comparison
from .table import Summary, TableOfRuns, TableRow

#: What a comparison comes to where the runs themselves say that nothing was compared.
NOTHING_LEARNED, DOES_NOTHING = _VOID = ("nothing learned", "does nothing")
#: Ending of a file -> format.
_ENDINGS = {".md": "md", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html"}
_FIGURES = (".png", ".svg", ".pdf")
_ANEW = Said("to train one anew, move its folder aside and call ablate")
_ZERO = 0.0005  # below which a metric reads 0.000
_DIGITS = 4  # of the smallest GFLOPs that count
_TEXTS = ("network", "data", "verdict", "warnings")  # columns that are no numbers
_GATE = re.compile(r"\s*(\S.*?)\s*>=\s*base\s*(?:-\s*(\d*\.?\d+))?\s*")
#: Data and network -> row.
_Rows = dict[tuple[str, str], TableRow]


@dataclass(frozen=True, repr=False)
class Results(TableOfRuns, Result):
    """A table with its report, its files and its gate."""

    schema: ClassVar[int] = 4

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
            "pooled": {name: vars(one) for name, one in self.pooled.items()},
            "sequential": None if self.sequential is None else dict(self.sequential),
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
        names, middle, seeds = (header.index(name) for name in ("params", self._difference, "seeds"))
        compared = (column for column in range(middle, len(header)) if column != seeds)
        whole = Table(header, rows, right, groups, ((*range(middle), seeds), (*range(names), *compared)))
        for name in self.columns:
            if name not in header:
                known = [*header, *(metric for row in self.rows for metric in row.metrics)]
                listed, more = ", ".join(header), _unknown(name)
                raise AblationError(f"no column {name!r}{did_you_mean(name, known)}: there are {listed}{more}")
            if self.columns.count(name) > 1:
                raise AblationError(f"the columns name {name!r} twice: name it once")
        if not self.columns:
            return whole
        part = whole.part([header.index(name) for name in self.columns])
        return part._replace(header=[self.headings.get(name, name) for name in self.columns])

    def write(self, path: str | Path, *, force: bool = False) -> Path:
        """Write a figure (.png, .svg, .pdf) or the table (.md, .tex, .csv, .json, .html), by the file's ending.

        Raises:
            TargetError: another ending, or the file is there and `force` is off.
        """
        target = as_path(path)
        check_target(target, force=force)
        if target.suffix in _FIGURES:
            from .figure import write_figure

            write_figure(self, target, force=force)
        elif target.suffix in _ENDINGS:
            write_text(target, render(self.report(), _ENDINGS[target.suffix]) + "\n", force=force)
        else:
            raise TargetError(f"{target} has no ending that says what to write: {', '.join([*_FIGURES, *_ENDINGS])}")
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
        if self.sequential is not None:
            return self._refused(margin)
        bases = {(row.data, row.network): row for row in self.rows if row.role == BASE}
        variants = [(row, row.comparison) for row in self.rows if row.role == VARIANT and row.comparison]
        differences = [row.differences(bases[row.data, row.base]) for row, _ in variants]
        shifted = statistics.compare_all([{seed: one + margin for seed, one in of.items()} for of in differences])
        return [
            f"{row.network} on {row.data}: {self.metric} is {comparison.mean:+.4f} against {row.base}, "
            f"distinguishably below {gate.partition('>=')[2].strip()} (p {one.p_adjusted:.3g}, {one.n} seeds)"
            for (row, comparison), one in zip(variants, shifted)
            if one.verdict == "loss"
        ]

    def _refused(self, margin: float) -> list[str]:
        """Of an ablation in rounds: what they show not to pass.

        Raises:
            AblationError: they answer another question.
        """
        assert self.sequential is not None
        if (self.sequential["question"], self.sequential["margin"]) != ("gate", margin):
            raise AblationError(
                f"the rounds of {self.name} answer another question, and a gate on them would close on chance more "
                f"often than it says: begin with sequential: {{question: gate, margin: {margin:g}}}"
            )
        return [
            f"{name}: {self.metric} is distinguishably below base - {margin:g}, shown after {units} of each"
            for name, units in self.sequential["failed"].items()
        ]

    @property
    def gate_notes(self) -> tuple[str, ...]:
        """Why a gate that lets everything pass may not have looked, in words."""
        if self.sequential is not None:
            return tuple(f"{name}: not decided yet" for name in self.sequential["open"])
        variants = [row for row in self.rows if row.role == VARIANT]
        unseen = [row.network for row in variants if row.comparison is None]
        pairs = [row.comparison.n for row in variants if row.comparison]
        notes = [f"not compared yet, for no seed of base and variant is done: {', '.join(unseen)}"] if unseen else []
        notes += [
            f"{row.network}: {row.verdict}, so that it can't be worse" for row in variants if row.verdict in _VOID
        ]
        least = statistics.fewest_seeds()
        if any(row.verdict not in _VOID for row in variants) and pairs and max(pairs) < least:
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
        several, costs = len(self.data) > 1, self.costs
        warned = any(row.warnings for row in self.rows)
        digits = decimals((row.costs.gflops for row in self.rows), _DIGITS)
        header = ["network", *(["data"] if several else []), *costs]
        tested = [] if self.sequential else ["p", "p (adjusted)"]
        header += [*self.names, self._difference, f"95% interval{self._stopping}", *tested, "seeds", "verdict"]
        header += ["warnings"] if warned else []
        rows = []
        for row in self.rows:
            one, total = row.comparison, len(row.values) + sum(row.unfinished.values())
            cells = [self._name(row), *([self.label(row.data)] if several else [])]
            forms = {"params": ",d", "GFLOPs": f".{digits}f"}
            cells += [_cell(cost(row), forms.get(name, ".2f")) for name, cost in costs.items()]
            for name in self.names:
                cells.append((Strong if name in row.best else str)(_metric(row.metrics.get(name))))
            cells.append(_cell(one.mean if one else None, "+.4f"))
            cells.append(f"[{one.low:+.4f}, {one.high:+.4f}]" if one and one.low is not None else "")
            if tested:
                cells += [_cell(one.p if one else None, ".3f"), _cell(one.p_adjusted if one else None, ".3f")]
            cells.append(f"{len(row.values)} of {total}" if row.unfinished else str(total))
            cells.append(", ".join(filter(None, [row.verdict, "below plain scaling" if row.dominated else ""])))
            cells += [", ".join(f"{kind} {number}" for kind, number in row.warnings.items())] if warned else []
            rows.append(cells)
        return header, rows

    @property
    def _stopping(self) -> str:
        return " at stopping" if self.sequential else ""

    @property
    def _difference(self) -> str:
        return f"{self.metric} - base{self._stopping}"

    def _name(self, row: TableRow) -> str:
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


def tabulate(
    name: str,
    outcomes: Sequence[Outcome],
    costs: Mapping[str, KnownCosts],
    *,
    metric: str | None = None,
    resolve: float | None = None,
    latency: KnownLatencies | None = None,
    larger: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    advice: str = "",
    rounds: Rounds | None = None,
) -> Results:
    """The table.

    Args:
        name: what to call it.
        outcomes: all trainings, finished or not.
        costs: network -> costs.
        metric: what is compared; None for what the task is measured by.
        resolve: a difference, for which the seeds that it takes are reported.
        latency: median seconds for one image, where they are to be shown.
        larger: base -> the larger base that stands for plain scaling.
        notes: what else has to be known of the numbers.
        advice: what to do where there are none.
        rounds: of an ablation in rounds, what was decided.

    Raises:
        AblationError: no run is finished, or none has that metric.
    """
    if rounds is not None:
        outcomes, every = [one for one in outcomes if rounds.counts(one)], outcomes
        beyond = sum(one.state == DONE for one in every) - sum(one.state == DONE for one in outcomes)
        form = "{number} run{s} beyond what is decided {are} not in these numbers"
        said = Said(form, number=beyond, s="s" * (beyond != 1), are="is" if beyond == 1 else "are")
        notes = [rounds.sentence, *rounds.notes, *rounds.reading, *([said] if beyond else []), *notes]
    there = list(dict.fromkeys(name for one in outcomes for name in one.metrics))
    if not there and rounds is not None:
        raise AblationError(Said("{name}: no round is complete yet{advice}", name=name, advice=advice))
    if not there:
        form = "{name}: none of {number} run{s} is done yet{advice}"
        raise AblationError(Said(form, name=name, number=len(outcomes), s=plural(outcomes), advice=advice))
    chosen = metric or main_metric(there) or there[0]
    if chosen not in there:
        listed = ", ".join(name for name in there if ":" not in name)  # all but what is of one class
        raise AblationError(f"no metric {chosen!r}{did_you_mean(chosen, there)}: there are {listed}{_unknown(chosen)}")
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault((one.data, one.network), []).append(one)
    latency = latency or KnownLatencies()
    rows = {key: _row(group, costs, latency, chosen) for key, group in groups.items()}
    _compare(rows, outcomes, rounds)
    for key, row in rows.items():
        rows[key] = replace(row, dominated=_dominated(row, rows, larger or {}))
    if rounds is None:  # where the training stopped at what was found, no p is one
        _mark_best(rows, [one for one in outcomes if left_out(one, chosen) is None])
    table = tuple(rows.values())
    resolution = _resolution(table, resolve) if rounds is None else {}
    told = (*_notes(table, outcomes, resolution, chosen), *notes, *latency.notes)
    sequential = None if rounds is None else rounds.to_dict()
    pooled = _pooled(rows) if rounds is None else {}
    told = (*_notes_on_all(table, pooled), *told)
    return Results(name, chosen, table, tuple(outcomes), told, resolution, sequential=sequential, pooled=pooled)


def _unknown(metric: str) -> str:
    """Why a metric may be missing that is measured after a training, in words; "" of other metrics."""
    if not re.match(r"AP[-:]|top1:|(precision|recall)@", metric):
        return ""
    return (
        "; AP by size and class, and precision and recall at a confidence, are of best.pt (not with --epoch last), and "
        f"not measured in runs that an older release trained: {_ANEW}"
    )


def _row(group: Sequence[Outcome], costs: Mapping[str, KnownCosts], latency: KnownLatencies, metric: str) -> TableRow:
    first, done = group[0], [one for one in group if left_out(one, metric) is None]
    names = list(dict.fromkeys(name for one in done for name in one.metrics))
    summaries = {name: _summary([one.metrics.get(name, math.nan) for one in done]) for name in names}
    return TableRow(
        first.network, first.data, first.role, first.base, costs.get(first.network, KnownCosts()),
        unfinished=Counter(why for one in group if (why := left_out(one, metric))),
        metrics={name: summary for name, summary in summaries.items() if summary},
        values={one.seed: one.metrics[metric] for one in done},
        seconds=latency.seconds.get(first.network, {}),
        warnings=Counter(kind for one in group for kind in one.notes),
        notes=warnings_of(group),
    )  # fmt: skip


def _summary(values: Sequence[float]) -> Summary | None:
    finite = np.asarray([value for value in values if math.isfinite(value)], dtype=float)
    if not len(finite):
        return None
    return Summary(float(finite.mean()), float(finite.std(ddof=1)) if len(finite) > 1 else None, len(finite))


def _compare(rows: _Rows, outcomes: Sequence[Outcome], rounds: Rounds | None) -> None:
    """Compare each row with its base, paired by seed; the p of all variants is corrected for their number."""
    curves = {(one.data, one.network, one.seed): one.curve for one in outcomes if one.curve}
    bases = {key: row for key, row in rows.items() if row.role == BASE}
    paired: dict[tuple[str, str], dict[int, float]] = {}
    for key, row in rows.items():
        base = bases.get((row.data, row.base))
        if row.role != BASE and base is not None and (differences := row.differences(base)):
            paired[key] = differences
    variants = [key for key in paired if rows[key].role == VARIANT]
    comparisons = dict(zip(variants, statistics.compare_all([paired[key] for key in variants])))
    comparisons.update((key, statistics.compare([*paired[key].values()])) for key in paired if key not in comparisons)
    for key, comparison in comparisons.items():
        row = rows[key]
        decided = rounds.verdict(row.network) if rounds is not None and row.role == VARIANT else comparison.verdict
        if rounds is not None:
            comparison = replace(comparison, p=math.nan, p_adjusted=math.nan)
        base = bases[row.data, row.base]
        seeds = row.common_seeds(base)
        equal = [s for s in seeds if curves.get((*key, s), "") == curves.get((row.data, base.network, s))]
        # Where runs learned nothing, or came to their base's own numbers, no count of seeds is what it lacks.
        if all(value < _ZERO for value in (*row.values.values(), *base.values.values())):
            verdict, notes = NOTHING_LEARNED, row.notes
        else:
            verdict = DOES_NOTHING if equal == seeds else decided
            notes = (*row.notes, *([_equal_to_base(row.base, equal, len(seeds))] if equal else []))
        rows[key] = replace(row, comparison=comparison, verdict=verdict, notes=notes)


def _pooled(rows: _Rows) -> dict[str, Comparison]:
    """Variant -> what all data sets say of it together; nothing where there is one.

    A pair is a seed on one of them, and is flipped by itself; each set is divided by the root of the mean square of all
    of its differences, which no flip changes.
    """
    paired: dict[str, dict[tuple[str, int], float]] = {}
    sizes: dict[str, list[float]] = {}
    for (data, network), row in rows.items():
        base = rows.get((data, row.base))
        if row.role == VARIANT and base is not None and row.verdict not in _VOID:
            differences = row.differences(base)
            paired.setdefault(network, {}).update(((data, seed), one) for seed, one in differences.items())
            sizes.setdefault(data, []).extend(differences.values())
    scales = {data: float(np.sqrt(np.mean(np.square(of)))) or 1.0 for data, of in sizes.items() if of}
    several = {name: of for name, of in paired.items() if len({data for data, _ in of}) > 1}
    scaled = [{pair: one / scales[pair[0]] for pair, one in of.items()} for of in several.values()]
    return dict(zip(several, statistics.compare_all(scaled)))


def _notes_on_all(rows: Sequence[TableRow], pooled: Mapping[str, Comparison]) -> list[str]:
    """What all data together say, and what one of them alone says."""
    if not pooled:
        return []
    form = "{name} {verdict} (p {p:.3f}, {n} pairs)"
    each = (Said(form, name=name, verdict=Said(one.verdict), p=one.p_adjusted, n=one.n) for name, one in pooled.items())
    told = Listed(each, "; ")
    notes: list[str] = [Said("on all data together, each scaled by its own spread: {told}", told=told)]
    for name, one in pooled.items():
        for verdict in ("gain", "loss"):
            alone = [row.data for row in rows if (row.network, row.verdict) == (name, verdict)]
            if alone and one.verdict != verdict:
                form = "{name}: a {verdict} on {data} alone, which all data together do not show"
                notes.append(Said(form, name=name, verdict=Said(verdict), data=", ".join(alone)))
    return notes


def _equal_to_base(base: str, seeds: Sequence[int], of: int) -> str:
    so = Said(": the operator does nothing, or the base was trained in its place") if len(seeds) == of else ""
    form = "equal to {base} in every digit of every epoch ({seeds}){so}"
    return Said(form, base=base, seeds=named_seeds(seeds), so=so)


def _dominated(row: TableRow, rows: _Rows, larger_of: Mapping[str, str]) -> str | None:
    """How plain scaling does at a variant's GFLOPs: between base and larger base by the straight line.

    A variant that costs more than the larger base is compared with that one.
    """
    base, larger = rows.get((row.data, row.base)), rows.get((row.data, larger_of.get(row.base, "")))
    if row.role != VARIANT or base is None or larger is None:
        return None
    here, low, high = row.costs.gflops, base.costs.gflops, larger.costs.gflops
    if here is None or low is None or high is None or high <= low:
        return None
    part = min(1.0, max(0.0, (here - low) / (high - low)))
    seeds = [seed for seed in row.common_seeds(base) if seed in larger.values]
    if not seeds:
        return None
    line = [base.values[seed] + part * (larger.values[seed] - base.values[seed]) for seed in seeds]
    below = statistics.compare([scaled - row.values[seed] for scaled, seed in zip(line, seeds)])
    if below.mean <= 0:
        return None
    scaled, own = float(np.mean(line)), float(np.mean([row.values[seed] for seed in seeds]))
    form = "plain scaling gives {scaled:.4f} at its GFLOPs, and it {own:.4f} (p {p:.3g})"
    return Said(form, scaled=scaled, own=own, p=below.p)


def _mark_best(rows: _Rows, outcomes: Sequence[Outcome]) -> None:
    """Mark the best of each column, where it is distinguishable from the next."""
    values: dict[tuple[str, str], dict[int, Mapping[str, float]]] = {}
    for one in outcomes:
        values.setdefault((one.data, one.network), {})[one.seed] = one.metrics
    for data, name in dict.fromkeys((row.data, name) for row in rows.values() for name in row.metrics):
        ranked = [key for key, row in rows.items() if row.data == data and name in row.metrics]
        ranked.sort(key=lambda key: rows[key].metrics[name].mean, reverse=True)
        if len(ranked) < 2:
            continue
        first, second = (values[key] for key in ranked[:2])
        pairs = [first[seed].get(name, math.nan) - second[seed].get(name, math.nan) for seed in first if seed in second]
        pairs = [pair for pair in pairs if math.isfinite(pair)]
        if pairs and statistics.compare(pairs).p <= ALPHA:
            rows[ranked[0]] = replace(rows[ranked[0]], best=(*rows[ranked[0]].best, name))


def _resolution(rows: Sequence[TableRow], resolve: float | None) -> dict[str, Any]:
    """What this table can resolve, from the spread of its paired differences."""
    variants = [(row.comparison, row.verdict) for row in rows if row.role == VARIANT and row.comparison]
    spread = [one.sd**2 for one, verdict in variants if one.sd and verdict not in _VOID]
    n = min((one.n for one, _ in variants), default=0)
    known: dict[str, Any] = {"n": n, "comparisons": len(variants), "smallest_p": statistics.smallest_p(n)}
    if not spread:
        return {**known, "sd": None, "alone": None, "corrected": None, "resolve": resolve, "seeds": None}
    sd, number = math.sqrt(sum(spread) / len(spread)), len(variants)
    return {
        **known,
        "sd": sd,
        "alone": statistics.resolvable(sd, n),
        "corrected": statistics.resolvable(sd, n, number),
        "resolve": resolve,
        "seeds": statistics.seeds_for(resolve, sd) if resolve else None,
        "seeds_corrected": statistics.seeds_for(resolve, sd, number) if resolve else None,
    }


def _notes(
    rows: Sequence[TableRow], outcomes: Sequence[Outcome], resolution: Mapping[str, Any], metric: str
) -> list[str]:
    notes: list[str] = []
    unfinished: Counter[str] = Counter()
    for row in rows:
        unfinished.update(row.unfinished)
    if unfinished:
        states = Listed(
            Said("{number} {state}", number=number, state=Said(state)) for state, number in unfinished.items()
        )
        number, form = sum(unfinished.values()), "{number} of {of} run{s} {are} not in these numbers: {states}"
        are = "is" if number == 1 else "are"
        notes.append(Said(form, number=number, of=len(outcomes), s=plural(outcomes), are=are, states=states))
    if unfinished[NOT_MEASURED]:
        number, form = unfinished[NOT_MEASURED], "{metric} is not measured in {number} run{s}; if older: {anew}"
        notes.append(Said(form, metric=metric, number=number, s="" if number == 1 else "s", anew=_ANEW))
    notes += [*_not_learned(rows, metric), *(_of_seeds(rows, resolution, metric) if resolution else [])]
    releases = {tuple(sorted(one.versions.items())) for one in outcomes if one.versions}
    if len(releases) > 1:
        told = " | ".join(", ".join(f"{name} {release}" for name, release in one) for one in releases)
        notes.append(Said("runs were trained with different releases: {told}", told=told))
    for row in rows:
        notes += [Said("{network}: {note}", network=row.network, note=note) for note in row.notes]
        if row.dominated:
            form = "{network}: {dominated}: a larger base does better for the same cost"
            notes.append(Said(form, network=row.network, dominated=row.dominated))
    return notes


def _not_learned(rows: Sequence[TableRow], metric: str) -> list[str]:
    without = [row.network for row in rows if row.verdict == NOTHING_LEARNED]
    if not without:
        return []
    every = len(without) == sum(row.comparison is not None for row in rows)
    which = Said("every run") if every else Said("{networks} and the base", networks=", ".join(without))
    form = (
        "nothing was learned: {metric} is 0.000 in {which}, so that nothing is compared; look at the images and labels "
        "(train_batch0.jpg, with plots: true), or train longer"
    )
    return [Said(form, metric=metric, which=which)]


def _of_seeds(rows: Sequence[TableRow], resolution: Mapping[str, Any], metric: str) -> list[str]:
    """What so many seeds can resolve, and what a question takes."""
    n, comparisons, sd = resolution["n"], resolution["comparisons"], resolution["sd"]
    notes: list[str] = []
    if n and any(row.role == VARIANT and row.comparison and row.verdict not in _VOID for row in rows):
        least = statistics.fewest_seeds()
        form = ": no difference can be significant at 5%, which takes {least} seeds"
        so = Said(form, least=least) if n < least else ""
        notes.append(
            Said("with {seeds} no p below {p:.3g} exists{so}", seeds=some(n), p=resolution["smallest_p"], so=so)
        )
    if sd is not None and n > 1:
        alone, corrected = resolution["alone"], resolution["corrected"]
        found: str = Said("; so few seeds resolve no difference, however large")
        if alone is not None:
            of: str = ""
            if comparisons > 1 and corrected is not None:
                form = " alone, and about {corrected:.4f} as one of {comparisons} comparisons"
                of = Said(form, corrected=corrected, comparisons=comparisons)
            form = "; the smallest true difference that {n} seeds detect in 80% of experiments is {alone:.4f}{of}"
            found = Said(form, n=n, alone=alone, of=of)
        form = "paired differences of {metric} spread by {sd:.4f} from seed to seed{found}"
        notes.append(Said(form, metric=metric, sd=sd, found=found))
    if resolution["resolve"] and sd is not None:
        takes = [
            Said("more than 10,000") if resolution[key] is None else resolution[key]
            for key in ("seeds", "seeds_corrected")
        ]
        form = ", about {takes} as one of {comparisons}"
        of = Said(form, takes=takes[1], comparisons=comparisons) if comparisons > 1 else ""
        form = "to detect a true difference of {resolve:g} with 80% power takes {takes} seeds{of}"
        notes.append(Said(form, resolve=resolution["resolve"], takes=takes[0], of=of))
    return notes
