"""Operators beside the paper's, as torch modules: Ultralytics' CBAM, timm's, declared classes, and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.nn.modules import conv

from ..core.blocks import BlockTable
from ..core.operators import CBAM as CBAM_OP
from ..core.operators import GATED, TIMM, AnyOperator, Kernel, OtherOperator, read_other
from ..declarations.find import active_blocks
from ..errors import BuildError, needs
from ..wording import first_line
from .declared import declared_attention
from .operators import OPERATORS, Operator


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
    training = {part: part.training for part in module.modules()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x = torch.rand(1, dim, 32, 32, device=device).to(dtype)  # as large as declared classes have to take
        same = torch.equal(module.eval()(x), x)
    for part, mode in training.items():
        part.training = mode
    return same


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
