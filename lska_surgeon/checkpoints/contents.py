"""What a checkpoint holds, as a value, and whether that has the types that belong there; it reads no file.

A pickle may have any value in the place of any other. What torch and Ultralytics write is looked through once, when a
file is read: the entries of the dictionary, what torch keeps of each module, the model's own attributes, the place of
each layer, and the stored YAML. What a layer makes of its other attributes shows when it runs, and not here.
"""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..core.graph import rows_of
from ..core.shapes import settings_problems
from ..core.surgery import RECORD
from ..errors import CheckpointError, SurgeonError
from ..reports import Report, Result
from ..wording import a_value, clean, counted, few, plural, printable
from ..yolo.environment import import_offline
from .allowlist import StandIn
from .pickle_audit import MOST_UNFOLDED

#: How many grafts upon each other are listed; a file may claim to have any number.
_MOST_GRAFTS = 9
#: How many names of classes are listed.
_MOST_NAMES = 8


@dataclass(frozen=True)
class Globals:
    """What a file would import and use, found without running any of it.

    Attributes:
        allowed: globals that are on the allow-list.
        refused: globals that are not on it, then wrong uses of those that are.
        missing: globals that belong on it, but that the installed release of their package does not have.
        protocol: the pickle protocol; torch can read only 2 safely.
    """

    allowed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    protocol: int = 2


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint(Result):
    """A checkpoint in memory, on the CPU.

    Attributes:
        path: the file.
        sha256: of its bytes, hexadecimal.
        kind: "checkpoint" (a dictionary with a model, as Ultralytics writes it), "model" (the module alone; `data`
            then holds it under "model") or "state_dict" (tensors by name).
        data: what the file holds, as stored.
        key: "ema" or "model", the entry that `model` is; None for a state dict.
        globals: what the file would import and use; nothing for a network that was loaded already.
        trusted: whether it was loaded, and may be built, whatever it runs.
    """

    path: Path
    sha256: str
    kind: str
    data: dict[str, Any]
    key: str | None
    globals: Globals = Globals()
    trusted: bool = False

    @property
    def refused(self) -> tuple[str, ...]:
        """What was loaded although it is not on the allow-list; empty unless the file was trusted."""
        return self.globals.refused

    @property
    def model(self) -> nn.Module | None:
        """The trained module as stored, half precision included; `ema` before `model`, as Ultralytics does."""
        return self.data[self.key] if self.key else None

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by name, as stored."""
        return self.model.state_dict() if self.model is not None else tensors_in(self.data)

    def not_finite(self) -> list[str]:
        """Names of the tensors that hold something else than numbers, NaN or infinity; a network with such is lost."""
        tensors = ((name, tensor) for name, tensor in self.state_dict.items() if tensor.is_floating_point())
        # Both ends of what a tensor holds, NaN before all, take a third of the time of asking each element.
        return [name for name, tensor in tensors if tensor.numel() and not _is_finite(tensor)]

    @property
    def version(self) -> str | None:
        """The Ultralytics release that saved the file, where it says so."""
        version: str | None = _if(str, self.data.get("version"))
        return version

    @property
    def yaml(self) -> dict[str, Any] | None:
        """The model YAML that the module was built from; None for a state dict."""
        return getattr(self.model, "yaml", None)

    @property
    def names(self) -> dict[int, str] | None:
        """Class number -> class name; None where the file says nothing."""
        names = getattr(self.model, "names", None)
        return dict(enumerate(names)) if isinstance(names, (list, tuple)) else names

    @property
    def train_args(self) -> dict[str, Any]:
        """The arguments of the training that made the file; empty where it says nothing."""
        args = self.data.get("train_args") or {}
        return dict(vars(args) if isinstance(args, SimpleNamespace) else args)

    @property
    def surgery(self) -> dict[str, Any] | None:
        """The record of its newest graft: in full, or what training has left of it; None without one."""
        records = (self.data.get(RECORD), (self.yaml or {}).get(RECORD))
        return next((record for record in records if record and isinstance(record, dict)), None)

    def needed_model(self) -> nn.Module:
        """The model itself.

        Raises:
            CheckpointError: the file holds a state dict only; what it says is true in every command.
        """
        if self.model is None:
            raise CheckpointError(
                f"{self.path} holds tensors without a model: flops counts the YAML that they belong to, and "
                f"lska-surgeon graft {self.path} --into YAML puts them into a variant of it"
            )
        return self.model

    def float_model(self) -> nn.Module:
        """A copy of the model in float32 and eval mode, fit for the installed torch.

        Raises:
            CheckpointError: the file holds a state dict only.
        """
        original = self.needed_model()
        numbers = (one for one in (*original.parameters(), *original.buffers()) if one.is_floating_point())
        model = deepcopy(original, {id(one): _in_float32(one) for one in numbers}).eval()
        for module in model.modules():
            if isinstance(module, nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
                module.recompute_scale_factor = None  # files from before torch 1.11 have none
        return model

    def report(self) -> Report:
        """What it holds, and the record of its surgery."""
        model, state = self.model, self.state_dict
        yaml, names = self.yaml or {}, self.names or {}
        data = {
            "schema": self.schema,
            "file": str(self.path),
            "sha256": self.sha256,
            "kind": self.kind,
            "model": type(model).__name__ if model is not None else None,
            "from": self.key,
            "ultralytics": self.version,
            "date": _if(str, self.data.get("date")),
            "tensors": len(state),
            "parameters": sum(p.numel() for p in model.parameters()) if model is not None else None,
            "dtypes": sorted({str(tensor.dtype).replace("torch.", "") for tensor in state.values()}),
            "rows": len(yaml.get("backbone", ())) + len(yaml.get("head", ())) or None,
            "scale": yaml.get("scale") or None,
            "classes": len(names) or yaml.get("nc"),
            "names": {str(number): name for number, name in names.items()},
            "task": _if(str, self.train_args.get("task")),
            "epoch": _if(int, self.data.get("epoch")),
            "globals": {"allowed": len(self.globals.allowed), "refused": list(self.refused)},
            "merging": self._merging(),
            "surgery": self.surgery,
        }
        listed = ", ".join(map(str, [*names.values()][:_MOST_NAMES]))
        lines = {key: value for key, value in data.items() if key not in ("schema", "surgery", "globals")}
        lines["names"] = f"{listed}, ... ({len(names)})" if len(names) > _MOST_NAMES else listed or None
        lines["merging"] = _merging_in_words(data["merging"])
        lines["pickle"] = list(self.refused) or f"{counted(len(self.globals.allowed), 'global')}, all on the allow-list"
        text = [f"{key:<12} {printable(_cell(value))}" for key, value in lines.items() if value not in (None, [])]
        what = f"{type(model).__name__}, " if model is not None else ""
        summary = f"{self.path}: {self.kind}, {what}{counted(len(state), 'tensor')}"
        return Report(summary, ("\n".join([*text, f"{'surgery':<12} {surgery_in_words(self.surgery)}"]),), data=data)

    def _merging(self) -> dict[str, Any] | None:
        """What `fuse()` changes in operators that it merges; None where it merges none."""
        from ..nn.operators import merging  # here, for it imports Ultralytics, which may be a fork that can't be

        try:
            found = None if self.model is None else merging(self.model)
        except Exception:  # whatever torch raises where a file's tensors do not fit each other
            return None
        return None if found is None else dict(zip(("operators", "max_delta", "max"), found))


def _merging_in_words(merging: Mapping[str, Any] | None) -> str | None:
    if not merging:
        return None
    what = f"the kernels of {merging['operators']} operator{'s' if merging['operators'] > 1 else ''}"
    return f"fuse() merges {what}: max |Δ| {merging['max_delta']:.1e}, of {merging['max']:.3g} that they give for noise"


def _in_float32(tensor: Tensor) -> Tensor:
    """A copy, at once in that precision."""
    copied = tensor.detach().to(torch.float32, copy=True)
    return nn.Parameter(copied, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copied


def _is_finite(tensor: Tensor) -> bool:
    numbers = tensor.float() if tensor.element_size() < 4 else tensor  # older releases find no ends of smaller numbers
    return bool(torch.stack(torch.aminmax(numbers)).isfinite().all())


def _if(kind: type, value: Any) -> Any:
    """A value that is of a type, or None."""
    return value if isinstance(value, kind) else None


def is_ultralytics_model(module: object) -> bool:
    """Whether a module is a network of Ultralytics that was built from a YAML."""
    return isinstance(module, import_offline().BaseModel) and isinstance(getattr(module, "yaml", None), dict)


def tensors_in(data: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors by name that a file without a model holds, in all of it or in one entry; empty without any."""
    for tensors in (data, *(data.get(key) for key in ("state_dict", "ema", "model"))):
        if isinstance(tensors, dict) and tensors and all(map(_is_named_tensor, tensors.items())):
            return tensors
    return {}


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def surgery_in_words(record: Any, depth: int = 0) -> str:
    """What a record of a graft says, one thing a line, each from the second on as far in as a column."""
    if not isinstance(record, dict):
        return "none recorded"
    edits = ", ".join(_edit_in_words(edit) for edit in record.get("edits", []))
    lines = [f"lska-surgeon {record.get('version')}, base {record.get('base')} (SHA-256 {record.get('base_sha256')})"]
    if edits:
        lines.append(edits)
    into = record.get("into")
    if isinstance(into, dict) or not edits:
        lines.append(_target_in_words(into if isinstance(into, dict) else {}, record.get("inserted") or []))
    certificate, tensors = record.get("certificate"), record.get("tensors")
    if isinstance(tensors, dict):
        lines.append(", ".join(f"{key} {value}" for key, value in tensors.items()))
    if isinstance(certificate, dict):
        delta = certificate.get("max_delta")
        proof = "no certificate: outputs could not be compared" if delta is None else f"certificate: max |Δ| {delta}"
        lines.append(f"{proof} in float32, when it was grafted")
        shares = certificate.get("shares")
        if isinstance(shares, dict) and isinstance(shares.get("exact"), float):
            lines.append(f"{shares['exact']:.1%} of the parameters saw and gave what they did before")
    start = record.get("start")
    if isinstance(start, dict) and start.get("by") == "past":
        rows = [one for one in start.get("rows") or [] if isinstance(one, dict)]
        told = few([f"{one.get('new')} (by row {one.get('row')}, from row {one.get('old')})" for one in rows])
        lines.append(f"past new row{plural(rows)} {told}, until gates open")
    elif isinstance(start, dict):
        on = ", ".join(f"{key} {start.get(key)}" for key in ("images", "steps", "seed"))
        lines.append(f"new rows fitted to what was in their place: {on}")
    if isinstance(record.get("blocks"), str):
        lines.append(f"blocks declared in {record['blocks']}")
    lines = [*map(printable, lines)]  # a record says what whoever wrote the file wanted
    earlier = record.get("earlier")
    if isinstance(earlier, dict) and depth < _MOST_GRAFTS:
        lines.append(f"before that: {surgery_in_words(earlier, depth + 1)}")
    return f"\n{'':<13}".join(lines)


def _target_in_words(into: Mapping[str, Any], rows: Sequence[Any]) -> str:
    """`into yolov8n-p2.yaml (add p2, from yolov8n.yaml), where rows came: 16, 17`."""
    done = f" ({'; '.join(map(str, into['edits']))})" if isinstance(into.get("edits"), list) and into["edits"] else ""
    came = f", where row{plural(rows)} came: {few(list(map(str, rows)))}" if rows else ""
    return f"into {into.get('file', 'a variant')}{done}{came}"


def _edit_in_words(edit: Mapping[str, Any]) -> str:
    """`lska k35 at neck (row 13)`, `gated cbam at neck (row 13)`."""
    k = f" k{edit['k']}" if edit.get("k") else ""
    at = "as in the variant" if edit.get("at") == "--into" else f"at {edit.get('at')}"
    return f"{'gated ' if edit.get('gated') else ''}{edit.get('op')}{k} {at} (row {edit.get('row')})"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)


def checkpoint_of(yolo: Any) -> Checkpoint:
    """A copy of a loaded network, on the CPU, as a checkpoint that was never written; the network stays as it is.

    Args:
        yolo: a `YOLO` object, or the module in it.

    Raises:
        CheckpointError: it is neither, or it was fused for prediction, which mixes norms into convolutions for good.
    """
    is_module = is_ultralytics_model(yolo)
    module = yolo if is_module else getattr(yolo, "model", None)
    if module is None or not is_ultralytics_model(module):
        raise CheckpointError(f"{a_value(yolo)} holds no network of ultralytics: give a .pt, or YOLO(FILE.pt)")
    path = Path(str((None if is_module else yolo.ckpt_path or yolo.model_name) or "model.pt"))
    if module.is_fused():
        raise CheckpointError(f"this network was fused when it predicted: load it anew, YOLO({path.name!r})")
    model = deepcopy(module).cpu()
    vars(model).pop("pt_path", None)  # where the file lies on this machine
    stored = {} if is_module else getattr(yolo, "ckpt", None) or {}
    data = {"model": model, "ema": None, **{key: value for key, value in stored.items() if key not in ("model", "ema")}}
    digest = hashlib.sha256()  # of the names, shapes and bytes of all tensors
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return Checkpoint(path, digest.hexdigest(), "checkpoint", data, "model", trusted=True)


# What has to have which type.

#: Whose classes set no attribute of another type than the class's own has; other people's may.
_LIBRARIES = ("torch.", "ultralytics.", "lska_surgeon.")
#: Of a network; images of a few strides a side are made to try it.
_LARGEST_STRIDE = 256


class WrongTypeError(Exception):
    """A value that is of another type than what belongs there; it says where, what it is, and what belongs there."""


def refuse_wrong_types(data: Mapping[str, Any], model: nn.Module | None) -> None:
    """Look through the dictionary that a file holds, and the network in it; None for tensors alone.

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

    `sizes` has those that were looked through already, by id; 0 for those that contain this one.
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
