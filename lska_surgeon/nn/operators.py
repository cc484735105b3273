"""Every operator as a torch module: those of the papers, Ultralytics' CBAM, timm's, custom modules, and the gate.

Source: Lau, Po, Rehman, "Large Separable Kernel Attention", arXiv 2309.01439; LKA: Guo et al., "Visual Attention
Network", arXiv 2202.09741; their state-dict names are those of the papers' public code, so its weights load. Strip:
Yuan et al., "Strip R-CNN", arXiv 2501.03775, and DilatedReparam: Ding et al., "UniRepLKNet", arXiv 2311.15599, each
written from the paper.

Every operator takes and gives `(N, C, H, W)`, for any H and W down to 1. All convolutions of the papers' have a bias
and "same" zero padding; there is no norm (but in `DilatedReparam`) and no activation (but the GELU of `LSKAAttention`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
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
    #: What it computes, in the names of its parts.
    formula: ClassVar[str]
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


class Gate(PaperOperator):
    """An operator of the form x * conv1(context(x)), with a depth-wise context and a 1x1 convolution."""

    conv1: nn.Conv2d

    def init_identity_(self: SomeOperator) -> SomeOperator:
        """Make the operator return its input exactly, leave the depth-wise convolutions at random, return self.

        The depth-wise convolutions must stay random: were they zero as well, no gradient would ever reach `conv1`'s
        weight. The identity holds wherever the depth-wise chain is finite, since 0 * inf is NaN: an input that is
        itself infinite, or one that overflows half precision on its way, gives NaN (at random init the paper's chains
        amplify less than a hundredfold).
        """
        conv1: nn.Conv2d = self.conv1
        nn.init.zeros_(conv1.weight)
        nn.init.ones_(conv1.bias)
        return self


class LSKA(Gate):
    """Large Separable Kernel Attention, figure 2(d)."""

    op = "lska"
    formula = "x * conv1(spatial_v(spatial_h(conv0v(conv0h(x)))))"

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
    """The k x k kernel as 1 x k and k x 1, figure 2(c)."""

    op = "lska-trivial"
    formula = "x * conv1(conv0v(conv0h(x)))"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0h = _depthwise(dim, 1, kernel.k)
        self.conv0v = _depthwise(dim, kernel.k, 1)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0h, self.conv0v))


class LKA(Gate):
    """Large Kernel Attention of VAN, figure 2(b)."""

    op = "lka"
    formula = "x * conv1(conv_spatial(conv0(x)))"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, kernel.a, kernel.a)
        self.conv_spatial = _depthwise(dim, kernel.b, kernel.b, kernel.d)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0, self.conv_spatial))


class LKATrivial(Gate):
    """One dense depth-wise k x k kernel, figure 2(a)."""

    op = "lka-trivial"
    formula = "x * conv1(conv0(x))"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, kernel.k, kernel.k)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0))


class Strip(Gate):
    """Large strip convolutions behind a square one; arXiv 2501.03775."""

    op = "strip"
    formula = "x * conv1(conv_v(conv_h(conv0(x))))"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = _depthwise(dim, STRIP_SQUARE, STRIP_SQUARE)
        self.conv_h = _depthwise(dim, 1, kernel.k)
        self.conv_v = _depthwise(dim, kernel.k, 1)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(_chain(x, self.conv0, self.conv_h, self.conv_v))


class DilatedReparam(Gate):
    """A large kernel with dilated ones beside it, until `fuse()` merges them; arXiv 2311.15599."""

    op = "dilated-reparam"
    formula = "x * conv1(conv0(x))"

    def _build(self, dim: int, kernel: Kernel) -> None:
        self.conv0 = DilatedKernels(dim, kernel.k, kernel.branches)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv0(x))


class DilatedKernels(conv.RepConv):
    """Parallel depth-wise convolutions, each with its norm, whose sum is one k x k convolution once they are merged.

    It is a RepConv because that is what `fuse()` merges in every release of Ultralytics: by `fuse_convs`, then
    `forward_fuse` in the place of `forward`; one that has `conv1` is not merged yet. In a dilated kernel the taps are
    `dilation` apart, so it is a dense one with zeros in between, and "same" padding leaves both on the same pixels.
    """

    def __init__(self, dim: int, k: int, branches: Sequence[tuple[int, int]]) -> None:
        nn.Module.__init__(self)  # a RepConv's own convolutions are others
        self.conv1 = conv.Conv(dim, dim, k, g=dim, act=False)
        self.dilated = nn.ModuleList(conv.Conv(dim, dim, size, g=dim, d=d, act=False) for size, d in branches)

    def forward(self, x: Tensor) -> Tensor:
        y = _normed(x, self.conv1)
        for branch in self.dilated:
            y = y + _normed(x, branch)
        return y

    def forward_fuse(self, x: Tensor) -> Tensor:
        return _chain(x, self.conv)

    def fuse_convs(self) -> None:
        """Merge the branches into one convolution, `conv`, in place; nothing where that is done."""
        if not hasattr(self, "conv1"):
            return
        merged = self.conv1.conv
        with torch.no_grad():
            weight, bias = _without_norm(self.conv1)
            for branch in self.dilated:
                taps, shift = _without_norm(branch)
                d, margin = branch.conv.dilation[0], merged.padding[0] - branch.conv.padding[0]
                inside = slice(margin, merged.kernel_size[0] - margin, d)
                weight[:, :, inside, inside] += taps
                bias += shift
        merged.weight, merged.bias = (nn.Parameter(part, False) for part in (weight, bias))
        self.conv = merged
        del self.conv1, self.dilated


def _normed(x: Tensor, branch: conv.Conv) -> Tensor:
    y: Tensor = branch.bn(_padded_by_hand(x, branch.conv)) if _padding_pays(x, branch.conv) else branch(x)
    return y


def _without_norm(branch: conv.Conv) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that does what a convolution with its norm does in eval mode."""
    norm, weight = branch.bn, branch.conv.weight
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


class LSKAAttention(PaperOperator):
    """The paper's attention block around LSKA."""

    op = "lska-attention"
    formula = "x + proj_2(gating(gelu(proj_1(x))))"

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


#: Pixels of the noise that a merge is tried on: more takes long, and tells nothing more.
_LARGEST_NOISE = 31

OPERATORS: dict[str, type[PaperOperator]] = {
    cls.op: cls for cls in (LSKA, LSKATrivial, LKA, LKATrivial, Strip, DilatedReparam, LSKAAttention)
}


def mergeable(module: nn.Module) -> list[DilatedKernels]:
    """What `fuse()` will merge of the operators inside."""
    return [part for part in module.modules() if isinstance(part, DilatedKernels) and hasattr(part, "conv1")]


def merging(module: nn.Module) -> tuple[int, float, float] | None:
    """What `fuse()` will change in the operators inside that it merges; None where it merges none, or has merged them.

    Returns:
        How many there are, the largest |Δ| of what their depth-wise parts give for noise, in float32 and in eval mode,
        and the largest of what they give.
    """
    found = mergeable(module)
    if not found:
        return None
    generator, delta, size = torch.Generator().manual_seed(0), 0.0, 0.0
    with torch.no_grad():
        for part in found:
            one = deepcopy(part).float().eval()
            sides = (min(side, _LARGEST_NOISE) for side in one.conv1.conv.kernel_size)
            x = torch.randn(1, one.conv1.conv.in_channels, *sides, generator=generator)
            before = one(x)
            one.fuse_convs()
            delta = max(delta, float((before - one.forward_fuse(x)).abs().max()))
            size = max(size, float(before.abs().max()))
    return len(found), delta, size


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
#: Bytes; the C library gives larger pieces of memory back at once, and getting them anew takes long.
_KEPT = 2**25


def _chain(x: Tensor, *convolutions: nn.Conv2d) -> Tensor:
    """One depth-wise convolution after the other."""
    for convolution in convolutions:
        x = _padded_by_hand(x, convolution) if _padding_pays(x, convolution) else convolution(x)
    return x


def _padded_by_hand(x: Tensor, of: nn.Conv2d) -> Tensor:
    """What the convolution gives, but for rounding: zeros beside x first, then no padding of the width."""
    height, width = of.padding
    wide = F.pad(x, (width, width))
    return F.conv2d(wide, of.weight, of.bias, of.stride, (height, 0), of.dilation, of.groups)


def _padding_pays(x: Tensor, of: nn.Conv2d) -> bool:
    """Whether a convolution of wide padding is faster when that is done by hand: on a CPU, by oneDNN, run at once.

    In channels_last oneDNN has another fast convolution, for all that is undilated, and no fast gradient; and a kernel
    of one row gains less than a large copy costs. A graph that is compiled, traced or exported stays as it is written;
    hooks of the convolution are run, and what others put there.
    """
    if type(of) is not nn.Conv2d or of.padding_mode != "zeros" or isinstance(of.padding, str):
        return False
    if of.padding[1] <= _FAST_PADDING or type(x) is not Tensor:
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    channels_last = x.stride(1) == 1
    if channels_last and (max(of.dilation) == 1 or torch.is_grad_enabled()):
        return False
    if of._forward_pre_hooks or of._forward_hooks or of._backward_pre_hooks or of._backward_hooks:
        return False
    if x.device.type != "cpu" or x.dtype not in _FAST_TYPES or not torch.backends.mkldnn.is_available():
        return False
    wide = x.nbytes * (1 + 2 * of.padding[1] / max(x.shape[-1], 1))
    return of.kernel_size[0] > 1 or wide * (1 + torch.is_grad_enabled()) < _KEPT  # its gradient is as large


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
