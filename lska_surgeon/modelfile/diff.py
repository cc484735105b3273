"""How two architectures differ, row by row; it words nothing, writes nothing, and knows no torch.

1. The rows of the two are aligned by what they do, by their arguments, and then by what they read (`_aligned`).
2. A row that only one has was added or removed; one that both have was changed where its block, its arguments or its
   repeats differ, and rewired where one of its sources is not the layer that stands for the old source.

Where an operator was inserted next to an equal one, which of the two is new can't be told, and does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from ..core.alignment import AlignedRow, align_rows, likenesses
from ..core.graph import IMAGE, Graph, Layer
from ..core.resolve import kept_letter, resolve_scale
from ..core.shapes import channels_in
from ..errors import GraphError
from .difference import Change, Rewiring, RowDifference, Setting
from .model import Model

#: What a source that agrees adds to the likeness of two rows: less than any difference of blocks or arguments.
_AGREES, _AGREES_THROUGH = 0.02, 0.01
_ROUNDS = 4
#: Rows times rows: 2,000 of each take some seconds.
_MOST_PAIRS = 4_000_000
#: What Ultralytics, and a graft, add to the YAML that a checkpoint stores; `scale` is compared as what it means.
_STORED = ("yaml_file", "scale", "lska_surgeon")
_SCALING = ("scales", "depth_multiple", "width_multiple")


def compare(before: Model, after: Model) -> RowDifference:
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
        tuple(slot for old, new in kept for slot in _rewired(old, new, index_map)),
        by_width,
    )


def _comparable(before: Model, after: Model) -> tuple[Graph, Graph, bool]:
    """The rows as written; with real widths where the tables of scales differ, as after `insert --resolve`."""
    if _scales(before) == _scales(after):
        return before.graph, after.graph, False
    try:
        one, other = (resolve_scale(x.graph, x.shapes, x.scaling) for x in (before, after))
    except (GraphError, TypeError, ValueError, IndexError):  # a width that is no number, arguments that no block takes
        return before.graph, after.graph, False
    return one, other, True


def _scales(model: Model) -> list[Any]:
    return [model.graph.settings.get(key) for key in _SCALING]


def _settings(before: Model, after: Model, by_width: bool) -> tuple[Setting, ...]:
    old, new = before.graph.settings, after.graph.settings
    left_out = {*_STORED, *(_SCALING if by_width else ())}
    if channels_in(old) == channels_in(new):  # a checkpoint says it, a YAML only where it is not 3
        left_out |= {"ch", "channels"}
    keys = [key for key in dict.fromkeys((*old, *new)) if key not in left_out]
    found = [Setting(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
    models = (before, after)
    letters = [x.scaling.letter for x in models]
    needed = [kept_letter(x.graph, x.scaling) for x in models] if by_width else letters
    differ = letters[0] != letters[1] and needed[0] != needed[1]
    return (*found, Setting("scale", *letters)) if differ else tuple(found)


def _fields(old: Layer, new: Layer) -> tuple[str, ...]:
    pairs = {"block": (old.block, new.block), "repeats": (old.repeats, new.repeats), "args": (old.args, new.args)}
    return tuple(name for name, (before, after) in pairs.items() if before != after)


def _rewired(old: Layer, new: Layer, index_map: Mapping[int, int]) -> list[Rewiring]:
    expected = [IMAGE if source == IMAGE else index_map.get(source) for source in old.sources]
    row = (old.index, new.index)
    if len(old.raw_sources) == len(new.raw_sources):
        triples = zip(range(len(new.raw_sources)), old.sources, expected, new.sources)
        return [Rewiring(row, slot, source, found) for slot, source, wanted, found in triples if wanted != found]
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
    head, tail = _same_ends(before, after)
    theirs = [AlignedRow(layer, len(before) - 1) for layer in before.layers[head : len(before) - tail]]
    ours = [AlignedRow(layer, len(after) - 1) for layer in after.layers[head : len(after) - tail]]
    like = likenesses(theirs, ours, lambda row, other: max(row.likeness(other), other.likeness(row)))
    costs = [row.cost_of_insertion for row in theirs], [row.cost_of_insertion for row in ours]
    ends = {row: row for row in range(head)}
    ends.update({len(before) - n: len(after) - n for n in range(1, tail + 1)})

    def align(pairs: Sequence[Sequence[float]]) -> dict[int, int]:
        found = {old + head: new + head for old, new in align_rows(pairs, *costs).items()}
        return dict(sorted({**ends, **found}.items()))

    rows = align(like)
    for _ in range(_ROUNDS):
        pairs = [list(row) for row in like]
        for (old, new), bonus in _agreements(before, after, rows).items():
            if 0 <= old - head < len(theirs) and 0 <= new - head < len(ours):
                pairs[old - head][new - head] += bonus
        last, rows = rows, align(pairs)
        if rows == last:
            break
    return rows


def _same_ends(before: Graph, after: Graph) -> tuple[int, int]:
    """How many rows at the start, and at the end, two large networks have in common; none for others.

    Raises:
        GraphError: what is between them is too much to be compared row by row.
    """
    if len(before) * len(after) <= _MOST_PAIRS:
        return 0, 0
    most = min(len(before), len(after))
    head = next((n for n in range(most) if _written(before[n]) != _written(after[n])), most)
    most -= head
    tail = next((n for n in range(most) if _written(before[-1 - n]) != _written(after[-1 - n])), most)
    between = len(before) - head - tail, len(after) - head - tail
    if between[0] * between[1] > _MOST_PAIRS:
        raise GraphError(
            f"{before.name} and {after.name} differ all over: diff would compare {between[0]} rows with "
            f"{between[1]}, and takes at most {_MOST_PAIRS:,} pairs of rows"
        )
    return head, tail


def _written(layer: Layer) -> tuple[Any, ...]:
    """A row as it reads wherever it stands."""
    return layer.block, layer.args, layer.repeats, layer.section, len(layer.raw_sources)


def _agreements(before: Graph, after: Graph, rows: Mapping[int, int]) -> dict[tuple[int, int], float]:
    """What sources that agree, as last aligned, add to the likeness of a pair of rows, where that is not 0."""
    consumers: dict[tuple[int, int], list[int]] = {}  # by slot, and by what stands for its source in the other
    for layer in before:
        for slot, wanted in enumerate(layer.sources):
            stands = IMAGE if wanted == IMAGE else rows.get(wanted)
            if stands is not None:
                consumers.setdefault((slot, stands), []).append(layer.index)
    found: dict[tuple[int, int], float] = {}
    there = set(rows.values())
    for layer in after:
        for slot, source in enumerate(layer.sources):
            for stands, bonus in _ways_back(after, source, there):
                for old in consumers.get((slot, stands), ()):
                    found[old, layer.index] = found.get((old, layer.index), 0.0) + bonus / len(layer.raw_sources)
    return found


def _ways_back(after: Graph, source: int, there: Collection[int]) -> Iterator[tuple[int, float]]:
    """What a slot reads, and what it reads through rows that the other network does not have, with what each adds."""
    bonus = _AGREES
    while True:
        yield source, bonus
        if source == IMAGE or source in there or len(after[source].raw_sources) != 1:
            return
        source, bonus = after[source].sources[0], _AGREES_THROUGH
