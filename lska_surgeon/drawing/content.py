"""From a model to what stands in its image: every row in words, every source as an arrow; it places nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..core.attention import read_attention
from ..core.graph import IMAGE, Graph, Layer
from ..core.operators import Operators, operators_in
from ..core.positions import named_sites
from ..core.roles import role_of
from ..core.shapes import Shape
from ..modelfile.document import format_value
from ..modelfile.model import Model
from ..wording import clean, few, numbers
from .figure import BACKBONE, NECK, OUTPUT, PLAIN, Edge, Figure, Mark, Node

#: Position -> what it means, where the table below an image says it.
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


class Content:
    """The words of one model's image.

    Args:
        model: the model, at its scale.
        imgsz: height and width of the image, pixels.
        classes: how many the network is trained for; None for what the model says.
    """

    def __init__(self, model: Model, imgsz: tuple[int, int], classes: int | None = None) -> None:
        self.model, self.imgsz, self.classes = model, imgsz, classes
        self.graph: Graph = model.graph
        self.shapes = model.shapes

    def figure(self, positions: bool = False) -> Figure:
        """All that stands in the image; with every position that `--at` takes by name where that is asked for."""
        nodes = (self._image(), *map(self.node, self.graph))
        edges = tuple(self._edges())
        found = Figure(self.model.name, self.subtitle(), nodes, edges, self._levels(), tuple(self._remarks()))
        return _marked(found, self.graph, self.shapes) if positions else found

    def node(self, layer: Layer) -> Node:
        """One row."""
        shape = self.shapes[layer.index]
        lines = [self._first_line(layer), *self._maps(layer)]
        operators = self.operators(layer)
        if self.holds_operator(layer):
            lines.append(self._costs(layer, operators))
        return Node(
            layer.index,
            self._part(layer),
            shape.stride,
            tuple(lines),
            self._kind(layer),
            self._title(layer, operators),
            unknown=self._is_unknown(layer),
        )

    def subtitle(self) -> str:
        """The scale, the image's size, and what all operators cost."""
        letter = self.model.scaling.letter
        parts = [f"scale {letter}"] if letter else []
        parts.append("{} × {}".format(*self.imgsz))
        holding = [layer for layer in self.graph if self.holds_operator(layer)]
        if holding:
            parts.append(self._total([self.operators(layer) for layer in holding], holding))
        return ", ".join(parts)

    def map_of(self, layer: Layer) -> str:
        """`256 × 40 × 40`: channels, height and width of what a row gives, or what it gives in place of a map.

        A list of maps, all of one size, has the width of each: `64, 128 × 40 × 40`.
        """
        if layer == self.graph.output:
            classes = self.classes or self.model.classes
            return f"{classes} classes" if isinstance(classes, int) else "output"
        widths = _widths_of_list(layer)
        if widths:
            return " × ".join([widths, *self._sides(layer)])
        if layer.kind.gives_a_list and layer.kind.gives:
            return layer.kind.gives
        shape = self.shapes[layer.index]
        if shape.stride is None and not shape.guessed:
            return "no map"
        return " × ".join(["?" if shape.channels is None else str(shape.channels), *self._sides(layer)])

    def _maps(self, layer: Layer) -> Iterator[str]:
        """`map_of` in lines: widths of several maps are folded, for their box would be too wide for a page."""
        widths = _widths_of_list(layer).split(", ")
        if len(widths) < 2:
            yield self.map_of(layer)
            return
        for at in range(0, len(widths), _WIDTHS):
            yield ", ".join(widths[at : at + _WIDTHS]) + "," * (at + _WIDTHS < len(widths))
        yield f"each {' × '.join(self._sides(layer))}"

    def operators(self, layer: Layer) -> Operators | None:
        """The operators in a row; None where it has none, or where their width is not known."""
        found = operators_in(self.graph, layer.index, self.shapes, self.model.scaling)
        return found if layer.kind.is_attention or (found and found.params is not None) else None

    def holds_operator(self, layer: Layer) -> bool:
        """Whether a row is an operator or holds some; a block of the network's own is none."""
        return layer.kind.is_attention or self.operators(layer) is not None

    def gives_a_map(self, layer: Layer) -> bool:
        """Whether what a row gives is one map."""
        return layer != self.graph.output and not layer.kind.gives_a_list

    def _is_unknown(self, layer: Layer) -> bool:
        shape = self.shapes[layer.index]
        return self.gives_a_map(layer) and (shape.channels is None or shape.guessed)

    def macs(self, layer: Layer) -> int | None:
        """Multiply-accumulates of the operators in a row."""
        operators, sides = self.operators(layer), self._whole_sides(self.shapes[layer.index])
        return operators.macs(*sides) if operators and sides else None

    def _image(self) -> Node:
        channels = self.graph.settings.get("channels", 3)
        lines = ("image", "{} × {} × {}".format(channels if isinstance(channels, int) else "?", *self.imgsz))
        return Node(IMAGE, BACKBONE, 1.0, lines, "other", "the image")

    def _edges(self) -> Iterator[Edge]:
        for layer in self.graph:
            for slot, source in enumerate(layer.sources):
                yield Edge(source, layer.index, slot, PLAIN, f"{self.words(layer.index)} reads {self.words(source)}")

    def words(self, index: int) -> str:
        """`15 C2f`."""
        return "the image" if index == IMAGE else f"{index} {_name(self.graph[index])}"

    def _part(self, layer: Layer) -> str:
        if layer == self.graph.output:
            return OUTPUT
        return BACKBONE if layer.section == "backbone" else NECK

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

    def _costs(self, layer: Layer, operators: Operators | None) -> str:
        params = "?" if operators is None or operators.params is None else short(operators.params)
        return f"{params} params, {giga(self.macs(layer))} GMACs"

    def _total(self, found: list[Operators | None], holding: list[Layer]) -> str:
        count = "?" if None in found else str(sum(operators.count for operators in found if operators))
        params = [operators.params if operators else None for operators in found]
        all_params = "?" if None in params else f"{sum(one for one in params if one):,}"
        each = [self.macs(layer) for layer in holding]
        macs = giga(None if None in each else sum(one for one in each if one))
        return f"{count} operator{'' if count == '1' else 's'}: {all_params} parameters, {macs} GMACs"

    def _title(self, layer: Layer, operators: Operators | None) -> str:
        shape, scaling = self.shapes[layer.index], self.model.scaling
        repeats = scaling.repeats(layer.repeats)
        scaled = f" at scale {scaling.letter}" if scaling.letter else ""
        as_written = "" if repeats == layer.repeats else f" (as written {layer.repeats})"
        consumers = numbers(self.graph.consumers(layer.index))
        lines = [
            f"row {layer.index} of {layer.section}: {clean(layer.block)} {clean(format_value(layer.args))}",
            f"repeats {repeats}{scaled}{as_written}",
            f"reads {', '.join(map(self.words, layer.sources))}; read by {consumers or 'none'}",
            f"gives {self.map_of(layer)}" + (f" (stride {shape.stride:g})" if self._has_stride(layer) else ""),
        ]
        if operators:
            kernel, macs = operators.kernel, self.macs(layer)
            size = "" if kernel.k is None else f", k {kernel.k}, d {kernel.d}"
            lines.append(
                f"{operators.count} × {kernel.op}{size}, {operators.channels} channels: "
                f"{_grouped(operators.params)} parameters, {_grouped(macs)} MACs"
            )
        return "\n".join(lines)

    def _has_stride(self, layer: Layer) -> bool:
        return self.gives_a_map(layer) and self.shapes[layer.index].stride is not None

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
        strides = sorted({shape.stride for shape in self.shapes if shape.stride is not None} | {1.0})
        names = {stride: f"{(Shape(None, stride).level or '').upper()}/{stride:g}" for stride in strides}
        return {**names, 1.0: "input"}

    def _remarks(self) -> Iterator[str]:
        if any(self._is_unknown(layer) for layer in self.graph):
            yield "A question mark and a dashed border: a block is not known, so a width or a size is not sure."

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told besides."""
        strides = {shape.stride for shape in self.shapes if shape.stride is not None and not shape.guessed}
        bad = [stride for stride in sorted(strides) if any(side % stride for side in self.imgsz)]
        if not bad:
            return ()
        return (
            f"an image of {self.imgsz[0]} × {self.imgsz[1]} is no multiple of stride {bad[-1]:g}: the size of such "
            "maps is shown as ?",
        )


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


def _padding(layer: Layer) -> tuple[int, int]:
    """How much higher and wider a padding row's map is than its stride says, until the next row takes that away."""
    pads = layer.args[0] if layer.block == "nn.ZeroPad2d" and layer.args else 0
    if isinstance(pads, int):
        return 2 * pads, 2 * pads
    left, right, top, bottom = pads if isinstance(pads, (list, tuple)) and len(pads) == 4 else (0, 0, 0, 0)
    return top + bottom, left + right


def _widths_of_list(layer: Layer) -> str:
    """`64, 128`: the widths of a row that gives a list of maps; "" where it gives none, or they are not known."""
    widths = layer.args[0] if layer.block == "CBLinear" and layer.args else None
    known = isinstance(widths, (list, tuple)) and all(isinstance(width, int) for width in widths)
    return few(list(map(str, widths)), 8) if known and isinstance(widths, (list, tuple)) else ""


def _name(layer: Layer) -> str:
    return clean(layer.block, _LONGEST_NAME)


def _marked(figure: Figure, graph: Graph, shapes: tuple[Shape, ...]) -> Figure:
    on_nodes: dict[int, list[Mark]] = {}
    on_edges: dict[tuple[int, int], list[Mark]] = {}
    named = named_sites(graph, shapes)
    for name, sites in named.items():
        for site in sites:
            mark = Mark(name, site.inside, f"--at {name}:{site.layer}")
            if site.consumer is None:
                on_nodes.setdefault(site.layer, []).append(mark)
            else:
                on_edges.setdefault((site.layer, site.consumer), []).append(mark)
    nodes = tuple(replace(node, marks=tuple(on_nodes.get(node.index, ()))) for node in figure.nodes)
    edges = []
    for edge in figure.edges:
        edges.append(edge._replace(marks=tuple(on_edges.pop((edge.source, edge.consumer), ()))))
    return figure._replace(nodes=nodes, edges=tuple(edges), positions={name: POSITIONS.get(name, "") for name in named})
