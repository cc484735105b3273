"""What a sequential ablation promises and costs, on tables that are drawn: by the product's own functions.

Run by hand; on one core it takes one to two hours; it prints Markdown:

    python tests/benchmarks/sequential.py [TABLES]

A table has V variants and a base; a score is drawn for each unit and network, and 1.0 is the spread of a paired
difference. A false gain: tables without any effect that hold one. Power: the part of the good ones that is shown, where
one in four (or the only one) is better by 1.0. On standard error stands the fixed design: the seeds at which it finds
as many, and what their trainings are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from lska_surgeon.ablation.flips import Numbers, corrected
from lska_surgeon.ablation.sequential import Course, Design, follow
from lska_surgeon.ablation.statistics import ALPHA

KINDS = ("normal", "skewed", "t3", "5% failed", "unequal spread", "skewed, unequal")
FAILS, WIDER = 0.05, 1.7
SIZES = {1: 16, 3: 16, 6: 16, 12: 24, 24: 24}  # variants -> units at most
FIXED = 12  # seeds of the fixed design whose level stands beside


def tables(kind: str, units: int, variants: int, number: int, effects: Numbers, seed: int) -> Iterator[Numbers]:
    """The paired differences of so many tables."""
    rng = np.random.default_rng(seed)
    shape = units, variants + 1
    for _ in range(number):
        if "skewed" in kind:
            scores = 1 - rng.exponential(size=shape)  # now and then a bad one, as trainings do
        else:
            scores = rng.standard_t(3, size=shape) / 3**0.5 if kind == "t3" else rng.normal(size=shape)
        wider = WIDER if "unequal" in kind else 1.0
        scores[:, 1:] *= wider
        differences = (scores[:, 1:] - scores[:, :1]) / (1 + wider**2) ** 0.5 + effects
        if "failed" in kind:
            failed = rng.random(shape) < FAILS
            differences[failed[:, 1:] | failed[:, :1]] = 0.0
        yield differences


def courses(design: Design, kind: str, number: int, effects: Numbers, seed: int) -> list[Course]:
    """Where so many tables lead."""
    signs = design.signs()
    return [follow(design, table, signs) for table in tables(kind, design.most, design.variants, number, effects, seed)]


def percent(part: float, of: int) -> str:
    """With the standard error of a simulation."""
    return f"{100 * part:.1f} ± {100 * (part * (1 - part) / of) ** 0.5:.1f}"


def main(number: int) -> None:
    """The table."""
    print("| variants, most | spread | tables | false gain | fixed, 12 seeds | A/A trainings | power | trainings |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for variants, most in SIZES.items():
        design = Design(variants, most)
        none, some = np.zeros(variants), np.arange(variants) < max(1, variants // 4)
        whole = most * (variants + 1)
        for kind in KINDS:
            same = courses(design, kind, number, none, 0)
            level = np.mean([bool(course.shown) for course in same])
            fixed = list(tables(kind, FIXED, variants, number, none, 1))
            wrong = np.mean([_gains(table).any() for table in fixed])
            good = courses(design, kind, number, some * 1.0, 2)
            power = np.mean([sum(some[one] for one in course.shown) / some.sum() for course in good])
            cells = [f"{variants}, {most}", kind, f"{number:,}", percent(level, number), percent(wrong, number)]
            cells += [f"{np.mean([course.trainings for course in one]):.0f} of {whole}" for one in (same, good)]
            cells.insert(6, f"{power:.2f}")
            print(f"| {' | '.join(cells)} |", flush=True)
            if kind == KINDS[0]:
                _beside(design, number, some, float(power), float(np.mean([course.trainings for course in good])))


def _gains(table: Numbers, level: float = ALPHA) -> Numbers:
    return (np.array(corrected(table)) <= level) & (table.mean(0) > 0)


def _beside(design: Design, number: int, some: Numbers, power: float, took: float) -> None:
    """Tell the fixed design that has the same power, on tables of that kind and up to as many seeds.

    It shows losses as well, so its gains alone have half of its level: here it has twice the level, and so the same.
    """
    drawn = list(tables(KINDS[0], design.most, design.variants, min(number, 1_000), some * 1.0, 2))
    for seeds in range(6, design.most + 1):
        found = np.mean([_gains(table[:seeds], 2 * ALPHA)[some].mean() for table in drawn])
        if found >= power or seeds == design.most:
            trainings = seeds * (design.variants + 1)
            text = f"{seeds} seeds find {found:.2f} in {trainings} trainings: {took / trainings:.2f} of these"
            print(f"<!-- {design.variants}, {design.most}: fixed, {text} -->", file=sys.stderr, flush=True)
            return


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
