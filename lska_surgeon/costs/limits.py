"""Limits on what a variant may cost, absolute or relative to its base; it counts nothing and reads no file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from ..errors import SurgeonError

_LIMIT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([xkMGB]?)", re.ASCII)
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}


@dataclass(frozen=True)
class Limit:
    """The most that something may be.

    Attributes:
        text: as it was written, "1.10x".
        value: a number, or, when `relative`, a multiple of the base's.
        relative: whether it is a multiple.
    """

    text: str
    value: Fraction
    relative: bool

    def most(self, base: Fraction | int) -> Fraction:
        """The limit in numbers, for a base that has `base`."""
        return self.value * base if self.relative else self.value


def parse_limit(text: str) -> Limit:
    """Read `30`, `40M`, `1.10x`.

    Raises:
        SurgeonError: it is none of these.
    """
    found = _LIMIT.fullmatch(text.strip())
    if found is None or not Fraction(found[1]):
        raise SurgeonError(
            f"{text!r} is no limit: write a number (30), one with k, M or G (40M), or a multiple (1.10x)"
        )
    value, unit = Fraction(found[1]), found[2]
    return Limit(text.strip(), value if unit == "x" else value * _UNITS[unit], unit == "x")


@dataclass(frozen=True)
class Budget:
    """What a variant may cost.

    Attributes:
        gflops: limit on its GFLOPs (2 x GMACs).
        params: limit on its parameters.
    """

    gflops: Limit | None = None
    params: Limit | None = None

    def __bool__(self) -> bool:
        return bool(self.gflops or self.params)

    def excess(self, params: int, macs: int, base_params: int, base_macs: int) -> list[str]:
        """One text for each limit that a variant is above.

        Args:
            params, macs: the variant's.
            base_params, base_macs: its base's.
        """
        texts = []
        if self.gflops:
            gflops, most = Fraction(2 * macs, 10**9), self.gflops.most(Fraction(2 * base_macs, 10**9))
            if gflops > most:
                texts.append(f"{float(gflops):.3f} GFLOPs are above {_limit(self.gflops, f'{float(most):.3f}')}")
        if self.params and params > (most := self.params.most(base_params)):
            texts.append(f"{params:,} parameters are above {_limit(self.params, f'{int(most):,}')}")
        return texts


def _limit(limit: Limit, most: str) -> str:
    return f"{most}, {limit.text} of the base" if limit.relative else f"the limit of {limit.text}"
