"""Names that may stand in a YAML row for LSKA and its hosts, and how to read such a row; no torch, no YAML.

Two kinds of row hold an operator:

1. An operator row, `[-1, 1, LSKA, [c2, 35]]`: the operator on its own, width taken from its source.
2. A host row, `[-1, 3, C2fLSKA, [128, True, {k: 35}]]`: an Ultralytics block (the host) with the operator inside;
   the last argument, a mapping with `k` and, where they are not the default, `op` and `d`, says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import KernelError
from .kernel import OP_BLOCKS, TRIVIAL_OPS, Kernel, resolve_kernel
from .other_operators import OTHER_BLOCKS, AnyOperator, read_other, resolve_operator

BLOCK_OPS = {block: op for op, block in OP_BLOCKS.items()}
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

#: Kernel size of rows that people wrote without one.
HANDWRITTEN_KERNEL = {"LSKA": 11, "SPPF_LSKA": 11, "C2f_LSKA": 7, "C2f_LSKA_Attention": 7}
#: Names that people gave to such blocks -> the host block (or the plain block) they stand for.
HANDWRITTEN_HOSTS = {"SPPF_LSKA": "SPPF", "C2f_LSKA": "C2f", "C2f_LSKA_Attention": "C2f"}
_HOST_ARGS = {"SPPF": 2, "C2f": 4}  # positional arguments of the plain block in rows that people wrote


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


def read_attention(block: str, args: Sequence[Any]) -> Attention | None:
    """Read an operator row or a host row, ours or hand-written; None when `block` is neither.

    Raises:
        KernelError: the arguments do not say an operator that exists.
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
    k = args[0] if args else HANDWRITTEN_KERNEL["LSKA"]
    dilation = args[1] if len(args) == 2 else None
    return Attention(_kernel_of_row(block, op, k, dilation), channels=channels)


def _read_host(block: str, args: list[Any]) -> Attention:
    spec: Mapping[str, Any] = args.pop() if args and isinstance(args[-1], Mapping) else {}
    if "op" in spec and spec["op"] not in OP_BLOCKS and set(spec) <= {"op", "gated"}:
        return Attention(_other_of_host(block, spec), HOSTS[block], tuple(args))
    unknown = set(spec) - {"op", "k", "d"}
    if unknown or "k" not in spec:
        found = f"{{{', '.join(f'{k}: {v}' for k, v in spec.items())}}}" if spec else "none"
        raise KernelError(f"{block} ends in a mapping such as {{k: 35}} (keys op, k, d), found {found}")
    kernel = _kernel_of_row(block, spec.get("op", "lska"), spec["k"], spec.get("d"))
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
    own = _HOST_ARGS[host]
    k = args[own] if len(args) > own else HANDWRITTEN_KERNEL[block]
    op = "lska-attention" if block == "C2f_LSKA_Attention" else "lska"
    return Attention(_kernel_of_row(block, op, k, None), host, tuple(args[:own]))


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
