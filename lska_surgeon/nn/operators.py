"""Every operator as a torch module: the five of the papers, Ultralytics' CBAM, timm's, custom modules, and the gate.

Source: Lau, Po, Rehman, "Large Separable Kernel Attention", arXiv 2309.01439; LKA: Guo et al., "Visual Attention
Network", arXiv 2202.09741; their state-dict names are those of the papers' public code, so its weights load. Strip:
Yuan et al., "Strip R-CNN", arXiv 2501.03775, written from the paper.

Every operator takes and gives `(N, C, H, W)`, for any H and W down to 1. All convolutions of the papers' have a bias
and "same" zero padding; there is no norm and no activation (but the GELU of `LSKAAttention`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ultralytics.nn.modules import conv

from ..core.blocks import BlockTable
from ..core.operators import CBAM as CBAM_OP
from ..core.operators import GATED, STRIP_SQUARE, TIMM, AnyOperator, Kernel, OtherOperator, read_other, resolve_kernel
from ..declarations.find import active_blocks
from ..errors import BuildError, needs
from ..wording import first_line
from .declared import declared_attention
from .first_run import MAP_SIDES, evaluated, on_the_smallest

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
    """What those of papers share: checked numbers, and the identity as a starting point.

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
        return x * self.conv1(_chain(x, self.conv0h, self.conv0v, self.conv_spatial_h, self.conv_spatial_v))


class LSKATrivial(Gate):
    """The k x k kernel as 1 x k and k x 1: x * conv1(conv0v(conv0h(x))), figure 2(c)."""

    op = "lska-trivial"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0h = _depthwise(dim, 1, kernel.k)
        self.conv0v = _depthwise(dim, kernel.k, 1)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0h, self.conv0v))


class LKA(Gate):
    """Large Kernel Attention of VAN: x * conv1(conv_spatial(conv0(x))), figure 2(b)."""

    op = "lka"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, kernel.a, kernel.a)
        self.conv_spatial = _depthwise(dim, kernel.b, kernel.b, kernel.d)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0, self.conv_spatial))


class LKATrivial(Gate):
    """One dense depth-wise k x k kernel: x * conv1(conv0(x)), figure 2(a)."""

    op = "lka-trivial"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, kernel.k, kernel.k)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0))


class Strip(Gate):
    """Large strip convolutions behind a square one: x * conv1(conv_v(conv_h(conv0(x)))); arXiv 2501.03775."""

    op = "strip"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, STRIP_SQUARE, STRIP_SQUARE)
        self.conv_h = _depthwise(dim, 1, kernel.k)
        self.conv_v = _depthwise(dim, kernel.k, 1)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0, self.conv_h, self.conv_v))


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


OPERATORS: dict[str, type[PaperOperator]] = {
    cls.op: cls for cls in (LSKA, LSKATrivial, LKA, LKATrivial, Strip, LSKAAttention)
}


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


#: What oneDNN has fast depth-wise convolutions for: these types, and this padding of the width.
_FAST_TYPES = (torch.float32, torch.bfloat16)
_FAST_PADDING = 6


def _chain(x: Tensor, *convolutions: nn.Conv2d) -> Tensor:
    """One depth-wise convolution after the other."""
    for convolution in convolutions:
        by_hand = convolution.padding[1] > _FAST_PADDING and _padding_pays(x, convolution)
        x = _padded_by_hand(x, convolution) if by_hand else convolution(x)
    return x


def _padded_by_hand(x: Tensor, of: nn.Conv2d) -> Tensor:
    """What the convolution gives, but for rounding: zeros beside x first, then no padding of the width."""
    height, width = of.padding
    wide = F.pad(x, (width, width))
    return F.conv2d(wide, of.weight, of.bias, padding=(height, 0), dilation=of.dilation, groups=of.groups)


def _padding_pays(x: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether a convolution of wide padding is faster when that is done by hand: on a CPU, by oneDNN, run at once.

    In channels_last oneDNN has another fast convolution, for all that is undilated, and no fast gradient. A graph that
    is compiled, traced or exported stays as it is written; hooks and substitutes of the convolution are run.
    """
    if type(x) is not Tensor or x.device.type != "cpu" or x.dtype not in _FAST_TYPES:
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or not torch.backends.mkldnn.is_available():
        return False
    of = convolution
    hooks = of._forward_pre_hooks or of._forward_hooks or of._backward_pre_hooks or of._backward_hooks
    if hooks or type(of) is not nn.Conv2d:
        return False
    channels_last = x.stride(1) == 1
    return not channels_last or (max(of.dilation) > 1 and not torch.is_grad_enabled())


class CBAM(conv.CBAM):
    """Ultralytics' CBAM; of this package, so that a checkpoint that holds one brings the names of its rows along."""


class Plain(Operator):
    """An operator that is not the paper's, as it is: A(x).

    Args:
        dim: channels C, in and out.
        spec: the operator, or what the mapping of its row says, `{"op": "cbam"}`.
    """

    gated = False

    def __init__(self, dim: int, spec: OtherOperator | Mapping[str, Any]) -> None:
        super().__init__()
        blocks = active_blocks()  # for Ultralytics' parser builds it as well, and hands on no table
        read = spec if isinstance(spec, OtherOperator) else read_other(GATED, [dict(spec)], blocks)
        self.op_name = read.op
        self.inner = _module(self.op_name, dim, blocks)

    @property
    def kernel(self) -> OtherOperator:
        return OtherOperator(self.op_name, self.gated)

    def init_identity_(self) -> Plain:
        """Nothing: as it is, it has no identity; see `Gated`."""
        return self

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y


class Timm(Plain):
    """One of timm's attention modules, by the name that a row says: `Timm(64, "se")`."""

    def __init__(self, dim: int, name: str | OtherOperator) -> None:
        super().__init__(dim, name if isinstance(name, OtherOperator) else read_other("Timm", [name]))


class Gated(Plain):
    """An operator behind a gate: x + gate * (A(x) - x), with one gate per channel that starts closed, at 0.

    Where A is the identity at its own start (timm's non-local attention ends in a norm of weight 0), the gate starts
    open, at 1: with two zeros in a row, no gradient would ever reach either. The identity is exact wherever A(x) is
    finite, since 0 * inf is NaN.
    """

    gated = True

    def __init__(self, dim: int, spec: OtherOperator | Mapping[str, Any]) -> None:
        super().__init__(dim, spec)
        self.gate = nn.Parameter(torch.zeros(dim))
        self.init_identity_()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate.view(1, -1, 1, 1) * (self.inner(x) - x)

    def init_identity_(self) -> Gated:
        """Set the gates so that the operator returns its input; the module behind stays as it is. Returns self."""
        nn.init.constant_(self.gate, float(_is_identity(self.inner, len(self.gate))))
        return self

    def init_default_(self) -> Gated:
        """Open the gates: the operator as it is, but for rounding. Returns self."""
        nn.init.ones_(self.gate)
        return self


def _is_identity(module: nn.Module, dim: int) -> bool:
    """Whether a fresh module returns what it gets."""
    first = next(iter((*module.parameters(), *module.buffers())), None)
    if first is not None and first.is_meta:
        return False
    device, dtype = (first.device, first.dtype) if first is not None else (torch.device("cpu"), torch.float32)
    with evaluated(module), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)

        def run(side: int) -> bool:
            x = torch.rand(1, dim, side, side, device=device).to(dtype)
            return torch.equal(module(x), x)

        return on_the_smallest(run, MAP_SIDES)


#: Block name in a row -> its class.
OTHER_CLASSES: dict[str, type[nn.Module]] = {cls.__name__: cls for cls in (CBAM, Timm, Gated)}


def build_operator(operator: AnyOperator, dim: int) -> Operator:
    """The operator, on `dim` channels, randomly initialised; a gated one starts as the identity."""
    if isinstance(operator, Kernel):
        return OPERATORS[operator.op](dim, operator.k, operator.d)
    if operator.gated:
        return Gated(dim, operator)
    return Timm(dim, operator) if operator.op.startswith(TIMM) else Plain(dim, operator)


def _module(op: str, dim: int, blocks: BlockTable) -> nn.Module:
    if op == CBAM_OP:
        return CBAM(dim)
    return _timm_module(op[len(TIMM) :], dim) if op.startswith(TIMM) else declared_attention(op, dim, blocks)


def _timm_module(name: str, dim: int) -> nn.Module:
    try:
        from timm import layers
    except ImportError as error:
        raise needs("timm", what=f"{TIMM}{name}") from error
    try:
        cls = getattr(layers, name) if name[0].isupper() else layers.get_attn(name)
    except (AssertionError, AttributeError) as error:
        raise BuildError(f"the installed timm {version('timm')} has no {name}: pip install -U timm") from error
    try:
        module: nn.Module = cls(dim)
    except Exception as error:  # timm asserts, without words, that a width is a multiple of something
        raise BuildError(f"{TIMM}{name} can't be built on {dim} channels: {first_line(error)}") from error
    return module
