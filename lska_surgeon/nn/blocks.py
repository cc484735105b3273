"""Ultralytics blocks with an operator inside (host blocks); they know no YAML file and no model around them.

A host block is a real subclass of its plain block. It keeps every parameter name of the plain block and adds `lska.*`:

1. A residual host (`C2fLSKA`): each of its bottlenecks computes x + LSKA(f(x)); LSKA(f(x)) where it has no shortcut.
2. A pooling host (`SPPFLSKA`): LSKA works on the concatenated features, before the last convolution.

Each is built like its plain block with the operator as one more, last, argument: the mapping that ends its YAML row, or
a `Kernel`. `C2fLSKA(64, 64, 2, True, {"k": 35})`. One whose plain block the installed Ultralytics lacks builds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from ultralytics.nn.modules import block

from ..core.blocks import STOCK
from ..core.graph import Layer
from ..core.operators import AnyOperator, Kernel, OtherOperator, read_attention, resolve_kernel
from ..errors import BuildError, KernelError
from .operators import OPERATORS, OTHER_CLASSES, DilatedKernels, Operator, Plain, build_operator, named_operators
from .rows import Bypass, TimmFeatures


class LackingBlock(nn.Module):
    """Stands for a plain block that the installed Ultralytics does not have."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        bases = [cls.__name__ for cls in type(self).__mro__ if issubclass(cls, LackingBlock)]
        raise BuildError(f"the installed ultralytics has no {bases[-2]}, which {bases[0]} is made from")


class _PlainBlocks:
    """The plain blocks of the installed Ultralytics, by name."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(block, name, None) or type(name, (LackingBlock,), {})
        setattr(self, name, found)
        return found


plain: Any = _PlainBlocks()


class Host(nn.Module):
    """What every host block shares: construction from the plain block's arguments, conversion, and the identity."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        *own, last = args or (None,)
        kernel = _read_spec(type(self), last)
        super().__init__(*own, **kwargs)
        self._insert(self, kernel)

    @classmethod
    def plain_block(cls) -> type[nn.Module]:
        """The Ultralytics class that this one extends."""
        return cls.__bases__[-1]

    @classmethod
    def convert(cls, module: nn.Module, kernel: AnyOperator) -> nn.Module:
        """Turn a built plain block into this host, in place: its tensors, hooks and layer attributes stay.

        Raises:
            BuildError: the block has no place for the operator; it is left as it was.
        """
        cls._insert(module, kernel)
        module.__class__ = cls
        return module

    @property
    def kernel(self) -> AnyOperator:
        """The operator inside."""
        return next(operator for _, operator in named_operators(self)).kernel

    def init_identity_(self) -> Host:
        """Make every operator inside the exact identity: the block computes what its plain block computes."""
        for _, operator in named_operators(self):
            operator.init_identity_()
        return self

    @classmethod
    def _insert(cls, module: nn.Module, kernel: AnyOperator) -> None:
        """Add the operator to a plain block, which `convert` then gives this class; all or nothing."""
        raise NotImplementedError


class BottleneckLSKA(Host, plain.Bottleneck):
    """Bottleneck with an operator in its residual branch: x + LSKA(cv2(cv1(x)))."""

    @classmethod
    def _insert(cls, module: nn.Module, kernel: AnyOperator) -> None:
        _refuse_more(module, {"cv1", "cv2"})
        module.lska = _operator_beside(module.cv2.conv, kernel, module.cv2.conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.lska(self.cv2(self.cv1(x)))
        return x + y if self.add else y


class RepBottleneckLSKA(BottleneckLSKA, plain.RepBottleneck):
    """RepBottleneck, the bottleneck of RepNCSPELAN4, with an operator in its residual branch."""


class ResidualHost(Host):
    """A host whose operators sit in its bottlenecks, however deep."""

    @classmethod
    def _insert(cls, module: nn.Module, kernel: AnyOperator) -> None:
        hosts = {plain.Bottleneck: BottleneckLSKA, plain.RepBottleneck: RepBottleneckLSKA}
        bottlenecks = [inner for inner in module.modules() if type(inner) in hosts]
        if not bottlenecks:
            name = type(module).__name__.replace("LSKA", "")
            names = {type(inner).__name__ for inner in module.modules()}
            own = {name for name in names if plain.Bottleneck.__name__ in name}
            why = f"its own are {', '.join(sorted(own))}" if own else "one with area attention has none"
            raise BuildError(f"{name} has no bottleneck to hold an operator ({why})")
        for bottleneck in bottlenecks:
            hosts[type(bottleneck)].convert(bottleneck, kernel)


class C2fLSKA(ResidualHost, plain.C2f):
    """C2f of `BottleneckLSKA`s."""


class C3LSKA(ResidualHost, plain.C3):
    """C3 of `BottleneckLSKA`s."""


class C3k2LSKA(ResidualHost, plain.C3k2):
    """C3k2 of `BottleneckLSKA`s, those inside of its C3k blocks included."""


class RepNCSPELAN4LSKA(ResidualHost, plain.RepNCSPELAN4):
    """RepNCSPELAN4 of `RepBottleneckLSKA`s."""


class A2C2fLSKA(ResidualHost, plain.A2C2f):
    """A2C2f without area attention (a2=False), of `BottleneckLSKA`s inside of its C3k blocks."""


class PoolingHost(Host):
    """A host whose operator works on the concatenated features, before the last convolution."""

    last: ClassVar[str] = "cv2"

    @classmethod
    def _insert(cls, module: nn.Module, kernel: AnyOperator) -> None:
        _refuse_more(module, {"m", "cv1", "cv2", "cv3", "cv4", "cv5"})
        conv = getattr(module, cls.last).conv
        module.lska = _operator_beside(conv, kernel, conv.in_channels)


class SPPFLSKA(PoolingHost, plain.SPPF):
    """SPPF with an operator; the parameter names are those of the public SPPF_LSKA."""

    def forward(self, x: Tensor) -> Tensor:
        y = [self.cv1(x)]
        # `n` and `add` came with later releases, and pickles of older ones lack them.
        y.extend(self.m(y[-1]) for _ in range(getattr(self, "n", 3)))
        out: Tensor = self.cv2(self.lska(torch.cat(y, 1)))
        return out + x if getattr(self, "add", False) else out


class SPPLSKA(PoolingHost, plain.SPP):
    """SPP with an operator."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.cv1(x)
        out: Tensor = self.cv2(self.lska(torch.cat([x, *(pool(x) for pool in self.m)], 1)))
        return out


class SPPELANLSKA(PoolingHost, plain.SPPELAN):
    """SPPELAN with an operator."""

    last = "cv5"

    def forward(self, x: Tensor) -> Tensor:
        y = [self.cv1(x)]
        y.extend(pool(y[-1]) for pool in (self.cv2, self.cv3, self.cv4))
        out: Tensor = self.cv5(self.lska(torch.cat(y, 1)))
        return out


class AttentionHost(Host):
    """A host whose bottlenecks are replaced by attention blocks, as people wrote it: its `m.*` are `LSKAAttention`s.

    The one kind that is not its plain block plus something: `init_identity_` makes each attention block the identity.
    """

    def __init__(self, *args: Any, k_size: int = 7, **kwargs: Any) -> None:
        super(Host, self).__init__(*args, **kwargs)
        self._insert(self, resolve_kernel("lska-attention", k_size))

    @classmethod
    def _insert(cls, module: nn.Module, kernel: AnyOperator) -> None:
        inside = [
            (parent, name, child)
            for parent in module.modules()
            for name, child in parent.named_children()
            if type(child) is plain.Bottleneck
        ]
        for parent, name, child in inside:
            conv = child.cv2.conv
            parent.add_module(name, _operator_beside(conv, kernel, conv.out_channels))


class C2f_LSKA_Attention(AttentionHost, plain.C2f):
    """C2f of attention blocks."""


class C3_LSKA_Attention(AttentionHost, plain.C3):
    """C3 of attention blocks."""


class C3k2_LSKA_Attention(AttentionHost, plain.C3k2):
    """C3k2 of attention blocks, those inside of its C3k blocks included."""


#: Block name in a row, ours or hand-written -> the host class that the row builds.
HOST_CLASSES: dict[str, type[Host]] = {
    block.name: host
    for block in STOCK
    if block.is_host and (host := globals().get(block.name) or globals().get(f"{block.plain}LSKA"))
}

#: Every class that a pickled model may name.
BLOCK_CLASSES: frozenset[type[nn.Module]] = frozenset(
    {
        *(*OPERATORS.values(), *HOST_CLASSES.values(), *OTHER_CLASSES.values()),
        *(Bypass, DilatedKernels, Plain, RepBottleneckLSKA, TimmFeatures),
    }
)


def attach(module: nn.Module, kernel: AnyOperator, block: str | None = None) -> nn.Module:
    """Turn a built plain block into its host, in place.

    Args:
        module: the block, or the nn.Sequential of blocks that a row with repeats builds.
        kernel: the operator to put inside.
        block: the host to become, a key of `HOST_CLASSES`; None finds the one for `module`.

    Returns:
        `module`.

    Raises:
        BuildError: the block has no host here, is one already, or has no place for the operator.
    """
    if type(module) is nn.Sequential and len(module):
        for part in module:
            attach(part, kernel, block)
        return module
    given = type(module).__name__
    kind = STOCK[given]
    name = block or (kind.host.block if kind.host and kind.may_hold else "")
    if name not in HOST_CLASSES:
        here = (cls.plain_block() for cls in HOST_CLASSES.values())
        known = ", ".join(dict.fromkeys(cls.__name__ for cls in here if not issubclass(cls, LackingBlock)))
        raise BuildError(f"no host block for {given}: an operator fits into {known} of the installed ultralytics")
    host = HOST_CLASSES[name]
    if type(module) is not host.plain_block():
        raise BuildError(f"{name} is made from a plain {host.plain_block().__name__}, found {given}")
    return host.convert(module, kernel)


def _refuse_more(module: nn.Module, parts: Collection[str]) -> None:
    """Refuse a block to which a fork has added something that the host's `forward` would leave out."""
    more = sorted({name for name, _ in module.named_children()} - {*parts})
    if more:
        name = next(cls.__name__ for cls in type(module).__mro__ if not issubclass(cls, Host))
        raise BuildError(
            f"{name} has parts of this ultralytics' own ({', '.join(more)}): no operator goes inside of it"
        )


def _operator_beside(conv: nn.Conv2d, kernel: AnyOperator, channels: int) -> Operator:
    """An operator on the device, in the precision and in the mode of a neighbour."""
    operator = build_operator(kernel, channels).train(conv.training)
    return operator.to(device=conv.weight.device, dtype=conv.weight.dtype)


def _read_spec(host: type[Host], spec: Any) -> AnyOperator:
    if isinstance(spec, (Kernel, OtherOperator)):
        return spec
    block = next(cls.__name__ for cls in host.__mro__ if STOCK[cls.__name__].is_host)
    if not isinstance(spec, Mapping):
        raise KernelError(f"{block} takes its operator as the last argument, {{'k': 35}} or a Kernel; found {spec!r}")
    attention = read_attention(Layer(0, "head", -1, 1, block, (spec,)))
    assert attention is not None
    return attention.kernel
