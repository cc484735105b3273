"""The five operators as torch modules; they know neither Ultralytics nor YAML.

Source: Lau, Po, Rehman, "Large Separable Kernel Attention", arXiv 2309.01439; LKA: Guo et al., "Visual Attention
Network", arXiv 2202.09741. The state-dict names are those of the papers' public code, so its weights load.

Every operator takes and gives `(N, C, H, W)`, for any H and W down to 1. All convolutions have a bias and "same" zero
padding; there is no norm and no activation (but the GELU of `LSKAAttention`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from ..core.operators import AnyOperator, Kernel, resolve_kernel

SomeOperator = TypeVar("SomeOperator", bound="Operator")


class Operator(nn.Module):
    """What every operator tells: which it is, and how it starts as the identity."""

    @property
    def kernel(self) -> AnyOperator:
        """The operator; computed, so that a pickled one holds plain numbers and words only."""
        raise NotImplementedError

    def init_identity_(self: SomeOperator) -> SomeOperator:
        """Make the operator return its input exactly, if it can, and return self."""
        raise NotImplementedError


class PaperOperator(Operator):
    """What the five share: checked numbers, and the identity as a starting point.

    Args:
        dim: channels C, in and out.
        k_size: kernel size; one of the paper's six (see `kernel.PAPER_DILATIONS`), or any odd k with `dilation`.
        dilation: d of the dilated pair; None takes the paper's. The trivial designs have none.

    Raises:
        KernelError: `k_size` or `dilation` is outside of what the operator allows.
    """

    op: ClassVar[str]
    k_size: int
    dilation: int

    def __init__(self, dim: int, k_size: int = 11, dilation: int | None = None) -> None:
        super().__init__()
        kernel = resolve_kernel(self.op, k_size, dilation)
        self.k_size, self.dilation = kernel.k, kernel.d
        self._build(dim, kernel)

    @property
    def kernel(self) -> Kernel:
        """The operator's numbers."""
        return resolve_kernel(self.op, self.k_size, self.dilation)

    def _build(self, dim: int, kernel: Kernel) -> None:
        raise NotImplementedError

    def init_identity_(self: SomeOperator) -> SomeOperator:
        """Make the operator return its input exactly, leave the depth-wise convolutions at random, return self.

        The depth-wise convolutions must stay random: were they zero as well, no gradient would ever reach `conv1`'s
        weight. The identity holds wherever the depth-wise chain is finite, since 0 * inf is NaN: an input that is
        itself infinite, or one that overflows half precision on its way, gives NaN (at random init the paper's chains
        amplify less than a hundredfold).
        """
        raise NotImplementedError


class Gate(PaperOperator):
    """An operator of the form x * conv1(context(x)), with a depth-wise context and a 1x1 convolution."""

    conv1: nn.Conv2d

    def init_identity_(self: SomeOperator) -> SomeOperator:
        conv1: nn.Conv2d = self.conv1
        nn.init.zeros_(conv1.weight)
        nn.init.ones_(conv1.bias)
        return self


class LSKA(Gate):
    """Large Separable Kernel Attention: x * conv1(spatial_v(spatial_h(conv0v(conv0h(x))))), figure 2(d)."""

    op = "lska"

    def _build(self, dim: int, kernel: Kernel) -> None:
        a, b, d = kernel.a, kernel.b, kernel.d
        self.conv0h = _depthwise(dim, 1, a)
        self.conv0v = _depthwise(dim, a, 1)
        self.conv_spatial_h = _depthwise(dim, 1, b, d)
        self.conv_spatial_v = _depthwise(dim, b, 1, d)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.conv0v(self.conv0h(x))
        return x * self.conv1(self.conv_spatial_v(self.conv_spatial_h(near)))


class LSKATrivial(Gate):
    """The k x k kernel as 1 x k and k x 1: x * conv1(conv0v(conv0h(x))), figure 2(c)."""

    op = "lska-trivial"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0h = _depthwise(dim, 1, kernel.k)
        self.conv0v = _depthwise(dim, kernel.k, 1)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv0v(self.conv0h(x)))


class LKA(Gate):
    """Large Kernel Attention of VAN: x * conv1(conv_spatial(conv0(x))), figure 2(b)."""

    op = "lka"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, kernel.a, kernel.a)
        self.conv_spatial = _depthwise(dim, kernel.b, kernel.b, kernel.d)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv_spatial(self.conv0(x)))


class LKATrivial(Gate):
    """One dense depth-wise k x k kernel: x * conv1(conv0(x)), figure 2(a)."""

    op = "lka-trivial"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, kernel.k, kernel.k)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv0(x))


class LSKAAttention(PaperOperator):
    """The paper's attention block: x + proj_2(LSKA(gelu(proj_1(x))))."""

    op = "lska-attention"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.proj_1 = nn.Conv2d(dim, dim, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = LSKA(dim, kernel.k, kernel.d)
        self.proj_2 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x))))

    def init_identity_(self: SomeOperator) -> SomeOperator:
        proj_2: nn.Conv2d = self.proj_2
        nn.init.zeros_(proj_2.weight)
        nn.init.zeros_(proj_2.bias)
        return self


OPERATORS: dict[str, type[PaperOperator]] = {cls.op: cls for cls in (LSKA, LSKATrivial, LKA, LKATrivial, LSKAAttention)}


def named_operators(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, Operator]]:
    """Every operator inside of `module`, itself included, with its name; an LSKA inside of an LSKAAttention is not one
    of its own."""
    if isinstance(module, Operator):
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from named_operators(child, f"{prefix}.{name}" if prefix else name)


def _depthwise(dim: int, height: int, width: int, dilation: int = 1) -> nn.Conv2d:
    same = (height // 2 * dilation, width // 2 * dilation)
    return nn.Conv2d(dim, dim, (height, width), padding=same, dilation=dilation, groups=dim)
