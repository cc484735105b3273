"""Trainings as numbers, those of an ablation's cells first of all; it compares nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..cost.cache import CostCache
from ..cost.limits import DEFAULT_SIZE
from ..grafting.input_files import classes_in
from .cells import Ablation, Cell
from .records import DONE, UNREADABLE, Epoch, digest, no_epochs, read_epochs, read_record

_PREFIX = "metrics/"
EQUAL_SEEDS, OTHER_NETWORK, NO_RESULTS = "equal seeds", "other network", "no results"
#: Letters behind a metric's name, in Ultralytics: of several, the first of these is what the task is about.
_LETTERS = ("(P)", "(M)", "(B)")


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        network, data, seed: what was trained.
        role: "base", "larger" or "variant".
        base: what it is compared with.
        folder: where it lies.
        state: as in the cells' records; of a plain run always "done".
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

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class Costs:
    """What a network costs; None for what is not known."""

    params: int | None = None
    gflops: float | None = None


def runs_of(ablation: Ablation, epoch: str) -> list[Run]:
    """Every cell of an ablation, in its order, done or not."""
    runs = [_of_cell(cell, epoch) for cell in ablation.cells]
    return with_equal_seeds(runs)


def costs_of(ablation: Ablation, *, count: bool) -> dict[str, Costs]:
    """Network -> its costs, at the recipe's image size; what is not known stays unknown where it may not be counted."""
    costs = CostCache(ablation.recipe.imgsz, ablation.recipe.blocks, may_count=count)
    found = {}
    for network in ablation.networks:
        counted = network.cost(costs)
        found[network.name] = Costs(counted.params, 2 * counted.macs / 1e9) if counted else Costs()
    return found


def counting_notes(ablation: Ablation) -> tuple[str, ...]:
    """At which size of image the costs of `costs_of` are, and with how many classes where that is not the data's."""
    height, width = ablation.recipe.imgsz
    trained = ablation.experiment.arguments.get("imgsz", DEFAULT_SIZE)
    size = f"GFLOPs are at {height}x{width} pixels"
    if trained not in (height, [height, width]) or height != width:
        size += f", and it was trained at {trained}: the recipe's imgsz says where they are counted"
    bases = {network.base: network.variant.base.classes for network in ablation.networks if network.variant}
    notes = [size]
    for name, source in ablation.data.items():
        classes = classes_in(Path(source))
        notes += [
            f"params and GFLOPs are counted with nc: {nc}, as {base} says, and it was trained for the {classes} "
            f"classes of {name}: write nc: {classes} into the base to count that"
            for base, nc in bases.items()
            if classes is not None and nc != classes
        ]
    return tuple(notes)


def with_equal_seeds(runs: Sequence[Run]) -> list[Run]:
    """The runs; those of different seeds with equal results say so, for then the seed changed nothing."""
    same: dict[tuple[str, str, str], list[int]] = {}
    for run in runs:
        if run.curve:
            same.setdefault((run.network, run.data, run.curve), []).append(run.seed)
    found = []
    for run in runs:
        seeds = sorted(same.get((run.network, run.data, run.curve), ()))
        if len(seeds) > 1:
            text = f"seeds {', '.join(map(str, seeds))} came to equal results, and count as one"
            repeats = seeds[0] if run.seed != seeds[0] else None
            run = replace(run, repeats=repeats, notes={**run.notes, EQUAL_SEEDS: text})
        found.append(run)
    return found


def noticed_in_words(runs: Sequence[Run]) -> tuple[str, ...]:
    """What one has to know of runs of one network, each said once, with the seeds that it concerns."""
    told: dict[tuple[str, str], list[int]] = {}
    for run in runs:
        for kind, text in run.notes.items():
            told.setdefault((kind, text), []).append(run.seed)
    return tuple(
        text if kind == EQUAL_SEEDS else f"{text} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"
        for (kind, text), seeds in told.items()
    )


def main_metric(metrics: Sequence[str]) -> str | None:
    """What the task is measured by: mAP50-95, of masks or keypoints where there are some, or top-1."""
    wanted = [*(f"mAP50-95{letter}" for letter in _LETTERS), "mAP50-95", "top1"]
    return next((name for name in wanted if name in metrics), None)


def _of_cell(cell: Cell, epoch: str) -> Run:
    record = read_record(cell.folder) or {}
    state = cell.state
    run = Run(
        cell.network.name, cell.data, cell.seed, cell.network.role, cell.network.base, cell.folder, state,
        notes=record.get("notes", {}) if state == DONE else {},
        versions=record.get("versions", {}) if state == DONE else {},
    )  # fmt: skip
    if state == UNREADABLE:
        return replace(run, notes={UNREADABLE: record["error"]["text"]})
    if len(record.get("attempts", [])) > 1 and state == DONE and not record.get("exact_resume", True):
        run = replace(run, notes={**run.notes, "resumed": "went on after an interruption, with other random images"})
    return with_metrics(run, read_epochs(cell.folder), epoch) if state == DONE else run


def with_metrics(run: Run, epochs: Sequence[Epoch], which: str) -> Run:
    """The run with the numbers of the epoch that counts, "best" or "last"."""
    if not epochs:
        return replace(run, state="failed", notes={**run.notes, NO_RESULTS: no_epochs(run.folder)})
    names = {name: _short(name, epochs[-1].values) for name in epochs[-1].values if name.startswith(_PREFIX)}
    history = tuple({short: epoch.values.get(name, math.nan) for name, short in names.items()} for epoch in epochs)
    chosen = len(history) - 1 if which == "last" else max(range(len(history)), key=lambda at: _fitness(history[at]))
    curve = digest([[epoch.number, dict(epoch.values)] for epoch in epochs])
    return replace(run, metrics=history[chosen], epoch=epochs[chosen].number, curve=curve)


def weights_of(folder: Path) -> Path | None:
    """The checkpoint that a run left, the best before the last; None where there is none."""
    weights = (folder / "weights" / name for name in ("best.pt", "last.pt"))
    return next((path for path in weights if path.is_file()), None)


def _short(name: str, among: Mapping[str, float]) -> str:
    """`metrics/mAP50-95(B)` -> `mAP50-95`; where boxes are not all there is, with its letter."""
    short = name[len(_PREFIX) :].replace("accuracy_", "")
    letters = {other[-3:] for other in among if other.startswith(_PREFIX) and other.endswith(")")}
    return short[:-3] if letters == {"(B)"} and short.endswith("(B)") else short


def _fitness(metrics: Mapping[str, float]) -> float:
    """By which the best epoch is chosen: mAP50-95, boxes and masks (or keypoints) together; top-1 for classifiers."""
    parts = [value for name, value in metrics.items() if name.startswith("mAP50-95") or name == "top1"]
    return sum(value if math.isfinite(value) else -1.0 for value in parts)
