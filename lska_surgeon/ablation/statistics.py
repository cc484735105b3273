"""What a few paired numbers allow one to say: an exact test, an interval, and how many seeds a question needs.

Two networks that were trained with the same seeds are compared by their differences, seed by seed. If neither is
better, each difference could as well have had the other sign; the exact test (Fisher's randomisation test for pairs)
counts how many of the 2^n choices of signs give a mean as far from zero. So n seeds allow no p below 2 / 2^n, and 5 or
fewer no statement at all at 5%. It assumes no normal distribution; the interval and the power below do (Student's t).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

ALPHA = 0.05
POWER = 0.8
_EXACT = 16  # seeds up to which every choice of signs is counted; above, 99,999 random ones
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
        p_holm: the same, corrected for all comparisons of the table.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    p: float
    p_holm: float

    def verdict(self, comparisons: int) -> str:
        """`gain`, `loss`, `not significant`, or `too few seeds` where n allows no other answer."""
        if self.p_holm <= ALPHA:
            return "gain" if self.mean > 0 else "loss"
        return "not significant" if smallest_p(self.n) <= ALPHA / max(1, comparisons) else "too few seeds"


def smallest_p(n: int) -> float:
    """The smallest p that n pairs can reach, 2 / 2^n; 1 for none."""
    return float(min(1.0, 2.0 ** (1 - n)))


def fewest_seeds(alpha: float = ALPHA) -> int:
    """The fewest pairs that can reach a level at all."""
    return math.ceil(1 - math.log2(alpha))


def compare(differences: Sequence[float]) -> Comparison:
    """What paired differences say; `p_holm` is `p` until `corrected`.

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


def sign_flip(values: np.ndarray) -> float:
    """The two-sided p of the sign-flip test of a mean of zero, exact up to 16 values."""
    values = np.asarray(values, dtype=float)
    if not values.any():
        return 1.0
    if len(values) == 1:
        return 1.0
    resamples = 2 ** len(values) if len(values) <= _EXACT else 99_999
    found = stats.permutation_test(
        (values,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        alternative="two-sided",
        random_state=0,
    )
    return float(found.pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p, corrected for being one of several (Holm 1979): the chance of one false gain stays below the level."""
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    found, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        found[index] = highest
    return found


def power(difference: float, sd: float, n: int, alpha: float = ALPHA) -> float:
    """The chance that n pairs show a true difference, by the noncentral t at the level that the exact test attains.

    Where that level leaves one choice of signs, all differences have to have one sign, whose chance is exact.

    Args:
        difference: the true mean difference.
        sd: the standard deviation of the paired differences.
        n: pairs.
        alpha: the level.
    """
    choices = math.floor(alpha * 2.0 ** (n - 1)) if n < 50 else 0
    attained = choices / 2 ** (n - 1) if n < 50 else alpha
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


def resolvable(sd: float, n: int, alpha: float = ALPHA) -> float | None:
    """The smallest true difference that n pairs show in 80 of 100 experiments; None where n shows none at all."""
    if n < 2 or smallest_p(n) > alpha:
        return None
    if sd == 0:
        return 0.0
    return float(optimize.brentq(lambda effect: power(effect * sd, sd, n, alpha) - POWER, 1e-6, 100.0)) * sd


def seeds_for(difference: float, sd: float, alpha: float = ALPHA) -> int | None:
    """The seeds that show a true difference in 80 of 100 experiments; None beyond 10,000."""
    low = fewest_seeds(alpha)
    if power(difference, sd, low, alpha) >= POWER:
        return low
    high = low
    while power(difference, sd, high, alpha) < POWER:
        low, high = high, 2 * high
        if high > 2 * _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, middle, alpha) >= POWER else (middle, high)
    return high if high <= _MOST else None
