"""Edits on a graph: insert operators at sites, take them out again; it knows no text, no torch, no position names.

Both are one computation. The new rows are laid out first, which gives the index map; then each source of each kept
row is mapped to the layer that now stands for it. A source keeps its style: one that was written relative (-1) stays
relative, one that was written absolute stays absolute. That makes `remove` the exact inverse of `insert`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..errors import PositionError
from .attention import host_spec, is_like_attention, plain_row
from .graph import IMAGE, From, Graph, Layer
from .other_operators import AnyOperator, OtherOperator
from .positions import Site


@dataclass(frozen=True)
class Edit:
    """One operator at one site."""

    site: Site
    kernel: AnyOperator

    def to_dict(self) -> dict[str, Any]:
        """Where it goes and what it is, as plain data."""
        site, kernel = self.site, self.kernel
        return {
            "at": site.asked,
            "position": site.name,
            "layer": site.layer,
            "inside": site.inside,
            "op": kernel.op,
            "k": kernel.k,
            "d": kernel.d,
            **({"gated": True} if isinstance(kernel, OtherOperator) and kernel.gated else {}),
        }


@dataclass(frozen=True)
class Rewrite:
    """A graph before and after an edit.

    Attributes:
        before, after: the graphs.
        origin: for each layer of `after`, the index it had in `before`; None for an inserted layer.
        edits: for each inserted layer or changed host, by its index in `after`, the edit that made it.
    """

    before: Graph
    after: Graph
    origin: tuple[int | None, ...]
    edits: Mapping[int, Edit] = field(default_factory=dict)

    @cached_property
    def index_map(self) -> dict[int, int]:
        """Old index -> new index, for every layer that is still there."""
        return {old: new for new, old in enumerate(self.origin) if old is not None}

    @property
    def index_map_by_name(self) -> dict[str, int]:
        """The index map as JSON can hold it."""
        return {str(old): new for old, new in self.index_map.items()}

    @cached_property
    def inserted(self) -> tuple[int, ...]:
        """Indices, in `after`, of the inserted layers."""
        return tuple(new for new, old in enumerate(self.origin) if old is None)

    def rewired(self, inserted: int) -> tuple[int, ...]:
        """Indices, in `after`, of the kept layers that read an inserted layer, through further inserted ones too."""
        found: set[int] = set()
        through = [inserted]
        while through:
            for consumer in self.after.consumers(through.pop()):
                if self.origin[consumer] is None:
                    through.append(consumer)
                else:
                    found.add(consumer)
        return tuple(sorted(found))

    @property
    def stacked(self) -> tuple[tuple[int, int], ...]:
        """Pairs of operator rows, in `after`, of which the second reads the first and one alone was there before."""
        pairs = [(source, row.index) for row in self.after for source in row.sources if source != IMAGE]
        operators = [pair for pair in pairs if all(self.after[index].kind.is_operator for index in pair)]
        return tuple(pair for pair in operators if [self.origin[index] for index in pair].count(None) == 1)


def insert(graph: Graph, edits: Sequence[Edit]) -> Rewrite:
    """Insert operators.

    Several edits behind one layer stack in the order given: first those for every consumer, each reading the one
    before; then, for each consumer that has edits of its own, a branch that this consumer alone reads.

    Raises:
        PositionError: two edits want the same place.
    """
    _refuse_duplicates(graph, edits)
    behind: dict[int, list[Edit]] = {}
    for edit in edits:
        if not edit.site.inside:
            behind.setdefault(edit.site.layer, []).append(edit)
    layout = _Layout(graph)
    for layer in graph:
        layout.keep(layer.index)
        here = behind.get(layer.index, [])
        layout.add_trunk(layer.index, [edit for edit in here if edit.site.consumer is None])
        for consumer in sorted({edit.site.consumer for edit in here if edit.site.consumer is not None}):
            layout.add_branch(layer.index, consumer, [edit for edit in here if edit.site.consumer == consumer])
    hosted = {edit.site.layer: edit for edit in edits if edit.site.inside}

    def host(layer: Layer) -> Layer:
        edit = hosted.get(layer.index)
        if edit is None:
            return layer
        assert layer.kind.host is not None
        return replace(layer, block=layer.kind.host, args=(*layer.args, host_spec(edit.kernel)))

    rewrite = layout.finish(host)
    new = rewrite.index_map
    return replace(rewrite, edits={**rewrite.edits, **{new[index]: edit for index, edit in hosted.items()}})


def remove(graph: Graph, rows: Collection[int] | None = None) -> Rewrite:
    """Take operator rows out and turn host rows back into their plain blocks.

    Args:
        graph: the graph.
        rows: the indices of the rows to treat, where a row that is no host is taken out whatever its block is; None
            treats every operator and host.

    Raises:
        PositionError: there is nothing to take out.
    """
    chosen = {x.index for x in graph if (x.kind.is_attention if rows is None else x.index in rows)}
    if not chosen:
        unknown = next((f"; row {x.index} ({x.block}) is called one, but what it does is not known" for x in graph
                        if is_like_attention(x.kind)), "")  # fmt: skip
        raise PositionError(
            f"{graph.name} has no LSKA to remove: of its {len(graph)} rows none is an operator or a host{unknown}"
        )
    for layer in graph:
        if layer.index in chosen and layer.kind.is_operator and len(layer.raw_sources) > 1:
            found = ", ".join(map(str, layer.raw_sources))
            raise PositionError(
                f"{graph.name}: row {layer.index} ({layer.block}) reads {found}: an operator reads one layer, so it is "
                "not clear what its consumers should read instead"
            )
    gone = {index for index in chosen if not graph[index].kind.is_host}
    layout = _Layout(graph, gone)
    for layer in graph:
        if layer.index not in gone:
            layout.keep(layer.index)

    def plain(layer: Layer) -> Layer:
        if layer.index not in chosen:
            return layer
        block, args = plain_row(layer)
        return replace(layer, block=block, args=args)

    return layout.finish(plain)


def _refuse_duplicates(graph: Graph, edits: Sequence[Edit]) -> None:
    seen: dict[tuple[int, int | None, bool], Edit] = {}
    for edit in edits:
        other = seen.setdefault((edit.site.layer, edit.site.consumer, edit.site.inside), edit)
        if other is not edit:
            layer = graph[edit.site.layer]
            raise PositionError(
                f"--at {other.site.asked} and --at {edit.site.asked} both name layer {layer.index} ({layer.block}): "
                "name it once"
            )


class _Layout:
    """The rows of the graph to be, in order, and which of them stands for which old source."""

    def __init__(self, graph: Graph, gone: set[int] | None = None) -> None:
        self.graph = graph
        self.gone = gone or set()
        self.origin: list[int | None] = []
        self.new_layers: dict[int, Layer] = {}
        self.edits: dict[int, Edit] = {}
        self.new: dict[int, int] = {}
        self.stands_for: dict[int, int] = {}
        self.branch: dict[tuple[int, int], int] = {}

    def keep(self, index: int) -> None:
        self.new[index] = self.stands_for[index] = len(self.origin)
        self.origin.append(index)

    def add_trunk(self, source: int, edits: Sequence[Edit]) -> None:
        self.stands_for[source] = self._chain(source, self.stands_for[source], edits)

    def add_branch(self, source: int, consumer: int, edits: Sequence[Edit]) -> None:
        self.branch[source, consumer] = self._chain(source, self.stands_for[source], edits)

    def _chain(self, source: int, end: int, edits: Sequence[Edit]) -> int:
        for edit in edits:
            index = len(self.origin)
            # c2, which Ultralytics sets to the width of the row before, is right for a second branch too: all rows
            # since the source keep its width.
            frm = -1 if end == index - 1 else end
            section = self.graph[source].section
            row = (index, section, frm, 1, edit.kernel.block, edit.kernel.row_args)
            self.new_layers[index] = Layer(*row, self.graph.blocks)
            self.edits[index] = edit
            self.origin.append(None)
            end = index
        return end

    def finish(self, change: Callable[[Layer], Layer]) -> Rewrite:
        layers = []
        for index, old in enumerate(self.origin):
            if old is None:
                layers.append(self.new_layers[index])
                continue
            layer = change(self.graph[old])
            raw = tuple(self._mapped(layer, raw, source) for raw, source in zip(layer.raw_sources, layer.sources))
            frm: From = raw if isinstance(layer.frm, tuple) else raw[0]
            layers.append(replace(layer, index=index, frm=frm))
        after = Graph(tuple(layers), self.graph.settings, self.graph.name)
        return Rewrite(self.graph, after, tuple(self.origin), self.edits)

    def _mapped(self, layer: Layer, raw: int, source: int) -> int:
        while source in self.gone:
            source = self.graph[source].sources[0]
        if source == IMAGE:
            return IMAGE if self.new[layer.index] == 0 else raw
        target = self.branch.get((source, layer.index), self.stands_for[source])
        return target - self.new[layer.index] if raw < 0 else target
