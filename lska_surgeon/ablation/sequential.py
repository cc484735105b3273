"""Seed after seed, what is decided and what is no longer worth training; numbers in, a course out, and no files.

A unit is what is flipped as one: a seed, or a seed on one of several data sets. What is fixed in advance is a `Design`;
`follow` then reads the units in their order, as far as they are there. So whoever reads them again, after whatever
interruption, comes to the same course; and trainings beyond a decision change nothing of it.

At most 5% of tables hold a false gain, whenever one looks (`JointMaximum`): given the sizes of the differences, the
signs of whole units are exchangeable where nothing is better; the maximum over variants keeps the level of the table
with all its correlations; and choices of signs that one look has used up are gone for those that follow. What is closed
stays in the reference, with its own sizes again, so that leaving it out only loses power.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal, Protocol

import numpy as np

from .flips import Numbers, chance_above, every_choice, random_choices
from .statistics import ALPHA

Question = Literal["better", "best", "gate"]
#: The base among the candidates for the best.
THE_BASE = -1
_NORMAL = NormalDist()
_EVERY = 13  # units up to which every choice of signs is in the reference
_SAME = 1e-5  # statistics in single precision that differ by less are equal
_FIRST = 3  # units before which nothing is dropped
_BEHIND = 0.02  # chance of being the better of two at which a candidate for the best is dropped
_WEIGHTS = (0.25, 0.25, 0.5)  # of the three looks of the strict test


@dataclass(frozen=True)
class Design:
    """What is fixed before the first training.

    Attributes:
        variants: how many are compared with their base.
        most: units after which it ends, whatever is open then.
        question: "better" shows gains; "best" only chooses; "gate" shows what passes and what does not.
        strict: for better, the test that is proven with dropping, too: Holm's on three looks.
        drop: a variant is dropped when its chance of a gain by the end is below that.
        margin: for a gate, how much lower than the base may pass.
        sets: the data set of each unit; none where there is one.
        flips: choices of signs in the reference.
        seed: of the choices.
    """

    variants: int
    most: int
    question: Question = "better"
    strict: bool = False
    drop: float = 0.1
    margin: float = 0.0
    sets: tuple[int, ...] = ()
    flips: int = 16_384
    seed: int = 0

    @property
    def first_look(self) -> int:
        """The units at which something can be decided for the first time."""
        level = ALPHA / 4 / (self.variants if self.strict else 1)
        return math.ceil(-math.log2(level))

    @property
    def looks(self) -> tuple[int, ...]:
        """The units after which it is decided."""
        first = self.first_look
        if self.question == "best":
            return ()
        if self.strict or self.question == "gate":
            return tuple(sorted({first, (first + self.most) // 2, self.most}))
        return tuple(range(first, self.most + 1))

    def spent(self, units: int) -> float:
        """The part of the level that may be used up after so many units."""
        return 1.0 if units >= self.most else max(0.25, (units / self.most) ** 2)

    def signs(self) -> Numbers:
        """The choices of signs, units x choices; the first is all +1."""
        every = self.most <= _EVERY
        signs = every_choice(self.most) if every else random_choices(self.most, self.flips, self.seed)
        return np.ascontiguousarray(signs.T, dtype=np.float32)


@dataclass(frozen=True)
class Course:
    """How it went so far.

    Attributes:
        design: what was fixed.
        units: those that were read.
        shown: variant -> units after which it is shown to be better, or to pass.
        failed: of a gate, variant -> units after which it is shown not to pass.
        dropped: variant -> units after which it was dropped.
        leader: which is ahead, `THE_BASE` or a variant; None before the first unit.
    """

    design: Design
    units: int = 0
    shown: Mapping[int, int] = field(default_factory=dict)
    failed: Mapping[int, int] = field(default_factory=dict)
    dropped: Mapping[int, int] = field(default_factory=dict)
    leader: int | None = None

    @property
    def closed(self) -> dict[int, int]:
        """Variant -> units after which it was no longer trained."""
        return {**self.shown, **self.failed, **self.dropped}

    @property
    def open(self) -> list[int]:
        """The variants that are to be trained with the next unit."""
        return [] if self.units >= self.design.most else self._not_closed

    @property
    def _not_closed(self) -> list[int]:
        closed = self.closed
        left = [variant for variant in range(self.design.variants) if variant not in closed]
        if self.design.question == "best" and left == [self.leader]:  # nothing is left that it could be behind
            return []
        return left

    @property
    def trainings(self) -> int:
        """Those of the variants and of one base that this took."""
        return self.units + sum(self.closed.get(variant, self.units) for variant in range(self.design.variants))


def _set_of(design: Design, unit: int) -> int:
    """The data set of a unit, counted from 0."""
    return design.sets[unit] if design.sets else 0


class _Test(Protocol):
    """What is shown, from one look to the next."""

    def add(self, unit: int, row: Numbers, open_: Collection[int]) -> None: ...

    def found(self) -> set[int]: ...


class JointMaximum:
    """The step-down maximum over joint flips, with what former looks used up taken off."""

    def __init__(self, design: Design, signs: Numbers) -> None:
        sets = max(design.sets, default=0) + 1
        self.design, self.signs, self.at_looks = design, signs, set(design.looks)
        self.sums = np.zeros((sets, design.variants, signs.shape[1]), dtype=np.float32)
        self.squares = np.zeros((sets, design.variants))
        self.looks: list[tuple[int, Numbers, frozenset[int]]] = []
        self.passes: dict[frozenset[int], _Pass] = {}

    def add(self, unit: int, row: Numbers, open_: Collection[int]) -> None:
        """Take in a unit, counted from 1; what is closed is in the row with its own sizes."""
        of = _set_of(self.design, unit - 1)
        for sums, value in zip(self.sums[of], row):
            sums += np.float32(value) * self.signs[unit - 1]
        self.squares[of] += row**2
        if unit in self.at_looks:
            scale = self.squares.mean(1)  # each data set by the root of its mean square, which no flip changes
            scale = np.sqrt(1 / np.where(scale > 0, scale, 1.0))
            size = np.sqrt(scale**2 @ self.squares)
            weights = (scale[:, None] / np.where(size > 0, size, 1.0)).astype(np.float32)
            table = sum(one[:, None] * sums for one, sums in zip(weights, self.sums))
            self.looks.append((unit, np.asarray(table), frozenset(open_)))

    def found(self) -> set[int]:
        """The variants that are shown at one of the looks; what is shown leaves the reference of the others."""
        every = left = frozenset(range(self.design.variants))
        while left:
            one = self.passes.setdefault(left, _Pass(left, self.signs.shape[1]))
            one.go_on(self.design, self.looks)
            if not one.found:
                break
            left -= one.found
        return set(every - left)


class _Pass:
    """One step of the step-down: all looks with the same variants in the reference."""

    def __init__(self, among: frozenset[int], choices: int) -> None:
        self.among, self.choices = among, choices
        self.alive = np.ones(choices, dtype=bool)
        self.used = self.seen = 0
        self.found: set[int] = set()

    def go_on(self, design: Design, looks: list[tuple[int, Numbers, frozenset[int]]]) -> None:
        """Look where it has not looked yet."""
        rows = sorted(self.among)
        for unit, table, open_ in looks[self.seen :]:
            self.seen += 1
            allowed = math.floor(ALPHA * design.spent(unit) * self.choices) - self.used
            if allowed <= 0:
                continue
            largest = (table[rows] if len(rows) < len(table) else table).max(0)
            largest[~self.alive] = -math.inf
            edge = np.partition(largest, self.choices - allowed - 1)[self.choices - allowed - 1] + _SAME
            self.found |= {variant for variant in self.among & open_ if table[variant, 0] > edge}
            gone = largest > edge
            self.alive &= ~gone
            self.used += int(gone.sum())


class Strict:
    """Holm's test on the smallest p of three looks, each weighted: proven whatever is dropped."""

    def __init__(self, design: Design) -> None:
        self.design, self.rows = design, list[Numbers]()
        self.weights = dict(zip(design.looks, _WEIGHTS))
        self.ps = [1.0] * design.variants

    def add(self, unit: int, row: Numbers, open_: Collection[int]) -> None:
        """Take in a unit, counted from 1."""
        self.rows.append(row)
        for variant in open_ if unit in self.weights else ():
            p = chance_above(_in_scale(self.design, np.array(self.rows))[:, variant])
            self.ps[variant] = min(self.ps[variant], p / self.weights[unit])

    def found(self) -> set[int]:
        """The variants that are shown."""
        found: set[int] = set()
        for variant in sorted(range(len(self.ps)), key=lambda one: self.ps[one]):
            if self.ps[variant] > ALPHA / (len(self.ps) - len(found)):
                break
            found.add(variant)
        return found


def follow(design: Design, differences: Numbers, signs: Numbers | None = None) -> Course:
    """Read units in their order, as far as they are there for all variants that are still open.

    Args:
        design: what was fixed.
        differences: to the base, units x variants; 0 for a training that failed, NaN for one that is not there.
        signs: `design.signs()`, for whoever has them already.
    """
    tests: list[_Test] = []
    if design.question != "best":
        if design.strict:
            tests = [Strict(design)]
        else:
            signs = design.signs() if signs is None else signs
            tests = [JointMaximum(design, signs) for _ in range(2 if design.question == "gate" else 1)]
    shown: tuple[dict[int, int], dict[int, int]] = {}, {}
    course, dropped = Course(design), dict[int, int]()
    for unit in range(1, min(design.most, len(differences)) + 1):
        open_, closed = course.open, course.closed
        if not open_ or np.isnan(differences[unit - 1, open_]).any():
            break
        row = differences[unit - 1] + design.margin
        for variant, last in closed.items():  # its own sizes again, for the flips alone
            own = [one for one in range(last) if _set_of(design, one) == _set_of(design, unit - 1)] or range(last)
            row[variant] = abs(differences[own[(unit - 1) % len(own)], variant] + design.margin)
        for test, sign in zip(tests, (1, -1)):
            test.add(unit, np.where(np.isin(np.arange(design.variants), open_), sign, 1) * row, open_)
        for test, side in zip(tests, shown) if unit in design.looks else ():
            side.update((variant, unit) for variant in test.found() if variant not in closed and variant not in side)
        course = Course(design, unit, dict(shown[0]), dict(shown[1]), dict(dropped))
        dropped.update(dict.fromkeys(_hopeless(course, differences[:unit]), unit))
        course = Course(design, unit, course.shown, course.failed, dict(dropped), _leader(course, differences[:unit]))
    return course


def _real(course: Course, differences: Numbers) -> Numbers:
    """The differences that count, of what is closed those before; each data set in its own scale."""
    counted = differences.copy()
    for variant, last in course.closed.items():
        counted[last:, variant] = np.nan
    return _in_scale(course.design, counted)


def _in_scale(design: Design, differences: Numbers) -> Numbers:
    """The differences, those of each data set by the root of their mean square, which no flip changes."""
    if not design.sets:
        return differences
    sets = np.array(design.sets[: len(differences)])
    sizes = [float(np.sqrt(np.nanmean(differences[sets == one] ** 2))) for one in sets]
    scales: Numbers = np.array([size if size > 0 else 1.0 for size in sizes])
    return differences / scales[:, None]


def _leader(course: Course, differences: Numbers) -> int:
    means = np.nanmean(_real(course, differences), axis=0)
    for variant in course.dropped:
        means[variant] = -math.inf
    best = int(np.argmax(means))
    return best if means[best] > 0 else THE_BASE


def _hopeless(course: Course, differences: Numbers) -> list[int]:
    """The variants that are dropped now."""
    design, n = course.design, course.units
    open_ = course.open
    if n < max(_FIRST, len(set(design.sets))) or n >= design.most or not open_ or design.question == "gate":
        return []
    counted = _real(course, differences)
    if design.question == "best":
        leader = _leader(course, differences)
        ahead = 0.0 if leader == THE_BASE else counted[:, leader]
        counted = (ahead[:, None] if leader != THE_BASE else 0.0) - counted  # type: ignore[index]
    variance = float(np.median(np.nanvar(counted, axis=0, ddof=1))) * (1.15 if n < 2 * _FIRST else 1.0)
    means = counted[:, open_].mean(0)
    if design.question == "best":
        edge = -_NORMAL.inv_cdf(_BEHIND) * math.sqrt(variance / n)
        return [variant for variant, mean in zip(open_, means) if variant != leader and mean > edge]
    if variance <= 0:
        return []
    z = means * math.sqrt(n / variance)
    edge = _NORMAL.inv_cdf(1 - 0.9 * ALPHA / max(1, design.variants - len(course.shown)))
    left = (z * math.sqrt(design.most / n) - edge) / math.sqrt((design.most - n) / n)
    return [variant for variant, one in zip(open_, left) if _NORMAL.cdf(float(one)) < design.drop]


def simulate(design: Design, effects: Numbers, tables: int, seed: int = 0) -> list[Course]:
    """Courses of tables that are drawn: normal scores, effects in spreads of a paired difference."""
    rng, signs = np.random.default_rng(seed), None if design.question == "best" or design.strict else design.signs()
    courses = []
    for _ in range(tables):
        scores = rng.normal(size=(design.most, design.variants + 1)) / math.sqrt(2)
        courses.append(follow(design, scores[:, 1:] - scores[:, :1] + effects, signs))
    return courses
