"""Operators as numbers: kernel decomposition and closed-form costs; it knows no tensors and no YAML.

Source: Lau, Po, Rehman, "Large Separable Kernel Attention", arXiv 2309.01439, section 3 and table 1. The paper
compares four designs (`lska`, `lska-trivial`, `lka`, `lka-trivial`) and puts LSKA into an attention block
(`lska-attention`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import KernelError
from .blocks import STOCK

#: Kernel size -> dilation of the dilated convolution, as in the paper's own code.
PAPER_DILATIONS = {7: 2, 11: 2, 23: 3, 35: 3, 41: 3, 53: 3}
DEFAULT_KERNEL = 23
LARGEST_KERNEL = 999

#: `--op` value -> block name in a YAML row.
OP_BLOCKS = {block.op: block.name for block in STOCK if block.op not in (None, "other") and not block.handwritten}
#: Operators with one dense kernel: any odd k, no dilation.
TRIVIAL_OPS = frozenset({"lska-trivial", "lka-trivial"})


@dataclass(frozen=True)
class Kernel:
    """One operator at one kernel size.

    Attributes:
        op: one of `OP_BLOCKS`.
        k: kernel size, odd.
        d: dilation of the second depth-wise pair; 1 for the trivial designs.
        explicit_dilation: True when `d` is not the paper's choice for `k`, so a row has to spell it.
    """

    op: str
    k: int
    d: int
    explicit_dilation: bool = False

    @property
    def a(self) -> int:
        """Length of the first depth-wise kernel, 2d - 1 (k itself for the trivial designs)."""
        return self.k if self.op in TRIVIAL_OPS else 2 * self.d - 1

    @property
    def b(self) -> int:
        """Length of the dilated depth-wise kernel: the largest odd number <= k / d (0 for the trivial designs)."""
        if self.op in TRIVIAL_OPS:
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

    def params(self, channels: int) -> int:
        """Parameters on `channels` channels, biases included; LSKA: C^2 + C(2a + 2b + 5)."""
        c = channels
        depthwise = {
            "lska": 2 * self.a + 2 * self.b + 4,
            "lska-trivial": 2 * self.a + 2,
            "lka": self.a**2 + self.b**2 + 2,
            "lka-trivial": self.a**2 + 1,
        }
        if self.op == "lska-attention":
            return 3 * (c * c + c) + c * depthwise["lska"]
        return c * c + c + c * depthwise[self.op]

    def macs(self, channels: int, height: int, width: int) -> int:
        """Multiply-accumulates on an H x W map, as fvcore counts them; LSKA: HW(C^2 + 2C(a + b))."""
        c = channels
        per_channel = {
            "lska": 2 * (self.a + self.b),
            "lska-trivial": 2 * self.a,
            "lka": self.a**2 + self.b**2,
            "lka-trivial": self.a**2,
        }
        if self.op == "lska-attention":
            return height * width * (3 * c * c + c * per_channel["lska"])
        return height * width * (c * c + c * per_channel[self.op])


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
        raise KernelError(
            f"kernel size {k} is not an odd number >= 3: use one of {sizes}, or an odd k with its dilation"
        )
    if k > LARGEST_KERNEL:
        raise KernelError(
            f"kernel size {k} is larger than any feature map: use one of {sizes}, or at most {LARGEST_KERNEL}"
        )
    if op in TRIVIAL_OPS:
        if dilation not in (None, 1):
            raise KernelError(f"{op} has one dense kernel and no dilation: drop {dilation}")
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
