"""Operators as numbers: the paper's kernels, other attention, what each costs, and the rows that hold them; no torch.

Source of the paper's: Lau, Po, Rehman, "Large Separable Kernel Attention", arXiv 2309.01439, section 3 and table 1. It
compares four designs (`lska`, `lska-trivial`, `lka`, `lka-trivial`) and puts LSKA into an attention block
(`lska-attention`). `strip` is the large strip convolution of Yuan et al., "Strip R-CNN", arXiv 2501.03775, section 3.2:
a square 5 x 5 kernel, then 1 x k and k x 1, undilated. `dilated-reparam` is the Dilated Reparam Block of Ding et al.,
"UniRepLKNet", arXiv 2311.15599, section 3.1: a k x k kernel with dilated ones beside it, each with its norm, which are
one k x k kernel once they are merged.

Any other operator is a module A that keeps its input's shape: Ultralytics' CBAM, timm's attention, and what the user
declares like attention. It goes into a network as it is, as papers have it, or gated: x + g * (A(x) - x) with one gate
g per channel, which starts at 0. So it starts as the exact identity, the gates learn from the first step on and A from
the second: the idea of SkipInit (De and Smith, arXiv 2002.10444) and of LayerScale (Touvron et al., arXiv 2103.17239),
here around the change that A makes.

Two kinds of row hold an operator:

1. An operator row, `[-1, 1, LSKA, [c2, 35]]`: the operator on its own, width taken from its source.
2. A host row, `[-1, 3, C2fLSKA, [128, True, {k: 35}]]`: an Ultralytics block (the host) with the operator inside;
   the last argument, a mapping with `k` and, where they are not the default, `op` and `d`, says which.

Rows that people wrote by hand name both otherwise: `LSKAttention, [7]`; `SPPF_LSKA, [1024, 5]` or
`C2f_LSKA, [512, True, 7]`, the kernel size last, if it is there; and `C2f_LSKA_Attention`, whose bottlenecks are
attention blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Union

from ..errors import KernelError, UnknownOperatorError
from ..wording import did_you_mean
from .blocks import STOCK, Block, BlockTable, HostRow
from .graph import IMAGE, Graph, Layer, Scaling
from .shapes import Shape

#: Kernel size -> dilation of the dilated convolution, as in the paper's own code.
PAPER_DILATIONS = {7: 2, 11: 2, 23: 3, 35: 3, 41: 3, 53: 3}
DEFAULT_KERNEL = 23
LARGEST_KERNEL = 999

#: `--op` value -> block name in a YAML row.
OP_BLOCKS = {
    block.op: block.name
    for block in STOCK
    if block.op not in (None, "other") and not block.handwritten and not block.is_private
}
#: Operators of any odd k that take no dilation -> what they have.
UNDILATED_OPS = {
    "lska-trivial": "one dense kernel",
    "lka-trivial": "one dense kernel",
    "strip": "undilated strips",
    "dilated-reparam": "dilations that follow from k",
}
STRIP_SQUARE = 5


def dilated_branches(k: int) -> tuple[tuple[int, int], ...]:
    """Size and dilation of each kernel beside a k x k one, k odd and 5 at least.

    None reaches further than k. The rule gives what is published for k 5 to 17 (UniRepLKNet has 13 by default: 5 x 5;
    7 x 7 dilated by 2; 3 x 3 by 3, 4 and 5), and goes on beyond: a small kernel, one that reaches all k in steps of 2,
    and three of 3 x 3 that reach about a half, two thirds and all of k.
    """
    widest = k // 2 - (k // 2 + 1) % 2
    reaching_half = (k + 1) // 2
    dilations = sorted({max(3, k // 4), max(4, k // 3), widest})
    first = ((min(5, k - 2), 1), (reaching_half - (reaching_half + 1) % 2, 2))
    return (*first, *((3, d) for d in dilations if 3 <= d <= k // 2))


@dataclass(frozen=True)
class Kernel:
    """One operator at one kernel size.

    Attributes:
        op: one of `OP_BLOCKS`.
        k: kernel size, odd.
        d: dilation of the second depth-wise pair; 1 where there is none.
        explicit_dilation: True when `d` is not the paper's choice for `k`, so a row has to spell it.
    """

    op: str
    k: int
    d: int
    explicit_dilation: bool = False

    @property
    def a(self) -> int:
        """Length of the first depth-wise kernel, 2d - 1 (k itself where there is no dilation)."""
        return self.k if self.op in UNDILATED_OPS else 2 * self.d - 1

    @property
    def b(self) -> int:
        """Length of the dilated depth-wise kernel: the largest odd number <= k / d (0 where there is none)."""
        if self.op in UNDILATED_OPS:
            return 0
        b = self.k // self.d
        return b if b % 2 else b - 1

    @property
    def args(self) -> tuple[int, ...]:
        """What a row says after the channels: `(k,)`, or `(k, d)` when the dilation is not the paper's."""
        return (self.k, self.d) if self.explicit_dilation else (self.k,)

    @property
    def block(self) -> str:
        """The block that a row of it names."""
        return OP_BLOCKS[self.op]

    @property
    def row_args(self) -> tuple[str | int, ...]:
        """The arguments of a row of it."""
        return ("c2", *self.args)

    @property
    def in_words(self) -> str:
        """`lska k35`."""
        return f"{self.op} k{self.k}"

    @property
    def branches(self) -> tuple[tuple[int, int], ...]:
        """Size and dilation of the kernels that stand beside the first while it trains, until `fuse()` merges them."""
        return dilated_branches(self.k) if self.op == "dilated-reparam" else ()

    def params(self, channels: int, *, fused: bool = True) -> int:
        """Parameters on `channels` channels, biases included; LSKA: C^2 + C(2a + 2b + 5).

        Args:
            channels: C.
            fused: as `fuse()` leaves it; else as it trains. Only an operator with norms differs.
        """
        taps, biases = self._depthwise(fused)
        return self._pointwise * (channels * channels + channels) + channels * (taps + biases)

    def macs(self, channels: int, height: int, width: int, *, fused: bool = True) -> int:
        """Multiply-accumulates on an H x W map, as fvcore counts them; LSKA: HW(C^2 + 2C(a + b)).

        Args:
            channels: C.
            height: H.
            width: W.
            fused: as for `params`; a norm counts two per element.
        """
        taps, biases = self._depthwise(fused)
        norms = 0 if fused or not self.branches else biases
        return height * width * (self._pointwise * channels * channels + channels * (taps + norms))

    @property
    def _pointwise(self) -> int:
        """How many 1x1 convolutions it has."""
        return 3 if self.op == "lska-attention" else 1

    def _depthwise(self, fused: bool) -> tuple[int, int]:
        """Per channel: taps of the depth-wise kernels, and their biases or, two for each, what norms have instead."""
        if self.branches and not fused:
            return self.a**2 + sum(size**2 for size, _ in self.branches), 2 * (1 + len(self.branches))
        return {
            "lska": (2 * self.a + 2 * self.b, 4),
            "lska-trivial": (2 * self.a, 2),
            "lka": (self.a**2 + self.b**2, 2),
            "lka-trivial": (self.a**2, 1),
            "strip": (STRIP_SQUARE**2 + 2 * self.a, 3),
            "dilated-reparam": (self.a**2, 1),
            "lska-attention": (2 * self.a + 2 * self.b, 4),
        }[self.op]


def resolve_kernel(op: str, k: int, dilation: int | None = None) -> Kernel:
    """Check an operator's numbers.

    Args:
        op: one of `OP_BLOCKS`.
        k: kernel size; one of the paper's six, or any odd k >= 3 together with `dilation`.
        dilation: d >= 2 (k // d >= 3 so that the dilated kernel is longer than one tap); None takes the paper's.

    Raises:
        KernelError: unknown op, or a k or dilation outside of what is allowed.
    """
    if op not in OP_BLOCKS:
        raise KernelError(f"no operator {op!r}: --op takes {', '.join(OP_BLOCKS)}")
    sizes = ", ".join(map(str, PAPER_DILATIONS))
    if not isinstance(k, int) or isinstance(k, bool) or k < 3 or k % 2 == 0:
        how = f"use one of {sizes}, or an odd k with its dilation"
        if op in UNDILATED_OPS:
            how = f"use an odd k >= {5 if op == 'dilated-reparam' else 3}, such as 23"
        raise KernelError(f"kernel size {k} is not an odd number >= 3: {how}")
    if k > LARGEST_KERNEL:
        raise KernelError(
            f"kernel size {k} is larger than any feature map: use one of {sizes}, or at most {LARGEST_KERNEL}"
        )
    if op in UNDILATED_OPS:
        if dilation not in (None, 1):
            raise KernelError(f"{op} has {UNDILATED_OPS[op]} and takes no dilation: drop {dilation}")
        if op == "dilated-reparam" and k < 5:
            raise KernelError(f"kernel size {k} leaves {op} no room for dilated kernels: use an odd k >= 5")
        return Kernel(op, k, 1)
    if dilation is None:
        if k not in PAPER_DILATIONS:
            how = "give its dilation too (--dilation D; in a row of LSKA [c2, k, d])"
            raise KernelError(f"no kernel size {k} for {op} in the paper: use one of {sizes}, or {how}")
        return Kernel(op, k, PAPER_DILATIONS[k])
    if not isinstance(dilation, int) or dilation < 2 or k // dilation < 3:
        most = k // 3
        allowed = f"2 to {most}" if most >= 2 else "no dilation (7 is the smallest k)"
        raise KernelError(f"dilation {dilation} does not fit kernel size {k}: allowed is {allowed}")
    return Kernel(op, k, dilation, explicit_dilation=PAPER_DILATIONS.get(k) != dilation)


#: What a row may hold that is not one of the paper's -> its block.
_BLOCKS = {block.other: block.name for block in STOCK if block.other and not block.is_private}
CBAM, TIMM = "cbam", "timm:"
GATED = _BLOCKS["gated"]
#: timm's attention modules that are built from a width alone, take (N, C, H, W) of any size and keep it: by the names
#: that its `create_attn` has for them, then those that it has none for. Its ge, bottleneck, halo, bat and Attention2d
#: want more: the map's size, sides that are multiples of a block, or widths that are multiples of 32.
TIMM_NAMES = (
    *"se ese eca ecam ceca gc gca cbam lcbam coord scoord ela strip sk splat nl lambda".split(),
    *("MultiQueryAttention2d", "MultiQueryAttentionV2"),
)
#: Those whose name a row can't have, for `parse_model` reads a row's words as Python.
_IN_A_ROW = {"lambda": "lambda_layer"}
_FROM_A_ROW = {word: name for name, word in _IN_A_ROW.items()}


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
        return GATED if self.gated else _BLOCKS.get(self.op.split(":")[0], self.op)

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

    @property
    def plain(self) -> OtherOperator:
        """The same without its gate."""
        return OtherOperator(self.op)

    def params(self, channels: int) -> int | None:
        """Parameters on `channels` channels; None where only building it tells."""
        c, gates = channels, self.gated * channels
        if self.op == CBAM:
            return c * c + c + 2 * 7 * 7 + gates
        if self.op == f"{TIMM}se":
            return 2 * c * _squeezed(c) + _squeezed(c) + c + gates
        if self.op == f"{TIMM}ese":
            return c * c + c + gates
        return _eca_length(c) + gates if self.op in _ECA else None

    def macs(self, channels: int, height: int, width: int) -> int | None:
        """Multiply-accumulates on an H x W map, as fvcore counts them; None where only counting tells."""
        c = channels
        if self.op == CBAM:
            # The global mean, its 1x1 convolution, and the 7x7 convolution of two maps.
            return height * width * c + c * c + 2 * 7 * 7 * height * width
        if self.op == f"{TIMM}se":
            return 2 * c * _squeezed(c)
        if self.op == f"{TIMM}ese":
            return c * c
        return c * _eca_length(c) if self.op in _ECA else None


_ECA = (f"{TIMM}eca", f"{TIMM}ceca")


def _squeezed(channels: int) -> int:
    """The width inside of timm's SE: a sixteenth, in steps of 8."""
    return max(8, int(channels / 16 + 4) // 8 * 8)


def _eca_length(channels: int) -> int:
    """The kernel of ECA (Wang et al., arXiv 1910.03151): odd, about half of log2 C."""
    half = int(abs(math.log2(channels) + 1) / 2)
    return max(half if half % 2 else half + 1, 3)


AnyOperator = Union[Kernel, OtherOperator]


def other_ops(blocks: BlockTable = STOCK) -> tuple[str, ...]:
    """Every `--op` value beside the paper's: custom modules of a table that keep their input's shape, too."""
    own = (name for name, module in blocks.declarations.blocks.items() if module.keeps_shape)
    return (CBAM, *(f"{TIMM}{name}" for name in TIMM_NAMES), *own)


def all_ops(blocks: BlockTable = STOCK) -> tuple[str, ...]:
    """Every `--op` value."""
    return (*OP_BLOCKS, *other_ops(blocks))


def resolve_operator(
    op: str, k: int | None = None, dilation: int | None = None, gated: bool = False, blocks: BlockTable = STOCK
) -> AnyOperator:
    """Check an operator's name and numbers.

    Args:
        op: one of `all_ops`.
        k: kernel size, for the paper's operators, where None is `DEFAULT_KERNEL`; None for the others.
        dilation: as for `resolve_kernel`.
        gated: with a gate; not for the paper's, which have an identity of their own.
        blocks: the table that has the custom modules.

    Raises:
        KernelError: no such operator, or it does not have what is asked for.
    """
    if op in OP_BLOCKS:
        if gated:
            raise KernelError(f"{op} starts as the identity without a gate: drop --gated")
        return resolve_kernel(op, DEFAULT_KERNEL if k is None else k, dilation)
    if op not in other_ops(blocks):
        raise KernelError(_unknown(op, blocks))
    if dilation is not None:
        raise KernelError(f"{op} has no dilation: leave dilation {dilation} out")
    if k is not None:
        raise KernelError(f"{op} has no kernel size: leave k {k} out")
    return OtherOperator(op, gated)


def read_row_of_users(layer: Layer) -> OtherOperator | None:
    """The operator that a row is, where its block is one that people write rows of as well; None for any other row.

    Those are CBAM, as `insert` writes it or with its width resolved, and what is declared like attention.
    """
    args = layer.args
    if layer.kind.keeps_shape and not args:
        return OtherOperator(layer.block)
    if layer.kind.other != CBAM or not 1 <= len(args) <= 2 or args[1:] not in ((), (7,)):
        return None
    return OtherOperator(CBAM) if args[0] == "c2" or (type(args[0]) is int and args[0] > 7) else None


def read_other(block: str, args: list[Any], blocks: BlockTable = STOCK) -> OtherOperator:
    """Read the arguments of a row of ours whose block holds an operator that is not the paper's.

    Raises:
        KernelError: its arguments do not say an operator that exists.
    """
    last = args[-1] if args else None
    if block == GATED:
        if not isinstance(last, dict) or set(last) != {"op"}:
            raise KernelError(f"{block} takes [c2, {{op: NAME}}], such as [c2, {{op: cbam}}], found {last!r}")
        return _other(str(last["op"]), True, block, blocks)
    if block == _BLOCKS[CBAM]:
        if len(args) > 1:
            raise KernelError(f"{block} takes [c2], found {len(args)} arguments")
        return OtherOperator(CBAM)
    if not isinstance(last, str) or last == "c2":
        raise KernelError(f"{block} takes [c2, NAME], such as [c2, se], found {last!r}")
    return _other(f"{TIMM}{_FROM_A_ROW.get(last, last)}", False, block, blocks)


def _other(op: str, gated: bool, block: str, blocks: BlockTable) -> OtherOperator:
    found = None if op in OP_BLOCKS else resolve_operator(op, None, None, gated, blocks)
    if not isinstance(found, OtherOperator):
        raise KernelError(f"{block} holds an operator that is not the paper's, found {op}")
    return found


def ops_in_words(blocks: BlockTable = STOCK) -> str:
    """What `--op` takes, timm's in one word."""
    named = ", ".join(name for name in all_ops(blocks) if not name.startswith(TIMM))
    return f"{named}, timm:NAME, or an attention you declare"


def _unknown(op: str, blocks: BlockTable) -> str:
    path, ops = blocks.declarations.path, all_ops(blocks)
    declare = f" (in {path})" if path else ""
    if blocks.custom(op):
        return f"{op} is declared, and does not keep its input's shape{declare}: an operator is like attention"
    if op.startswith(TIMM):
        names = ", ".join(TIMM_NAMES)
        return f"no operator {op!r}{did_you_mean(op, ops)}: of timm's there are {names}"
    # The names of timm's are known without its name in front.
    same = [one for one in ops if op.casefold() in (one.casefold(), one.casefold().removeprefix(TIMM))]
    hint = f" (did you mean {min(same, key=len)}?)" if same else did_you_mean(op, ops)
    return f"no operator {op!r}{hint}: --op takes {ops_in_words(blocks)}"


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
        channels = args[0] if len(args) > 1 and isinstance(args[0], (int, str)) else None
        return Attention(read_other(kind.plain, args, layer.blocks), channels=channels)
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
    kernel = _kernel_of_row(kind.name, str(spec.get("op", "lska")), spec["k"], spec.get("d"))
    return Attention(kernel, kind.plain, tuple(args))


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
