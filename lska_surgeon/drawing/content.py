"""What stands in a network's image, before anything has a place: boxes, arrows, words.

Every row of a model in words, every source as an arrow; it knows no coordinates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from ..core.graph import IMAGE, Graph, Layer, role_of
from ..core.operators import Operators, operators_in, read_attention
from ..core.positions import named_sites
from ..core.shapes import Shape
from ..modelfile.document import format_value
from ..modelfile.model import Model
from ..wording import Listed, Said, clean, few, numbers, plural

#: Columns, from left to right; each may be drawn as several.
BACKBONE, NECK, OUTPUT = "backbone", "neck", "output layer"
#: Kind of a box -> what the legend calls it. Colours go by kind.
KINDS = {
    "conv": "convolution, down-sampling",
    "block": "block",
    "pool": "pooling",
    "psa": "self-attention",
    "fuse": "fusion",
    "up": "up-sampling",
    "other": "other",
    "output": "output layer",
    "operator": "operator",
    "kept": "in both",
    "changed": "changed",
    "new": "new",
}
#: States of arrows.
PLAIN, NEW, REWIRED = "plain", "new", "rewired"
#: Position -> what it means.
POSITIONS = {
    "backbone": "behind the last block of each stage",
    "sppf": "behind the SPPF",
    "neck": "behind each fusion block",
    "head": "before the output layer, which alone reads it",
    "residual": "inside each bottleneck that has a shortcut",
    "sppf-inner": "inside the SPPF, before its last convolution",
}
_LONGEST_NAME = 40
_WIDTHS = 3  # in a line of a box


class PositionMark(NamedTuple):
    """A position's name on a box or on an arrow.

    Attributes:
        name: the position, "neck".
        inside: whether an operator goes into the block, and not behind it.
        title: what `--at` takes for this one place.
    """

    name: str
    inside: bool
    title: str


@dataclass(frozen=True)
class FigureNode:
    """A row of the network, or the image that it reads.

    Attributes:
        index: the row's index; `IMAGE` for the image.
        part: `BACKBONE`, `NECK` or `OUTPUT`.
        stride: pixels of the image per pixel of its map; None where it gives no map.
        lines: what stands in the box, the first in bold.
        kind: one of `KINDS`.
        title: what is shown on hover.
        marks: positions.
        unknown: whether its width or stride is not known.
    """

    index: int
    part: str
    stride: float | None
    lines: tuple[str, ...]
    kind: str
    title: str
    marks: tuple[PositionMark, ...] = ()
    unknown: bool = False


class Edge(NamedTuple):
    """That a row reads another.

    Attributes:
        source: an index; `IMAGE` for the image.
        consumer: an index.
        slot: which of the consumer's sources this is, counted from 0.
        state: `PLAIN`, `NEW` or `REWIRED`.
        title: what is shown on hover.
        marks: positions.
    """

    source: int
    consumer: int
    slot: int
    state: str
    title: str
    marks: tuple[PositionMark, ...] = ()


class Figure(NamedTuple):
    """All that stands in an image.

    Attributes:
        title: the model's name.
        subtitle: scale, size, and what operators cost.
        nodes: the image and all rows, in order.
        edges: by consumer, then by slot.
        levels: stride -> the name of that level, "P3/8".
        captions: sentences below.
        positions: positions that are marked -> what they mean; empty where none are.
    """

    title: str
    subtitle: str
    nodes: tuple[FigureNode, ...]
    edges: tuple[Edge, ...]
    levels: Mapping[float, str]
    captions: tuple[str, ...] = ()
    positions: Mapping[str, str] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that occur, in the order of `KINDS`."""
        there = {node.kind for node in self.nodes if node.index >= 0}
        return tuple(kind for kind in KINDS if kind in there)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Source and consumer of each edge, as places among the nodes."""
        at = {node.index: place for place, node in enumerate(self.nodes)}
        return [(at[edge.source], at[edge.consumer]) for edge in self.edges]

    @property
    def counts(self) -> str:
        """How much stands in it, in words."""
        rows, connections = len(self.nodes) - 1, len(self.edges)
        s, ends = ("" if count == 1 else "s" for count in (rows, connections))
        form = "{rows} row{s} and {connections} connection{ends}"
        return Said(form, rows=rows, s=s, connections=connections, ends=ends)

    def told(self, say: Callable[[str], str]) -> Figure:
        """The same in other words, as another language has them."""
        nodes = (replace(node, lines=tuple(map(say, node.lines)), title=say(node.title)) for node in self.nodes)
        return self._replace(
            subtitle=say(self.subtitle),
            nodes=tuple(nodes),
            edges=tuple(edge._replace(title=say(edge.title)) for edge in self.edges),
            levels={stride: say(name) for stride, name in self.levels.items()},
            captions=tuple(map(say, self.captions)),
        )


class Content:
    """The words of one model's image.

    Args:
        model: the model, at its scale.
        imgsz: height and width of the image, pixels.
        classes: how many the network is trained for; None for what the model says.
    """

    def __init__(self, model: Model, imgsz: tuple[int, int], classes: int | None = None) -> None:
        self.model, self.imgsz, self.classes = model, imgsz, classes
        self.name = model.name
        self.graph: Graph = model.graph
        self.shapes = model.shapes
        self.operators = tuple(map(self._operators_in, self.graph))

    @cached_property
    def edited(self) -> Mapping[int, str]:
        """Row -> `came` or `changed`, of what the file records but for operators."""
        if not self.model.edits:
            return {}
        from ..modelfile.diff import compare  # here, for most files record none
        from ..modelfile.remove import before_edits

        before = before_edits(self.model)
        if before is None:
            return {}
        difference = compare(before, self.model)
        changed = {change.after.index: "changed" for change in difference.changed}
        found = {**dict.fromkeys(difference.added, "came"), **changed}
        return {row: found[row] for row in sorted(found) if not self.holds_operator(self.graph[row])}

    def figure(self, positions: bool = False) -> Figure:
        """All that stands in the image; with every position that `--at` takes by name where that is asked for."""
        named = named_sites(self.graph, self.shapes) if positions else {}
        marks: dict[tuple[int, int | None], tuple[PositionMark, ...]] = defaultdict(tuple)
        for name, sites in named.items():
            for site in sites:
                marks[site.layer, site.consumer] += (PositionMark(name, site.inside, f"--at {name}:{site.layer}"),)
        return Figure(
            self.name,
            self.subtitle(),
            (self._image(), *(self._node(layer, marks[layer.index, None]) for layer in self.graph)),
            tuple(
                Edge(source, layer.index, slot, PLAIN,
                     Said("{row} reads {source}", row=self.words(layer.index), source=self.words(source)),
                     marks.pop((source, layer.index), ()))
                for layer in self.graph
                for slot, source in enumerate(layer.sources)
            ),
            self._levels(),
            tuple(self._captions()),
            {name: POSITIONS.get(name, "") for name in named},
        )  # fmt: skip

    def subtitle(self) -> str:
        """The scale, the image's size, and what all operators cost."""
        letter = self.model.scaling.letter
        holding = [layer for layer in self.graph if self.holds_operator(layer)]
        total = [self._total(holding)] if holding else []
        scale = [Said("scale {letter}", letter=letter)] if letter else []
        return Listed([*scale, "{} × {}".format(*self.imgsz), *total])

    def map_of(self, layer: Layer) -> str:
        """`256 × 40 × 40`: channels, height and width of what a row gives, or what it gives in place of a map.

        A list of maps, all of one size, has the width of each: `64, 128 × 40 × 40`.
        """
        if layer == self.graph.output:
            classes = self.classes or self.model.classes
            return (
                Said("{classes} class{es}", classes=classes, es="" if classes == 1 else "es")
                if isinstance(classes, int)
                else Said("output")
            )
        widths = _widths_of_list(layer)
        if widths:
            return " × ".join([widths, *self._sides(layer)])
        if layer.kind.gives_a_list and layer.kind.gives:
            return Said(layer.kind.gives)
        shape = self.shapes[layer.index]
        if shape.stride is None and not shape.guessed:
            return Said("no map")
        return " × ".join(["?" if shape.channels is None else str(shape.channels), *self._sides(layer)])

    def holds_operator(self, layer: Layer) -> bool:
        """Whether a row is an operator or holds some; a block of the network's own is none."""
        return layer.kind.is_attention or self.operators[layer.index] is not None

    def words(self, index: int) -> str:
        """`15 C2f`."""
        return Said("the image") if index == IMAGE else f"{index} {_name(self.graph[index])}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know besides."""
        strides = {shape.stride for shape in self.shapes if shape.stride is not None and not shape.guessed}
        bad = [stride for stride in strides if any(side % stride for side in self.imgsz)]
        if not bad:
            return ()
        return (
            f"an image of {self.imgsz[0]} × {self.imgsz[1]} is no multiple of stride {max(bad):g}: the size of such "
            "maps is shown as ?",
        )

    def _operators_in(self, layer: Layer) -> Operators | None:
        """The operators in a row; None where it has none, or where their width is not known."""
        operators = operators_in(self.graph, layer.index, self.shapes, self.model.scaling)
        return operators if layer.kind.is_attention or (operators and operators.params is not None) else None

    def _image(self) -> FigureNode:
        channels = self.graph.settings.get("channels", 3)
        lines = (Said("image"), "{} × {} × {}".format(channels if isinstance(channels, int) else "?", *self.imgsz))
        return FigureNode(IMAGE, BACKBONE, 1.0, lines, "other", Said("the image"))

    def _node(self, layer: Layer, marks: tuple[PositionMark, ...]) -> FigureNode:
        part = BACKBONE if layer.section == "backbone" else NECK
        lines = [
            self._first_line(layer),
            *self._maps(layer),
            *([self._costs(layer)] if self.holds_operator(layer) else []),
        ]
        return FigureNode(
            layer.index,
            OUTPUT if layer == self.graph.output else part,
            self.shapes[layer.index].stride,
            tuple(lines),
            self._kind(layer),
            self._title(layer),
            marks,
            self._is_unknown(layer),
        )

    def _maps(self, layer: Layer) -> Iterator[str]:
        """`map_of` in lines: widths of several maps are folded, for their box would be too wide for a page."""
        widths = _widths_of_list(layer).split(", ")
        if len(widths) < 2:
            yield self.map_of(layer)
            return
        for at in range(0, len(widths), _WIDTHS):
            yield ", ".join(widths[at : at + _WIDTHS]) + "," * (at + _WIDTHS < len(widths))
        yield Said("each {sides}", sides=" × ".join(self._sides(layer)))

    def _gives_a_map(self, layer: Layer) -> bool:
        return layer != self.graph.output and not layer.kind.gives_a_list

    def _is_unknown(self, layer: Layer) -> bool:
        shape = self.shapes[layer.index]
        return self._gives_a_map(layer) and (shape.channels is None or shape.guessed)

    def _macs(self, layer: Layer) -> int | None:
        """Multiply-accumulates of the operators in a row."""
        operators, sides = self.operators[layer.index], self._whole_sides(self.shapes[layer.index])
        return operators.macs(*sides) if operators and sides else None

    def _kind(self, layer: Layer) -> str:
        if self.holds_operator(layer):
            return "operator"
        if layer.kind.gives_a_list:
            return "other"
        role = role_of(layer, self.graph.output.index)
        return layer.kind.drawn or ("conv" if role == "down" else role)

    def _first_line(self, layer: Layer) -> str:
        attention = read_attention(layer)
        words = [str(layer.index), _name(layer)]
        if attention:
            kernel = attention.kernel
            words += [kernel.op] if kernel.k is None or (attention.host and kernel.op != "lska") else []
            words += [f"k{kernel.k}"] if kernel.k is not None else []
            words += [f"d{kernel.d}"] if kernel.explicit_dilation else []
        repeats = self.model.scaling.repeats(layer.repeats)
        return " ".join([*words, *([f"× {repeats}"] if repeats != 1 else [])])

    def _costs(self, layer: Layer) -> str:
        operators = self.operators[layer.index]
        params = "?" if operators is None or operators.params is None else short(operators.params)
        return Said("{params} params, {macs} GMACs", params=params, macs=giga(self._macs(layer)))

    def _total(self, holding: list[Layer]) -> str:
        """What the operators in some rows cost together; what is not known of one is not known of all."""
        each = [self.operators[layer.index] for layer in holding]
        count = _sum([operators.count if operators else None for operators in each])
        params = _sum([operators.params if operators else None for operators in each])
        macs = giga(_sum([self._macs(layer) for layer in holding]))
        many, s = "?" if count is None else count, "" if count == 1 else "s"
        form = "{count} operator{s}: {params} parameters, {macs} GMACs"
        return Said(form, count=many, s=s, params=_grouped(params), macs=macs)

    def _title(self, layer: Layer) -> str:
        shape, scaling, operators = self.shapes[layer.index], self.model.scaling, self.operators[layer.index]
        repeats = scaling.repeats(layer.repeats)
        scaled = Said(" at scale {letter}", letter=scaling.letter) if scaling.letter else ""
        as_written = "" if repeats == layer.repeats else Said(" (as written {repeats})", repeats=layer.repeats)
        consumers = numbers(self.graph.consumers(layer.index)) or Said("none")
        known = self._gives_a_map(layer) and shape.stride is not None
        stride = Said(" (stride {stride:g})", stride=shape.stride) if known else ""
        row = f"{clean(layer.block)} {clean(format_value(layer.args))}"
        read = Listed(map(self.words, layer.sources))
        lines = [
            Said("row {index} of {section}: {row}", index=layer.index, section=Said(layer.section), row=row),
            Said("repeats {repeats}{scaled}{written}", repeats=repeats, scaled=scaled, written=as_written),
            Said("reads {sources}; read by {consumers}", sources=read, consumers=consumers),
            Said("gives {map}{stride}", map=self.map_of(layer), stride=stride),
        ]
        if layer.index in self.edited:
            how = Said(self.edited[layer.index])
            lines.append(Said("{came} with an edit that the file tells of", came=how))
        if operators:
            kernel = operators.kernel
            size = "" if kernel.k is None else f", k {kernel.k}, d {kernel.d}"
            lines.append(
                Said(
                    "{operators}, {channels} channels: {params} parameters, {macs} MACs",
                    operators=f"{operators.count} × {kernel.op}{size}",
                    channels=operators.channels,
                    params=_grouped(operators.params),
                    macs=_grouped(self._macs(layer)),
                )
            )
        return Listed(lines, "\n")

    def _sides(self, layer: Layer) -> list[str]:
        shape = self.shapes[layer.index]
        sides = self._whole_sides(shape)
        if sides is None:
            return ["?", "?"]
        return [f"{side + more}{'?' if shape.guessed else ''}" for side, more in zip(sides, _padding(layer))]

    def _whole_sides(self, shape: Shape) -> tuple[int, int] | None:
        if shape.stride is None or any(side % shape.stride for side in self.imgsz):
            return None
        return int(self.imgsz[0] / shape.stride), int(self.imgsz[1] / shape.stride)

    def _levels(self) -> Mapping[float, str]:
        strides = sorted({shape.stride for shape in self.shapes if shape.stride is not None})
        names = {stride: f"{(Shape(None, stride).level or '').upper()}/{stride:g}" for stride in strides}
        return {**names, 1.0: Said("input")}

    def _captions(self) -> Iterator[str]:
        if self.model.edits:
            rows: str = ""
            if self.edited:
                here = list(self.edited)
                rows = Said(": row{s} {rows} came or changed", s=plural(here), rows=numbers(here))
            edits = few([f"“{edit}”" for edit in self.model.edits], 4)
            yield Said("The file says of itself {edits}{rows}.", edits=edits, rows=rows)
        if any(map(self._is_unknown, self.graph)):
            yield Said("A question mark and a dashed border: a block is not known, so a width or a size is not sure.")


def short(number: int) -> str:
    """`77.3k`, `1.20M`: three digits, for where there is no room for all."""
    value, unit = float(number), ""
    for larger in ("k", "M", "G"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    if not unit:
        return str(number)
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}{unit}"


def giga(macs: int | None) -> str:
    """`0.131`: so many GMACs; more digits where three behind the point would hide it."""
    if macs is None:
        return "?"
    return f"{macs / 1e9:.3f}" if macs >= 9.5e6 else f"{macs / 1e9:.2g}"


def _grouped(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _sum(values: list[int | None]) -> int | None:
    """Of all; None where one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _padding(layer: Layer) -> tuple[int, int]:
    """How much higher and wider a padding row's map is than its stride says, until the next row takes that away."""
    pads = layer.args[0] if "pads" in layer.kind.traits and layer.args else 0
    if isinstance(pads, int):
        return 2 * pads, 2 * pads
    left, right, top, bottom = pads if isinstance(pads, (list, tuple)) and len(pads) == 4 else (0, 0, 0, 0)
    return top + bottom, left + right


def _widths_of_list(layer: Layer) -> str:
    """`64, 128`: the widths of a row that gives a list of maps; "" where it gives none, or they are not known."""
    widths = layer.args[0] if layer.kind.gives_a_list and layer.args else None
    known = isinstance(widths, (list, tuple)) and all(isinstance(width, int) for width in widths)
    return few(list(map(str, widths)), 8) if known and isinstance(widths, (list, tuple)) else ""


def _name(layer: Layer) -> str:
    return clean(layer.block, _LONGEST_NAME)
