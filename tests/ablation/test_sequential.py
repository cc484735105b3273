"""What is decided seed after seed: against the rule written down plainly, and by counting what chance would do."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from statistics import NormalDist, median, variance
from typing import Any

import numpy as np
import pytest

from lska_surgeon.ablation.sequential import THE_BASE, Design, follow, simulate

NORMAL = NormalDist()


def plainly(n: int, gamma: float, d: Any) -> tuple[dict[int, int], dict[int, int]]:
    """The rule in plain Python, one sum after the other: variant -> seeds after which it gains, or is dropped.

    Every choice of signs is in the reference; after a gain or a drop a variant's own sizes come again.
    """
    flips = list(itertools.product((1, -1), repeat=n))
    gains: dict[int, int] = {}
    dropped: dict[int, int] = {}
    rows: list[list[float]] = []
    looks: list[tuple[int, list[list[float]], set[int]]] = []
    everything = range(len(d[0]))
    for at in range(1, n + 1):
        closed = {**gains, **dropped}
        active = {v for v in everything if v not in closed}
        if not active:
            break
        rows.append([d[at - 1][v] if v in active else abs(d[(at - 1) % closed[v]][v]) for v in everything])
        if 2.0**-at <= 0.05 / 4:
            size = [math.sqrt(sum(row[v] ** 2 for row in rows)) or 1 for v in everything]
            sums = [[sum(s * row[v] for s, row in zip(flip, rows)) / size[v] for v in everything] for flip in flips]
            looks.append((at, sums, active))
            left = set(everything)
            while left:
                alive, used, hits = set(range(len(flips))), 0, set()
                for j, sums, then in looks:
                    f = 1 if j == n else max(1 / 4, (j / n) ** 2)
                    allow = math.floor(0.05 * f * len(flips)) - used
                    if allow <= 0:
                        continue
                    m = {g: max(sums[g][v] for v in left) for g in alive}
                    edge = sorted(m.values(), reverse=True)[allow] + 1e-5
                    hits |= {v for v in left & then if sums[0][v] > edge}
                    gone = {g for g in alive if m[g] > edge}
                    alive, used = alive - gone, used + len(gone)
                if not hits:
                    break
                left -= hits
            gains.update({v: at for v in everything if v not in left and v not in gains and v not in dropped})
        if 3 <= at < n:
            kept = [[d[i][v] for i in range({**gains, **dropped}.get(v, at))] for v in everything]
            s2 = median(variance(one) for one in kept) * (1.15 if at < 6 else 1)
            c = NORMAL.inv_cdf(1 - 0.9 * 0.05 / max(1, len(everything) - len(gains)))
            for v in everything:
                if v not in gains and v not in dropped:
                    z = sum(kept[v]) / at / math.sqrt(s2) * math.sqrt(at)
                    if NORMAL.cdf((z * math.sqrt(n / at) - c) / math.sqrt((n - at) / at)) < gamma:
                        dropped[v] = at
    return gains, dropped


@pytest.mark.parametrize("seed", range(8))
def test_it_follows_the_rule_as_it_is_written(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, v = 8 + seed % 3, 1 + seed % 4
    d = np.round(rng.normal(rng.choice([0, 1.2], v), 1, (n, v)), 1)  # ties among them
    gamma = [0.1, 0.0, 0.3][seed % 3]
    course = follow(Design(v, n, drop=gamma), d)
    assert (course.shown, course.dropped) == plainly(n, gamma, d.tolist())


@pytest.mark.parametrize(
    "design", [Design(2, 9, drop=0.0), Design(3, 9, drop=0.0), Design(2, 9, "gate"), Design(1, 9, strict=True, drop=0)]
)
def test_by_chance_alone_at_most_one_table_in_twenty_has_a_gain(design: Design) -> None:
    """Counted: given their sizes, any choice of signs is as likely, and each is looked at after every seed."""
    rng = np.random.default_rng(1)
    sizes = np.abs(rng.standard_t(3, (design.most, design.variants)))
    apart = sizes * np.where(rng.random(sizes.shape) < 0.5, -1, 1)  # the variants differ in sign among themselves
    signs, flips = design.signs(), list(itertools.product((1.0, -1.0), repeat=design.most))
    courses = [follow(design, apart * np.array(flip)[:, None], signs) for flip in flips]
    for found in ("shown", "failed"):
        assert sum(bool(getattr(course, found)) for course in courses) <= 0.05 * len(flips)
    assert sum(bool(course.shown) for course in courses) >= 0.02 * len(flips)


def test_what_was_decided_stays_and_what_is_beyond_it_changes_nothing() -> None:
    design = Design(4, 16)
    d = np.random.default_rng(3).normal([1.3, 0, 0.4, -0.5], 1, (16, 4))
    whole = follow(design, d)
    for units in range(17):
        part = follow(design, d[:units])
        assert part.units == min(units, whole.units)
        assert part.closed == {one: at for one, at in whole.closed.items() if at <= units}
    beyond = d.copy()
    for one, at in whole.closed.items():
        beyond[at:, one] = np.nan
    assert follow(design, beyond) == whole
    missing = d.copy()
    missing[4, 0] = np.nan
    assert follow(design, missing).units == 4
    assert whole.trainings == whole.units + sum(whole.closed.get(one, whole.units) for one in range(4))


def test_a_failed_training_is_no_difference_and_nothing_is_shown_of_nothing() -> None:
    for question in ("better", "gate"):
        course = follow(Design(2, 16, question), np.zeros((16, 2)))
        assert (course.units, course.closed) == (16, {})
    assert follow(Design(2, 16, "best"), np.zeros((16, 2))).leader == THE_BASE


def test_the_best_is_chosen_and_the_others_are_dropped() -> None:
    courses = simulate(Design(5, 16, "best"), np.array([0, 0, 2.0, 0, 0]), 20)
    assert [course.leader for course in courses].count(2) >= 19
    assert not any(course.shown for course in courses)
    assert np.mean([course.trainings for course in courses]) < 0.5 * 16 * 6
    assert follow(Design(2, 16, "best"), np.random.default_rng(0).normal(-2, 1, (16, 2))).leader == THE_BASE


def test_a_gate_shows_both_sides() -> None:
    d = np.random.default_rng(0).normal([0, -2.5], 0.5, (24, 2))
    course = follow(Design(2, 24, "gate", margin=1.0), d)
    assert (set(course.shown), set(course.failed), course.dropped) == ({0}, {1}, {})
    assert {*course.shown.values(), *course.failed.values()} <= {7, 15, 24}


def test_several_data_sets_are_each_in_their_own_scale() -> None:
    """One set in thousandfold units changes nothing: a unit is divided by the spread of its set."""
    d = np.random.default_rng(5).normal([0.8, 0], 1, (18, 2))
    design = Design(2, 18, sets=(0, 1, 2) * 6)
    scaled = d * np.array([1, 1000, 1] * 6)[:, None]
    assert follow(design, d).shown != {}
    for one in (design, replace(design, strict=True), replace(design, question="best")):
        assert replace(follow(one, d), design=design) == replace(follow(one, scaled), design=design)


@pytest.mark.slow
@pytest.mark.parametrize(("variants", "most"), [(3, 16), (12, 24)])
def test_it_finds_as_many_in_fewer_trainings(variants: int, most: int) -> None:
    good = np.arange(variants) < variants // 3
    courses = simulate(Design(variants, most, flips=4096), good * 1.2, 100)
    assert np.mean([sum(good[one] for one in course.shown) / good.sum() for course in courses]) > 0.85
    assert np.mean([course.trainings for course in courses]) < 0.6 * most * (variants + 1)
    same = simulate(Design(variants, most, flips=4096), good * 0.0, 200)
    assert np.mean([bool(course.shown) for course in same]) <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
