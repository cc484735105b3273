"""Sign flips: how far from zero sums would be, had each pair of trainings the other sign; exact as far as one counts.

If neither of two networks is better, each of their paired differences could as well have had the other sign. Flips are
joint: one sign for a seed, the same for all variants, which were compared with the same base there. So what is common
to the variants of a seed stays common, and the largest of all their statistics has the distribution that it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]

#: Pairs up to which every choice of signs counts; above, a million random ones.
EXACT = 30
_SAMPLE = 1_000_000
_BLOCK = 14  # pairs whose choices of signs are one block
#: Two sums that differ by less, relative to the root of their squares, are equal: what lies between is rounding.
SAME = 1e-9


def every_choice(pairs: int) -> Numbers:
    """All 2^pairs choices of signs, one a row; the first is all +1."""
    return 1.0 - 2.0 * (np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1)


def random_choices(pairs: int, number: int, seed: int) -> Numbers:
    """Random choices of signs, one a row, the same for a seed with every release of numpy; the first is all +1."""
    raw = np.random.PCG64(seed).random_raw(-(-number * pairs // 64))  # of which numpy keeps the stream for ever
    bits = np.unpackbits(raw.astype("<u8").view(np.uint8), count=number * pairs)
    signs: Numbers = 1.0 - 2.0 * bits.reshape(number, pairs)
    signs[0] = 1.0
    return signs


def chance_above(differences: Numbers) -> float:
    """The part of all choices of signs that gives a sum as high as these: one-sided."""
    values = differences[differences != 0]
    size = float(np.sqrt((values**2).sum()))
    if not size:
        return 1.0
    values, half = values / size, len(values) // 2
    threshold = float(values.sum()) - SAME
    if len(values) > EXACT:
        return float(np.mean(random_choices(len(values), _SAMPLE, 0) @ values >= threshold))
    one, other = every_choice(half) @ values[:half], np.sort(every_choice(len(values) - half) @ values[half:])
    reached = len(other) - np.searchsorted(other, threshold - one, side="left")
    return float(reached.sum()) / 2.0 ** len(values)


def sign_flip(differences: Numbers) -> float:
    """The two-sided p of the sign-flip test (Fisher's randomisation test for pairs) of a mean of zero."""
    return min(1.0, 2 * chance_above(differences * (1 if differences.sum() >= 0 else -1)))


def corrected(differences: Numbers) -> list[float]:
    """The two-sided p of each variant, corrected for being one of several: the step-down maximum over joint flips.

    The chance that any of those that are no better or worse is called one stays below the level (Westfall and Young
    1993). It counts how many choices of signs give any of the variants a statistic, the mean relative to the root of
    the squares, as far from zero; for the second the first is left out, and so on.

    Args:
        differences: pairs x variants; 0 where a variant has no pair.
    """
    variants = differences.shape[1]
    sizes = np.sqrt((differences**2).sum(0))
    scaled = differences / np.where(sizes > 0, sizes, 1.0)
    observed = np.abs(scaled.sum(0))
    order = np.argsort(-observed, kind="stable")
    scaled, thresholds = scaled[:, order], observed[order] - SAME
    reached, of = np.zeros(variants), 0
    for block in _blocks(scaled):
        largest = np.zeros(block.shape[1])
        of += block.shape[1]
        for rank in range(variants - 1, -1, -1):
            np.maximum(largest, np.abs(block[rank]), out=largest)
            reached[rank] += np.count_nonzero(largest >= thresholds[rank])
    found = np.maximum.accumulate(reached / of)
    return [float(found[list(order).index(variant)]) for variant in range(variants)]


def _blocks(scaled: Numbers) -> Iterator[Numbers]:
    """The sums of every choice of signs, variants x choices at a time; of a choice and its opposite, one."""
    pairs = len(scaled)
    if pairs > EXACT:
        signs = random_choices(pairs, _SAMPLE, 0)
        for start in range(0, _SAMPLE, 2**_BLOCK):
            yield (signs[start : start + 2**_BLOCK] @ scaled).T
        return
    inner = min(pairs - 1, _BLOCK)
    block = np.ascontiguousarray((every_choice(inner) @ scaled[:inner] + scaled[-1]).T)
    for sums in every_choice(pairs - 1 - inner) @ scaled[inner : pairs - 1]:
        yield block + sums[:, None]
