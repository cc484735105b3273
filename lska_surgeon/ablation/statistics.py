"""What a few paired numbers allow one to say: an exact test, an interval, and how many seeds a question needs.

Two networks that were trained with the same seeds are compared by their differences, seed by seed. If neither is
better, each difference could as well have had the other sign; the exact test (see `flips`) counts how many of the 2^n
choices of signs give a mean as far from zero. So n seeds allow no p below 2 / 2^n, and 5 or fewer no statement at all
at 5%. It assumes differences that are symmetric about zero; the interval and the power below assume normal ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize, stats

from .flips import corrected, sign_flip

ALPHA = 0.05
POWER = 0.8
_MOST = 10_000  # seeds beyond which nobody asks


@dataclass(frozen=True)
class Comparison:
    """One network against another, paired by seed.

    Attributes:
        n: pairs.
        mean: of the differences.
        sd: their standard deviation; None for one pair.
        low, high: the 95% interval of the mean, by Student's t; None for one pair.
        p: of the exact two-sided sign-flip test.
        p_adjusted: the same, corrected for all comparisons of the table.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    p: float
    p_adjusted: float

    @property
    def verdict(self) -> str:
        """`gain`, `loss`, `not significant`, or `too few seeds` where n allows no other answer."""
        if self.p_adjusted <= ALPHA:
            return "gain" if self.mean > 0 else "loss"
        return "not significant" if smallest_p(self.n) <= ALPHA else "too few seeds"


def smallest_p(n: int) -> float:
    """The smallest p that n pairs can reach, 2 / 2^n; 1 for none."""
    return float(min(1.0, 2.0 ** (1 - n)))


def fewest_seeds() -> int:
    """The fewest pairs that can reach the level at all."""
    return math.ceil(1 - math.log2(ALPHA))


def compare(differences: Sequence[float]) -> Comparison:
    """What paired differences say of one network alone.

    Args:
        differences: one for each seed that both have; at least one.
    """
    values = np.asarray(differences, dtype=float)
    n, mean = len(values), float(values.mean())
    p = sign_flip(values)
    if n == 1:
        return Comparison(n, mean, None, None, None, p, p)
    sd = float(values.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return Comparison(n, mean, sd, mean - half, mean + half, p, p)


def compare_all(differences: Sequence[Mapping[Any, float]]) -> list[Comparison]:
    """What the paired differences of several networks say, each as one of them.

    Args:
        differences: of each network, pair -> difference; a pair that several have is flipped for all of them at once.
    """
    pairs = list(dict.fromkeys(pair for one in differences for pair in one))
    if not pairs:
        return []
    table = np.array([[one.get(pair, 0.0) for one in differences] for pair in pairs], dtype=float)
    return [replace(compare([*one.values()]), p_adjusted=p) for one, p in zip(differences, corrected(table))]


def power(difference: float, sd: float, n: int, one_of: int = 1) -> float:
    """The chance that n pairs show a true difference, by the noncentral t at the level that the exact test attains.

    Where that level leaves one choice of signs, all differences have to have one sign, whose chance is exact. As one of
    several, of which the largest counts, it is about that at a level that is divided by their number.

    Args:
        difference: the true mean difference.
        sd: the standard deviation of the paired differences.
        n: pairs.
        one_of: networks that are compared.
    """
    choices = math.floor(ALPHA * 2.0 ** (n - 1)) if n < 50 else 0
    attained = choices / 2 ** (n - 1) if n < 50 else ALPHA
    if one_of > 1 and attained > 0:
        choices, attained = 0, ALPHA / one_of
    if attained <= 0:
        return 0.0
    if sd == 0:
        return 1.0 if difference else 0.0
    if choices == 1:  # so few pairs that all of them have to point the same way
        return float(stats.norm.cdf(difference / sd) ** n + stats.norm.cdf(-difference / sd) ** n)
    edge, shift = stats.t.ppf(1 - attained / 2, n - 1), abs(difference) / sd * math.sqrt(n)
    if shift > 30:  # where the noncentral t is no longer computed, and nobody doubts
        return 1.0
    right, wrong = stats.nct.sf(edge, n - 1, shift), stats.nct.cdf(-edge, n - 1, shift)
    return float(np.nan_to_num(right, nan=1.0) + np.nan_to_num(wrong, nan=0.0))


def resolvable(sd: float, n: int, one_of: int = 1) -> float | None:
    """The smallest true difference that n pairs show in 80 of 100 experiments; None where n shows none at all."""
    if n < 2 or smallest_p(n) > ALPHA:
        return None
    if sd == 0:
        return 0.0
    return float(optimize.brentq(lambda effect: power(effect * sd, sd, n, one_of) - POWER, 1e-6, 100.0)) * sd


def seeds_for(difference: float, sd: float, one_of: int = 1) -> int | None:
    """The seeds that show a true difference in 80 of 100 experiments; None beyond 10,000."""
    low = fewest_seeds()
    if power(difference, sd, low, one_of) >= POWER:
        return low
    high = low
    while power(difference, sd, high, one_of) < POWER:
        low, high = high, 2 * high
        if high > 2 * _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, middle, one_of) >= POWER else (middle, high)
    return high if high <= _MOST else None
