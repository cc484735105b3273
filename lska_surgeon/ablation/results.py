"""From trainings to an honest table: means, paired differences, and what these show or can't; it draws nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing.plots import inline
from ..errors import AblationError
from ..files import as_path
from ..reports import Report
from ..wording import counted, did_you_mean
from . import statistics
from .formats import as_html, as_table, sheet_of, table_of, write
from .latencies import KnownLatencies
from .networks import BASE, LARGER, VARIANT
from .records import DONE
from .runs import NO_RESULTS, OTHER_NETWORK, Costs, Run, main_metric, noticed_in_words
from .statistics import ALPHA, Comparison
from .table import Row, Summary, Table

_GATE = re.compile(r"\s*(\S+)\s*>=\s*base\s*(?:-\s*(\d*\.?\d+))?\s*")
#: Kinds of notes after which a run's numbers are no measurement of what was asked for.
DISQUALIFYING = (OTHER_NETWORK, "nothing transferred", NO_RESULTS)
#: What a comparison comes to where the runs themselves say that nothing was compared.
NOTHING_LEARNED, DOES_NOTHING = "nothing learned", "does nothing"
_VOID = (NOTHING_LEARNED, DOES_NOTHING)
_ZERO = 0.0005  # below which a metric reads 0.000
#: Why the numbers of a run that is done do not count.
LEFT_OUT, REPEATED, NO_NUMBER = "left out", "equal to another seed", "not a number"


@dataclass(frozen=True)
class Results(Table):
    """A table that prints and writes itself."""

    def __str__(self) -> str:
        return as_table(self)

    def _repr_html_(self) -> str:
        return f"{inline(self.write)}\n{as_html(self)}"

    def write(self, path: str | Path, *, force: bool = False) -> Path:
        """Write a figure (.png, .svg, .pdf) or the table (.md, .tex, .csv, .json, .html), by the file's ending."""
        return write(self, as_path(path), force=force)

    def report(self) -> Report:
        """The table, in two halves for a terminal, and what has to be known of it."""
        table = table_of(self)
        if not self.columns:
            columns = range(len(table.header))
            names, middle = table.header.index("params"), table.header.index(f"{self.metric} - base")
            table = table._replace(halves=(columns[:middle], (*columns[:names], *columns[middle:])))
        return Report(self.name, (table,), self.notes, self.to_dict(), sheet_of(self))

    def worse(self, gate: str) -> list[str]:
        """Variants that a gate such as "mAP50-95 >= base" or "mAP50 >= base - 0.005" does not let pass, in words.

        Raises:
            AblationError: the gate can't be read, or asks for a metric that is not compared.
        """
        return _worse(self, gate)

    @property
    def gate_notes(self) -> tuple[str, ...]:
        """Why a gate that lets everything pass may not have looked, in words."""
        return _blind(self)


def tabulate(
    name: str,
    runs: Sequence[Run],
    costs: Mapping[str, Costs],
    *,
    metric: str | None = None,
    resolve: float | None = None,
    latency: KnownLatencies | None = None,
    larger: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    advice: str = "",
) -> Results:
    """The table.

    Args:
        name: what to call it.
        runs: all trainings, finished or not.
        costs: network -> costs.
        metric: what is compared; None for what the task is measured by.
        resolve: a difference, for which the seeds that it takes are told.
        latency: median seconds for one image, where they are to be shown.
        larger: base -> the larger base that stands for plain scaling.
        notes: what else has to be known of the numbers.
        advice: what to do where there are none.

    Raises:
        AblationError: no run is finished, or none has that metric.
    """
    there = list(dict.fromkeys(name for run in runs for name in run.metrics))
    if not there:
        raise AblationError(f"{name}: none of {len(runs)} cells is done yet{advice}")
    chosen = metric or main_metric(there) or there[0]
    if chosen not in there:
        raise AblationError(f"no metric {chosen!r}{did_you_mean(chosen, there)}: there are {', '.join(there)}")
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.data, run.network), []).append(run)
    rows = [_row(group, costs.get(network, Costs()), chosen) for (_, network), group in groups.items()]
    latency = latency or KnownLatencies()
    rows = [replace(row, seconds=latency.seconds.get(row.network)) for row in rows]
    rows = _void(_compared(rows), runs)
    rows = [replace(row, dominated=_beaten(row, rows, larger or {})) for row in rows]
    rows = _with_best(rows, [run for run in runs if left_out(run, chosen) is None])
    resolution = _resolution(rows, resolve)
    told = (*_notes(rows, runs, resolution, chosen), *notes, *latency.notes)
    return Results(name, chosen, tuple(rows), tuple(runs), told, resolution)


def left_out(run: Run, metric: str) -> str | None:
    """Why a run's numbers do not count; None where it is done, and measures what was asked for."""
    if run.state != DONE:
        return run.state
    if any(kind in run.notes for kind in DISQUALIFYING):
        return LEFT_OUT
    if run.repeats is not None:
        return REPEATED
    return None if math.isfinite(run.metrics.get(metric, math.nan)) else NO_NUMBER


def _row(runs: Sequence[Run], costs: Costs, metric: str) -> Row:
    first, done = runs[0], [run for run in runs if left_out(run, metric) is None]
    names = list(dict.fromkeys(name for run in done for name in run.metrics))
    summaries = {name: _summary([run.metrics.get(name, math.nan) for run in done]) for name in names}
    return Row(
        first.network, first.data, first.role, first.base, costs,
        unfinished=Counter(why for run in runs if (why := left_out(run, metric))),
        metrics={name: summary for name, summary in summaries.items() if summary.n},
        values={run.seed: run.metrics[metric] for run in done},
        noticed=Counter(kind for run in runs for kind in run.notes),
        notes=noticed_in_words(runs),
    )  # fmt: skip


def _summary(values: Sequence[float]) -> Summary:
    found = np.asarray([value for value in values if math.isfinite(value)], dtype=float)
    if not len(found):
        return Summary(math.nan, None, 0)
    return Summary(float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else None, len(found))


def _compared(rows: Sequence[Row]) -> list[Row]:
    """Each variant against its base; the p of all variants is corrected for their number."""
    bases = {(row.data, row.network): row for row in rows if row.role == BASE}
    found = []
    for row in rows:
        base = bases.get((row.data, row.base))
        common = sorted(set(row.values) & set(base.values)) if base else []
        if row.role != BASE and base is not None and common:
            row = replace(row, comparison=statistics.compare([row.values[s] - base.values[s] for s in common]))
        found.append(row)
    variants = [index for index, row in enumerate(found) if row.role == VARIANT and row.comparison]
    corrected = statistics.holm([_comparison(found[index]).p for index in variants])
    for index, p in zip(variants, corrected):
        comparison = replace(_comparison(found[index]), p_holm=p)
        verdict = comparison.verdict(len(variants))
        found[index] = replace(found[index], comparison=comparison, verdict=verdict)
    return [
        replace(row, verdict=row.comparison.verdict(1)) if row.role == LARGER and row.comparison else row
        for row in found
    ]


def _void(rows: Sequence[Row], runs: Sequence[Run]) -> list[Row]:
    """The rows; where runs learned nothing, or came to their base's own numbers, no count of seeds is what it lacks."""
    curves = {(run.data, run.network, run.seed): run.curve for run in runs if run.curve}
    bases = {(row.data, row.network): row for row in rows if row.role == BASE}
    found = []
    for row in rows:
        base = bases.get((row.data, row.base))
        if row.comparison and base is not None:
            common = sorted(set(row.values) & set(base.values))
            equal = [
                seed
                for seed in common
                if curves.get((row.data, row.network, seed), "") == curves.get((row.data, base.network, seed))
            ]
            if all(value < _ZERO for value in (*row.values.values(), *base.values.values())):
                row = replace(row, verdict=NOTHING_LEARNED)
            elif equal == common:
                row = replace(row, verdict=DOES_NOTHING)
            if equal and row.verdict != NOTHING_LEARNED:
                row = replace(row, notes=(*row.notes, _equal_to_base(row.base, equal, len(common))))
        found.append(row)
    return found


def _equal_to_base(base: str, seeds: Sequence[int], of: int) -> str:
    where = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    said = f"equal to {base} in every digit of every epoch ({where})"
    return f"{said}: the operator does nothing, or the base was trained in its place" if len(seeds) == of else said


def _comparison(row: Row) -> Comparison:
    assert row.comparison is not None
    return row.comparison


def _beaten(row: Row, rows: Sequence[Row], larger_of: Mapping[str, str]) -> str | None:
    """How plain scaling does at a variant's GFLOPs: between base and larger base by the straight line.

    A variant that costs more than the larger base is held against that one.
    """
    base = next((one for one in rows if (one.data, one.network) == (row.data, row.base)), None)
    larger = next((one for one in rows if (one.data, one.network) == (row.data, larger_of.get(row.base))), None)
    if row.role != VARIANT or base is None or larger is None:
        return None
    here, low, high = row.costs.gflops, base.costs.gflops, larger.costs.gflops
    if here is None or low is None or high is None or high <= low:
        return None
    part = min(1.0, max(0.0, (here - low) / (high - low)))
    seeds = sorted(set(row.values) & set(base.values) & set(larger.values))
    if not seeds:
        return None
    line = [base.values[seed] + part * (larger.values[seed] - base.values[seed]) for seed in seeds]
    below = statistics.compare([scaled - row.values[seed] for scaled, seed in zip(line, seeds)])
    if below.mean <= 0:
        return None
    scaled, own = float(np.mean(line)), float(np.mean([row.values[seed] for seed in seeds]))
    return f"plain scaling gives {scaled:.4f} at its GFLOPs, and it {own:.4f} (p {below.p:.3g})"


def _with_best(rows: Sequence[Row], runs: Sequence[Run]) -> list[Row]:
    """Mark the best of each column, where it is distinguishable from the next."""
    values: dict[tuple[str, str], dict[int, Mapping[str, float]]] = {}
    for run in runs:
        values.setdefault((run.data, run.network), {})[run.seed] = run.metrics
    found = list(rows)
    for data in dict.fromkeys(row.data for row in rows):
        for name in dict.fromkeys(name for row in rows for name in row.metrics):
            ranked = [row for row in rows if row.data == data and name in row.metrics]
            ranked.sort(key=lambda row: row.metrics[name].mean, reverse=True)
            if len(ranked) < 2:
                continue
            first, second = (values[data, row.network] for row in ranked[:2])
            common = [seed for seed in first if seed in second]
            pairs = [first[seed].get(name, math.nan) - second[seed].get(name, math.nan) for seed in common]
            pairs = [pair for pair in pairs if math.isfinite(pair)]
            if pairs and statistics.compare(pairs).p <= ALPHA:
                index = found.index(next(row for row in found if (row.data, row.network) == (data, ranked[0].network)))
                found[index] = replace(found[index], best=(*found[index].best, name))
    return found


def _resolution(rows: Sequence[Row], resolve: float | None) -> dict[str, Any]:
    """What this table can resolve, from the spread of its paired differences."""
    compared = [_comparison(row) for row in rows if row.role == VARIANT and row.comparison]
    told = [_comparison(row) for row in rows if row.role == VARIANT and row.comparison and row.verdict not in _VOID]
    spread = [one.sd**2 for one in told if one.sd]
    n = min((one.n for one in compared), default=0)
    found: dict[str, Any] = {"n": n, "comparisons": len(compared), "smallest_p": statistics.smallest_p(n)}
    if not spread:
        return {**found, "sd": None, "alone": None, "corrected": None, "resolve": resolve, "seeds": None}
    sd, level = math.sqrt(sum(spread) / len(spread)), ALPHA / len(compared)
    return {
        **found,
        "sd": sd,
        "alone": statistics.resolvable(sd, n),
        "corrected": statistics.resolvable(sd, n, level),
        "resolve": resolve,
        "seeds": statistics.seeds_for(resolve, sd) if resolve else None,
        "seeds_corrected": statistics.seeds_for(resolve, sd, level) if resolve else None,
    }


def _notes(rows: Sequence[Row], runs: Sequence[Run], resolution: Mapping[str, Any], metric: str) -> list[str]:
    notes = []
    unfinished = Counter(state for row in rows for state, number in row.unfinished.items() for _ in range(number))
    if unfinished:
        told = ", ".join(f"{number} {state}" for state, number in unfinished.items())
        number = sum(unfinished.values())
        notes.append(f"{number} of {len(runs)} cells {'is' if number == 1 else 'are'} not in these numbers: {told}")
    notes += _not_learned(rows, metric)
    n, comparisons = resolution["n"], resolution["comparisons"]
    if n and any(row.role == VARIANT and row.comparison and row.verdict not in _VOID for row in rows):
        least = statistics.fewest_seeds(ALPHA / comparisons)
        said = f"with {counted(n, 'seed')} no p below {resolution['smallest_p']:.3g} exists"
        if n < least:
            what = f"{comparisons} comparisons" if comparisons > 1 else "one comparison"
            said += f": not enough seeds to show anything at 5%, for {what} it takes {least}"
        notes.append(said)
    if resolution.get("sd") is not None and n > 1:
        notes.append(_resolved(resolution, metric))
    if resolution.get("resolve") and resolution.get("sd") is not None:
        notes.append(_wanted(resolution))
    releases = {tuple(sorted(run.versions.items())) for run in runs if run.versions}
    if len(releases) > 1:
        notes.append("cells were trained with different releases: " + " | ".join(_release(one) for one in releases))
    for row in rows:
        notes += [f"{row.network}: {note}" for note in row.notes]
        if row.dominated:
            notes.append(f"{row.network}: {row.dominated}: a larger base does better for the same cost")
    return notes


def _not_learned(rows: Sequence[Row], metric: str) -> list[str]:
    without = [row for row in rows if row.verdict == NOTHING_LEARNED]
    if not without:
        return []
    compared = [row for row in rows if row.comparison]
    which = (
        "every run" if len(without) == len(compared) else f"{', '.join(row.network for row in without)} and the base"
    )
    remedy = "look at the images and labels (train_batch0.jpg, with plots: true), or train longer"
    return [f"nothing was learned: {metric} is 0.000 in {which}, so that nothing is compared; {remedy}"]


def _resolved(resolution: Mapping[str, Any], metric: str) -> str:
    sd, alone, corrected = resolution["sd"], resolution["alone"], resolution["corrected"]
    said = f"paired differences of {metric} spread by {sd:.4f} from seed to seed"
    if alone is None:
        return f"{said}; so few seeds resolve no difference, however large"
    said += f"; the smallest true difference that {resolution['n']} seeds show in 80% of experiments is {alone:.4f}"
    if resolution["comparisons"] < 2:
        return said
    several = f"as one of {resolution['comparisons']} comparisons"
    return f"{said} alone, and {f'{corrected:.4f}' if corrected is not None else 'none'} {several}"


def _wanted(resolution: Mapping[str, Any]) -> str:
    def told(seeds: int | None) -> str:
        return "more than 10,000" if seeds is None else str(seeds)

    text = (
        f"to show a true difference of {resolution['resolve']:g} with 80% power takes {told(resolution['seeds'])} seeds"
    )
    if resolution["comparisons"] > 1:
        text += f", {told(resolution['seeds_corrected'])} as one of {resolution['comparisons']}"
    return text


def _release(versions: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {release}" for name, release in versions)


def _blind(results: Results) -> tuple[str, ...]:
    variants = [row for row in results.rows if row.role == VARIANT]
    unseen = [row.network for row in variants if row.comparison is None]
    compared = [_comparison(row).n for row in variants if row.comparison]
    notes = [f"not compared yet, for no seed of base and variant is done: {', '.join(unseen)}"] if unseen else []
    notes += [f"{row.network}: {row.verdict}, so that it can't be worse" for row in variants if row.verdict in _VOID]
    least = statistics.fewest_seeds(ALPHA / max(1, len(compared)))
    if any(row.verdict not in _VOID for row in variants) and compared and max(compared) < least:
        seeds = counted(max(compared), "seed")
        notes.append(f"with {seeds} nothing is distinguishably worse, however bad: it takes {least} seeds")
    return tuple(notes)


def _worse(results: Results, gate: str) -> list[str]:
    asked = _GATE.fullmatch(gate)
    if asked is None or not math.isfinite(float(asked[2] or 0)):
        raise AblationError(
            f"can't read the gate {gate!r}: write METRIC >= base, such as '{results.metric} >= base', "
            f"or with a margin, '{results.metric} >= base - 0.005'"
        )
    if asked[1] != results.metric:
        raise AblationError(f"the gate asks for {asked[1]}, and {results.metric} is compared: add --metric {asked[1]}")
    margin, found = float(asked[2] or 0), []
    bases = {(row.data, row.network): row for row in results.rows if row.role == BASE}
    variants = [row for row in results.rows if row.role == VARIANT and row.comparison]
    shifted = []
    for row in variants:
        base = bases[row.data, row.base]
        common = sorted(set(row.values) & set(base.values))
        shifted.append(statistics.compare([row.values[seed] - base.values[seed] + margin for seed in common]))
    for row, one, p in zip(variants, shifted, statistics.holm([one.p for one in shifted])):
        if p <= ALPHA and one.mean < 0:
            found.append(
                f"{row.network} on {row.data}: {results.metric} is {_comparison(row).mean:+.4f} against {row.base}, "
                f"distinguishably below {gate.partition('>=')[2].strip()} (p {p:.3g}, {one.n} seeds)"
            )
    return found
