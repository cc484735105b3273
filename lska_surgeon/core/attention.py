"""Names that may stand in a YAML row for LSKA and its hosts, and how to read such a row; no torch, no YAML.

Two kinds of row hold an operator:

1. An operator row, `[-1, 1, LSKA, [c2, 35]]`: the operator on its own, width taken from its source.
2. A host row, `[-1, 3, C2fLSKA, [128, True, {k: 35}]]`: an Ultralytics block (the host) with the operator inside;
   the last argument, a mapping with `k` and, where they are not the default, `op` and `d`, says which.

Rows that people wrote by hand name both otherwise: `LSKAttention, [7]`; `SPPF_LSKA, [1024, 5]` or
`C2f_LSKA, [512, True, 7]`, the kernel size last, if it is there; and `C2f_LSKA_Attention`, whose bottlenecks are
attention blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import KernelError, UnknownOperatorError
from .blocks import Block, BlockTable
from .graph import Layer
from .kernel import OP_BLOCKS, TRIVIAL_OPS, Kernel, resolve_kernel
from .other_operators import AnyOperator, read_other, read_row_of_users, resolve_operator

#: Kernel size of rows that people wrote without one: in a pooling host 11, as in an operator row, else 7.
_OPERATOR_KERNEL, _POOLING_KERNEL, _RESIDUAL_KERNEL = 11, 11, 7
_SMALLEST = 5  # an odd number from here on is no number of groups, in the blocks that have those


@dataclass(frozen=True)
class Attention:
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


def plain_row(layer: Layer) -> tuple[str, tuple[Any, ...]]:
    """Block and arguments of a row as those of the plain block that it stands for, whatever it says of an operator."""
    kind, args = layer.kind, layer.args
    if kind.is_host and not kind.handwritten:
        args = args[:-1] if args and isinstance(args[-1], Mapping) else args
    elif kind.is_host:
        args = _split_handwritten(kind, args)[0]
    return kind.plain, args


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
        return _read_other(kind.name, args, layer.blocks)
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
    unknown = set(spec) - {"op", "k", "d"}
    if unknown or "k" not in spec:
        found = f"{{{', '.join(f'{k}: {v}' for k, v in spec.items())}}}" if spec else "none"
        raise KernelError(f"{kind.name} ends in a mapping such as {{k: 35}} (keys op, k, d), found {found}")
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
    own, k = _split_handwritten(kind, args)
    if kind.plain == "A2C2f" and own[1:2] != (False,):
        raise UnknownOperatorError(
            f"{kind.name} with area attention has no bottleneck for LSKA: what it does is not known"
        )
    op = "lska-attention" if holds_attention_blocks(kind) else "lska"
    return Attention(_kernel_of_row(kind.name, op, k, None), kind.plain, own)


def holds_attention_blocks(kind: Block) -> bool:
    """Whether it is a name that people gave to a host that holds the paper's attention block: `C2f_LSKA_Attention`."""
    return kind.is_host and kind.name.endswith("_Attention")


def _split_handwritten(kind: Block, args: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
    """The plain block's own arguments, and the kernel size."""
    own, pooling = kind.own_args, kind.role == "pool"
    if len(args) > own:
        return tuple(args[:own]), args[own]
    last = args[-1] if len(args) > 1 else None
    if not pooling and kind.plain != "RepNCSPELAN4" and type(last) is int and last % 2 and last >= _SMALLEST:
        return tuple(args[:-1]), last
    return tuple(args), _POOLING_KERNEL if pooling else _RESIDUAL_KERNEL


def _kernel_of_row(block: str, op: str, k: Any, dilation: Any) -> Kernel:
    if op in TRIVIAL_OPS and dilation is not None:
        raise KernelError(f"{block} has one dense kernel and takes no dilation, found {dilation}")
    try:
        return resolve_kernel(op, k, dilation)
    except KernelError as error:
        raise KernelError(f"{block}: {error}") from error


def _is_width(value: Any) -> bool:
    """Whether a lone number is a width: those are even and not as small as a mistaken kernel size, `[8]`."""
    return isinstance(value, int) and value % 2 == 0 and value >= 16
