"""Which row of one network is which row of another: sequence alignment (Needleman and Wunsch); it judges nothing.

Rows match by what they do and by their arguments. What they read counts only where a caller says so, so that a wrong
source does not hide the row that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from .graph import Layer, role_of

NEVER = -1e9
#: What an inserted row weighs beside the others; an operator weighs nothing, a second neck much.
_WEIGHTS = {"operator": 0.0, "other": 0.0, "fuse": 1.0, "up": 1.0}


class AlignedRow:
    """A row as the alignment sees it.

    Args:
        layer: the row.
        output: the output layer's index.
        factor: what makes its width comparable with the other network's.

    Attributes:
        key: equal for rows that are alike in all that counts here.
    """

    def __init__(self, layer: Layer, output: int, factor: float = 1.0) -> None:
        args = layer.args
        self.args = (args[0] * factor, *args[1:]) if args and is_width(args[0]) else args
        self.block, self.section, self.arity = layer.block, layer.section, len(layer.raw_sources)
        self.role = role_of(layer, output)
        self.key = (self.block, repr(self.args), self.section, self.arity, self.role)
        self.weight = _WEIGHTS.get(self.role, 0.5)
        self.cost_of_insertion = -0.05 if self.role in ("operator", "other") else -0.3

    def likeness(self, other: AlignedRow) -> float:
        """From 1 for the same row down; `NEVER` where `other` can't stand for this one.

        An unknown block may stand for a known one, not the other way round.
        """
        if "output" in (self.role, other.role):
            if self.role != other.role:
                return NEVER
            return 1.0 if self.block == other.block else 0.9
        same_width = self.args[:1] == other.args[:1]
        if self.block == other.block:
            value = 1.0 if self.args == other.args else 0.9 if same_width else 0.7
        elif self.role == other.role:
            value = 0.8 if same_width else 0.6
        elif other.role == "other" and self.role != "fuse":
            value = 0.4 if same_width else 0.2
        else:
            return NEVER
        return value - 0.3 * (self.section != other.section) - 0.1 * (self.arity != other.arity)


def is_width(value: Any) -> bool:
    """Whether a row's first argument looks like a width."""
    return isinstance(value, int) and value >= 8


def likenesses(
    one: Sequence[AlignedRow], other: Sequence[AlignedRow], likeness: Callable[[AlignedRow, AlignedRow], float]
) -> list[list[float]]:
    """How like each row of the one and each of the other are, [rows of the one][rows of the other].

    Worked out once for rows that are alike, as most rows of a large network are; those share one list, so change none.
    """
    kinds = {row.key: row for row in other}
    known: dict[Hashable, list[float]] = {}
    for row in one:
        if row.key not in known:
            values = {key: likeness(row, kind) for key, kind in kinds.items()}
            known[row.key] = [values[there.key] for there in other]
    return [known[row.key] for row in one]


def align_rows(like: Sequence[Sequence[float]], missing: Sequence[float], inserted: Sequence[float]) -> dict[int, int]:
    """The best alignment of two sequences of rows: index in the one -> index in the other, in order.

    Args:
        like: how like row i of the one and row j of the other are.
        missing: for each row of the one, what it costs (a negative number) that the other does not have it.
        inserted: the same for each row of the other.
    """
    score = _scores(like, missing, inserted)
    rows: dict[int, int] = {}
    i, j = len(missing), len(inserted)
    while i and j:
        if score[i][j] == score[i - 1][j - 1] + like[i - 1][j - 1]:
            i, j = i - 1, j - 1
            rows[i] = j
        elif score[i][j] == score[i][j - 1] + inserted[j - 1]:
            j -= 1
        else:
            i -= 1
    return dict(sorted(rows.items()))


def _scores(like: Sequence[Sequence[float]], missing: Sequence[float], inserted: Sequence[float]) -> list[list[float]]:
    """The best score for each pair of beginnings, [rows of the one + 1][rows of the other + 1]."""
    first = [0.0]
    for cost in inserted:
        first.append(first[-1] + cost)
    score = [first]
    for row, gone in zip(like, missing):  # compared by hand within, for `max` takes twice as long
        above = score[-1]
        best = above[0] + gone
        here = [best]
        for value, cost, both, without in zip(row, inserted, above, above[1:]):
            left, best = best + cost, both + value
            if without + gone > best:
                best = without + gone
            if left > best:
                best = left
            here.append(best)
        score.append(here)
    return score
