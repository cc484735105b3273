"""How far an ablation is, by the files of its runs; it starts nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from ..reports import Part, Report, Result, Table
from ..wording import counted, one_line, printable
from .outcomes import Outcome, outcomes_of, warnings_of
from .records import DONE, FAILED, INTERRUPTED, RUNNING, STALE, UNREADABLE, WAITING, read_epochs, read_record
from .runs import Ablation, Run

#: States, in the order in which they are counted.
STATES = (DONE, RUNNING, INTERRUPTED, WAITING, FAILED, STALE, UNREADABLE)
#: What stands in the place of a job script where no run is left.
NOTHING = "nothing is left to train: there is no job to submit"
_HEADER = ("network", "data", "seed", "state", "epochs", "time", "warnings")
_LOOKED_FOR = ("metrics/mAP50-95(P)", "metrics/mAP50-95(M)", "metrics/mAP50-95(B)", "metrics/accuracy_top1")


@dataclass(frozen=True)
class RunStatus:
    """How far one run is.

    Attributes:
        network, data, seed: which one.
        folder: where it lies.
        state: one of `STATES`.
        epochs: how many it has finished.
        of: how many were asked for; None where the recipe leaves that to Ultralytics.
        seconds: how long it took, where it was trained in one go.
        error: why it failed.
        warnings: kind of what one has to know of its training -> that in words.
    """

    network: str
    data: str
    seed: int
    folder: Path
    state: str
    epochs: int
    of: int | None
    seconds: float | None
    error: str | None
    warnings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class AblationStatus(Result):
    """How far an ablation is.

    Attributes:
        recipe: the recipe's file.
        folder: where the runs lie.
        runs: all of them.
        seconds_left: an estimate from the runs that ended, or None.
        notes: what the user should know.
        left: the runs that the next call would train, as it was asked for: with `retry` those that failed, too.
        script: the job script that would be submitted, in a dry run for Slurm; "" where nothing is left.
    """

    schema: ClassVar[int] = 2

    recipe: Path
    folder: Path
    runs: tuple[RunStatus, ...]
    seconds_left: float | None
    notes: tuple[str, ...] = ()
    left: tuple[RunStatus, ...] = ()
    script: str | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """State -> how many runs are in it."""
        counts = Counter(run.state for run in self.runs)
        return {state: counts[state] for state in STATES if counts[state]}

    @property
    def failed(self) -> bool:
        """Whether a run has failed."""
        return FAILED in self.counts

    @property
    def failures(self) -> list[str]:
        """One line on each run that failed."""
        return [
            f"{run.network}, {run.data}, seed {run.seed}: {one_line(run.error or 'failed')} (see {run.folder})"
            for run in self.runs
            if run.state == FAILED
        ]

    def summary(self) -> str:
        """`recipe.yaml: 9 runs: 3 done, 6 waiting; about 2 h left`."""
        counts = ", ".join(f"{number} {state}" for state, number in self.counts.items())
        left = "" if self.seconds_left is None else f"; about {_duration(self.seconds_left)} left"
        return f"{self.recipe.name}: {counted(len(self.runs), 'run')}: {counts}{left}"

    def report(self) -> Report:
        """A table of the runs, how many are in which state, and the job script of a dry run."""
        rows = [
            (
                run.network,
                run.data,
                str(run.seed),
                run.state,
                f"{run.epochs}/{run.of or '?'}",
                "" if run.seconds is None else _duration(run.seconds),
                ", ".join(run.warnings),
            )
            for run in self.runs
        ]
        columns = len(_HEADER) - (not any(run.warnings for run in self.runs))
        table = Table(_HEADER[:columns], [row[:columns] for row in rows], (2, 4, 5))
        script: list[Part] = [] if self.script is None else [self.script or NOTHING]
        data = {
            **({} if self.script is None else {"script": self.script}),
            "schema": self.schema,
            "recipe": str(self.recipe),
            "folder": str(self.folder),
            "counts": dict(self.counts),
            "seconds_left": self.seconds_left,
            "runs": [{**vars(run), "folder": str(run.folder)} for run in self.runs],
            "notes": list(self.notes),
        }
        return Report(self.summary(), (table, printable(self.summary()), *script), self.notes, data)

    def with_note(self, note: str) -> AblationStatus:
        """The same with one more note."""
        return replace(self, notes=(*self.notes, note))

    def with_script(self, script: str) -> AblationStatus:
        """The same with the job script of a dry run."""
        return replace(self, script=script)


def status_of(ablation: Ablation, devices: int = 1, *, retry: bool = False, renew: bool = False) -> AblationStatus:
    """How far an ablation is.

    Args:
        ablation: the ablation.
        devices: on how many devices the rest would be trained, for the estimate.
        retry: whether runs that failed would be trained, too.
        renew: whether stale runs, and those whose record is damaged, would be.
    """
    outcomes = outcomes_of(ablation, "last")
    runs = tuple(_status(ablation, run, outcome) for run, outcome in zip(ablation.runs, outcomes))
    notes = []
    stale = [planned for planned, run in zip(ablation.runs, runs) if run.state == STALE]
    if stale:
        notes.append(
            f"{len(stale)} stale: the recipe, a start or the data changed since ({changed(stale)}); "
            "they are kept and not counted: add --renew to move them aside and train them again"
        )
    for network, data in dict.fromkeys((one.network, one.data) for one in outcomes):
        where = f"{network} on {data}" if len(ablation.data) > 1 else network
        same = [one for one in outcomes if (one.network, one.data) == (network, data)]
        notes += [f"{where}: {text}" for text in warnings_of(same)]
    wanted = (WAITING, INTERRUPTED, *((FAILED,) if retry else ()), *((STALE, UNREADABLE) if renew else ()))
    left = tuple(run for run in runs if run.state in wanted)
    seconds = _seconds_left(runs, left, devices)
    return AblationStatus(ablation.recipe.path, ablation.folder, runs, seconds, tuple(notes), left)


def _status(ablation: Ablation, run: Run, outcome: Outcome) -> RunStatus:
    record = read_record(run.folder)
    asked = record.epochs.asked if record and record.epochs else ablation.experiment.arguments.get("epochs")
    attempts = record.attempts if record else ()
    return RunStatus(
        run.network.name,
        run.data,
        run.seed,
        run.folder,
        run.state,
        len(read_epochs(run.folder)),
        asked,
        attempts[0].seconds if len(attempts) == 1 else None,
        record.error.text if record and record.error else None,
        outcome.notes,
    )


def changed(stale: Sequence[Run]) -> str:
    """What differs from what was trained, by name."""
    names: dict[str, None] = {}
    for run in stale:
        record = read_record(run.folder)
        before = record.asked if record else {}
        for key, value in run.asked.items():
            old = before.get(key)
            if old != value and isinstance(value, dict):
                old = old if isinstance(old, dict) else {}
                names.update(dict.fromkeys(name for name in {**old, **value} if old.get(name) != value.get(name)))
            elif old != value:
                names[key] = None
    return ", ".join(names)


def _seconds_left(runs: Sequence[RunStatus], waiting: Sequence[RunStatus], devices: int) -> float | None:
    left = [*waiting, *(run for run in runs if run.state == RUNNING)]
    taken: dict[str, list[float]] = {}
    for run in runs:
        if run.seconds is not None and run.state == DONE:
            taken.setdefault(run.network, []).append(run.seconds)
    if not taken or not left:
        return None
    total, every = 0.0, [seconds for one in taken.values() for seconds in one]
    for run in left:
        known = taken.get(run.network, every)
        part = 1 - run.epochs / run.of if run.of and run.state not in (STALE, UNREADABLE) else 1.0
        total += part * sum(known) / len(known)
    return total / max(1, min(devices, len(left)))


def progress_line(run: Run, *, ended: bool = False) -> str:
    """`epoch 3/100, mAP50-95 0.412, about 2 h left`: how far a run is; of one that has ended nothing is left."""
    epochs = read_epochs(run.folder)
    if not epochs:
        return "starting"
    last, of = epochs[-1], run.arguments.get("epochs", 100)
    name = next((name for name in _LOOKED_FOR if name in last.values), None)
    accuracy = f", {name.partition('/')[2]} {last.values[name]:.3f}" if name else ""
    each = last.seconds / max(1, last.number)  # after a resumption the clock begins anew, and this is too short
    if len(epochs) > 1 and epochs[-1].seconds > epochs[-2].seconds:
        each = epochs[-1].seconds - epochs[-2].seconds
    left = 0 if ended else each * max(0, of - last.number)
    return f"epoch {last.number}/{of}{accuracy}" + (f", about {_duration(left)} left" if left > 0 else "")


def _duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
