"""Operators beside the paper's: Ultralytics' CBAM, timm's attention, and what the user declares like attention.

Such an operator is a module A that keeps its input's shape. It goes into a network as it is, as papers have it, or
gated: x + g * (A(x) - x) with one gate g per channel, which starts at 0. So it starts as the exact identity, the gates
learn from the first step on and A from the second: the idea of SkipInit (De and Smith, arXiv 2002.10444) and of
LayerScale (Touvron et al., arXiv 2103.17239), here around the change that A makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Union

from ..errors import KernelError
from ..wording import did_you_mean
from .declared import in_force, keeps_shape
from .kernel import DEFAULT_KERNEL, OP_BLOCKS, Kernel, resolve_kernel

CBAM, TIMM, GATED = "cbam", "timm:", "Gated"
#: timm's attention modules that take (N, C, H, W) of any size and keep it, by the names of its `create_attn`.
TIMM_NAMES = tuple("se ese eca ecam ceca gc gca cbam lcbam coord scoord ela strip sk splat nl lambda".split())
#: Those whose name a row can't have, for `parse_model` reads a row's words as Python.
_IN_A_ROW = {"lambda": "lambda_layer"}
_FROM_A_ROW = {word: name for name, word in _IN_A_ROW.items()}
#: Blocks of lska-surgeon whose rows hold such an operator; its CBAM is Ultralytics', and rows of it people write, too.
OTHER_BLOCKS = ("Timm", GATED)


@dataclass(frozen=True)
class OtherOperator:
    """One operator that is not the paper's; it has no kernel size of its own.

    Attributes:
        op: "cbam", "timm:se", or the name of a declared block.
        gated: with a gate, and so the exact identity at its start.
    """

    op: str
    gated: bool = False

    k: ClassVar[None] = None
    d: ClassVar[None] = None
    explicit_dilation: ClassVar[bool] = False

    @property
    def block(self) -> str:
        """The block that a row of it names."""
        if self.gated:
            return GATED
        return {CBAM: "CBAM"}.get(self.op, "Timm" if self.op.startswith(TIMM) else self.op)

    @property
    def row_args(self) -> tuple[Any, ...]:
        """The arguments of a row of it."""
        if self.gated:
            return ("c2", {"op": self.op})
        if self.op.startswith(TIMM):
            name = self.op[len(TIMM) :]
            return ("c2", _IN_A_ROW.get(name, name))
        return ("c2",) if self.op == CBAM else ()

    @property
    def in_words(self) -> str:
        """`cbam`, `gated cbam`."""
        return f"gated {self.op}" if self.gated else self.op

    def params(self, channels: int) -> int | None:
        """Parameters on `channels` channels; None where only building it tells."""
        if self.op != CBAM:
            return None
        return channels * channels + channels + 2 * 7 * 7 + self.gated * channels

    def macs(self, channels: int, height: int, width: int) -> int | None:
        """Multiply-accumulates on an H x W map, as fvcore counts them; None where only counting tells."""
        if self.op != CBAM:
            return None
        # The global mean, its 1x1 convolution, and the 7x7 convolution of two maps.
        return height * width * channels + channels * channels + 2 * 7 * 7 * height * width


AnyOperator = Union[Kernel, OtherOperator]


def other_ops() -> tuple[str, ...]:
    """Every `--op` value beside the paper's: those declared here, too."""
    own = (name for name in in_force().blocks if keeps_shape(name))
    return (CBAM, *(f"{TIMM}{name}" for name in TIMM_NAMES), *own)


def all_ops() -> tuple[str, ...]:
    """Every `--op` value."""
    return (*OP_BLOCKS, *other_ops())


def resolve_operator(
    op: str, k: int | None = DEFAULT_KERNEL, dilation: int | None = None, gated: bool = False
) -> AnyOperator:
    """Check an operator's name and numbers.

    Args:
        op: one of `all_ops`.
        k: kernel size, for the paper's operators; for others None, or the default of `--k`.
        dilation: as for `resolve_kernel`.
        gated: with a gate; not for the paper's, which have an identity of their own.

    Raises:
        KernelError: no such operator, or it does not have what is asked for.
    """
    if op in OP_BLOCKS:
        if gated:
            raise KernelError(f"{op} starts as the identity without a gate: drop --gated")
        return resolve_kernel(op, DEFAULT_KERNEL if k is None else k, dilation)
    if op not in other_ops():
        raise KernelError(_unknown(op))
    if dilation is not None:
        raise KernelError(f"{op} has no dilation: drop {dilation}")
    if k not in (None, DEFAULT_KERNEL):
        raise KernelError(f"{op} has no kernel size: drop {k}")
    return OtherOperator(op, gated)


def read_other(block: str, args: list[Any]) -> OtherOperator:
    """Read a row of one of `OTHER_BLOCKS`.

    Raises:
        KernelError: its arguments do not say an operator that exists.
    """
    last = args[-1] if args else None
    if block == GATED:
        if not isinstance(last, dict) or set(last) != {"op"}:
            raise KernelError(f"{block} takes [c2, {{op: NAME}}], such as [c2, {{op: cbam}}], found {last!r}")
        return _other(str(last["op"]), True, block)
    if not isinstance(last, str) or last == "c2":
        raise KernelError(f"{block} takes [c2, NAME], such as [c2, se], found {last!r}")
    return _other(f"{TIMM}{_FROM_A_ROW.get(last, last)}", False, block)


def _other(op: str, gated: bool, block: str) -> OtherOperator:
    found = None if op in OP_BLOCKS else resolve_operator(op, None, None, gated)
    if not isinstance(found, OtherOperator):
        raise KernelError(f"{block} holds an operator that is not the paper's, found {op}")
    return found


def _unknown(op: str) -> str:
    known = all_ops()
    path = in_force().path
    declare = f" (in {path})" if path else ""
    if op in in_force().blocks:
        return f"{op} is declared, and does not keep its input's shape{declare}: an operator is like attention"
    shown = ", ".join(name for name in known if not name.startswith(TIMM))
    return f"no operator {op!r}{did_you_mean(op, known)}: --op takes {shown}, timm:NAME, or an attention you declare"
