"""How two architectures differ, row by row, and a network as text without one index, for `git diff`; no torch.

1. The rows of the two are aligned by what they do, by their arguments, and then by what they read (`_aligned`).
2. A row that only one has was added or removed; one that both have was changed where its block, its arguments or its
   repeats differ, and rewired where one of its sources is not the layer that stands for the old source.

Where an operator was inserted next to an equal one, which of the two is new can't be told, and does not matter.

In the text each row is one line, `NAME = REPEATS x BLOCK[ARGS](SOURCES)`, and sources are given by name:

1. A name says where a row stands and what it does, `head.p4.block`; the second of that name is `head.p4.block-2`.
2. A row that only refines its source, as attention does, takes over its source's name: what reads the name from there
   on reads the refined map. So an insertion adds lines, and changes none.
3. Such a row is written right before its first consumer. Where somebody reads the unrefined map after that, it has
   a name of its own, and its consumers' lines do change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any

from ..core.alignment import AlignedRow, align_rows, likenesses
from ..core.graph import IMAGE, MAY_BE_ATTENTION, Graph, Layer, Scaling, role_of
from ..core.shapes import Shape, channels_in, shapes_of
from ..core.surgery import kept_letter, resolve_scale
from ..errors import GraphError
from ..reports import Table
from ..wording import counted, printable
from .document import format_value
from .model import Model


@dataclass(frozen=True)
class ChangedSetting:
    """A top-level entry that differs; None where it is missing."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """A row that both have, not the same; `fields` names what differs: block, repeats, args."""

    before: Layer
    after: Layer
    fields: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """`block C2f -> SPPF; args ...`."""
        pairs = ((field, getattr(self.before, field), getattr(self.after, field)) for field in self.fields)
        return "; ".join(f"{field} {_value(before)} -> {_value(after)}" for field, before, after in pairs)


@dataclass(frozen=True)
class Rewiring:
    """One slot of a row that both have.

    Attributes:
        row: the row's index in the one network, and in the other.
        slot: which of its sources, counted from 0, in the other; in the one, where the other has no such slot.
        before: what it read, an index in the one; None for a slot that is new.
        after: what it reads, an index in the other; None for a slot that is gone.
    """

    row: tuple[int, int]
    slot: int
    before: int | None
    after: int | None


@dataclass(frozen=True)
class ChangedStride:
    """Rows whose maps have another size than before, all by as much.

    Attributes:
        rows: their first and last index, in the other.
        before, after: the first one's stride, in the one and in the other.
    """

    rows: tuple[int, int]
    before: float
    after: float

    @property
    def in_words(self) -> str:
        """`maps of rows 3-21 are 2 times as wide and high (stride 8 -> 4 at 3)`."""
        first, last = self.rows
        rows = f"row {first}" if first == last else f"rows {first}-{last}"
        times = f"{self.before / self.after:g}" if self.before > self.after else f"1/{self.after / self.before:g}"
        return (
            f"maps of {rows} are {times} times as wide and high (stride {self.before:g} -> {self.after:g} at {first})"
        )


@dataclass(frozen=True, repr=False)
class RowDifference:
    """What sets the rows and settings of two architectures apart.

    Attributes:
        before, after: the two.
        one, other: their rows, as they were compared.
        index_map: index in the one -> index in the other, for the rows that both have.
        settings: top-level entries that differ; the scale that was chosen counts as one.
        added: indices, in the other.
        removed: indices, in the one.
        changed: rows that both have.
        rewired: slots of rows that both have.
        by_width: True when rows were compared with the scales' real widths and repeats, for the scales differ.
    """

    before: Model
    after: Model
    one: Graph
    other: Graph
    index_map: Mapping[int, int]
    settings: tuple[ChangedSetting, ...]
    added: tuple[int, ...]
    removed: tuple[int, ...]
    changed: tuple[Change, ...]
    rewired: tuple[Rewiring, ...]
    by_width: bool

    def __bool__(self) -> bool:
        return bool(self.settings or self.added or self.removed or self.changed or self.rewired)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told."""
        return tuple(dict.fromkeys((*self.before.notes, *self.after.notes)))

    @property
    def names(self) -> tuple[str, str]:
        """The two as they were asked for: a stock name, or a path."""
        return _name(self.before), _name(self.after)

    @property
    def summary(self) -> str:
        """What differs, in one line."""
        before, after = map(printable, self.names)
        if not self:
            return f"no difference: {before} and {after} are one architecture"
        rewired = {rewiring.row for rewiring in self.rewired}
        rows = {"added": self.added, "removed": self.removed, "changed": self.changed, "rewired": rewired}
        parts = [f"{counted(len(found), 'row')} {what}" for what, found in rows.items() if found]
        parts += [f"{counted(len(self.settings), 'setting')} changed"] if self.settings else []
        return f"{before} -> {after}: {', '.join(parts)}"

    def table(self) -> Table:
        """Settings, then rows in the order of the second network, a removed one where it was."""
        settings = [("setting", "", "", x.key, f"{_value(x.before)} -> {_value(x.after)}") for x in self.settings]
        rows = sorted(self._rows(), key=lambda item: item[0])
        return Table(("change", "before", "after", "block", "what"), [*settings, *(row for _, row in rows)])

    def _rows(self) -> Iterator[tuple[float, tuple[str, ...]]]:
        one, other = self.one, self.other
        for index in self.added:
            yield index, ("added", "", str(index), other[index].block, _what(other, index))
        for index in self.removed:
            above = [new for old, new in self.index_map.items() if old < index]
            yield max(above, default=-1) + 0.5, ("removed", str(index), "", one[index].block, _what(one, index))
        for change in self.changed:
            before, after = change.before, change.after
            yield after.index, ("changed", str(before.index), str(after.index), after.block, change.in_words)
        for rewiring in self.rewired:
            (old, new), words = rewiring.row, f"source {rewiring.slot}: {' -> '.join(self._ends(rewiring))}"
            yield new, ("rewired", str(old), str(new), other[new].block, words)

    def _ends(self, rewiring: Rewiring) -> tuple[str, str]:
        """What a slot read, and what it reads; where both look alike, with what tells them apart."""
        before, after = _source(self.one, rewiring.before), _source(self.other, rewiring.after)
        if before != after or rewiring.before is None or rewiring.after is None:
            return before, after
        stands = self.index_map.get(rewiring.before)
        was = {new: old for old, new in self.index_map.items()}.get(rewiring.after)
        return (
            f"{before}, now {'gone' if stands is None else stands}",
            f"{after}, {'which is new' if was is None else f'which was {was}'}",
        )

    @cached_property
    def strides(self) -> tuple[ChangedStride, ...]:
        """Where maps have another size than before, as far as the rows say it."""
        old, new = (shapes_of(model.graph, Scaling()) for model in (self.before, self.after))
        found: list[ChangedStride] = []
        for i, j in sorted(self.index_map.items(), key=lambda pair: pair[1]):
            was, stride = old[i].stride, new[j].stride
            if was is None or stride is None or was == stride or old[i].guessed or new[j].guessed:
                continue
            last = found[-1] if found else None
            if last and was / stride == last.before / last.after and self._all_maps_between(last.rows[1], j):
                found[-1] = replace(last, rows=(last.rows[0], j))
            else:
                found.append(ChangedStride((j, j), was, stride))
        return tuple(found)

    def _all_maps_between(self, one: int, other: int) -> bool:
        """Whether nothing stands between two rows but what was added."""
        return all(index in self.added for index in range(one + 1, other))

    def footnotes(self) -> list[str]:
        """What the files say was done, where maps have another size, the index map, and how rows were compared."""
        lines = [f"{one.name} says of itself: {edit}" for one in (self.before, self.after) for edit in one.edits]
        lines += [one.in_words for one in self.strides]
        lines.append(f"layers: {', '.join(_ranges(self.index_map))}")
        if self.by_width:
            lines.append("rows were compared with their real widths and repeats, for the scales differ")
        return lines

    def data(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "different": bool(self),
            "before": _model(self.before),
            "after": _model(self.after),
            "compared": "at scale" if self.by_width else "as written",
            "settings": [{"key": x.key, "before": x.before, "after": x.after} for x in self.settings],
            "added": [self.other.row_as_dict(index) for index in self.added],
            "removed": [self.one.row_as_dict(index) for index in self.removed],
            "changed": [
                {
                    "fields": list(x.fields),
                    "before": self.one.row_as_dict(x.before.index),
                    "after": self.other.row_as_dict(x.after.index),
                }
                for x in self.changed
            ],
            "rewired": [
                {"before": x.row[0], "after": x.row[1], "slot": x.slot, "read": x.before, "reads": x.after}
                for x in self.rewired
            ],
            "strides": [{"rows": list(x.rows), "before": x.before, "after": x.after} for x in self.strides],
            "index_map": {str(old): new for old, new in self.index_map.items()},
        }


def _what(graph: Graph, index: int) -> str:
    layer = graph[index]
    repeats = "" if layer.repeats == 1 else f"{layer.repeats} x "
    reads = ", ".join(_source(graph, source) for source in layer.sources)
    consumers = ", ".join(_source(graph, consumer) for consumer in graph.consumers(index))
    return f"{repeats}{format_value(layer.args)}, reads {reads}, read by {consumers or 'nobody'}"


def _source(graph: Graph, index: int | None) -> str:
    if index is None:
        return "none"
    return "the image" if index == IMAGE else f"{index} ({graph[index].block})"


def _value(value: Any) -> str:
    return "none" if value is None else format_value(value)


def _ranges(index_map: Mapping[int, int]) -> Iterator[str]:
    """The index map, `0-12 -> 0-12`, `13-15 -> 14-16`."""
    run: list[tuple[int, int]] = []
    for pair in [*sorted(index_map.items()), None]:
        if pair is not None and (not run or pair == (run[-1][0] + 1, run[-1][1] + 1)):
            run.append(pair)
            continue
        if run:
            yield " -> ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(run[0], run[-1]))
        run = [pair] if pair is not None else []


def _name(model: Model) -> str:
    """As it was asked for: a stock name, or a path."""
    found = model.source
    return found.name if found.is_stock else str(found.path.with_name(found.name))


def _model(model: Model) -> dict[str, Any]:
    given = {"model": str(model.path), "scale": model.scaling.letter, "rows": len(model.graph.layers)}
    return {**given, "edits": model.edits}


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


def _settings(before: Model, after: Model, by_width: bool) -> tuple[ChangedSetting, ...]:
    old, new = before.graph.settings, after.graph.settings
    left_out = {*_STORED, *(_SCALING if by_width else ())}
    if channels_in(old) == channels_in(new):  # a checkpoint says it, a YAML only where it is not 3
        left_out |= {"ch", "channels"}
    keys = [key for key in dict.fromkeys((*old, *new)) if key not in left_out]
    found = [ChangedSetting(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
    models = (before, after)
    letters = [x.scaling.letter for x in models]
    needed = [kept_letter(x.graph, x.scaling) for x in models] if by_width else letters
    differ = letters[0] != letters[1] and needed[0] != needed[1]
    return (*found, ChangedSetting("scale", *letters)) if differ else tuple(found)


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


def canonical_text(graph: Graph) -> str:
    """The settings, an empty line, and the rows, each on a line of its own.

    Raises:
        KernelError: a row asks for an operator that does not exist.
    """
    shapes = shapes_of(graph, Scaling())  # levels are the same at every scale
    return "\n".join([*_settings_as_text(graph.settings), "", *_RoleWriter(graph, shapes).lines(), ""])


def _settings_as_text(settings: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from (f"{key}.{name}: {format_value(entry)}" for name, entry in value.items())
        else:
            yield f"{key}: {format_value(value)}"


class _RoleWriter:
    """The rows in the order in which they are written, and the name that each has when it is."""

    def __init__(self, graph: Graph, shapes: Sequence[Shape]) -> None:
        self.graph, self.shapes = graph, shapes
        self.roles = [role_of(layer, len(graph) - 1) for layer in graph]
        self.names: dict[int, str] = {IMAGE: "image"}
        self.taken: Counter[str] = Counter()
        self.done: list[str] = []

    def lines(self) -> list[str]:
        """All rows."""
        for layer in self.graph:
            if not self._refines(layer):
                self._write(layer)
        for layer in self.graph:  # refined maps that nobody reads
            self._write(layer)
        return self.done

    def _write(self, layer: Layer) -> None:
        if layer.index in self.names:
            return
        for source in layer.sources:
            if source != IMAGE:
                self._write(self.graph[source])
        sources = ", ".join(self.names[source] for source in layer.sources)
        self.names[layer.index] = name = self._name(layer)
        repeats = "" if layer.repeats == 1 else f"{layer.repeats} x "
        self.done.append(f"{name} = {repeats}{layer.block}{format_value(layer.args)}({sources})")

    def _refines(self, layer: Layer) -> bool:
        """Case 2: attention on one map."""
        if self.roles[layer.index] not in MAY_BE_ATTENTION or len(layer.raw_sources) != 1 or layer.sources[0] == IMAGE:
            return False
        return not (layer.kind.gives_a_list or self.graph[layer.sources[0]].kind.gives_a_list)

    def _name(self, layer: Layer) -> str:
        if self._refines(layer):
            source = layer.sources[0]
            if all(consumer in self.names for consumer in self.graph.consumers(source) if consumer != layer.index):
                return self.names[source]
        what = self.roles[layer.index]
        level = self.shapes[layer.index].level
        name = what if what == "output" else ".".join(filter(None, [layer.section, level, what]))
        self.taken[name] += 1
        return name if self.taken[name] == 1 else f"{name}-{self.taken[name]}"
