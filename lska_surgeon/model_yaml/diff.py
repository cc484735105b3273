"""How two architectures differ, row by row; it words nothing, writes nothing, and knows no torch.

1. The rows of the two are aligned by what they do, by their arguments, and then by what they read (`_aligned`).
2. A row that only one has was added or removed; one that both have was changed where its block, its arguments or its
   repeats differ, and rewired where one of its sources is not the layer that stands for the old source.

Where an operator was inserted next to an equal one, which of the two is new can't be told, and does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import SequenceMatcher
from typing import Any

from ..architecture.alignment import AlignedRow, align_rows
from ..architecture.graph import IMAGE, Graph, Layer
from ..architecture.resolve import kept_letter, resolve_scale
from ..errors import GraphError
from .difference import Change, Rewiring, RowDifference, Setting
from .load import OpenModel

#: What a source that agrees adds to the likeness of two rows: less than any difference of blocks or arguments.
_AGREES, _AGREES_THROUGH = 0.02, 0.01
_ROUNDS = 4
_SCALING = ("scales", "depth_multiple", "width_multiple")


def compare(before: OpenModel, after: OpenModel) -> RowDifference:
    """Compare two architectures."""
    one, other, by_width = _comparable(before, after)
    index_map = _aligned(one, other)
    kept = [(one[old], other[new]) for old, new in index_map.items()]
    there = set(index_map.values())
    changes = [(old, new, _fields(old, new)) for old, new in kept]
    return RowDifference(
        before,
        after,
        one,
        other,
        index_map,
        _settings(before, after, by_width),
        tuple(row.index for row in other if row.index not in there),
        tuple(row.index for row in one if row.index not in index_map),
        tuple(Change(old, new, fields) for old, new, fields in changes if fields),
        tuple(tap for old, new in kept for tap in _rewired(old, new, index_map)),
        by_width,
    )


def _comparable(before: OpenModel, after: OpenModel) -> tuple[Graph, Graph, bool]:
    """The rows as written; with real widths where the tables of scales differ, as after `insert --resolve`."""
    if _scales(before) == _scales(after):
        return before.document.graph, after.document.graph, False
    try:
        one, other = (resolve_scale(x.document.graph, x.shapes, x.scaling) for x in (before, after))
    except (GraphError, TypeError, ValueError, IndexError):  # a width that is no number, arguments that no block takes
        return before.document.graph, after.document.graph, False
    return one, other, True


def _scales(model: OpenModel) -> list[Any]:
    return [model.document.settings.get(key) for key in _SCALING]


def _settings(before: OpenModel, after: OpenModel, by_width: bool) -> tuple[Setting, ...]:
    old, new = before.document.settings, after.document.settings
    keys = [key for key in dict.fromkeys((*old, *new)) if not (by_width and key in _SCALING)]
    found = [Setting(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
    letters = [kept_letter(x.document.graph, x.scaling) if by_width else x.scaling.letter for x in (before, after)]
    return (*found, Setting("scale", *letters)) if letters[0] != letters[1] else tuple(found)


def _fields(old: Layer, new: Layer) -> tuple[str, ...]:
    pairs = {"block": (old.block, new.block), "repeats": (old.repeats, new.repeats), "args": (old.args, new.args)}
    return tuple(name for name, (before, after) in pairs.items() if before != after)


def _rewired(old: Layer, new: Layer, index_map: Mapping[int, int]) -> list[Rewiring]:
    expected = [IMAGE if source == IMAGE else index_map.get(source) for source in old.sources]
    row = (old.index, new.index)
    if len(old.taps) == len(new.taps):
        triples = zip(range(len(new.taps)), old.sources, expected, new.sources)
        return [Rewiring(row, tap, source, found) for tap, source, wanted, found in triples if wanted != found]
    found = []
    for what, a, b, c, d in SequenceMatcher(None, expected, list(new.sources), autojunk=False).get_opcodes():
        if what == "equal":
            continue
        both = min(b - a, d - c)
        found += [Rewiring(row, c + n, old.sources[a + n], new.sources[c + n]) for n in range(both)]
        found += [Rewiring(row, n, old.sources[n], None) for n in range(a + both, b)]
        found += [Rewiring(row, n, None, new.sources[n]) for n in range(c + both, d)]
    return found


def _aligned(before: Graph, after: Graph) -> dict[int, int]:
    """Rows that match by what they are; then, while it changes anything, also by what they read as last aligned."""
    theirs = [AlignedRow(layer, len(before) - 1) for layer in before]
    ours = [AlignedRow(layer, len(after) - 1) for layer in after]
    like = [[max(row.likeness(other), other.likeness(row)) for other in ours] for row in theirs]
    costs = [row.cost_of_insertion for row in theirs], [row.cost_of_insertion for row in ours]

    def align(rows: Mapping[int, int]) -> dict[int, int]:
        there = set(rows.values())

        def likeness(old: int, new: int) -> float:
            return like[old][new] + (_agreement(before[old], after[new], after, rows, there) if rows else 0.0)

        return align_rows(likeness, *costs)

    rows = align({})
    for _ in range(_ROUNDS):
        last, rows = rows, align(rows)
        if rows == last:
            break
    return rows


def _agreement(old: Layer, new: Layer, after: Graph, rows: Mapping[int, int], there: Collection[int]) -> float:
    total = 0.0
    for wanted, source in zip(old.sources, new.sources):
        stands = IMAGE if wanted == IMAGE else rows.get(wanted)
        bonus = _AGREES
        while source != stands and source != IMAGE and source not in there and len(after[source].taps) == 1:
            source, bonus = after[source].sources[0], _AGREES_THROUGH
        total += bonus if source == stands else 0.0
    return total / len(new.taps)
