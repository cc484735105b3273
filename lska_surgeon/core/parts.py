"""The parts of a network that positions are named for, found from its structure; names of blocks are hints.

Strides are those of the shapes, and where these have none the believed ones of `guesses`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from ..wording import few
from .blocks import HostRow
from .graph import IMAGE, Graph, Layer, role_of
from .guesses import LEAST_WIDTH, believed_strides, picked_from
from .shapes import Shape


class Site(NamedTuple):
    """One resolved place.

    Attributes:
        asked: the `--at` value that it came from, "neck:p3@11".
        name: the position, "neck".
        layer: the source that the operator goes behind, or the host that it goes into.
        consumer: the one layer that reads the operator; None for every consumer of the source.
        inside: True when the operator goes into the layer.
        k: the kernel size given with `@`, or None.
    """

    asked: str
    name: str
    layer: int
    consumer: int | None = None
    inside: bool = False
    k: int | None = None


class Parts:
    """The parts of one network.

    Args:
        graph: the layers.
        shapes: what each gives.
    """

    def __init__(self, graph: Graph, shapes: Sequence[Shape]) -> None:
        self.graph, self.shapes = graph, shapes

    @cached_property
    def strides(self) -> tuple[float | None, ...]:
        """The stride of each layer, guessed where nothing says it."""
        return believed_strides(self.graph, self.shapes)

    @cached_property
    def _picked_from(self) -> dict[int, int]:
        return picked_from(self.graph)

    def _is_one_map(self, layer: Layer) -> bool:
        return not layer.kind.gives and layer.index not in self._picked_from.values()

    @cached_property
    def backbone(self) -> tuple[int, ...]:
        """The last block of each stage of the backbone, before its pool stage."""
        blocks = (self._last_block(stage) for stage in self._stages)
        return tuple(layer.index for layer in blocks if layer is not None)

    @cached_property
    def pools(self) -> tuple[int, ...]:
        """The pool stages: rows of blocks that are known to be such, or what stands in the place of one."""
        known = [layer.index for layer in self.graph if layer.kind.is_pooling]
        named = [layer.index for layer in self._behind_the_last_block if layer.kind.role == "pool"]
        return tuple(sorted({*known, *named})) or self._pool_by_place

    @cached_property
    def neck(self) -> tuple[int, ...]:
        """Behind the block that refines a fusion; behind the fusion itself where nothing refines it."""
        sites = {index for fusion in self.graph if self.is_fusion(fusion) for index in self._behind(fusion)}
        return tuple(index for index in sorted(sites) if self.graph[index].section == "head")

    def is_fusion(self, layer: Layer) -> bool:
        """Whether a row joins several maps of one size: a Concat, or whatever its author has in that place."""
        if layer == self.graph.output or not self._is_one_map(layer):
            return False
        if layer.kind.is_fusion:
            return True
        read = {self._stride_of(source) for source in layer.sources}
        return len(set(layer.sources)) > 1 and len(read) == 1 and None not in read

    def left_out(self, names: Collection[str]) -> list[str]:
        """What these positions leave out, or take for a part by its place alone, and why.

        Args:
            names: positions.
        """
        notes = {"backbone": self._stages_left_out, "sppf": self._pool_taken, "neck": self._fusions_left_out}
        return [note for name, find in notes.items() if name in names for note in find()]

    def _stride_of(self, source: int) -> float | None:
        return 1.0 if source == IMAGE else self.strides[source]

    @cached_property
    def _stages(self) -> list[list[Layer]]:
        """The backbone's rows by size of map; where that is not known, each down-sampling block starts a stage."""
        stages: list[list[Layer]] = []
        for layer in self.graph:
            if layer.section != "backbone" or layer.kind.is_beside:
                continue
            stride = self.strides[layer.index]
            before = self.strides[stages[-1][-1].index] if stages else None
            same = not _only_makes_smaller(layer) if stride is None or before is None else stride == before
            if stages and same:
                stages[-1].append(layer)
            else:
                stages.append([layer])
        return stages

    def _last_block(self, stage: Sequence[Layer]) -> Layer | None:
        last = None
        for position, layer in enumerate([] if self._is_stem(stage) else stage):
            if layer.index in self.pools:
                break
            if self._is_block(layer, first=position == 0) and not self._begins_the_next(layer):
                last = layer
        return last

    def _is_stem(self, stage: Sequence[Layer]) -> bool:
        """Whether rows of unknown blocks only prepare the image: at its own size, or by convolutions that halve it."""
        stride = self.strides[stage[0].index]
        if stride is None or stride > 2 or all(layer.kind.is_known for layer in stage):
            return False
        is_first = [layer.sources for layer in stage] == [(IMAGE,)] and len(self._stages) > 1
        return stride == 1 or is_first or all(_makes_smaller_by_name(layer) for layer in stage)

    def _begins_the_next(self, layer: Layer) -> bool:
        """Whether a convolution only widens the map for a row of an unknown block that makes it smaller."""
        consumers = self._consumers(layer)
        if not _only_makes_smaller(layer) or len(consumers) != 1 or consumers[0].kind.is_known:
            return False
        before, behind = self.strides[layer.index], self.strides[consumers[0].index]
        return before is not None and behind is not None and behind > before

    def _is_block(self, layer: Layer, first: bool) -> bool:
        kind = layer.kind
        if kind.plain.startswith("nn.") or kind.stride[0] == "last" or layer == self.graph.output:
            return False
        if not self._is_one_map(layer) or layer.index in self._picked_from:
            return False
        return not (first and _only_makes_smaller(layer))

    @cached_property
    def _behind_the_last_block(self) -> list[Layer]:
        """The rows of unknown blocks that the backbone ends with, behind a block of the same size that they keep."""
        stage = self._stages[-1] if self._stages else []
        start = next((n for n, layer in enumerate(stage) if self._is_block(layer, first=n == 0)), len(stage))
        return [
            layer
            for layer in stage[start + 1 :]
            if not layer.kind.is_known
            and len(layer.raw_sources) == 1
            and self.strides[layer.index] == self._stride_of(layer.sources[0])
        ]

    @cached_property
    def _pool_by_place(self) -> tuple[int, ...]:
        """A row whose name says nothing, and which is built once, as wide as its first argument says."""
        blocks = [layer.block for layer in self.graph]
        rows = (
            layer.index
            for layer in self._behind_the_last_block
            if layer.kind.role == "other"
            and layer.repeats == 1
            and blocks.count(layer.block) == 1
            and _has_a_width(layer)
        )
        return tuple(rows)[:1]

    def _behind(self, fusion: Layer) -> list[int]:
        """The sites of a fusion."""
        refining = self._refining(fusion)
        if fusion.kind.width != "sum":
            refining = [layer for layer in refining if self._refines_a_sum(layer)]
        elif not refining and any(self.is_fusion(layer) for layer in self._consumers(fusion)):
            return []  # one fusion in several rows, of which the last counts
        return [layer.index for layer in refining] or ([fusion.index] if self._consumers(fusion) else [])

    def _consumers(self, layer: Layer) -> list[Layer]:
        return [self.graph[index] for index in self.graph.consumers(layer.index)]

    def _refining(self, layer: Layer) -> list[Layer]:
        """The rows that go on with a layer's map at its size; attention that any block could do without is no such."""
        rows: list[Layer] = []
        for row in self._consumers(layer):
            if row == self.graph.output or not self._is_one_map(row) or self.is_fusion(row):
                continue
            if row.sources[0] != layer.index:
                continue
            if row.kind.is_beside:
                rows += self._refining(row)
            elif self._keeps_size(row):
                rows.append(row)
        return rows

    def _keeps_size(self, layer: Layer) -> bool:
        before, here = self._stride_of(layer.sources[0]), self.strides[layer.index]
        if before is None or here is None:
            return role_of(layer, len(self.graph) - 1) not in ("up", "down")
        return before == here

    def _refines_a_sum(self, layer: Layer) -> bool:
        """Whether it is a block of its own: maps that were added need no convolution to be one map."""
        role = role_of(layer, len(self.graph) - 1)
        return role == "block" or (role == "other" and not layer.kind.is_known and _has_a_width(layer))

    def _fusions_left_out(self) -> Iterator[str]:
        rows = [
            layer
            for layer in self.graph
            if layer.section == "head" and layer != self.graph.output and not layer.kind.is_known
            if len(set(layer.sources)) > 1 and not self.is_fusion(layer) and layer.index not in self.neck
        ]
        if rows:
            which = few([f"{layer.index} ({layer.block}: {self._strides_read(layer)})" for layer in rows])
            yield f"neck leaves out {which}: a fusion has inputs of one stride; --at after:SEL takes another place"
        inside = [layer for layer in self.graph if layer.section == "backbone" and self.is_fusion(layer)]
        if inside and not self.neck:
            which = few([f"{layer.index} ({layer.block})" for layer in inside])
            yield f"neck leaves out {which}: a neck stands under head, and this stands under backbone"

    def _strides_read(self, layer: Layer) -> str:
        strides = [self._stride_of(source) for source in layer.sources]
        return "strides " + ", ".join("?" if stride is None else f"{stride:g}" for stride in strides)

    def _pool_taken(self) -> Iterator[str]:
        known = {layer.index for layer in self.graph if layer.kind.is_pooling}
        for index in self.pools:
            if index not in known:
                yield (
                    f"sppf takes {index} ({self.graph[index].block}), a block that is not known here, for the pool "
                    "stage: it stands between the last stage of the backbone and the neck"
                )

    def _stages_left_out(self) -> Iterator[str]:
        for stage in self._stages:
            own = [layer for layer in stage if not layer.kind.is_known and layer.index not in self._picked_from]
            if own and not self._is_stem(stage) and self._last_block(stage) is None:
                rows = few([f"{layer.index} ({layer.block})" for layer in stage])
                yield f"backbone leaves out {rows}: a stage without a block of its own"


def _only_makes_smaller(layer: Layer) -> bool:
    """Whether a row is plain down-sampling: a stage that has nothing else has no block to stand behind."""
    return layer.kind.is_known and layer.kind.role in ("conv", "down")


def _makes_smaller_by_name(layer: Layer) -> bool:
    return not layer.kind.is_known and layer.kind.role in ("conv", "down")


def _has_a_width(layer: Layer) -> bool:
    """Whether its arguments begin with a width: a number, or a word that the file says elsewhere."""
    first = layer.args[0] if layer.args else None
    return isinstance(first, str) or (type(first) is int and first >= LEAST_WIDTH)


def _adds_its_input(layer: Layer, shapes: Sequence[Shape]) -> bool:
    """Whether a row has bottlenecks that add their input."""
    host, source = layer.kind.host, layer.sources[0]
    if host is None or host.adds is None or not layer.kind.may_hold:
        return False
    width_in = -1 if source == IMAGE else shapes[source].channels
    row = HostRow(layer.args, width_in, shapes[layer.index].channels, layer.repeats)
    return host.has(row) and host.adds(row)


def _behind_each(name: str, indices: Callable[[Parts], Sequence[int]]) -> Finder:
    return lambda parts: tuple(Site(name, name, index) for index in indices(parts))


def _inside_each(name: str, is_site: Callable[[Layer, Sequence[Shape]], bool]) -> Finder:
    """Every row of which something is true, whatever stands around it."""
    return lambda parts: tuple(
        Site(name, name, layer.index, inside=True) for layer in parts.graph if is_site(layer, parts.shapes)
    )


def _head(parts: Parts) -> tuple[Site, ...]:
    graph, output = parts.graph, parts.graph.output
    maps = [s for s in dict.fromkeys(output.sources) if s >= 0 and not graph[s].kind.gives_a_list]
    return tuple(Site("head", "head", source, consumer=output.index) for source in sorted(maps))


Finder = Callable[[Parts], "tuple[Site, ...]"]
NAMES: dict[str, Finder] = {
    "backbone": _behind_each("backbone", lambda parts: parts.backbone),
    "sppf": _behind_each("sppf", lambda parts: parts.pools),
    "neck": _behind_each("neck", lambda parts: parts.neck),
    "head": _head,
    "residual": _inside_each("residual", _adds_its_input),
    "sppf-inner": _inside_each("sppf-inner", lambda layer, _: layer.kind.is_pooling and layer.kind.may_hold),
}
