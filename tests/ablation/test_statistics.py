"""The statistics: what an A/A comparison calls a gain, what a planted gain is found by, and what n allows."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lska_surgeon.ablation.flips import chance_above, corrected, random_choices, sign_flip
from lska_surgeon.ablation.statistics import compare, fewest_seeds, power, resolvable, seeds_for, smallest_p

TABLES = 10_000
VALUES = st.lists(st.integers(-20, 20).map(lambda number: number / 8), min_size=2, max_size=7)


@given(VALUES)
def test_the_test_counts_every_choice_of_signs(values: list[float]) -> None:
    means = [abs(np.mean(np.multiply(signs, values))) for signs in itertools.product((1, -1), repeat=len(values))]
    wanted = np.mean([mean >= abs(np.mean(values)) - 1e-12 for mean in means])
    assert sign_flip(np.array(values)) == pytest.approx(wanted)


def test_what_n_allows() -> None:
    assert [smallest_p(n) for n in (1, 3, 6)] == [1.0, 0.25, 0.03125]
    assert sign_flip(np.array([1.0, 2.0, 3.0])) == 0.25
    assert sign_flip(np.arange(1.0, 7.0)) == 0.03125
    assert fewest_seeds() == 6
    assert compare([1.0, 1.1, 0.9]).verdict == "too few seeds"
    assert compare([1.0, 1.1, 0.9, 1.0, 1.1, 0.9]).verdict == "gain"
    assert compare([-1.0, -1.1, -0.9, -1.0, -1.1, -0.9]).verdict == "loss"
    assert compare([1.0, -1.1, 0.9, 1.0, -1.1, 0.9]).verdict == "not significant"


def test_an_interval_is_students() -> None:
    found = compare([0.1, 0.2, 0.3])
    assert found.sd == pytest.approx(0.1)
    assert (found.low, found.high) == (
        pytest.approx(0.2 - 4.3027 * 0.1 / 3**0.5, abs=1e-4),
        pytest.approx(0.44841, abs=1e-4),
    )
    assert compare([0.1]).low is None


@given(st.integers(2, 6), st.integers(1, 4), st.randoms(use_true_random=False))
def test_several_are_corrected_by_the_largest_of_every_joint_choice_of_signs(n: int, v: int, random: Any) -> None:
    """Counted here choice by choice, ties among them, by the closed test that the step-down one stands for."""
    table = np.array([[random.randint(-6, 6) / 2 for _ in range(v)] for _ in range(n)])
    sizes = np.where(table.any(0), (table**2).sum(0) ** 0.5, 1)
    every = [np.abs(np.array(signs) @ table) / sizes for signs in itertools.product((1, -1), repeat=n)]
    observed, wanted = every[0], []
    for one in range(v):
        sets = [kept for size in range(v) for kept in itertools.combinations([x for x in range(v) if x != one], size)]
        ps = [
            np.mean([flip[[one, *kept]].max() >= observed[[one, *kept]].max() - 1e-9 for flip in every])
            for kept in sets
        ]
        wanted.append(max(ps))
    assert corrected(table) == pytest.approx(wanted)


def test_thirty_seeds_are_counted_and_not_drawn() -> None:
    """Of differences that are all one size the sums are binomial, whatever the halves that they are counted in."""
    for n in (16, 21, 30):
        values = np.ones(n)
        values[: n // 4] = -1
        above = sum(math.comb(n, k) for k in range(n // 4 + 1)) / 2**n
        assert chance_above(values) == pytest.approx(above, rel=1e-12)
        if n < 30:  # which takes a second
            assert corrected(np.array([values, values]).T) == pytest.approx([2 * above] * 2, rel=1e-12)
    assert 0 < chance_above(np.ones(31)) < 1e-5  # above, a million choices are drawn
    drawn = ["".join("+" if sign > 0 else "-" for sign in row) for row in random_choices(3, 8, 0)]
    assert (
        drawn == "+++ --- --- +++ ++- +-- +++ +-+".split()
    )  # for ever, so that an ablation in rounds goes on after an upgrade


@pytest.mark.slow
@pytest.mark.parametrize("n", range(3, 9))
def test_of_two_equal_networks_at_most_one_in_twenty_is_called_a_gain_or_a_loss(n: int) -> None:
    """Also where the spread is far from normal, which the exact test does not mind."""
    rng = np.random.default_rng(n)
    base, other = rng.standard_t(3, (2, TABLES, n))
    verdicts = [compare(differences).verdict for differences in other - base]
    called = sum(verdict in ("gain", "loss") for verdict in verdicts) / TABLES
    assert called <= 0.05 + 3 * (0.05 * 0.95 / TABLES) ** 0.5
    assert called == 0 if n < 6 else called > 0.015
    assert set(verdicts) == {"too few seeds"} if n < 6 else set(verdicts) == {"gain", "loss", "not significant"}


@pytest.mark.slow
def test_of_tables_with_many_equal_networks_at_most_one_in_twenty_has_any() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    tables = 1500
    for _ in range(tables):
        wrong += min(corrected(rng.normal(size=(9, 4)) - rng.normal(size=(9, 1)))) <= 0.05
    assert wrong / tables <= 0.05 + 3 * (0.05 * 0.95 / tables) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "effect", "tables", "off"),
    [(6, 1.5, 2500, 0.03), (7, 1.5, 2500, 0.05), (8, 1.0, 2500, 0.04), (8, 1.5, 2500, 0.05), (12, 0.9, 500, 0.05)],
)
def test_a_planted_gain_is_found_as_often_as_theory_says(n: int, effect: float, tables: int, off: float) -> None:
    rng = np.random.default_rng(n)
    found = [compare(rng.normal(effect, 1.0, n)).verdict for _ in range(tables)]
    assert found.count("gain") / tables == pytest.approx(power(effect, 1.0, n), abs=off)
    assert found.count("loss") <= 2


def test_resolution_and_seeds_are_each_others_inverse() -> None:
    assert resolvable(0.01, 5) is None
    assert resolvable(0.01, 7, 6) > resolvable(0.01, 7)
    for n in (6, 8, 12, 30):
        difference = resolvable(0.01, n)
        assert difference is not None
        assert power(difference, 0.01, n) == pytest.approx(0.8)
        assert seeds_for(difference * 1.001, 0.01) == n
    assert seeds_for(1.0, 0.01) == 6
    assert seeds_for(0.005, 0.01) == 34  # the textbook's 34 for half a standard deviation, at 80% and 5%
    assert seeds_for(1e-9, 1.0) is None
