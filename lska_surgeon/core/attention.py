"""Rows that hold operators: how to read them, and what they cost; no torch, no YAML.

Two kinds of row hold an operator:

1. An operator row, `[-1, 1, LSKA, [c2, 35]]`: the operator on its own, width taken from its source.
2. A host row, `[-1, 3, C2fLSKA, [128, True, {k: 35}]]`: an Ultralytics block (the host) with the operator inside;
   the last argument, a mapping with `k` and, where they are not the default, `op` and `d`, says which.

Rows that people wrote by hand name both otherwise: `LSKAttention, [7]`; `SPPF_LSKA, [1024, 5]` or
`C2f_LSKA, [512, True, 7]`, the kernel size last, if it is there; and `C2f_LSKA_Attention`, whose bottlenecks are
attention blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import KernelError, UnknownOperatorError
from .blocks import Block, BlockTable, HostRow
from .graph import IMAGE, Graph, Layer, Scaling
from .operators import (
    OP_BLOCKS,
    UNDILATED_OPS,
    AnyOperator,
    Kernel,
    read_other,
    read_row_of_users,
    resolve_kernel,
    resolve_operator,
)
from .shapes import Shape

#: Kernel size of operator rows that people wrote without one.
_OPERATOR_KERNEL = 11


class Attention(NamedTuple):
    """What an operator or host row holds.

    Attributes:
        kernel: the operator inside.
        host: the Ultralytics block that holds it ("C2f"), or None for an operator row.
        host_args: the host's own arguments, the operator's taken off; empty for an operator row.
        channels: the literal channel count the row gives, "c2", or None; operator rows only.
    """

    kernel: AnyOperator
    host: str | None = None
    host_args: tuple[Any, ...] = ()
    channels: int | str | None = None


def is_like_attention(block: Block) -> bool:
    """True for a name that speaks of LSKA and that `read_attention` does not understand."""
    return "lska" in block.name.lower() and not block.is_attention


def read_attention(layer: Layer) -> Attention | None:
    """Read an operator row or a host row, ours or hand-written; None when it is neither.

    Raises:
        KernelError: the arguments do not say an operator that exists.
        UnknownOperatorError: people use the name, and what they mean can't be known.
    """
    kind, args = layer.kind, list(layer.args)
    if kind.op == "other":
        return _read_other(kind.plain, args, layer.blocks)
    if kind.op is not None:
        return _read_operator(kind, kind.op, args)
    if kind.is_host:
        return _read_handwritten(kind, args) if kind.handwritten else _read_host(kind, args, layer.blocks)
    return None


def read_any_attention(layer: Layer) -> Attention | None:
    """As `read_attention`; rows of CBAM and of declared attention, which may be the network's own, are read as well."""
    theirs = read_row_of_users(layer)
    return Attention(theirs) if theirs else read_attention(layer)


def host_spec(kernel: AnyOperator) -> dict[str, int | str]:
    """The mapping that ends a host row: `{k: 35}`, `{op: lka, k: 35}`, `{k: 9, d: 2}`, `{op: cbam, gated: true}`."""
    if not isinstance(kernel, Kernel):
        return {"op": kernel.op, **({"gated": True} if kernel.gated else {})}
    spec: dict[str, int | str] = {} if kernel.op == "lska" else {"op": kernel.op}
    spec["k"] = kernel.k
    if kernel.explicit_dilation:
        spec["d"] = kernel.d
    return spec


def _read_operator(kind: Block, op: str, args: list[Any]) -> Attention:
    channels: int | str | None = None
    # `[c2, 35]`, `[256, 35]`, `[256, 9, 2]` give the width first; `[11]` and `[]` leave it to the source.
    if args and (isinstance(args[0], str) or len(args) > 1 or _is_width(args[0])):
        channels = args.pop(0)
    if len(args) > 2:
        raise KernelError(f"{kind.name} takes [c2, k] or [c2, k, d], found {len(args) + 1} arguments")
    if not args and op == "lska" and kind.handwritten:
        raise UnknownOperatorError(
            f"{kind.name} without a kernel size need not be LSKA, for LSKNet has another block of that name: "
            "what it does is not known"
        )
    k = args[0] if args else _OPERATOR_KERNEL
    dilation = args[1] if len(args) == 2 else None
    return Attention(_kernel_of_row(kind.name, op, k, dilation), channels=channels)


def _read_host(kind: Block, args: list[Any], blocks: BlockTable) -> Attention:
    spec: Mapping[str, Any] = args.pop() if args and isinstance(args[-1], Mapping) else {}
    if isinstance(spec.get("op"), str) and spec["op"] not in OP_BLOCKS and set(spec) <= {"op", "gated"}:
        return Attention(_other_of_host(kind.name, spec, blocks), kind.plain, tuple(args))
    wanted = f"{kind.name} ends in a mapping such as {{k: 35}} (keys op, k, d), found"
    if not spec:
        raise UnknownOperatorError(f"{wanted} none: it is read as a class of your own with that name")
    if set(spec) - {"op", "k", "d"} or "k" not in spec:
        raise KernelError(f"{wanted} {{{', '.join(f'{k}: {v}' for k, v in spec.items())}}}")
    op = spec.get("op", "lska")
    kernel = _kernel_of_row(kind.name, op if isinstance(op, str) else str(op), spec["k"], spec.get("d"))
    return Attention(kernel, kind.plain, tuple(args))


def _read_other(block: str, args: list[Any], blocks: BlockTable) -> Attention:
    channels = args[0] if len(args) > 1 and isinstance(args[0], (int, str)) else None
    return Attention(read_other(block, args, blocks), channels=channels)


def _other_of_host(block: str, spec: Mapping[str, Any], blocks: BlockTable) -> AnyOperator:
    try:
        return resolve_operator(str(spec["op"]), None, None, bool(spec.get("gated", False)), blocks)
    except KernelError as error:
        raise KernelError(f"{block}: {error}") from error


def _read_handwritten(kind: Block, args: list[Any]) -> Attention:
    own, k = kind.split(args)
    if kind.host and not kind.host.has(HostRow(own)):
        raise UnknownOperatorError(
            f"{kind.name} with area attention has no bottleneck for LSKA: what it does is not known"
        )
    op = "lska-attention" if holds_attention_blocks(kind) else "lska"
    return Attention(_kernel_of_row(kind.name, op, k, None), kind.plain, own)


def holds_attention_blocks(kind: Block) -> bool:
    """Whether it is a name that people gave to a host that holds the paper's attention block: `C2f_LSKA_Attention`."""
    return kind.is_host and kind.name.endswith("_Attention")


def _kernel_of_row(block: str, op: str, k: Any, dilation: Any) -> Kernel:
    if op in UNDILATED_OPS and dilation is not None:
        raise KernelError(f"{block} has {UNDILATED_OPS[op]} and takes no dilation, found {dilation}")
    try:
        return resolve_kernel(op, k, dilation)
    except KernelError as error:
        raise KernelError(f"{block}: {error}") from error


def _is_width(value: Any) -> bool:
    """Whether a lone number is a width: those are even and not as small as a mistaken kernel size, `[8]`."""
    return isinstance(value, int) and value % 2 == 0 and value >= 16


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

    def merged(self, height: int, width: int) -> tuple[int, int]:
        """How many more parameters and multiply-accumulates all of them have while they train, until `fuse()`."""
        kernel, channels, sides = self.kernel, self.channels, (height, width)
        if not isinstance(kernel, Kernel) or not kernel.branches:
            return 0, 0
        params = kernel.params(channels, fused=False) - kernel.params(channels)
        macs = kernel.macs(channels, *sides, fused=False) - kernel.macs(channels, *sides)
        return self.count * params, self.count * macs


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
    host = layer.kind.host
    assert host is not None
    deep = (scaling.letter or "?") in (layer.kind.letters or ("",))[-1]
    try:
        channels, count = host.inside(HostRow(attention.host_args, width_in, width_out, repeats, deep))
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
