"""What a row that came is to give: what those that read it read in its place before; it knows no tensor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..core.blocks import BYPASS
from ..core.graph import IMAGE, Graph
from ..core.surgery import NewRow, Ref, assemble


def expected(before: Graph, after: Graph, stands: Mapping[int, int], levels: Mapping[int, int]) -> dict[int, int]:
    """Row that stands for no layer -> the layer whose map its consumers read in its place, where they agree on one.

    Args:
        before: the layers.
        after: the rows.
        stands: layer -> the row in its place.
        levels: which of the maps that the output layer of `before` reads -> which of those that that of `after` reads.
    """
    layers = {row: layer for layer, row in stands.items()}
    found: dict[int, set[int]] = {}
    for consumer in after:
        if consumer.index not in layers:
            continue
        read, now = before[layers[consumer.index]].sources, consumer.sources
        if consumer is after.output:
            pairs = [(now[place], read[level]) for level, place in levels.items()]
        else:
            known = {layers.get(source, source) for source in now}
            new, gone = [one for one in now if one not in layers], [one for one in read if one not in known]
            pairs = list(zip(new, gone)) if len(new) == len(gone) else []
        for row, layer in pairs:
            if row not in layers and IMAGE not in (row, layer):
                found.setdefault(row, set()).add(layer)
    return {row: layers.pop() for row, layers in found.items() if len(layers) == 1}


@dataclass(frozen=True)
class FitGroup:
    """Rows that are learned together, in order; the last of them has to give what a layer gave.

    Attributes:
        rows: the rows.
        reads: what they read beside each other, rows or `IMAGE`.
        layer: the layer.
    """

    rows: tuple[int, ...]
    reads: tuple[int, ...]
    layer: int


def groups(after: Graph, targets: Mapping[int, int], free: Collection[int]) -> list[FitGroup]:
    """Each row that has a target, with the free rows before it that no other row before it has taken.

    Args:
        after: the rows.
        targets: row -> the layer whose map it is to give.
        free: rows that came and have no target of their own.
    """
    found, left = [], set(free)
    for row in sorted(targets):
        members, open_rows = {row}, [row]
        while open_rows:
            for source in after[open_rows.pop()].sources:
                if source in left:
                    left.discard(source)
                    members.add(source)
                    open_rows.append(source)
        rows = tuple(sorted(members))
        reads = sorted({source for member in rows for source in after[member].sources} - members)
        found.append(FitGroup(rows, tuple(reads), targets[row]))
    return found


class PastRow(NamedTuple):
    """A row that leads past what is new.

    Attributes:
        row: the bypass.
        new: the new row whose map it lets in.
        old: the row whose map it gives at first.
        layer: the layer of the original that this row is.
    """

    row: int
    new: int
    old: int
    layer: int


def lead_past(after: Graph, olds: Mapping[int, int]) -> tuple[Graph, dict[int, int]]:
    """Put a bypass behind new rows, for all that read them.

    Args:
        after: the rows.
        olds: new row -> a row before it, whose map the bypass is to give at first.

    Returns:
        The rows with bypasses, and what became of each index.
    """
    block = after.blocks.called(BYPASS)
    bypasses = {new: NewRow(after[new].section, (old, new), 1, block, ()) for new, old in olds.items()}
    rows: list[Ref] = []
    for layer in after:
        rows += [layer.index, *([bypasses[layer.index]] if layer.index in bypasses else [])]
    rewrite = assemble(after, rows, lambda source, _: bypasses.get(source, source))
    return rewrite.after, rewrite.index_map
