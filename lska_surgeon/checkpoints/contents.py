"""What a checkpoint holds, as a value that shows itself; it reads no file."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError
from ..reports import Part, Shown, Table, html
from ..wording import a_value, few, printable
from ..yolo.environment import import_offline

#: How many grafts upon each other are shown; a file may claim to have any number.
_MOST_GRAFTS = 9
#: How many names of classes are shown.
_NAMES = 8


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
class Checkpoint(Shown):
    """A checkpoint in memory, on the CPU.

    Attributes:
        path: the file.
        sha256: of its bytes, hexadecimal.
        kind: "checkpoint" (a dictionary with a model, as Ultralytics writes it), "model" (the module alone; `data`
            then holds it under "model") or "state_dict" (tensors by name).
        data: what the file holds, as stored.
        key: "ema" or "model", the entry that `model` is; None for a state dict.
        found: what the file would import and use; nothing for a network that was loaded already.
        trusted: whether it was loaded, and may be built, whatever it runs.
    """

    path: Path
    sha256: str
    kind: str
    data: dict[str, Any]
    key: str | None
    found: Globals = Globals()
    trusted: bool = False

    @property
    def refused(self) -> tuple[str, ...]:
        """What was loaded although it is not on the allow-list; empty unless the file was trusted."""
        return self.found.refused

    @property
    def model(self) -> nn.Module | None:
        """The trained module as stored, half precision included; `ema` before `model`, as Ultralytics does."""
        return self.data[self.key] if self.key else None

    @property
    def state_dict(self) -> dict[str, torch.Tensor]:
        """The tensors by name, as stored."""
        return self.model.state_dict() if self.model is not None else tensors_in(self.data)

    def not_finite(self) -> list[str]:
        """Names of the tensors that hold something else than numbers, NaN or infinity; a network with such is lost."""
        found = self.state_dict.items()
        return [name for name, one in found if one.is_floating_point() and not bool(one.isfinite().all())]

    @property
    def version(self) -> str | None:
        """The Ultralytics release that saved the file, where it says so."""
        version = self.data.get("version")
        return version if isinstance(version, str) else None

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
        model = copy.deepcopy(self.needed_model()).float().eval()
        for module in model.modules():
            if isinstance(module, nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
                module.recompute_scale_factor = None  # files from before torch 1.11 have none
        return model

    @property
    def surgery(self) -> Any:
        """The record of its newest graft, as the file has it; None without one."""
        return self.data.get("lska_surgeon") or (self.yaml or {}).get("lska_surgeon")

    def to_dict(self) -> dict[str, Any]:
        """What it holds as plain data, as `inspect --json` writes it."""
        model, state = self.model, self.state_dict
        yaml, names = self.yaml or {}, self.names or {}
        date, epoch, task = self.data.get("date"), self.data.get("epoch"), self.train_args.get("task")
        return {
            "schema": self.schema,
            "file": str(self.path),
            "sha256": self.sha256,
            "kind": self.kind,
            "model": type(model).__name__ if model is not None else None,
            "from": self.key,
            "ultralytics": self.version,
            "date": date if isinstance(date, str) else None,
            "tensors": len(state),
            "parameters": sum(p.numel() for p in model.parameters()) if model is not None else None,
            "dtypes": sorted({str(tensor.dtype).replace("torch.", "") for tensor in state.values()}),
            "rows": len(yaml.get("backbone", ())) + len(yaml.get("head", ())) or None,
            "scale": yaml.get("scale") or None,
            "classes": len(names) or yaml.get("nc"),
            "names": {str(number): name for number, name in names.items()},
            "task": task if isinstance(task, str) else None,
            "epoch": epoch if isinstance(epoch, int) else None,
            "globals": {"allowed": len(self.found.allowed), "refused": list(self.found.refused)},
            "surgery": self.surgery,
        }

    @property
    def line(self) -> str:
        """What it is, in one line."""
        model = f"{type(self.model).__name__}, " if self.model is not None else ""
        return f"{self.path}: {self.kind}, {model}{len(self.state_dict)} tensors"

    def parts(self) -> tuple[Part, ...]:
        """What it holds, a line each."""
        rows = [*self._cells(), ("surgery", surgery_in_words(self.surgery))]
        return ("\n".join(f"{key:<12} {value}" for key, value in rows),)

    def _repr_html_(self) -> str:
        surgery = surgery_in_words(self.surgery, margin=0)
        return html(Table(("what", "value"), self._cells())) + html(f"surgery: {surgery}")

    def _cells(self) -> list[tuple[str, str]]:
        found = self.to_dict()
        names = list(map(str, found.pop("names").values()))
        shown = {key: value for key, value in found.items() if key not in ("schema", "surgery", "globals")}
        shown["names"] = ", ".join(names[:_NAMES]) + (f", ... ({len(names)})" if len(names) > _NAMES else "") or None
        allowed = f"{len(self.found.allowed)} globals, all on the allow-list"
        shown["pickle"] = list(self.found.refused) or allowed
        return [(key, printable(_cell(value))) for key, value in shown.items() if value not in (None, [])]


def is_ultralytics_model(module: nn.Module) -> bool:
    """Whether a module is a network of Ultralytics that was built from a YAML."""
    return isinstance(module, import_offline().BaseModel) and isinstance(getattr(module, "yaml", None), dict)


def tensors_in(data: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors by name that a file without a model holds, in all of it or in one entry; empty without any."""
    for found in (data, *(data.get(key) for key in ("state_dict", "ema", "model"))):
        if isinstance(found, dict) and found and all(map(_is_named_tensor, found.items())):
            return found
    return {}


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], torch.Tensor)


def surgery_in_words(record: Any, depth: int = 0, *, margin: int = 13) -> str:
    """What a record of a graft says, one thing a line, from the second on `margin` blanks in."""
    if not isinstance(record, dict):
        return "none recorded"
    edits = ", ".join(_edit_in_words(edit) for edit in record.get("edits", []))
    lines = [f"lska-surgeon {record.get('version')}, base {record.get('base')} (SHA-256 {record.get('base_sha256')})"]
    lines.append(edits or f"into a variant, where rows came: {few(list(map(str, record.get('inserted') or [])))}")
    certificate, tensors = record.get("certificate"), record.get("tensors")
    if isinstance(tensors, dict):
        lines.append(", ".join(f"{key} {value}" for key, value in tensors.items()))
    if isinstance(certificate, dict):
        delta = certificate.get("max_delta")
        found = "no certificate: outputs could not be compared" if delta is None else f"certificate: max |Δ| {delta}"
        lines.append(f"{found} in float32, when it was grafted")
    if isinstance(record.get("blocks"), str):
        lines.append(f"blocks declared in {record['blocks']}")
    lines = [*map(printable, lines)]  # a record says what whoever wrote the file wanted
    earlier = record.get("earlier")
    if isinstance(earlier, dict) and depth < _MOST_GRAFTS:
        lines.append(f"before that: {surgery_in_words(earlier, depth + 1, margin=margin)}")
    return f"\n{'':<{margin}}".join(lines)


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
    """A copy of a loaded network, on the CPU, as a checkpoint that was never written.

    Args:
        yolo: a `YOLO` object, or the module in it.

    Raises:
        CheckpointError: it is neither, or it was fused for prediction, which mixes norms into convolutions for good.
    """
    is_module = is_ultralytics_model(yolo)
    module = yolo if is_module else getattr(yolo, "model", None)
    if not isinstance(module, nn.Module) or not is_ultralytics_model(module):
        raise CheckpointError(f"{a_value(yolo)} holds no network of ultralytics: give a .pt, or YOLO(FILE.pt)")
    path = Path(str((None if is_module else yolo.ckpt_path or yolo.model_name) or "model.pt"))
    if module.is_fused():
        raise CheckpointError(f"this network was fused when it predicted: load it anew, YOLO({path.name!r})")
    model = deepcopy(module).cpu()
    vars(model).pop("pt_path", None)  # where the file lies on this machine
    stored = {} if is_module else getattr(yolo, "ckpt", None) or {}
    data = {"model": model, "ema": None, **{key: value for key, value in stored.items() if key not in ("model", "ema")}}
    return Checkpoint(path, _digest(model.state_dict()), "checkpoint", data, "model", trusted=True)


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the names, shapes and bytes of all tensors, hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
