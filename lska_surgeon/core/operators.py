"""What operators cost, from the rows alone: parameters exactly, multiply-accumulates at an image size; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import UnknownOperatorError
from .attention import holds_attention_blocks, read_any_attention
from .graph import IMAGE, Graph
from .other_operators import AnyOperator
from .scaling import Scaling
from .shapes import Shape


@dataclass(frozen=True)
class Operators:
    """The operators in one row: `count` of them, each `channels` wide."""

    kernel: AnyOperator
    channels: int
    count: int

    @property
    def params(self) -> int | None:
        """Parameters of all of them; None where only building one tells."""
        each = self.kernel.params(self.channels)
        return None if each is None else self.count * each

    def macs(self, height: int, width: int) -> int | None:
        """Multiply-accumulates of all of them on an H x W map; None where only counting one tells."""
        each = self.kernel.macs(self.channels, height, width)
        return None if each is None else self.count * each


def operators_in(graph: Graph, index: int, shapes: tuple[Shape, ...], scaling: Scaling) -> Operators | None:
    """The operators that layer `index` holds; None when it holds none, or when a width is not known.

    None, too, where they replace the bottlenecks of their host, and so are not all that sets it apart from the plain
    block, and where nobody can know what a row means. A row of CBAM or of declared attention holds one, whoever wrote
    it.
    """
    layer = graph[index]
    try:
        attention = read_any_attention(layer)
    except UnknownOperatorError:
        return None
    if attention is None:
        return None
    source = layer.sources[0]
    width_in = 3 if source == IMAGE else shapes[source].channels
    width_out = shapes[index].channels
    replaces = holds_attention_blocks(layer.kind) and layer.kind.role != "pool"
    if width_in is None or width_out is None or replaces:
        return None
    repeats = scaling.repeats(layer.repeats)
    if attention.host is None:
        return Operators(attention.kernel, width_in, repeats)
    try:
        channels, count = _inside(attention.host, attention.host_args, width_in, width_out, repeats, scaling)
    except (IndexError, OverflowError, TypeError, ValueError):  # arguments that the host does not take
        return None
    if not isinstance(channels, int) or not isinstance(count, int) or channels < 1 or count < 0:
        return None  # of text, lists and fractions, the sums above make more of the same
    return Operators(attention.kernel, channels, count)


def params_added(graph: Graph, shapes: tuple[Shape, ...], scaling: Scaling) -> int | None:
    """Parameters of all operators in a graph; None when a width is not known."""
    total = 0
    for layer in graph:
        found = operators_in(graph, layer.index, shapes, scaling)
        if found is None and not layer.kind.is_attention:
            continue
        if found is None or found.params is None:
            return None
        total += found.params
    return total


def _inside(
    host: str, args: tuple[Any, ...], width_in: int, width_out: int, repeats: int, scaling: Scaling
) -> tuple[int, int]:
    """Width and number of the operators inside a host block; the expansions are the blocks' own defaults."""
    if host == "C2f":
        return int(width_out * _arg(args, 3, 0.5)), repeats
    if host == "C3":
        return int(width_out * _arg(args, 3, 0.5)), repeats
    if host == "C3k2":
        width = int(width_out * _arg(args, 2, 0.5))
        c3k = scaling.letter in ("m", "l", "x") or bool(_arg(args, 1, False))
        attn = len(args) > 3 and args[3] is True
        return (int(width * 0.5), 2 * repeats) if c3k and not attn else (width, repeats)
    if host == "A2C2f":
        width = int(width_out * (_arg(args, 5, 0.5)))
        return int(width * 0.5), 2 * repeats
    if host == "RepNCSPELAN4":
        return int(args[2] * 0.5), 2 * (args[3] if len(args) > 3 else 1)
    if host == "Bottleneck":
        return width_out, repeats
    if host == "SPPF":
        return (_arg(args, 2, 3) + 1) * (width_in // 2), repeats
    if host == "SPP":
        sizes = args[1] if len(args) > 1 else (5, 9, 13)
        return (len(sizes) + 1) * (width_in // 2), repeats
    assert host == "SPPELAN", host
    return 4 * args[1], repeats


def _arg(args: tuple[Any, ...], at: int, default: Any) -> Any:
    return args[at] if len(args) > at else default
