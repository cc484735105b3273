"""Classes of somebody's own, made after a tutorial, become ours where their tensors fit exactly; it writes no file.

A class is recognised by what it holds, not by its name:

1. An operator: the convolutions of one of the paper's designs, with its names, shapes, dilations and paddings.
2. The paper's attention block: proj_1, proj_2, and an operator of case 1 as `spatial_gating_unit`.
3. A bottleneck (cv1, cv2) with an operator as wide as what it gives.
4. SPPF (cv1, cv2, m) with an operator as wide as the concatenated features.
5. C2f or C3 (cv1, cv2, m) whose parts are of case 2 or 3.

What a class computes can't be read from tensors. Each case says what it assumes; a certificate against outputs that
the original has saved is the only proof.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Conv

from ..checkpoints.allowlist import StandIn
from ..checkpoints.checkpoint import Product
from ..checkpoints.contents import Checkpoint
from ..core.attention import holds_attention_blocks, host_spec, read_attention
from ..core.blocks import STOCK
from ..core.graph import Layer
from ..core.operators import PAPER_DILATIONS, Kernel, resolve_kernel
from ..errors import CheckpointError, KernelError, SurgeonError
from ..nn import C3LSKA, SPPFLSKA, BottleneckLSKA, C2f_LSKA_Attention, C2fLSKA, LSKAAttention, build_operator
from ..nn.operators import LSKA, Operator, PaperOperator
from ..reports import Report, Table
from ..wording import numbers, plural
from ..yolo.build import layers_of
from ..yolo.code_guard import MODULES

_LAYER = ("i", "f", "type", "np")  # what `parse_model` hangs on a layer
_SETTINGS = ("kernel_size", "dilation", "padding", "stride", "groups")  # of a convolution
_ASSUMED = {
    "lska": "x * conv1(spatial_v(spatial_h(conv0v(conv0h(x)))))",
    "lska-trivial": "x * conv1(conv0v(conv0h(x)))",
    "lka": "x * conv1(conv_spatial(conv0(x)))",
    "lka-trivial": "x * conv1(conv0(x))",
    "lska-attention": "x + proj_2(gating(gelu(proj_1(x))))",
}


@dataclass(frozen=True)
class Adopted:
    """A class of the file and what it became.

    Attributes:
        origin: its full name in the file.
        block: the class of ours.
        kernel: the operator that it is, or holds.
        layers: the layers where it stands.
        assumed: what it was assumed to compute.
    """

    origin: str
    block: str
    kernel: Kernel
    layers: tuple[int, ...]
    assumed: str

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        kernel = {"op": self.kernel.op, "k": self.kernel.k, "d": self.kernel.d}
        layers = {"layers": list(self.layers), "assumed": self.assumed}
        return {"class": self.origin, "block": self.block, **kernel, **layers}


@dataclass(frozen=True, repr=False)
class Adoption(Product):
    """A checkpoint made anew with our classes, in memory.

    Attributes:
        source: the file as it was.
        data: the new content.
        adopted: what became of each class.
        tensors: how many tensors the model has; all of them are the original's.
        notes: what the user should know.
        output: the file to be, unless another is named: beside the old one, as `NAME-adopted.pt`.
        difference: max |Δ| to outputs that the original has saved, where they were compared.
    """

    source: Checkpoint
    data: dict[str, Any]
    adopted: tuple[Adopted, ...]
    tensors: int
    notes: tuple[str, ...] = ()
    output: Path | None = None
    difference: float | None = None

    @property
    def model(self) -> nn.Module:
        """The adopted network."""
        model: nn.Module = self.data[self.source.key or "model"]
        return model

    def checkpoint(self) -> Checkpoint:
        """The new content as a checkpoint."""
        return replace(self.source, data=self.data)

    @property
    def differs(self) -> bool:
        """Whether the outputs are not those of the original, so that nothing should be written."""
        return self.difference is not None and not self.difference <= 1e-4

    def report(self) -> Report:
        """What became of each class, and whether the outputs are the original's."""
        line = f"{self.output or 'no file'}: {self.tensors} tensors, each the original's"
        lines, cells = [line], []
        for part in self.adopted:
            kernel = f"{part.kernel.op} k{part.kernel.k}"
            cells.append((part.origin, part.block, kernel, numbers(part.layers), part.assumed))
            dilation = f" d{part.kernel.d}" if part.kernel.explicit_dilation else ""
            where = f"layer{plural(part.layers)} {', '.join(map(str, part.layers))}"
            lines.append(f"  {part.origin} -> {part.block}, {kernel}{dilation} ({where}); assumed: {part.assumed}")
        compared = "not compared with outputs of the original: --image and --against do that"
        if self.difference is not None:
            compared = f"max |Δ| to the original's outputs: {self.difference:g}"
        lines.append(f"  {compared}")
        data = {
            "schema": self.schema,
            "file": str(self.source.path),
            "sha256": self.source.sha256,
            "tensors": self.tensors,
            "adopted": [part.to_dict() for part in self.adopted],
            "notes": list(self.notes),
            "output": str(self.output) if self.output and not self.differs else None,
            "max_delta": self.difference,
        }
        table = Table(("class", "block", "operator", "layers", "assumed"), cells)
        return Report(line, ("\n".join(lines), table), self.notes, data)


def adopt(checkpoint: Checkpoint) -> Adoption:
    """Make a checkpoint anew with our classes.

    Args:
        checkpoint: read with stand-ins; it is not changed.

    Raises:
        CheckpointError: it holds no class to adopt, or one that is none of the cases above.
    """
    path = checkpoint.path
    if checkpoint.model is None:
        raise CheckpointError(f"{path} holds tensors without a model: graft --into takes such files")
    data = {key: deepcopy(value) if isinstance(value, nn.Module) else value for key, value in checkpoint.data.items()}
    layers: dict[tuple[str, str, Kernel], dict[int, None]] = {}
    for key, model in data.items():
        if isinstance(model, nn.Module):  # `ema` and `model`, where both are there
            for origin, block, kernel, layer in _adopt_all(model, path):
                if key == checkpoint.key:
                    layers.setdefault((origin, block, kernel), {})[layer] = None
    if not layers:
        raise CheckpointError(f"{path} holds no class that is not here: there is nothing to adopt")
    adopted = tuple(
        Adopted(origin, block, kernel, tuple(where), _assumed(block, kernel))
        for (origin, block, kernel), where in layers.items()
    )
    model = data[checkpoint.key or "model"]
    output = path.with_name(f"{path.stem}-adopted.pt")
    return Adoption(checkpoint, data, adopted, len(model.state_dict()), tuple(_notes(model, path)), output)


def _adopt_all(model: nn.Module, path: Path) -> Iterator[tuple[str, str, Kernel, int]]:
    """Replace every stand-in inside of a model; what each became, inner ones first."""
    layers = getattr(model, "model", None)
    if not isinstance(layers, nn.Sequential):
        raise CheckpointError(f"{path} holds a {type(model).__name__}, which is not built from an Ultralytics YAML")
    for index, layer in enumerate(layers):
        done: list[tuple[str, str, Kernel]] = []
        layers[index] = adopted = _adopt(layer, done, f"layer {index} of {path.name}")
        if adopted is not layer or done:
            for name in _LAYER:
                if hasattr(layer, name):
                    setattr(adopted, name, getattr(layer, name))
            first = adopted[0] if isinstance(adopted, nn.Sequential) else adopted
            adopted.type = f"{type(first).__module__}.{type(first).__qualname__}"
            _rewrite_row(model.yaml, index, first)
        yield from ((*one, index) for one in done)


def _adopt(module: nn.Module, done: list[tuple[str, str, Kernel]], where: str) -> nn.Module:
    """A module with every stand-in in it replaced, its parts first."""
    for name, child in list(module.named_children()):
        replaced = _adopt(child, done, where)
        if replaced is not child:
            module._modules[name] = replaced
    if not isinstance(module, StandIn):
        return module
    for case in (_as_operator, _as_attention, _as_bottleneck, _as_sppf, _as_stack):
        adopted = case(module, dict(module.named_children()))
        if adopted is not None:
            kernel: Any = adopted.kernel
            done.append((module.origin, type(adopted).__name__, kernel))
            return adopted
    inside = ", ".join(name for name, _ in module.named_children()) or "nothing"
    raise CheckpointError(
        f"{where}: {module.origin} is none of the blocks known here (it holds {inside}); nothing was written. Put its "
        "class into a module of your own, say my_blocks, and save the file under that name"
        f"{_saved_anew(module.origin)}; then declare the class"
    )


def _saved_anew(origin: str) -> str:
    """How to save a file whose class of this name has moved to a module `my_blocks`."""
    if not re.fullmatch(r"[\w.]+", origin, re.ASCII):  # a file may name anything, and this is to be pasted
        return ""
    module, _, name = origin.rpartition(".")
    if module == "__main__":
        imports = f"from my_blocks import {name}"
    elif module in MODULES:
        imports = f"import {module} as old; from my_blocks import {name}; old.{name} = {name}"
    else:
        imports = f"import sys, my_blocks; sys.modules['{module}'] = my_blocks"
    save = "from ultralytics import YOLO; YOLO('FILE.pt').save('NEW.pt')"
    return f': python -c "{imports}; {save}", which runs the file\'s code'


def _as_operator(module: StandIn, parts: dict[str, Any]) -> nn.Module | None:
    """Case 1."""
    last = parts.get("conv1")
    if not isinstance(last, nn.Conv2d) or not all(isinstance(part, nn.Conv2d) for part in parts.values()):
        return None
    for kernel in _kernels(parts):
        ours = build_operator(kernel, last.out_channels)
        if _fits(ours, parts):
            return _filled(ours, module, last)
    return None


def _kernels(parts: dict[str, nn.Conv2d]) -> Iterator[Kernel]:
    """The operators that these convolutions may be."""
    near, far = parts.get("conv0h") or parts.get("conv0"), parts.get("conv_spatial_h") or parts.get("conv_spatial")
    op = "lska" if "conv0h" in parts else "lka"
    sizes: list[tuple[str, int, int | None]] = []
    if near is not None and far is None:
        sizes = [(f"{op}-trivial", near.kernel_size[1], None)]
    elif near is not None and far is not None:
        d, b = far.dilation[1], far.kernel_size[1]
        sizes = [(op, size, None) for size, dilation in PAPER_DILATIONS.items() if dilation == d]
        sizes += [(op, size, d) for size in range(b * d, (b + 2) * d)]
    for size in sizes:
        with suppress(KernelError):
            yield resolve_kernel(*size)


def _fits(ours: Operator, parts: dict[str, nn.Conv2d]) -> bool:
    """Whether each convolution is, number for number, the one of ours."""
    wanted: dict[str, Any] = dict(ours.named_children())
    if wanted.keys() != parts.keys():
        return False
    pairs = [(wanted[name], part) for name, part in parts.items()]
    return all(
        one.weight.shape == two.weight.shape
        and (one.bias is None) == (two.bias is None)
        and all(getattr(one, name) == getattr(two, name) for name in _SETTINGS)
        for one, two in pairs
    )


def _filled(ours: nn.Module, module: StandIn, neighbour: nn.Module) -> nn.Module:
    """With the tensors, in the precision and in the mode of what it replaces."""
    ours.load_state_dict(module.state_dict())
    return ours.train(module.training).to(neighbour.weight.dtype)


def _as_attention(module: StandIn, parts: dict[str, Any]) -> nn.Module | None:
    """Case 2."""
    gating, activation = parts.get("spatial_gating_unit"), parts.get("activation")
    is_known = parts.keys() - {"activation"} == {"proj_1", "spatial_gating_unit", "proj_2"}
    if not is_known or not isinstance(gating, LSKA) or not isinstance(activation, (nn.GELU, type(None))):
        return None
    inner = gating.kernel
    kernel = resolve_kernel("lska-attention", inner.k, inner.d if inner.explicit_dilation else None)
    ours = build_operator(kernel, parts["proj_1"].out_channels)
    if {name: t.shape for name, t in ours.state_dict().items()} != {n: t.shape for n, t in module.state_dict().items()}:
        return None
    return _filled(ours, module, parts["proj_1"])


def _as_bottleneck(module: StandIn, parts: dict[str, Any]) -> nn.Module | None:
    """Case 3."""
    name, operator = _one_operator(parts)
    second = parts.get("cv2")
    if operator is None or parts.keys() != {"cv1", "cv2", name} or not isinstance(second, Conv):
        return None
    if second.conv.out_channels != _width(operator) or not isinstance(getattr(module, "add", None), bool):
        return None
    return _renamed(module, BottleneckLSKA, name)


def _as_sppf(module: StandIn, parts: dict[str, Any]) -> nn.Module | None:
    """Case 4."""
    name, operator = _one_operator(parts)
    last = parts.get("cv2")
    if operator is None or parts.keys() != {"cv1", "cv2", "m", name} or not isinstance(parts["m"], nn.MaxPool2d):
        return None
    if not isinstance(last, Conv) or last.conv.in_channels != _width(operator):
        return None
    return _renamed(module, SPPFLSKA, name)


def _as_stack(module: StandIn, parts: dict[str, Any]) -> nn.Module | None:
    """Case 5."""
    inside = list(parts["m"].children()) if isinstance(parts.get("m"), (nn.ModuleList, nn.Sequential)) else []
    kinds = {type(part) for part in inside}
    if parts.keys() == {"cv1", "cv2", "m"} and isinstance(getattr(module, "c", None), int):
        if kinds == {LSKAAttention}:
            return _renamed(module, C2f_LSKA_Attention)
        if kinds == {BottleneckLSKA}:
            return _renamed(module, C2fLSKA)
    if parts.keys() == {"cv1", "cv2", "cv3", "m"} and kinds == {BottleneckLSKA}:
        return _renamed(module, C3LSKA)
    return None


def _one_operator(parts: dict[str, Any]) -> tuple[str, PaperOperator | None]:
    operators = [(name, part) for name, part in parts.items() if isinstance(part, PaperOperator)]
    return operators[0] if len(operators) == 1 else ("", None)


def _width(operator: PaperOperator) -> int:
    return int(next(module for module in operator.modules() if isinstance(module, nn.Conv2d)).in_channels)


def _renamed(module: StandIn, block: type[nn.Module], operator: str = "") -> nn.Module:
    """All that a stand-in holds, as an object of `block`; its operator gets the name that it has there."""
    ours: nn.Module = object.__new__(block)
    ours.__dict__.update(module.__dict__)
    if operator:
        ours._modules = {("lska" if name == operator else name): part for name, part in module._modules.items()}
    return ours


def _rewrite_row(yaml: dict[str, Any], index: int, layer: nn.Module) -> None:
    """Let the row of an adopted layer say what it is now; a row that is understood as it stands stays."""
    backbone = yaml["backbone"]
    row = backbone[index] if index < len(backbone) else yaml["head"][index - len(backbone)]
    kernel, name = getattr(layer, "kernel", None), type(layer).__name__
    if not isinstance(kernel, Kernel):
        return
    written = Layer(index, "head", -1, 1, row[2], tuple(row[3]))
    try:
        understood = read_attention(written)
    except KernelError:
        understood = None
    if understood is not None and (understood.kernel.op, understood.kernel.k, understood.kernel.d) == (
        kernel.op, kernel.k, kernel.d,
    ):  # fmt: skip
        return
    own = list(written.plain_args)
    if STOCK[name].is_host and not STOCK[name].handwritten:
        row[2:] = [name, [*own, host_spec(kernel)]]
    elif isinstance(layer, C2f_LSKA_Attention):
        row[2:] = [name, [*own[:4], *(False, 1, 0.5)[max(len(own) - 1, 0) :], kernel.k]]
    else:
        row[2:] = [name, ["c2", *kernel.args]]


def _assumed(block: str, kernel: Kernel) -> str:
    kind = STOCK[block]
    if kind.is_host and kind.role == "pool":
        return f"cv2({_ASSUMED[kernel.op]} of the concatenated features)"
    if kind.is_host and not holds_attention_blocks(kind):
        return "x + operator(cv2(cv1(x))) in each bottleneck with a shortcut"
    if kind.is_host:
        return "C2f with attention blocks in place of its bottlenecks"
    return _ASSUMED[kernel.op]


def _notes(model: nn.Module, path: Path) -> Iterator[str]:
    """Whether a training, which builds the network from its YAML, would build this one."""
    try:
        built = layers_of(model.yaml, path.name)
    except SurgeonError as error:
        yield f"a training may fail, for the stored YAML does not build: {error}"
        return
    ours = {name: tensor.shape for name, tensor in model.model.state_dict().items()}
    if {name: tensor.shape for name, tensor in built.state_dict().items()} != ours:
        yield "a training would build the network with other tensors: its stored YAML and its layers differ"
