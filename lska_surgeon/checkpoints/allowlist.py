"""What a checkpoint may name, one exact entry per global; it knows nothing about files.

A name is on the list in one of five ways, and none of them is a prefix:

1. `_DATA` has it: plain data, and the few functions that rebuild tensors.
2. It is the own name (`__module__` and `__qualname__`) of an `nn.Module` class in one of `MODULES`.
3. It is the own name of a layer of the Ultralytics that is imported, in a module that its parser has imported already.
4. It is the own name of a layer of the user's project, which declares its blocks (`nn.declared`).
5. It is an old name of such an entry, mapped as Ultralytics maps it (`_MOVED_MODULES`, `_MOVED`, and the flat
   `ultralytics.nn.modules.Conv` of the releases before 8.0.80).

No constructor of a module class is ever called: modules are created empty and filled with their attributes, which is
all that real checkpoints do. Modules to import come from the tables below, never from the file.
"""

from __future__ import annotations

import codecs
import math
import pathlib
import pickle
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

from torch import nn

from ..declarations.find import active_declarations
from ..yolo.code_guard import MODULES, imported_layer
from ..yolo.environment import module_named
from .pickle_audit import GlobalRule, MissingGlobal, attributes, empty

#: Plain classes that are created empty and filled: what a trainer hangs on a model.
_FILLED = {
    "torchvision.transforms.transforms": ("CenterCrop", "Compose", "Normalize", "Resize", "ToTensor"),
    "ultralytics.data.augment": ("CenterCrop", "ClassifyLetterBox", "ToTensor"),
    "ultralytics.utils.loss": (
        "v8DetectionLoss v8SegmentationLoss v8PoseLoss v8OBBLoss v8ClassificationLoss E2EDetectLoss E2ELoss "
        "SegmentLoss26 PoseLoss26 DepthLoss26 TVPDetectLoss TVPSegmentLoss"
    ).split(),
}
#: timm's modules whose layers its attention and its backbones are made of.
_TIMM = frozenset(
    [
        f"timm.layers.{name}"
        for name in (
            "activations adaptive_avgmax_pool attention attention2d blur_pool cbam classifier conv2d_same "
            "conv_bn_act coord_attn drop eca global_context grn lambda_layer layer_scale mlp non_local_attn "
            "norm norm_act selective_kernel space_to_depth split_attn squeeze_excite std_conv"
        ).split()
    ]
    + [
        f"timm.models.{name}"
        for name in (
            "_efficientnet_blocks _features byobnet convnext cpubone csatv2 cspnet cspnext davit densenet dla "
            "dpn edgenext efficientnet efficientvit_mit fasternet fastvit focalnet ghostnet hgnet "
            "hieradet_sam2 hrnet iformer inception_next lcnetv2 lowformer mambaout metaformer mobilenetv3 "
            "mobilenetv5 mobilevit mvitv2 nextvit nfnet pvt_v2 rdnet regnet repghost repvit res2net resnest "
            "resnet resnetv2 rexnet selecsls senet sknet starnet swiftformer tiny_vit tresnet twins "
            "vision_transformer vovnet"
        ).split()
    ]
)
#: torchvision's layers, which rows may name, and those that its backbones are made of.
_TORCHVISION = frozenset(
    [f"torchvision.ops.{name}" for name in ("deform_conv", "drop_block", "misc", "stochastic_depth")]
    + [
        f"torchvision.models.{name}"
        for name in (
            "alexnet convnext densenet efficientnet googlenet inception maxvit mnasnet mobilenetv2 mobilenetv3 regnet "
            "resnet shufflenetv2 squeezenet swin_transformer vgg vision_transformer"
        ).split()
    ]
)
_MOVED_MODULES = {
    "ultralytics.yolo.utils": "ultralytics.utils",
    "ultralytics.yolo.v8": "ultralytics.models.yolo",
    "ultralytics.yolo.data": "ultralytics.data",
}
_MOVED = {
    "ultralytics.nn.modules.block.Silence": "torch.nn.modules.linear.Identity",
    "ultralytics.nn.tasks.YOLOv10DetectionModel": "ultralytics.nn.tasks.DetectionModel",
    "ultralytics.utils.loss.v10DetectLoss": "ultralytics.utils.loss.E2EDetectLoss",
}
_DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()
_STORAGES = "Bool Byte Char Short Int Long Half BFloat16 Float Double".split()
_NUMBER = re.compile(r"[biufc]\d{1,2}")  # a NumPy number type; no objects, no structures


def _anything(_: Any) -> bool:
    return True


def _texts(args: Any) -> bool:
    return all(isinstance(arg, str) for arg in args)


def _bytes_as_text(args: Any) -> bool:
    return len(args) == 2 and isinstance(args[0], str) and args[1] == "latin1"


def _number_type(args: Any) -> bool:
    return 1 <= len(args) <= 3 and isinstance(args[0], str) and bool(_NUMBER.fullmatch(args[0]))


def _number_type_state(state: Any) -> bool:
    """(version, byte order, no subtype, no names, no fields, no own size, no own alignment, flags)."""
    return isinstance(state, tuple) and len(state) == 8 and state[2:7] == (None, None, None, -1, -1)


def _elements(args: Any) -> int:
    """Of the tensor that `_rebuild_tensor_v2` makes: (storage, offset, shape, strides, ...)."""
    shape = args[2] if len(args) > 2 and isinstance(args[2], tuple) else ()
    return math.prod(size for size in shape if isinstance(size, int))


def _is_forward(name: Any) -> bool:
    """Whether it is one of the methods that modules put in place of `forward`, as `fuse()` does, or a constructor."""
    return isinstance(name, str) and name.startswith("forward")


_MODULE = GlobalRule(new=True, build=attributes, members=_is_forward)
_FILL = GlobalRule(new=True, build=attributes)
_NAMESPACE = GlobalRule(call=empty, new=True, build=attributes)
_CALL = GlobalRule(call=_anything)
_PATH = GlobalRule(call=_texts)
_MODES = frozenset({"NEAREST", "BILINEAR", "BICUBIC"})

_DATA: dict[str, GlobalRule] = {
    "builtins.set": _CALL,
    "builtins.getattr": GlobalRule(),  # judged by what it is applied to
    "collections.OrderedDict": GlobalRule(call=_anything, build=attributes),
    "_codecs.encode": GlobalRule(call=_bytes_as_text),
    "torch._utils._rebuild_parameter": _CALL,
    "torch._utils._rebuild_tensor_v2": GlobalRule(call=_anything, numbers=_elements),
    "torch.Size": _CALL,
    "torch.device": _CALL,
    "numpy.dtype": GlobalRule(call=_number_type, build=_number_type_state),
    "numpy.core.multiarray.scalar": _CALL,
    "numpy._core.multiarray.scalar": _CALL,
    "argparse.Namespace": _NAMESPACE,
    "types.SimpleNamespace": _NAMESPACE,
    "ultralytics.utils.IterableSimpleNamespace": _NAMESPACE,
    "torchvision.transforms.functional.InterpolationMode": GlobalRule(call=_texts, members=_MODES.__contains__),
    **{f"{m}.{c}": _PATH for m in ("pathlib", "pathlib._local") for c in ("PosixPath", "WindowsPath")},
    "timm.layers.activations.gelu": GlobalRule(value=True),  # torch's gelu, which DeepMind's NFNets keep
    **{f"torch.{name}": GlobalRule(value=True) for name in _DTYPES},
    **{f"torch.{name}Storage": GlobalRule(storage=True) for name in _STORAGES},
}
#: Those that torch's own list has in every release; everything else has to be handed to it.
_KNOWN_TO_TORCH = re.compile(r"torch\..*|collections\.OrderedDict")


def lookup(name: str) -> GlobalRule | MissingGlobal | None:
    """What a file may do with the global `name`; None when it may do nothing with it."""
    current = current_name(name)
    if current in _DATA:
        return _DATA[current]
    module, _, attribute = current.rpartition(".")
    filled = attribute in _FILLED.get(module, ())
    if not filled and module not in MODULES and module not in _TIMM | _TORCHVISION:
        return _MODULE if _own_class(module, attribute) else None
    try:
        cls = getattr(module_named(module), attribute, None)
    except (ImportError, RuntimeError):  # torchvision raises the second where it does not match torch
        cls = None
    if cls is None:
        return MissingGlobal(module.partition(".")[0])
    if not (isinstance(cls, type) and cls.__module__ == module and cls.__qualname__ == attribute):
        return None
    if issubclass(cls, nn.Module):
        return _MODULE
    return _FILL if filled else None


def _own_class(module: str, name: str) -> Any:
    """The layer of that own name of the Ultralytics that is imported, or of the user's project; None for neither."""
    from ..nn.declared import project_class  # here, for it imports Ultralytics, which may be a fork that can't be

    return imported_layer(module, name) or project_class(module, name, active_declarations())


def lookup_with_stand_ins(name: str) -> GlobalRule | MissingGlobal | None:
    """As `lookup`, but a class of somebody's own, in a place where people put theirs, may be stood in for."""
    use = lookup(name)
    return use if isinstance(use, GlobalRule) or not may_stand_in(name) else _MODULE


def substitutes(name: str) -> list[Any]:
    """What torch's `weights_only` unpickler has to be given so that it can serve `name`, which `lookup` allows.

    Its list goes by `__module__` and `__qualname__` (in the oldest release that has one, by those alone), so an object
    that is wanted under another name is wrapped in one that carries it.
    """
    current = current_name(name)
    module, _, attribute = current.rpartition(".")
    if current in _DATA:
        if _KNOWN_TO_TORCH.fullmatch(current):
            return []
        target, types = _data_target(current)
    elif isinstance(lookup(name), GlobalRule):
        target = _own_class(module, attribute) or getattr(module_named(module), attribute)
        types = []
    else:
        return [stand_in(name)]
    is_itself = isinstance(target, (type, FunctionType)) and f"{target.__module__}.{target.__qualname__}" == name
    types = [*types, target] if isinstance(target, type) or is_itself else types
    return types if is_itself else [_renamed(name, target), *types]


def current_name(name: str) -> str:
    """The name that what Ultralytics once called `name` has today."""
    for old, new in _MOVED_MODULES.items():
        if name.startswith(f"{old}."):
            name = new + name[len(old) :]
    name = _MOVED.get(name, name)
    package, _, flat = name.rpartition(".")
    if package == "ultralytics.nn.modules":
        cls = getattr(module_named(package), flat, None)
        if isinstance(cls, type) and cls.__module__ in MODULES:
            return f"{cls.__module__}.{cls.__qualname__}"
    return name


def _data_target(name: str) -> tuple[Any, list[type]]:
    """What stands behind an entry of `_DATA`, and the types that state is set on."""
    import numpy

    if name.startswith("pathlib."):
        return (lambda *parts: pathlib.Path(*parts)), []
    if name.endswith(".scalar"):
        return _number, []
    if name == "numpy.dtype":
        codes = numpy.typecodes["AllInteger"] + numpy.typecodes["AllFloat"] + "?"
        return numpy.dtype, list({type(numpy.dtype(code)): None for code in codes})
    if name == "builtins.getattr":
        return _member, []
    if name == "_codecs.encode":
        return codecs.encode, []
    module, _, attribute = name.rpartition(".")
    return getattr(module_named(module), attribute), []


def _number(dtype: Any, data: bytes) -> Any:
    import numpy

    return numpy.frombuffer(data, dtype, count=1)[0]


def _member(owner: Any, name: str) -> Any:
    """`getattr` for what `GlobalRule.members` lists: a class's function, its enum member, or a module's own method."""
    if name.startswith("_"):
        raise pickle.UnpicklingError(f"getattr of {name!r}")
    if isinstance(owner, StandIn):
        return StandInMethod(owner, name)
    if isinstance(owner, type):
        return getattr(getattr(owner, "__wrapped__", owner), name)
    return getattr(type(owner), name).__get__(owner)


def _renamed(name: str, target: Any) -> type:
    """A class called `name` that makes what `target` makes; of a module class, one without attributes."""
    module, _, attribute = name.rpartition(".")

    def make(_: type, *args: Any) -> Any:
        if isinstance(target, type) and not args:
            return target.__new__(target)  # type: ignore[call-overload]
        return target(*args)

    return type(attribute, (), {"__module__": module, "__new__": make, "__wrapped__": target})


#: Whose names nobody's own class has: what Python's own modules and these packages lack or forbid stays refused.
_NOBODYS = frozenset((*getattr(sys, "stdlib_module_names", sys.builtin_module_names), "torch", "numpy"))

_PAPERS = re.compile(r"LS?KA|LSK", re.IGNORECASE)


class StandIn(nn.Module):
    """What a file says of an object whose class is not here.

    Attributes:
        origin: the class's full name in the file.
    """

    origin = ""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing is known of what the real class computes."""
        raise NotImplementedError(f"{self.origin} is not here; it was loaded without its code")


@dataclass(frozen=True, eq=False)
class StandInMethod:
    """What a file says of a method of such an object."""

    owner: StandIn
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing is known of what it computes."""
        return self.owner.forward(*args, **kwargs)


def may_stand_in(name: str) -> bool:
    """Whether a name may be that of somebody's own class; what stands in for it holds attributes and does nothing."""
    package = name.partition(".")[0]
    return package == "__main__" or package not in _NOBODYS


def adopting(path: object, names: Iterable[str]) -> str:
    """What to try where a file names classes that a fork or a tutorial put into Ultralytics; empty for any other."""
    own = [name for name in names if may_stand_in(name)]
    if any(_PAPERS.search(name.rpartition(".")[2]) for name in own):
        return f"; if it was made after a tutorial, try lska-surgeon adopt {path}"
    if any(name.startswith("ultralytics.") for name in own):
        return f"; if a fork of ultralytics made it, try lska-surgeon adopt {path}"
    return ""


@cache
def stand_in(name: str) -> type[StandIn]:
    """A class of that full name."""
    module, _, attribute = name.rpartition(".")
    return type(attribute, (StandIn,), {"__module__": module, "origin": name})
