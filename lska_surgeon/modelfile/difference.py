"""What sets two architectures apart, as values that show themselves; it compares nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.graph import IMAGE, Graph, Layer
from ..reports import Part, Shown, Table
from ..wording import counted
from .document import format_value
from .model import Model


@dataclass(frozen=True)
class Setting:
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


@dataclass(frozen=True, repr=False)
class RowDifference(Shown):
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

    schema: ClassVar[int] = 2

    before: Model
    after: Model
    one: Graph
    other: Graph
    index_map: Mapping[int, int]
    settings: tuple[Setting, ...]
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
    def line(self) -> str:
        """What differs, in one line."""
        before, after = self.names
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

    def footnotes(self) -> list[str]:
        """The index map, and how rows were compared."""
        lines = [f"layers: {', '.join(_ranges(self.index_map))}"]
        if self.by_width:
            lines.append("rows were compared with their real widths and repeats, for the scales differ")
        return lines

    def parts(self) -> tuple[Part, ...]:
        """All in one line, a table of the changes, and the index map."""
        return (self.line, self.table(), "\n".join(self.footnotes())) if self else (self.line,)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "schema": self.schema,
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
    return {"model": str(model.path), "scale": model.scaling.letter, "rows": len(model.graph.layers)}
