"""Classes of somebody's own become classes that are here, where what they hold fits exactly; it writes no file.

A file that was made in a fork, or after a tutorial, names classes that no other installation has. First the network is
built here from the YAML that the file stores. Where the declared class, or the installed Ultralytics' own, that stands
in the same place has the same name, tensors, parts and settings, it takes over what the file holds: a declared
attention, an activation without tensors, a `Conv` that somebody pasted again beside it. What is left is recognised by
what it holds, not by its name:

1. An operator: the convolutions of one of the paper's designs, with its names, shapes, dilations and paddings.
2. The paper's attention block: proj_1, proj_2, and an operator of case 1 as `spatial_gating_unit`.
3. A bottleneck (cv1, cv2) with an operator as wide as what it gives.
4. SPPF (cv1, cv2, m) with an operator as wide as the concatenated features.
5. C2f or C3 (cv1, cv2, m) whose parts are of case 2 or 3.

What a class computes can't be read from tensors. Each case says what it assumes; a certificate against outputs that
the original has saved is the only proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MethodType
from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Conv

from ..checkpoints.allowlist import StandIn, StandInMethod
from ..checkpoints.checkpoint import Product
from ..checkpoints.contents import Checkpoint
from ..core.blocks import STOCK
from ..core.graph import Layer
from ..core.operators import PAPER_DILATIONS, Kernel, holds_attention_blocks, host_spec, read_attention, resolve_kernel
from ..errors import CheckpointError, DeclarationError, KernelError, SurgeonError
from ..nn import (
    BLOCK_CLASSES,
    C3LSKA,
    SPPFLSKA,
    BottleneckLSKA,
    C2f_LSKA_Attention,
    C2fLSKA,
    LSKAAttention,
    build_operator,
)
from ..nn.operators import LSKA, OPERATORS, Operator, PaperOperator
from ..reports import Report, Table
from ..wording import clean, counted, numbers, plural
from ..yolo.build import layers_of

_LAYER = ("i", "f", "type", "np")  # what `parse_model` hangs on a layer
_SETTINGS = ("kernel_size", "dilation", "padding", "stride", "groups")  # of a convolution
_LIBRARIES = ("torch.", "ultralytics.", "lska_surgeon.")


@dataclass(frozen=True)
class Adopted:
    """A class of the file and what it became.

    Attributes:
        origin: its full name in the file.
        block: the class that took its place: the name of one of ours, the full name of any other.
        kernel: the operator that it is, or holds; None for a class that is not ours.
        layers: the layers where it stands.
        assumed: what it was assumed to compute.
    """

    origin: str
    block: str
    kernel: Kernel | None
    layers: tuple[int, ...]
    assumed: str

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        kernel = {name: getattr(self.kernel, name, None) for name in ("op", "k", "d")}
        layers = {"layers": list(self.layers), "assumed": self.assumed}
        return {"class": self.origin, "block": self.block, **kernel, **layers}

    @property
    def operator(self) -> str:
        """`lska k7`; nothing for a class that is not ours."""
        return f"{self.kernel.op} k{self.kernel.k}" if self.kernel else ""

    @property
    def line(self) -> str:
        """What became of it, and where."""
        dilation = f" d{self.kernel.d}" if self.kernel and self.kernel.explicit_dilation else ""
        became = ", ".join(filter(None, [self.block, f"{self.operator}{dilation}"]))
        where = f"layer{plural(self.layers)} {', '.join(map(str, self.layers))}"
        return f"{self.origin} -> {became} ({where}); assumed: {self.assumed}"


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
        line = f"{self.output or 'no file'}: {counted(self.tensors, 'tensor')}, each the original's"
        cells = [(part.origin, part.block, part.operator, numbers(part.layers), part.assumed) for part in self.adopted]
        lines = [line, *(f"  {part.line}" for part in self.adopted)]
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
    found: dict[tuple[str, str, Kernel | None], dict[int, None]] = {}
    notes: list[str] = []
    for key, model in data.items():
        if isinstance(model, nn.Module):  # `ema` and `model`, where both are there
            adopting = _Adopting(model, path)
            adopting.run()
            if key == checkpoint.key:
                found, notes = adopting.found, adopting.notes
    if not found:
        raise CheckpointError(f"{path} holds no class that is not here: there is nothing to adopt")
    adopted = tuple(
        Adopted(origin, block, kernel, tuple(where), _assumed(block, kernel))
        for (origin, block, kernel), where in found.items()
    )
    model = data[checkpoint.key or "model"]
    output = path.with_name(f"{path.stem}-adopted.pt")
    return Adoption(checkpoint, data, adopted, len(model.state_dict()), (*notes, *_notes(model, path)), output)


@dataclass
class _Adopting:
    """The network of a file, while its stand-ins are replaced in place.

    Attributes:
        model: the network.
        path: the file.
        found: what each class became, and the layers where it did.
        differing: of a class whose name is known here, why it is another.
        notes: what the user should know.
    """

    model: Any
    path: Path
    found: dict[tuple[str, str, Kernel | None], dict[int, None]] = field(default_factory=dict)
    differing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Replace them all.

        Raises:
            CheckpointError: some are none of the cases above, or the network is not one of Ultralytics'.
            DeclarationError: a declared class can't be imported.
        """
        model, name = self.model, type(self.model).__name__
        if not isinstance(getattr(model, "model", None), nn.Sequential):
            raise CheckpointError(f"{self.path} holds a {name}, which is not built from an Ultralytics YAML")
        if _stands_in(getattr(model, "criterion", None)):
            model.criterion = None  # Ultralytics makes it anew
            self.notes.append("the loss that the file holds was left out: a training makes its own")
        problem = self._take_all()
        if not self._left():
            return
        for index, layer in enumerate(model.model):
            self._replace(index, self._by_content(layer, index))
        if self._left() and self.found:  # rows that say now what they are
            problem = self._take_all()
        left = self._left()
        if left:
            raise CheckpointError(self._what_is_left(left, problem))

    def _take_all(self) -> str:
        """Let what the stored YAML builds here take over what the file holds; why it builds nothing, where it does."""
        try:
            built = layers_of(self.model.yaml, self.path.name)
        except DeclarationError:
            raise
        except SurgeonError as error:
            return str(error)
        for index, (layer, pattern) in enumerate(zip(self.model.model, built)):
            self._replace(index, self._taken(layer, pattern, index))
        return ""

    def _taken(self, module: nn.Module, pattern: nn.Module | None, index: int) -> nn.Module:
        """A module with every stand-in in it taken over by the class that the pattern has there, its parts first."""
        inside = pattern._modules if pattern is not None else {}
        for name, part in module._modules.items():
            if part is not None:
                module._modules[name] = self._taken(part, inside.get(name), index)
        cls = type(pattern)
        if pattern is None or cls in (type(module), *BLOCK_CLASSES) or cls.__name__ != type(module).__name__:
            return module
        is_open = isinstance(module, StandIn)
        if not is_open and cls.__module__.startswith(_LIBRARIES):
            return module  # what is here under that name is declared otherwise alone
        origin, block = _full_name(type(module)), _full_name(cls)
        difference = _difference(module, pattern)
        if difference:
            self.differing.update({origin: f"{difference}, as {block} is here"} if is_open else {})
            return module
        self.found.setdefault((origin, block, None), {})[index] = None
        return _renamed(module, cls)

    def _by_content(self, module: nn.Module, index: int) -> nn.Module:
        """A module with every stand-in in it replaced that is one of the five cases, its parts first."""
        for name, part in module._modules.items():
            if part is not None:
                module._modules[name] = self._by_content(part, index)
        if not isinstance(module, StandIn):
            return module
        for case in (_as_operator, _as_attention, _as_bottleneck, _as_sppf, _as_stack):
            adopted = case(module, dict(module.named_children()))
            if adopted is not None:
                kernel: Any = adopted.kernel
                self.found.setdefault((module.origin, type(adopted).__name__, kernel), {})[index] = None
                return adopted
        return module

    def _replace(self, index: int, adopted: Any) -> None:
        """Put a layer in the place of what it was made of."""
        layers = self.model.model
        layer, layers[index] = layers[index], adopted
        for name in _LAYER:
            if hasattr(layer, name):
                setattr(adopted, name, getattr(layer, name))
        first = adopted[0] if isinstance(adopted, nn.Sequential) else adopted
        if hasattr(layer, "type") and not isinstance(first, StandIn):
            adopted.type = f"{type(first).__module__}.{type(first).__qualname__}"
        _rewrite_row(self.model.yaml, index, first)

    def _left(self) -> list[str]:
        """The classes that are not here."""
        held = (one for module in self.model.modules() for one in (module, *vars(module).values()))
        return list(dict.fromkeys(one.origin for one in held if isinstance(one, StandIn)))

    def _what_is_left(self, left: Sequence[str], problem: str) -> str:
        names: dict[str, list[str]] = {}
        for origin in left:
            module, _, name = clean(origin).rpartition(".")
            differs = f" ({self.differing[origin]})" if origin in self.differing else ""
            names.setdefault(module, []).append(f"{name}{differs}")
        said = "; ".join(f"{', '.join(classes)} of {module}" for module, classes in names.items())
        unknown = [origin for origin in left if origin not in self.differing]
        remedy = ""
        if unknown:
            remedy = (
                ". Declare them, and adopt again: lska-surgeon blocks FORK --write, with the folder of the fork that "
                "made the file, or lska-surgeon blocks FILE.py --write, with the file that has the classes"
            )
        builds = f" ({problem})" if problem and unknown else ""
        return f"{self.path}: no block known here is {said}; nothing was written{builds}{remedy}"


def _stands_in(value: Any) -> bool:
    """Whether an object stands in for one whose class is not here, or holds such a one."""
    return isinstance(value, StandIn) or any(
        isinstance(part, StandIn) for part in getattr(value, "__dict__", {}).values()
    )


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _difference(module: nn.Module, pattern: nn.Module) -> str:
    """What a stand-in holds that an object of a class would not hold in its place; nothing where it fits."""
    parts, wanted = ({name: type(part).__name__ for name, part in one._modules.items()} for one in (module, pattern))
    if parts != wanted:
        more, less = (_listed(one.items() - other.items()) for one, other in ((parts, wanted), (wanted, parts)))
        return f"it holds {more} and not {less}"
    shapes, here = _shapes(module), _shapes(pattern)
    if shapes != here:
        name = next(name for name in (*here, *shapes) if shapes.get(name) != here.get(name))
        return f"its {clean(name)} is {_sized(shapes.get(name))} and not {_sized(here.get(name))}"
    own = vars(module)
    for name, value in vars(pattern).items():
        if isinstance(value, MethodType) and value.__self__ is pattern:
            if _own_method(own.get(name), module) != value.__name__:
                return f"its {clean(name)} is not its {value.__name__}"
        elif name in _OF_TORCH or name in _LAYER or not _is_setting(value):
            continue
        elif name not in own or own[name] != value:
            given = clean(repr(own[name]), 40) if name in own else "not there"
            return f"its {clean(name)} is {given} and not {clean(repr(value), 40)}"
    return ""


def _own_method(value: Any, owner: nn.Module) -> str | None:
    """The name of an object's own method; None for any other value."""
    if isinstance(value, StandInMethod):
        return value.name if value.owner is owner else None
    return value.__name__ if isinstance(value, MethodType) and value.__self__ is owner else None


_OF_TORCH = frozenset(vars(nn.Module()))


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _sized(shape: tuple[int, ...] | None) -> str:
    return "not there" if shape is None else "x".join(map(str, shape)) or "a number"


def _listed(parts: Iterable[tuple[str, str]]) -> str:
    return ", ".join(clean(f"{name} ({kind})") for name, kind in sorted(parts)) or "nothing else"


def _is_setting(value: Any) -> bool:
    """Whether an attribute is a plain value that a constructor worked out."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_setting, value))
    return isinstance(value, (bool, int, float, str))


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


def _renamed(module: nn.Module, block: type[nn.Module], operator: str = "") -> nn.Module:
    """All that an object holds, as one of `block`; its operator gets the name that it has there."""
    ours: nn.Module = object.__new__(block)
    ours.__dict__.update(module.__dict__)
    for name, value in vars(module).items():
        method = _own_method(value, module)
        if method:
            ours.__dict__[name] = getattr(block, method).__get__(ours)
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


def _assumed(block: str, kernel: Kernel | None) -> str:
    if kernel is None:
        return "that class's code is the same"
    kind = STOCK[block]
    if kind.is_host and kind.role == "pool":
        return f"cv2({OPERATORS[kernel.op].formula} of the concatenated features)"
    if kind.is_host and not holds_attention_blocks(kind):
        return "x + operator(cv2(cv1(x))) in each bottleneck with a shortcut"
    if kind.is_host:
        return "C2f with attention blocks in place of its bottlenecks"
    return OPERATORS[kernel.op].formula


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
