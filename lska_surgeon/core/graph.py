"""The network as a value: layers, the indices they read, and its scale; it knows no format, no position, no torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Union

from ..errors import BuildError, GraphError
from ..wording import a_value, clean, shown
from .blocks import STOCK, Block, BlockTable

#: More than any network's depth or width is scaled by.
MOST_SCALED = 1000
#: Larger widths and repeats are as absurd as this one; it keeps what is worked out of them small.
_FAR = 2**40


class AbsurdScaleError(GraphError):
    """Numbers that no network is scaled by."""


class Scaling(NamedTuple):
    """What a scale means: `[depth, width, max_channels]`."""

    letter: str | None = None
    depth: float = 1.0
    width: float = 1.0
    max_channels: float = math.inf

    def channels(self, c: float) -> int:
        """make_divisible(min(c, max_channels) * width, 8)."""
        return math.ceil(max(min(c, self.max_channels, _FAR), -_FAR) * self.width / 8) * 8

    def repeats(self, n: int) -> int:
        """A row's repeats after depth scaling."""
        return max(round(min(n, _FAR) * self.depth), 1) if n > 1 else n

    def is_like(self, other: Scaling) -> bool:
        """Whether both scale alike, under whatever letters; not all files say how wide the widest may be."""
        return (self.depth, self.width) == (other.depth, other.width)


def scaling_of(settings: Mapping[str, Any], letter: str | None = None) -> Scaling:
    """The scaling that Ultralytics takes for a scale; without a letter, the first of `scales`.

    Raises:
        GraphError: the model has no such scale, or its entry does not begin with three numbers.
        AbsurdScaleError: they are three numbers by which no network is scaled.
    """
    scales = settings.get("scales")
    if not scales:
        return Scaling(letter, _multiple(settings, "depth_multiple"), _multiple(settings, "width_multiple"))
    if not isinstance(scales, Mapping):
        raise GraphError("scales is not a mapping such as {n: [0.33, 0.25, 1024]}")
    entries = {str(key): entry for key, entry in scales.items()}
    letter = letter or next(iter(entries))
    if letter not in entries:
        raise GraphError(f"no scale {letter}: this model has {', '.join(entries)}")
    entry = entries[letter]
    if (
        not isinstance(entry, list)
        or len(entry) < 3
        or not (all(map(_is_factor, entry[:2])) and isinstance(entry[2], (int, float)) and entry[2] > 0)
    ):
        raise GraphError(f"scale {letter} is {entry}: it needs [depth, width, max_channels]")
    _refuse_absurd(f"scale {letter}", entry[:2])
    return Scaling(letter, *map(float, entry[:3]))


def built_scaling(yaml: Mapping[str, Any]) -> Scaling:
    """The scaling that a model dictionary was built at.

    Raises:
        GraphError: as for `scaling_of`.
    """
    return scaling_of(yaml, yaml.get("scale") or None)


def _multiple(settings: Mapping[str, Any], key: str) -> float:
    value = settings.get(key, 1.0)
    if not _is_factor(value):
        raise GraphError(f"{key} is {value!r}: it needs a number")
    _refuse_absurd(key, [value])
    return float(value)


def _refuse_absurd(what: str, factors: Sequence[float]) -> None:
    worst = max(factors)
    if worst > MOST_SCALED:
        raise AbsurdScaleError(f"{what} multiplies by {worst}: depth and width may be multiplied by 0 to {MOST_SCALED}")


def _is_factor(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < math.inf


#: What row 0 reads: the image itself.
IMAGE = -1
SECTIONS = ("backbone", "head")
#: What is wrong with a model that ends with its backbone.
NO_HEAD = "has no rows under head: its last row is the output layer, such as [[15, 18, 21], 1, Detect, [nc]]"

From = Union[int, tuple[int, ...]]


@dataclass(frozen=True)
class Layer:
    """One YAML row.

    Attributes:
        index: the row's number counted through backbone + head.
        section: "backbone" or "head".
        frm: `from` as written: an int or a tuple of ints; negative counts back from this row.
        repeats: the second column, before depth scaling.
        block: the module class that the row names.
        args: the arguments, as Ultralytics' loader would read them.
        blocks: the table that says what its block is.
        map: which of a backbone's maps it stands for, counted from 0, where the row is a whole backbone; see `counted`.
    """

    index: int
    section: str
    frm: From
    repeats: int
    block: str
    args: tuple[Any, ...]
    blocks: BlockTable = field(default=STOCK, compare=False, repr=False)
    map: int | None = None

    @cached_property
    def kind(self) -> Block:
        """What its block is."""
        block = self.blocks[self.block]
        return block if self.map is None else block.of_map(self.map)

    @property
    def has_row(self) -> bool:
        """Whether a row of its own stands for it: not so for the further maps of a backbone in one row."""
        return not self.map

    @cached_property
    def plain_args(self) -> tuple[Any, ...]:
        """Its arguments as those of the plain block that it stands for, whatever they say of an operator."""
        return self.kind.plain_args(self.args)

    @property
    def raw_sources(self) -> tuple[int, ...]:
        """`from` as a tuple, still as written."""
        return self.frm if isinstance(self.frm, tuple) else (self.frm,)

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """The indices that this row reads, counted from 0; `IMAGE` is the image."""
        return tuple(self.index + raw if raw < 0 else raw for raw in self.raw_sources)

    def problem(self) -> str | None:
        """Why this row's sources can't be, or None."""
        for raw, source in zip(self.raw_sources, self.sources):
            allowed = f"a row may read 0-{self.index - 1}" if self.index else "row 0 reads -1, the image"
            if source >= self.index:
                way = "is the row itself" if source == self.index else "looks forward"
                return f"reads layer {raw}, which {way}: {allowed}"
            if source < IMAGE or (source == IMAGE and self.index > 0):
                return f"reads {raw}, which is before layer 0: {allowed}"
        return None if self.raw_sources else "reads nothing: its first column is an empty list"


@dataclass(frozen=True)
class Graph:
    """All rows, in order, and the settings beside them (nc, scales, activation, ...).

    Raises:
        GraphError: no rows, or a source that does not exist or looks forward.
    """

    layers: tuple[Layer, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = "the model"

    def __post_init__(self) -> None:
        if not self.layers:
            raise GraphError(f"{self.name} has no rows under backbone and head")
        for layer in self.layers:
            problem = layer.problem()
            if problem:
                raise GraphError(f"{self.name}: row {layer.index} ({layer.block}) {problem}")

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int) -> Layer:
        return self.layers[index]

    @property
    def blocks(self) -> BlockTable:
        """The table that says what the rows' blocks are."""
        return self.layers[0].blocks

    @property
    def output(self) -> Layer:
        """The output layer: Ultralytics takes the last row for it."""
        return self.layers[-1]

    @cached_property
    def outputs(self) -> tuple[Layer, ...]:
        """All output layers, of a network for several tasks; the last row is one of them."""
        return outputs_of(self.layers)

    def consumers(self, index: int) -> tuple[int, ...]:
        """Indices of the layers that read layer `index`."""
        return self._consumers.get(index, ())

    def row_as_dict(self, index: int) -> dict[str, Any]:
        """A row and who reads it, as plain data."""
        layer = self[index]
        return {
            "index": index,
            "sources": list(layer.sources),
            "repeats": layer.repeats,
            "block": layer.block,
            "args": list(layer.args),
            "consumers": list(self.consumers(index)),
        }

    @cached_property
    def _consumers(self) -> dict[int, tuple[int, ...]]:
        return consumers_of(self.layers)


def consumers_of(layers: Iterable[Layer]) -> dict[int, tuple[int, ...]]:
    """Index of a layer -> indices of those that read it, for every index that is read, the image's too."""
    found: dict[int, list[int]] = {}
    for layer in layers:
        for source in dict.fromkeys(layer.sources):
            found.setdefault(source, []).append(layer.index)
    return {source: tuple(consumers) for source, consumers in found.items()}


def outputs_of(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The last row, and those that are output layers as well; of an unknown block those that nobody reads."""
    last = layers[-1]
    read = {source for layer in layers for source in layer.sources}
    others = (
        layer
        for layer in layers[:-1]
        if layer.kind.is_output or (layer.block == last.block and not layer.kind.is_known and layer.index not in read)
    )
    return (*others, last)


def as_from(value: Any) -> From | None:
    """A row's first column as a `From`, or None when it is not made of whole numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        found = [v for v in value if isinstance(v, int) and not isinstance(v, bool)]
        return tuple(found) if len(found) == len(value) else None
    return None


def counted_layers(row: Layer) -> tuple[Layer, ...]:
    """A row as the layers that the numbers count it as: itself, but for a whole backbone, which is one for each map.

    Each of these reads the one before, as the stages of the backbone do.
    """
    maps = range(1, len(row.kind.packed))
    if not maps:
        return (row,)
    return (replace(row, map=0), *(replace(row, index=row.index + at, frm=-1, map=at) for at in maps))


def packed_row(layers: Sequence[Layer]) -> Layer | None:
    """The row that is a whole backbone by the table that the layers were read with; None where there is none."""
    return next((layer for layer in layers if layer.map is not None), None)


def rows_of(yaml: Mapping[str, Any], name: str, blocks: BlockTable = STOCK) -> tuple[Layer, ...]:
    """The rows of a model's stored YAML as layers, their sources unchecked.

    Raises:
        BuildError: what stands under backbone and head is no list of rows.
    """
    layers: list[Layer] = []
    for section in SECTIONS:
        rows = yaml.get(section) or ()
        if not isinstance(rows, (list, tuple)):
            raise BuildError(f"{name}: {section} is {a_value(rows)}, and has to be a list of rows")
        for row in rows:
            layer = _row(row, len(layers), section, blocks)
            if layer is None:
                raise BuildError(f"{name} has a row that is not [from, repeats, module, args]: {clean(shown(row), 60)}")
            layers += counted_layers(layer)
    return tuple(layers)


def _row(row: Any, index: int, section: str, blocks: BlockTable) -> Layer | None:
    if not isinstance(row, (list, tuple)) or len(row) != 4:
        return None
    first, repeats, block, args = row
    frm = as_from(first)
    if frm is None or not (isinstance(repeats, int) and isinstance(block, str) and isinstance(args, (list, tuple))):
        return None
    return Layer(index, section, frm, repeats, block, tuple(args), blocks)


def graph_of(yaml: Mapping[str, Any], name: str, blocks: BlockTable = STOCK) -> Graph:
    """The graph of a model's stored YAML, whose blocks are those of a table.

    Raises:
        BuildError: it has no rows under backbone and head, or they are not rows.
        GraphError: a source does not exist or looks forward.
    """
    settings = {key: value for key, value in yaml.items() if key not in SECTIONS}
    return Graph(rows_of(yaml, name, blocks), settings, name)


def yaml_of(graph: Graph, yaml: Mapping[str, Any]) -> dict[str, Any]:
    """A stored YAML with the rows of `graph` in the place of its own."""
    rows: dict[str, list[Any]] = {"backbone": [], "head": []}
    for layer in graph:
        if layer.has_row:
            frm = list(layer.frm) if isinstance(layer.frm, tuple) else layer.frm
            rows[layer.section].append([frm, layer.repeats, layer.block, deepcopy(list(layer.args))])
    return {**yaml, **rows}


#: Kinds of rows that attention may be; "other" is a block that is not known.
MAY_BE_ATTENTION = ("operator", "other", "psa")


def role_of(layer: Layer, output: int) -> str:
    """One of output, fuse, up, psa, pool, block, down, conv, operator, other.

    Args:
        layer: the row.
        output: the output layer's index.
    """
    role, custom = layer.kind.role, layer.kind.custom
    if role == "output" or layer.index == output:
        return "output"
    if len(layer.raw_sources) > 1:
        return "fuse"
    if custom is not None and custom.stride not in (None, 1):
        return "up" if custom.stride < 1 else "down"
    if role == "conv" and layer.args[2:3] == (2,):
        return "down"
    return role


def yolov5_problem(block: str, args: Collection[Any]) -> str | None:
    """What an output layer says of its file, where it is one of the YOLOv5 repository; None where it is not."""
    if not STOCK[block].is_output or "anchors" not in args:
        return None
    return (
        f"this is a file of the YOLOv5 repository, whose {block} takes anchors: the ultralytics package has "
        "no anchors and can't build it"
    )
