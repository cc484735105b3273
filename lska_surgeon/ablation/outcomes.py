"""What runs came to, as numbers, and what their networks cost and take; it compares nothing and measures nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import msgspec

from ..cost.cache import CostCache, sha256
from ..cost.limits import DEFAULT_SIZE
from ..errors import DamagedError
from ..files import read_json, write_text
from ..grafting.input_files import classes_in
from ..wording import Said
from .records import DONE, UNREADABLE, Epoch, digest, no_epochs, read_epochs, read_record, state_of
from .runs import Ablation, Run

if TYPE_CHECKING:
    from ..cost.latency import Latencies

_PREFIX = "metrics/"
EQUAL_SEEDS, OTHER_NETWORK, NO_RESULTS = "equal seeds", "other network", "no results"
#: Why a run does not count whose training did not tell the metric.
NOT_MEASURED = "not measured"
#: Letters behind a metric's name, in Ultralytics: of several, the first of these is what the task is about.
_LETTERS = ("(P)", "(M)", "(B)")
#: The file of the latencies that were measured for an ablation.
LATENCY = "latency.json"
_SCHEMA: Literal[3] = 3
#: What of how it was measured is said in any language.
_HOW = ("device", "threads", "batch", "rounds", "precision", "torch", "ultralytics", "again", "quiet")
#: Kinds of notes after which a run's numbers are no measurement of what was asked for.
_DISQUALIFYING = (OTHER_NETWORK, "nothing transferred", NO_RESULTS)
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


@dataclass(frozen=True)
class Outcome:
    """What one training came to.

    Attributes:
        network, data, seed: what was trained.
        role: "base", "larger" or "variant".
        base: what it is compared with.
        folder: where it lies.
        state: as in the records; of a plain run always "done".
        metrics: metric -> value, at the epoch that counts; empty where it is not done.
        epoch: that epoch.
        curve: a hash of all that every epoch came to, losses too.
        repeats: a seed before it with the same curve, after which this run is no evidence of its own; or None.
        notes: kind -> what one has to know of it.
        versions: releases that it was trained with.
    """

    network: str
    data: str
    seed: int
    role: str
    base: str
    folder: Path
    state: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    epoch: int | None = None
    curve: str = ""
    repeats: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def noting(self, kind: str, text: str) -> Outcome:
        """The same with one more note."""
        return replace(self, notes={**self.notes, kind: text})


def outcomes_of(ablation: Ablation, epoch: str) -> list[Outcome]:
    """Every run of an ablation, in its order, done or not; `epoch` is the one that counts, "best" or "last"."""
    return with_equal_seeds([outcome_of(run, epoch) for run in ablation.runs])


def outcome_of(run: Run, epoch: str = "best") -> Outcome:
    """What one run came to; whether another seed came to the same, it does not know."""
    record, network = read_record(run.folder), run.network
    state = state_of(run.folder, record, digest(run.asked))
    outcome = Outcome(network.name, run.data, run.seed, network.role, network.base, run.folder, state)
    if record is not None and state == UNREADABLE and record.error:
        return outcome.noting(UNREADABLE, record.error.text)
    if record is None or state != DONE:
        return outcome
    outcome = replace(outcome, notes=record.notes, versions=record.versions)
    if len(record.attempts) > 1 and not record.exact_resume:
        outcome = outcome.noting("resumed", Said("went on after an interruption, with other random images"))
    return with_metrics(outcome, read_epochs(run.folder), epoch, record.measured)


def with_metrics(
    outcome: Outcome, epochs: Sequence[Epoch], which: str, measured: Mapping[str, float] | None = None
) -> Outcome:
    """The outcome with the numbers of the epoch that counts, "best" or "last"; `measured` are more of the best."""
    if not epochs:
        return replace(outcome, state="failed").noting(NO_RESULTS, no_epochs(outcome.folder))
    names = {name: _short(name, epochs[-1].values) for name in epochs[-1].values if name.startswith(_PREFIX)}
    history = tuple({short: epoch.values.get(name, math.nan) for name, short in names.items()} for epoch in epochs)
    chosen = len(history) - 1 if which == "last" else max(range(len(history)), key=lambda at: _fitness(history[at]))
    curve = digest([[epoch.number, dict(epoch.values)] for epoch in epochs])
    more = {_letterless(name, epochs[-1].values): value for name, value in (measured or {}).items() if which == "best"}
    return replace(outcome, metrics={**history[chosen], **more}, epoch=epochs[chosen].number, curve=curve)


def with_equal_seeds(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes; those of different seeds with equal results say so, for then the seed changed nothing."""
    same: dict[tuple[str, str, str], list[int]] = {}
    for one in outcomes:
        if one.curve:
            same.setdefault((one.network, one.data, one.curve), []).append(one.seed)
    marked = []
    for one in outcomes:
        seeds = sorted(same.get((one.network, one.data, one.curve), ()))
        if len(seeds) > 1:
            text = Said("{seeds} came to equal results, and count as one", seeds=named_seeds(seeds))
            repeats = seeds[0] if one.seed != seeds[0] else None
            one = replace(one, repeats=repeats).noting(EQUAL_SEEDS, text)
        marked.append(one)
    return marked


def left_out(outcome: Outcome, metric: str) -> str | None:
    """Why a run's numbers do not count; None where it is done, and measures what was asked for."""
    if outcome.state != DONE:
        return outcome.state
    if any(kind in outcome.notes for kind in _DISQUALIFYING):
        return "left out"
    if outcome.repeats is not None:
        return "equal to another seed"
    if metric not in outcome.metrics:
        return NOT_MEASURED
    return None if math.isfinite(outcome.metrics[metric]) else "not a number"


def warnings_of(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """What one has to know of runs of one network, each said once, with the seeds that it concerns."""
    told: dict[tuple[str, str], list[int]] = {}
    for one in outcomes:
        for note in one.notes.items():
            told.setdefault(note, []).append(one.seed)
    return tuple(
        text if kind == EQUAL_SEEDS else Said("{text} ({seeds})", text=_kept(kind, text), seeds=named_seeds(seeds))
        for (kind, text), seeds in told.items()
    )


def _kept(kind: str, text: str) -> Said:
    """A note; one that comes from a record has its kind alone to say it by."""
    return text if isinstance(text, Said) else Said("{text}", text=text, kind=Said(kind))


def named_seeds(seeds: Sequence[int]) -> Said:
    """`seeds 0, 3`."""
    return Said("seed{s} {seeds}", s="s" * (len(seeds) > 1), seeds=", ".join(map(str, seeds)))


def main_metric(metrics: Sequence[str]) -> str | None:
    """What the task is measured by: mAP50-95, of masks or keypoints where there are some, or top-1."""
    wanted = [*(f"mAP50-95{letter}" for letter in _LETTERS), "mAP50-95", "top1"]
    return next((name for name in wanted if name in metrics), None)


def weights_of(folder: Path) -> Path | None:
    """The checkpoint that a run left, the best before the last; None where there is none."""
    weights = (folder / "weights" / name for name in ("best.pt", "last.pt"))
    return next((path for path in weights if path.is_file()), None)


def _short(name: str, among: Mapping[str, float]) -> str:
    """`metrics/mAP50-95(B)` -> `mAP50-95`; where boxes are not all there is, with its letter."""
    return _letterless(name[len(_PREFIX) :].replace("accuracy_", ""), among)


def _letterless(name: str, among: Mapping[str, float]) -> str:
    letters = {other[-3:] for other in among if other.startswith(_PREFIX) and other.endswith(")")}
    return name[:-3] if letters == {"(B)"} and name.endswith("(B)") else name


def _fitness(metrics: Mapping[str, float]) -> float:
    """By which the best epoch is chosen: mAP50-95, boxes and masks (or keypoints) together; top-1 for classifiers."""
    parts = [value for name, value in metrics.items() if name.startswith("mAP50-95") or name == "top1"]
    return sum(value if math.isfinite(value) else -1.0 for value in parts)


# What their networks cost and take.


@dataclass(frozen=True)
class KnownCosts:
    """What a network costs; None for what is not known."""

    params: int | None = None
    gflops: float | None = None


def costs_of(ablation: Ablation, *, count: bool) -> dict[str, KnownCosts]:
    """Network -> its costs, at the recipe's image size; what is not known stays unknown where it may not be counted."""
    cache = CostCache(ablation.recipe.imgsz, ablation.recipe.blocks, may_count=count)
    costs = {}
    for network in ablation.networks:
        counted = network.cost(cache)
        costs[network.name] = KnownCosts(counted.params, 2 * counted.macs / 1e9) if counted else KnownCosts()
    return costs


def counting_notes(ablation: Ablation) -> tuple[str, ...]:
    """At which size of image the costs of `costs_of` are, and with how many classes where that is not the data's."""
    height, width = ablation.recipe.imgsz
    trained = ablation.experiment.arguments.get("imgsz", DEFAULT_SIZE)
    other: str = ""
    if trained not in (height, [height, width]) or height != width:
        form = ", and it was trained at {trained}: the recipe's imgsz says where they are counted"
        other = Said(form, trained=str(trained))
    bases = {network.base: network.variant.base.classes for network in ablation.networks if network.variant}
    notes = [Said("GFLOPs are at {height}x{width} pixels{other}", height=height, width=width, other=other)]
    form = (
        "params and GFLOPs are counted with nc: {nc}, as {base} says, and it was trained for the {classes} classes of "
        "{name}: write nc: {classes} into the base to count that"
    )
    for name, source in ablation.data.items():
        classes = classes_in(Path(source))
        notes += [
            Said(form, nc=nc, base=base, classes=classes, name=name)
            for base, nc in bases.items()
            if classes is not None and nc != classes
        ]
    return tuple(notes)


class _Measured(TypedDict):
    """The times of networks in one runtime, and how they were measured, as data and in words."""

    seconds: dict[str, _Seconds]
    how: dict[str, Any]
    said: str


class _Kept(TypedDict):
    """What the file of latencies holds: runtime -> its times, and the hashes of the networks' files then."""

    schema: Literal[3]
    runtimes: dict[str, _Measured]
    models: dict[str, str]


@dataclass(frozen=True)
class KnownLatencies:
    """What is known of the latency of an ablation's networks.

    Attributes:
        seconds: network -> runtime -> median seconds for one image; without networks that changed since then.
        notes: how it was measured, and what was not.
        damaged: what is wrong with the file that keeps it, which then counts for nothing; or "".
    """

    seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    damaged: str = ""


def known_latencies(ablation: Ablation) -> KnownLatencies:
    """What was measured last; a recipe with `latency` also says what was not."""
    measure = f"lska-surgeon latency --recipe {ablation.words}"
    asked = ablation.experiment.latency
    try:
        kept = read_json(ablation.folder / LATENCY, _Kept)
    except FileNotFoundError:
        return KnownLatencies(notes=(Said("latency is not measured yet: {measure}", measure=measure),) if asked else ())
    except DamagedError as error:
        said = Said("{error}; delete it and measure again: {measure}", error=str(error), measure=measure)
        return KnownLatencies(notes=(said,), damaged=str(error))
    same = [one.name for one in ablation.networks if kept["models"].get(one.name) == sha256(one.text)]
    runtimes = kept["runtimes"]
    seconds = {
        name: {
            runtime: measured["seconds"][name] for runtime, measured in runtimes.items() if name in measured["seconds"]
        }
        for name in same
    }
    seconds = {name: times for name, times in seconds.items() if times}
    notes = [_measured(runtime, column, runtimes[runtime]) for runtime, column in columns(runtimes)]
    missing = [network.name for network in ablation.networks if network.name not in seconds]
    if missing:
        form = "latency is not measured of {networks}, as they are now: {measure}"
        notes.append(Said(form, networks=", ".join(missing), measure=measure))
    absent = [runtime for runtime in asked if runtime not in runtimes]
    if absent:
        form = "latency is not measured in {runtimes}: {measure}"
        notes.append(Said(form, runtimes=", ".join(absent), measure=measure))
    return KnownLatencies(seconds, tuple(notes))


def _measured(runtime: str, column: str, kept: _Measured) -> Said:
    how = {name: kept["how"].get(name) for name in _HOW}
    noisy = Said(", which is too noisy") if how["quiet"] is False else ""
    form = "{column}: median for one image, {said}"
    return Said(form, column=column, said=kept["said"], runtime=runtime, noisy=noisy, **how)


def columns(runtimes: Iterable[str]) -> list[tuple[str, str]]:
    """Each runtime with the name of its column of milliseconds."""
    names = list(runtimes)
    return [(name, f"ms {name}" if len(names) > 1 else "ms") for name in names]


def keep_latencies(ablation: Ablation, measured: Iterable[Latencies]) -> None:
    """Keep what was measured, and how."""
    ablation.folder.mkdir(parents=True, exist_ok=True)
    runtimes = {
        str(one.how["runtime"]): _Measured(
            seconds={row.name: row.median / one.how["batch"] for row in one.rows},
            how={**one.how, "again": one.against_itself, "quiet": one.quiet},
            said="; ".join(one.notes),
        )
        for one in measured
    }
    models = {network.name: sha256(network.text) for network in ablation.networks}
    kept = _Kept(schema=_SCHEMA, runtimes=runtimes, models=models)
    write_text(ablation.folder / LATENCY, json.dumps(kept, indent=2) + "\n", force=True)
