"""The parts of a network that positions are named for, found from its structure; names of blocks are hints.

Strides are those of the shapes, and where these have none believed ones: what a row of an unknown block does to the
size of its map, as names and arguments suggest. `up` in a name halves the stride; `[128, 3, 2]` doubles it, as does an
argument that is 1 in some rows of a block and 2 in others. A guess serves where nothing else is known: to compare
readings of a file, and to find its parts.

Forks write a whole backbone as one row, the first: `[-1, 1, convnextv2_atto, []]` gives four maps, and their parser
counts it as five layers. What it is has to be said, by the fork's parser or by a declaration; here it is only
recognized, so that it can be named: not by one number that looks forward, which a row that went leaves too, but by a
network that is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from ..errors import GraphError
from ..wording import few
from .blocks import BACKBONE, BYPASS, Block, BlockTable, HostRow, packed_maps
from .graph import IMAGE, SECTIONS, Graph, Layer, Scaling, consumers_of, counted_layers, packed_row, role_of
from .shapes import Shape, effect_of, shapes_of, strides_of

# What names tell of blocks that nobody has described; compiled when they are asked, for most files have no such block.
_UP = r"(?i)up(?!date)|carafe|dysample|eucb|transpose"
_DOWN = r"(?i)down|stem|^spd|to_?depth|patch(merg|emb)"
_PICKS = r"(?i)^(?:get|pick|select)[a-z_]*(?:index|layer|map|feature|output)|^index|index$"
_KERNELS = (1, 2, 3, 5, 7)
_MOST_GUESSES = 64  # for each, all strides are worked out anew
LEAST_WIDTH = 8  # the least that is a number of channels and not a kernel size or a stride


def guessed_ratio(layer: Layer, layers: Sequence[Layer]) -> float:
    """Stride out over stride in of a row whose block is not known.

    Args:
        layer: the row.
        layers: all rows of its file.
    """
    numbers = [x for x in layer.args if isinstance(x, (int, float)) and not isinstance(x, bool)]
    if re.search(_UP, layer.block):
        return 0.5
    if len(numbers) > 2 and numbers[0] >= LEAST_WIDTH and numbers[1] in _KERNELS and numbers[2] == 2:
        return 2.0
    at = _stride_argument(layer, layers)
    if at is not None:
        return float(layer.args[at])
    if (
        len(numbers) > 1
        and layer.section == "backbone"
        and numbers[1] == 2
        and numbers[0] > _width_before(layer, layers)
    ):
        return 2.0
    return 2.0 if re.search(_DOWN, layer.block) or layer.index == 0 else 1.0


def _stride_argument(layer: Layer, layers: Sequence[Layer]) -> int | None:
    """Where rows of this block keep a stride: the one argument that is 1 in some of them and 2 in others."""
    if layer.section != "backbone":
        return None
    rows = [
        other.args
        for other in layers
        if (other.block, other.section, len(other.args)) == (layer.block, "backbone", len(layer.args))
    ]
    if len(rows) < 2:
        return None
    places = [
        at
        for at in range(1, len(layer.args))
        if {type(args[at]) for args in rows} == {int} and {args[at] for args in rows} == {1, 2}
    ]
    return places[0] if len(places) == 1 else None


def _width_before(layer: Layer, layers: Sequence[Layer]) -> int:
    before = (arg for other in reversed(layers[: layer.index]) for arg in other.args[:1])
    return next((arg for arg in before if isinstance(arg, int) and arg >= LEAST_WIDTH), 0)


def picked_from(layers: Iterable[Layer]) -> dict[int, int]:
    """Rows that each pick one map of a list -> the row that gives the list.

    They are several of one unknown block behind one layer, and differ in one small whole number; or their name says so.
    """
    groups: dict[tuple[int, str], list[Layer]] = {}
    for layer in layers:
        args = [arg[0] if isinstance(arg, list) and len(arg) == 1 else arg for arg in layer.args]
        small = [arg for arg in args if not (type(arg) is int and arg >= LEAST_WIDTH)]
        alone = len(layer.args) == 1 or re.search(_PICKS, layer.block)
        if alone and len(layer.raw_sources) == 1 and [type(arg) for arg in small] == [int] and not layer.kind.is_known:
            groups.setdefault((layer.sources[0], layer.block), []).append(layer)
    return {
        row.index: row.sources[0]
        for rows in groups.values()
        for row in rows
        if re.search(_PICKS, row.block) or len({repr(other.args) for other in rows}) > 1
    }


def believed_strides(graph: Graph, shapes: Sequence[Shape]) -> tuple[float | None, ...]:
    """The stride of each layer, as its shape has it; where that has none, as guesses give it, if they fit together.

    One row is guessed at a time, the first whose source is known, so that what follows from it comes before the next.
    A row that joins maps of several sizes is guessed to give the one with which most rows behind it join maps of one
    size, and of equally good ones the first.
    """
    known = tuple(shape.stride for shape in shapes)
    strides = list(known)
    layers, effects, picks = graph.layers, [effect_of(layer) for layer in graph], picked_from(graph)
    closed = {*picks, *picks.values()}
    ratios: dict[int, float] = {}

    def read_by(layer: Layer) -> float | None:
        return 1.0 if layer.sources[0] == IMAGE else strides[layer.sources[0]]

    def is_open(layer: Layer) -> bool:
        effect = effects[layer.index]
        return effect.is_map and effect.ratio is None and not effect.joins and layer.index not in ratios

    for layer in layers:
        before, here = read_by(layer), strides[layer.index]
        if is_open(layer) and before and here:
            ratios[layer.index] = here / before

    def fitted(guessed: dict[int, float]) -> list[float | None]:
        found = strides_of(layers, effects, guessed)
        return [stride or guess for stride, (guess, _) in zip(known, found)]

    for _ in range(_MOST_GUESSES):
        rows = (
            row
            for row in layers[:-1]
            if strides[row.index] is None and is_open(row) and row.index not in closed and read_by(row)
        )
        first = next(rows, None)
        if first is None:
            break
        if len(first.raw_sources) == 1:
            choices = [guessed_ratio(first, layers)]
        else:
            read = [1.0 if source == IMAGE else strides[source] for source in first.sources]
            choices = [stride / read[0] for stride in dict.fromkeys(read) if stride and read[0]]
        readings = [{**ratios, first.index: ratio} for ratio in choices]
        ratios = max(readings, key=lambda reading: _agreeing(graph, fitted(reading))) if choices[1:] else readings[0]
        strides = fitted(ratios)
    return tuple(strides) if fit_together(graph, strides) else known


def _agreeing(graph: Graph, strides: Sequence[float | None]) -> int:
    """How many rows join maps of one size, beyond those that join maps of several."""
    joined = [
        {strides[source] for source in layer.sources if source != IMAGE}
        for layer in graph.layers[:-1]
        if len(set(layer.sources)) > 1
    ]
    return sum(1 if len(read) == 1 else -1 for read in joined if None not in read)


def fit_together(graph: Graph, strides: Sequence[float | None]) -> bool:
    """Whether all that is joined has one stride, and no two inputs of the output layer have."""
    for layer in graph:
        read = [strides[source] for source in dict.fromkeys(layer.sources) if source != IMAGE and strides[source]]
        if (layer.kind.is_fusion and len(set(read)) > 1) or (layer in graph.outputs and len(set(read)) < len(read)):
            return False
    return True


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
        """Whether a row joins several maps of one size: a Concat, or whatever its author has in that place.

        A bypass does not: it stands for the new row that it lets in.
        """
        if layer in self.graph.outputs or layer.block == BYPASS or not self._is_one_map(layer):
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
        if kind.plain.startswith("nn.") or kind.stride[0] == "last" or layer in self.graph.outputs:
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
            if row in self.graph.outputs or not self._is_one_map(row) or self.is_fusion(row):
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
            if layer.section == "head" and layer not in self.graph.outputs and not layer.kind.gives
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
        packed = packed_row(self.graph.layers)
        if packed is not None:
            yield f"backbone leaves out {packed.index} ({packed.block}): its maps are one row, with no row between them"
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
    graph = parts.graph
    read = {(source, output.index) for output in graph.outputs for source in output.sources if source >= 0}
    maps = sorted(pair for pair in read if not graph[pair[0]].kind.gives_a_list)
    return tuple(Site("head", "head", source, consumer=output) for source, output in maps)


Finder = Callable[[Parts], "tuple[Site, ...]"]
NAMES: dict[str, Finder] = {
    "backbone": _behind_each("backbone", lambda parts: parts.backbone),
    "sppf": _behind_each("sppf", lambda parts: parts.pools),
    "neck": _behind_each("neck", lambda parts: parts.neck),
    "head": _head,
    "residual": _inside_each("residual", _adds_its_input),
    "sppf-inner": _inside_each("sppf-inner", lambda layer, _: layer.kind.is_pooling and layer.kind.may_hold),
}


def _rows_by_ratio(parts: Parts, fits: Callable[[float], bool]) -> list[int]:
    """Rows of one source whose stride out over stride in is such; the row that reads the image is not among them."""
    found = []
    for layer in parts.graph:
        if len(layer.raw_sources) == 1 and layer.sources[0] != IMAGE and layer != parts.graph.output:
            before, here = parts.strides[layer.sources[0]], parts.strides[layer.index]
            if before and here and fits(here / before):
                found.append(layer.index)
    return found


#: What `replace` may put other rows in the place of: name -> the rows.
SLOTS: dict[str, Callable[[Parts], Sequence[int]]] = {
    "stem": lambda parts: [0],
    "down": lambda parts: _rows_by_ratio(parts, lambda ratio: ratio > 1),
    "backbone": lambda parts: parts.backbone,
    "block": lambda parts: [
        x.index for x in parts.graph if role_of(x, parts.graph.output.index) == "block" and not x.kind.is_attention
    ],
    "pool": lambda parts: parts.pools,
    "sppf": lambda parts: parts.pools,
    "up": lambda parts: _rows_by_ratio(parts, lambda ratio: ratio < 1),
    "fusion": lambda parts: [x.index for x in parts.graph if parts.is_fusion(x)],
    "neck": lambda parts: [index for index in parts.neck if not parts.is_fusion(parts.graph[index])],
    "head": lambda parts: [parts.graph.output.index],
}


#: How many layers a whole backbone in one row may count as, what forks do first.
_COUNTS = (5, 4, 3, 6, 7)
#: How many of its maps are read by other rows than the next.
_FEWEST_READ = 2


def unsaid_backbone(layers: Sequence[Layer]) -> Layer | None:
    """The first row as a whole backbone, by a table that says so, where only so the numbers make a network."""
    readings = (as_backbone(layers, count) for count in _COUNTS)
    return next((row for row in readings if row is not None and _is_whole(layers, row.blocks)), None)


def as_backbone(layers: Sequence[Layer], count: int = _COUNTS[0]) -> Layer | None:
    """The first row as a whole backbone, by a table that says so; None where it is none, or no number looks forward."""
    if all(layer.problem() is None for layer in layers) or packed_row(layers) is not None:
        return None
    first = next((layer for layer in layers if not layer.kind.same), None)
    if first is None or first.kind.is_known or first.kind.custom or first.section != SECTIONS[0] or first.problem():
        return None
    behind = [layer for layer in layers[first.index + 1 :] if layer.section == SECTIONS[0]]
    if any(role_of(layer, len(layers) - 1) == "down" for layer in behind):
        return None  # a whole backbone leaves nothing to sample down
    return replace(first, blocks=first.blocks.with_rows(Block(first.block, "other", packed=packed_maps(count))))


def packed_problem(row: Layer) -> str:
    """What such a row is, in one sentence."""
    return (
        f"row {row.index} ({row.block}) is a whole backbone that gives a list of maps, and the numbers count it as "
        f"{len(row.blocks[row.block].packed)} layers, for a parser patched for that: plain Ultralytics does not build "
        f'such a file; declare {row.block} with like = "{BACKBONE}" to work with it'
    )


def _is_whole(rows: Sequence[Layer], blocks: BlockTable) -> bool:
    """Whether these rows are a network that reads several of the maps, whose strides fit, with no row unread."""
    layers: list[Layer] = []
    for row in rows:
        layers += counted_layers(replace(row, index=len(layers), blocks=blocks))
    try:
        graph = Graph(tuple(layers))
    except GraphError:
        return False
    read = consumers_of(layers)
    maps = [layer.index for layer in layers if layer.map is not None]
    if sum(any(row != index + 1 for row in read.get(index, ())) for index in maps) < _FEWEST_READ:
        return False
    strides = believed_strides(graph, shapes_of(graph, Scaling()))
    levels = [strides[source] for source in graph.output.sources]
    doubling = all(a is None or b is None or b == 2 * a for a, b in zip(levels, levels[1:]))
    return doubling and fit_together(graph, strides) and all(layer.index in read for layer in layers[:-1])
