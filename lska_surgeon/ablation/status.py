"""How far an ablation is, by the files of its cells; it starts nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..reports import Report, Table, html, table
from ..wording import one_line, printable
from .cells import Ablation, Cell
from .records import DONE, FAILED, INTERRUPTED, RUNNING, STALE, UNREADABLE, WAITING, read_epochs, read_record
from .runs import Run, noticed_in_words, runs_of

#: States, in the order in which they are counted.
#: What a job script says where no run is left.
NOTHING = "nothing is left to train: there is no job to submit"
STATES = (DONE, RUNNING, INTERRUPTED, WAITING, FAILED, STALE, UNREADABLE)
_LOOKED_FOR = ("metrics/mAP50-95(P)", "metrics/mAP50-95(M)", "metrics/mAP50-95(B)", "metrics/accuracy_top1")


@dataclass(frozen=True)
class CellStatus:
    """How far one cell is.

    Attributes:
        network, data, seed: which one.
        folder: where it lies.
        state: one of `STATES`.
        epochs: how many it has finished.
        of: how many were asked for; None where the recipe leaves that to Ultralytics.
        seconds: how long it took, where it was trained in one go.
        error: why it failed.
        noticed: kind of what one has to know of its training -> that in words.
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
    noticed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AblationStatus:
    """How far an ablation is.

    Attributes:
        recipe: the recipe's file.
        folder: where the cells lie.
        cells: all of them.
        seconds_left: an estimate from the cells that ended, or None.
        notes: what the user should be told.
        left: the cells that the next call would train, as it was asked for: with `retry` those that failed, too.
        script: the job script that would be submitted, in a dry run for Slurm; "" where nothing is left.
    """

    recipe: Path
    folder: Path
    cells: tuple[CellStatus, ...]
    seconds_left: float | None
    notes: tuple[str, ...] = ()
    left: tuple[CellStatus, ...] = ()
    script: str | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """State -> how many cells are in it."""
        found = Counter(cell.state for cell in self.cells)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def failed(self) -> bool:
        """Whether a cell has failed."""
        return FAILED in self.counts

    @property
    def failures(self) -> list[str]:
        """One line on each run that failed."""
        return [failure_text(cell) for cell in self.cells if cell.state == FAILED]

    def report(self) -> Report:
        """A table of the runs, how many are in which state, and the job script of a dry run."""
        script = () if self.script is None else (self.script or NOTHING,)
        return Report(self.summary(), (self._table(), printable(self.summary()), *script), self.notes, self.to_dict())

    def summary(self) -> str:
        """`recipe.yaml: 9 cells: 3 done, 6 waiting; about 2 h left`."""
        counts = ", ".join(f"{number} {state}" for state, number in self.counts.items())
        left = "" if self.seconds_left is None else f"; about {duration(self.seconds_left)} left"
        return f"{self.recipe.name}: {len(self.cells)} cells: {counts}{left}"

    def __str__(self) -> str:
        return f"{table(*self._table()[:3])}\n\n{printable(self.summary())}"

    def _table(self) -> Table:
        header = ("network", "data", "seed", "state", "epochs", "time", "noticed")
        rows = [
            (
                cell.network,
                cell.data,
                str(cell.seed),
                cell.state,
                f"{cell.epochs}/{cell.of or '?'}",
                duration(cell.seconds) if cell.seconds is not None else "",
                ", ".join(cell.noticed),
            )
            for cell in self.cells
        ]
        shown = len(header) - (not any(cell.noticed for cell in self.cells))
        return Table(header[:shown], [row[:shown] for row in rows], (2, 4, 5))

    def with_note(self, note: str) -> AblationStatus:
        """The same with one more note."""
        return replace(self, notes=(*self.notes, note))

    def with_script(self, script: str) -> AblationStatus:
        """The same with the job script of a dry run."""
        return replace(self, script=script)

    def _repr_html_(self) -> str:
        said = [self.summary(), *(f"Note: {note}" for note in self.notes)]
        return html(self._table()) + "\n" + html("\n".join(said))

    def to_dict(self) -> dict[str, Any]:
        """As `--json` writes it."""
        return {
            **({} if self.script is None else {"script": self.script}),
            "schema": 1,
            "recipe": str(self.recipe),
            "folder": str(self.folder),
            "counts": dict(self.counts),
            "seconds_left": self.seconds_left,
            "cells": [{**vars(cell), "folder": str(cell.folder)} for cell in self.cells],
            "notes": list(self.notes),
        }


def status_of(ablation: Ablation, devices: int = 1, *, retry: bool = False, renew: bool = False) -> AblationStatus:
    """How far an ablation is.

    Args:
        ablation: the ablation.
        devices: on how many devices the rest would be trained, for the estimate.
        retry: whether cells that failed would be trained, too.
        renew: whether stale cells, and those whose record is damaged, would be.
    """
    runs = runs_of(ablation, "last")
    cells = tuple(_status(ablation, cell, run) for cell, run in zip(ablation.cells, runs))
    notes = []
    stale = [cell for cell in cells if cell.state == STALE]
    if stale:
        notes.append(
            f"{len(stale)} stale: the recipe, a start or the data changed since ({_changed(ablation, stale)}); "
            "they are kept and not counted: add --renew to move them aside and train them again"
        )
    for network, data in dict.fromkeys((run.network, run.data) for run in runs):
        told = noticed_in_words([run for run in runs if (run.network, run.data) == (network, data)])
        where = f"{network} on {data}" if len(ablation.data) > 1 else network
        notes += [f"{where}: {text}" for text in told]
    wanted = (WAITING, INTERRUPTED, *((FAILED,) if retry else ()), *((STALE, UNREADABLE) if renew else ()))
    left = tuple(cell for cell in cells if cell.state in wanted)
    seconds = _seconds_left(cells, left, devices)
    return AblationStatus(ablation.recipe.path, ablation.folder, cells, seconds, tuple(notes), left)


def _status(ablation: Ablation, cell: Cell, run: Run) -> CellStatus:
    record = read_record(cell.folder) or {}
    epochs = len(read_epochs(cell.folder))
    asked = record.get("epochs", {}).get("asked", ablation.experiment.arguments.get("epochs"))
    attempts = record.get("attempts", [])
    seconds = attempts[0].get("seconds") if len(attempts) == 1 else None
    error = record.get("error", {}).get("text")
    return CellStatus(
        cell.network.name, cell.data, cell.seed, cell.folder, cell.state, epochs, asked, seconds, error, run.notes
    )


def _changed(ablation: Ablation, stale: Sequence[CellStatus]) -> str:
    """What differs from what was trained, by name."""
    names: dict[str, None] = {}
    folders = {cell.folder for cell in stale}
    for cell in ablation.cells:
        if cell.folder in folders:
            before = (read_record(cell.folder) or {}).get("asked", {})
            for key, value in cell.asked.items():
                if before.get(key) != value and isinstance(value, dict):
                    old = before.get(key, {})
                    names.update(dict.fromkeys(k for k in {**old, **value} if old.get(k) != value.get(k)))
                elif before.get(key) != value:
                    names[key] = None
    return ", ".join(names)


def _seconds_left(cells: Sequence[CellStatus], waiting: Sequence[CellStatus], devices: int) -> float | None:
    taken = [cell.seconds for cell in cells if cell.seconds is not None and cell.state == DONE]
    left = [*waiting, *(cell for cell in cells if cell.state == RUNNING)]
    if not taken or not left:
        return None
    by_network: dict[str, list[float]] = {}
    for cell in cells:
        if cell.seconds is not None and cell.state == DONE:
            by_network.setdefault(cell.network, []).append(cell.seconds)
    total = 0.0
    for cell in left:
        known = by_network.get(cell.network, taken)
        part = 1 - cell.epochs / cell.of if cell.of and cell.state not in (STALE, UNREADABLE) else 1.0
        total += part * sum(known) / len(known)
    return total / max(1, min(devices, len(left)))


def progress_line(cell: Cell, *, ended: bool = False) -> str:
    """`epoch 3/100, mAP50-95 0.412, about 2 h left`: how far a cell is; of one that has ended nothing is left."""
    epochs = read_epochs(cell.folder)
    if not epochs:
        return "starting"
    last, of = epochs[-1], cell.arguments.get("epochs", 100)
    name = next((name for name in _LOOKED_FOR if name in last.values), None)
    accuracy = f", {name.partition('/')[2]} {last.values[name]:.3f}" if name else ""
    each = last.seconds / max(1, last.number)  # after a resumption the clock begins anew, and this is too short
    if len(epochs) > 1 and epochs[-1].seconds > epochs[-2].seconds:
        each = epochs[-1].seconds - epochs[-2].seconds
    left = 0 if ended else each * max(0, of - last.number)
    return f"epoch {last.number}/{of}{accuracy}" + (f", about {duration(left)} left" if left > 0 else "")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def failure_text(cell: CellStatus) -> str:
    """One line on a cell that failed."""
    return f"{cell.network}, {cell.data}, seed {cell.seed}: {one_line(cell.error or 'failed')} (see {cell.folder})"
