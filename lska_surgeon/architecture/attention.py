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
from .kernel import OP_BLOCKS, TRIVIAL_OPS, Kernel, resolve_kernel
from .other_operators import OTHER_BLOCKS, AnyOperator, read_other, read_row_of_users, resolve_operator

#: Names that people gave to an operator -> which it is. `LSKAttention` is LSKA where it has a kernel size, as tutorials
#: write it; LSKNet's class of that name, another thing, has none.
HANDWRITTEN_OPS = {"LSKAttention": "lska", "LSKA_Attention": "lska-attention"}
BLOCK_OPS = {**{block: op for op, block in OP_BLOCKS.items()}, **HANDWRITTEN_OPS}
#: Blocks whose rows are an operator and nothing else.
OPERATOR_ROWS = frozenset([*BLOCK_OPS, *OTHER_BLOCKS])

#: Host block -> the block it stands for. In these each bottleneck becomes x + LSKA(f(x)).
RESIDUAL_HOSTS = {
    "C2fLSKA": "C2f",
    "C3LSKA": "C3",
    "C3k2LSKA": "C3k2",
    "A2C2fLSKA": "A2C2f",
    "RepNCSPELAN4LSKA": "RepNCSPELAN4",
    "BottleneckLSKA": "Bottleneck",
}
#: Host block -> the block it stands for. In these LSKA works on the concatenated features before the last convolution.
POOLING_HOSTS = {"SPPFLSKA": "SPPF", "SPPLSKA": "SPP", "SPPELANLSKA": "SPPELAN"}
HOSTS = {**RESIDUAL_HOSTS, **POOLING_HOSTS}
HOST_OF = {base: host for host, base in HOSTS.items()}

#: Plain blocks in which people replaced each bottleneck by an attention block: `C2f_LSKA_Attention`.
ATTENTION_HOSTS = ("C2f", "C3", "C3k2")
#: Names that people gave to such blocks -> the plain block that they were made from.
HANDWRITTEN_HOSTS = {
    **{f"{base}_LSKA": base for base in HOSTS.values()},
    **{f"{base}_LSKA_Attention": base for base in (*ATTENTION_HOSTS, *POOLING_HOSTS.values())},
}
#: Kernel size of rows that people wrote without one: in a pooling host 11, as in an operator row, else 7.
_OPERATOR_KERNEL, _POOLING_KERNEL, _RESIDUAL_KERNEL = 11, 11, 7
# How many arguments the plain block has in rows that people wrote; the kernel size, if any, stands behind them.
_HOST_ARGS = {
    "SPPF": 2,
    "SPP": 2,
    "SPPELAN": 3,
    "RepNCSPELAN4": 4,
    "Bottleneck": 5,
    "C2f": 4,
    "C3": 4,
    "C3k2": 6,
    "A2C2f": 8,
}
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


def is_attention(block: str) -> bool:
    """True for every name that `read_attention` understands."""
    return block in OPERATOR_ROWS or block in HOSTS or block in HANDWRITTEN_HOSTS


def read_host(block: str) -> str | None:
    """The plain block that a host row's name stands for; None for every other name."""
    return HOSTS.get(block) or HANDWRITTEN_HOSTS.get(block)


def plain_row(block: str, args: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """A host row as its plain block's, whatever it says of the operator; any other row as it is."""
    if block in HOSTS:
        return HOSTS[block], tuple(args[:-1] if args and isinstance(args[-1], Mapping) else args)
    if block in HANDWRITTEN_HOSTS:
        return HANDWRITTEN_HOSTS[block], _split_handwritten(HANDWRITTEN_HOSTS[block], args)[0]
    return block, tuple(args)


def is_like_attention(block: str) -> bool:
    """True for a name that speaks of LSKA and that `read_attention` does not understand."""
    return "lska" in block.lower() and not is_attention(block)


def read_attention(block: str, args: Sequence[Any]) -> Attention | None:
    """Read an operator row or a host row, ours or hand-written; None when `block` is neither.

    Raises:
        KernelError: the arguments do not say an operator that exists.
        UnknownOperatorError: people use the name, and what they mean can't be known.
    """
    if block in BLOCK_OPS:
        return _read_operator(block, list(args))
    if block in OTHER_BLOCKS:
        return _read_other(block, list(args))
    if block in HOSTS:
        return _read_host(block, list(args))
    if block in HANDWRITTEN_HOSTS:
        return _read_handwritten(block, list(args))
    return None


def read_any_attention(block: str, args: Sequence[Any]) -> Attention | None:
    """As `read_attention`; rows of CBAM and of declared attention, which may be the network's own, are read as well."""
    theirs = read_row_of_users(block, tuple(args))
    return Attention(theirs) if theirs else read_attention(block, args)


def host_spec(kernel: AnyOperator) -> dict[str, int | str]:
    """The mapping that ends a host row: `{k: 35}`, `{op: lka, k: 35}`, `{k: 9, d: 2}`, `{op: cbam, gated: true}`."""
    if not isinstance(kernel, Kernel):
        return {"op": kernel.op, **({"gated": True} if kernel.gated else {})}
    spec: dict[str, int | str] = {} if kernel.op == "lska" else {"op": kernel.op}
    spec["k"] = kernel.k
    if kernel.explicit_dilation:
        spec["d"] = kernel.d
    return spec


def _read_operator(block: str, args: list[Any]) -> Attention:
    op = BLOCK_OPS[block]
    channels: int | str | None = None
    # `[c2, 35]`, `[256, 35]`, `[256, 9, 2]` give the width first; `[11]` and `[]` leave it to the source.
    if args and (isinstance(args[0], str) or len(args) > 1 or _is_width(args[0])):
        channels = args.pop(0)
    if len(args) > 2:
        raise KernelError(f"{block} takes [c2, k] or [c2, k, d], found {len(args) + 1} arguments")
    if not args and block == "LSKAttention":
        raise UnknownOperatorError(
            f"{block} without a kernel size need not be LSKA, for LSKNet has another block of that name: "
            "what it does is not known"
        )
    k = args[0] if args else _OPERATOR_KERNEL
    dilation = args[1] if len(args) == 2 else None
    return Attention(_kernel_of_row(block, op, k, dilation), channels=channels)


def _read_host(block: str, args: list[Any]) -> Attention:
    spec: Mapping[str, Any] = args.pop() if args and isinstance(args[-1], Mapping) else {}
    if isinstance(spec.get("op"), str) and spec["op"] not in OP_BLOCKS and set(spec) <= {"op", "gated"}:
        return Attention(_other_of_host(block, spec), HOSTS[block], tuple(args))
    unknown = set(spec) - {"op", "k", "d"}
    if unknown or "k" not in spec:
        found = f"{{{', '.join(f'{k}: {v}' for k, v in spec.items())}}}" if spec else "none"
        raise KernelError(f"{block} ends in a mapping such as {{k: 35}} (keys op, k, d), found {found}")
    op = spec.get("op", "lska")
    kernel = _kernel_of_row(block, op if isinstance(op, str) else str(op), spec["k"], spec.get("d"))
    return Attention(kernel, HOSTS[block], tuple(args))


def _read_other(block: str, args: list[Any]) -> Attention:
    channels = args[0] if len(args) > 1 and isinstance(args[0], (int, str)) else None
    return Attention(read_other(block, args), channels=channels)


def _other_of_host(block: str, spec: Mapping[str, Any]) -> AnyOperator:
    try:
        return resolve_operator(str(spec["op"]), None, None, bool(spec.get("gated", False)))
    except KernelError as error:
        raise KernelError(f"{block}: {error}") from error


def _read_handwritten(block: str, args: list[Any]) -> Attention:
    host = HANDWRITTEN_HOSTS[block]
    own, k = _split_handwritten(host, args)
    if host == "A2C2f" and own[1:2] != (False,):
        raise UnknownOperatorError(f"{block} with area attention has no bottleneck for LSKA: what it does is not known")
    op = "lska-attention" if block.endswith("_Attention") else "lska"
    return Attention(_kernel_of_row(block, op, k, None), host, own)


def _split_handwritten(host: str, args: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
    """The plain block's own arguments, and the kernel size."""
    own, pooling = _HOST_ARGS[host], host in POOLING_HOSTS.values()
    if len(args) > own:
        return tuple(args[:own]), args[own]
    last = args[-1] if len(args) > 1 else None
    if not pooling and host != "RepNCSPELAN4" and type(last) is int and last % 2 and last >= _SMALLEST:
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
