"""Whether what a checkpoint holds has the types that everybody takes for granted who reads it; it opens no file.

A pickle may have any value in the place of any other. What torch and Ultralytics write is looked through here, once,
when a file is read: the entries of the dictionary, what torch keeps of each module, the model's own attributes, the
place of each layer, and the stored YAML. What a layer makes of its other attributes shows when it runs, and not here.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from ..core.graph import rows_of
from ..core.shapes import settings_problems
from ..errors import SurgeonError
from ..wording import a_value, clean
from .allowlist import StandIn
from .pickle_audit import MOST_UNFOLDED

#: Whose classes set no attribute of another type than the class's own has; other people's may.
_LIBRARIES = ("torch.", "ultralytics.", "lska_surgeon.")
#: Of a network; images of a few strides a side are made to try it.
_LARGEST_STRIDE = 256


class WrongTypeError(Exception):
    """A value that is of another type than what belongs there; it says where, what it is, and what belongs there."""


def refuse_wrong_types(data: Mapping[str, Any], model: nn.Module | None) -> None:
    """Look through what a file holds.

    Args:
        data: the dictionary.
        model: the network in it; None for tensors alone.

    Raises:
        WrongTypeError: something has another type than what Ultralytics or torch writes there.
    """
    _look("", data, _ENTRIES)
    if model is None:
        return
    _refuse_modules(model, "model", {})
    _look("model.", {**vars(model), **model._modules}, _ATTRIBUTES)
    for name, layer in model.model.named_children():
        wanted = {**_PLACE, "stride": _STRIDE} if hasattr(layer, "anchors") else _PLACE
        _look(f"model.model.{clean(name, 20)}.", vars(layer), wanted)
    yaml: Mapping[str, Any] = model.yaml
    _look("model.yaml.", yaml, {"lska_surgeon": _RECORD})
    for _, problem in settings_problems(yaml):
        raise WrongTypeError(f"in its YAML {problem}")
    try:
        rows_of(yaml, "its YAML")
    except SurgeonError as error:
        raise WrongTypeError(str(error)) from error


def _look(where: str, values: Mapping[str, Any], wanted: Mapping[str, tuple[Callable[[Any], bool], str]]) -> None:
    for name, (is_right, what) in wanted.items():
        if name in values and not is_right(values[name]):
            raise WrongTypeError(f"{where}{name} is {a_value(values[name])}, and has to be {what}")


def _refuse_modules(module: nn.Module, name: str, sizes: dict[int, int]) -> int:
    """Look through what torch keeps of a module and of all in it; returns how many these are, written out.

    Args:
        module: the module.
        name: where it is.
        sizes: of the modules that were looked through already, by id; 0 for those that contain this one.
    """
    if id(module) in sizes:
        if not sizes[id(module)]:
            raise WrongTypeError(f"{clean(name)} contains itself")
        return sizes[id(module)]
    _refuse_kept(module, clean(name))
    sizes[id(module)] = 0
    inside = [(key, part) for key, part in module._modules.items() if part is not None]
    size = 1 + sum(_refuse_modules(part, f"{name}.{key}", sizes) for key, part in inside)
    if size > MOST_UNFOLDED:
        raise WrongTypeError(f"{clean(name)} contains more than {MOST_UNFOLDED:,} modules")
    sizes[id(module)] = size
    return size


def _refuse_kept(module: nn.Module, name: str) -> None:
    kept: dict[str, Any] = vars(module)
    for key, usual in vars(nn.Module()).items():
        if key not in kept:
            raise WrongTypeError(f"{name} has no {key}")
        value = kept[key]
        if not (isinstance(value, type(usual)) or (usual is None and isinstance(value, bool))):
            raise WrongTypeError(f"{name}.{key} is {a_value(value)}, and has to be {a_value(usual)}")
        if isinstance(value, dict):
            is_right, what = _HELD.get(key, (_is_hook, "functions"))
            for part, held in value.items():
                if not is_right(part, held):
                    by = clean(part, 40) if isinstance(part, str) else a_value(part)
                    raise WrongTypeError(f"{name}.{key} holds {a_value(held)} by {by}, and may hold {what}")
    if not type(module).__module__.startswith(_LIBRARIES) or isinstance(module, StandIn):
        return
    for key, value in kept.items():  # an attribute may hide one of its class's, a method for instance
        usual = getattr(type(module), key, None)
        if key not in _PLACE and not isinstance(usual, property) and not _is_like(value, usual):
            raise WrongTypeError(f"{name}.{clean(key, 40)} is {a_value(value)}, and has to be {a_value(usual)}")


def _is_like(value: Any, usual: Any) -> bool:
    """Whether an object's own value may stand in the place of its class's."""
    if isinstance(usual, (bool, int, float)):
        return isinstance(value, (bool, int, float))
    if isinstance(usual, (Tensor, str)):
        return isinstance(value, type(usual))
    return callable(value) if callable(usual) else True


def _named(*kinds: type) -> Callable[[Any, Any], bool]:
    return lambda key, held: isinstance(key, str) and "." not in key and isinstance(held, (*kinds, type(None)))


def _is_hook(_: Any, held: Any) -> bool:
    return isinstance(held, bool) or callable(held)


_HELD: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "_parameters": (_named(nn.Parameter), "parameters by name"),
    "_buffers": (_named(Tensor), "tensors by name"),
    "_modules": (_named(nn.Module), "modules by name"),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    """Whether a value is plain data, as YAML has it."""
    if isinstance(value, dict):
        return all(isinstance(key, (str, int, float)) and _is_plain(part) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))


def _is_arguments(value: Any) -> bool:
    """As the arguments of a training are stored, by whichever release; what stands in them is not looked at."""
    arguments = vars(value) if isinstance(value, (SimpleNamespace, Namespace)) else value
    if isinstance(arguments, dict):
        return all(isinstance(key, str) for key in arguments)
    return not isinstance(arguments, Tensor) and not arguments  # None, for one that is none


def _is_names(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_number, value)) and _is_names(list(value.values()))
    return value is None or (isinstance(value, (list, tuple)) and all(isinstance(name, (str, int)) for name in value))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_number, value))


def _is_stride(value: Any) -> bool:
    is_tensor = isinstance(value, Tensor) and value.numel() > 0 and not value.is_complex()
    return is_tensor and bool(((value > 0) & (value <= _LARGEST_STRIDE)).all())


def is_record(value: Any) -> bool:
    """What a graft leaves, as far as it is read again; JSON, for it is written as such."""
    if value is None:
        return True
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    if not isinstance(value, dict) or not is_record(value.get("earlier")):
        return False
    edits, rows = value.get("edits", []), value.get("inserted", [])
    is_right = isinstance(edits, list) and all(isinstance(edit, dict) for edit in edits)
    return is_right and isinstance(rows, list) and all(map(_is_number, rows))


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


_STRIDE = (_is_stride, f"a tensor of numbers above 0, and of {_LARGEST_STRIDE} at most")
_RECORD = (is_record, "the record of a graft")
_ARGUMENTS = (_is_arguments, "the arguments of a training by name")
#: What is looked at of the dictionary, of the model's attributes and of each layer's, where it is there.
_ENTRIES = {"train_args": _ARGUMENTS, "lska_surgeon": _RECORD}
_ATTRIBUTES = {
    "model": (lambda value: isinstance(value, nn.Sequential), "layers in a row"),
    "yaml": (lambda value: isinstance(value, dict) and _is_plain(value), "plain data"),
    "names": (_is_names, "names of classes by number"),
    "stride": _STRIDE,
    "save": (_is_numbers, "a list of numbers"),
    "args": _ARGUMENTS,
    "task": (_is_text, "a word"),
}
_PLACE = {
    "i": (_is_number, "a number"),
    "f": (lambda value: _is_number(value) or _is_numbers(value), "a number or a list of them"),
    "type": (_is_text, "a word"),
}
