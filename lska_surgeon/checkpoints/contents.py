"""What a checkpoint holds, as a value; it reads no file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from ..core.surgery import RECORD
from ..errors import CheckpointError
from ..reports import Report, Result
from ..wording import a_value, few, plural, printable
from ..yolo.environment import import_offline

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
    def state_dict(self) -> dict[str, torch.Tensor]:
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
        model = deepcopy(self.needed_model()).float().eval()
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
        lines["pickle"] = list(self.refused) or f"{len(self.globals.allowed)} globals, all on the allow-list"
        text = [f"{key:<12} {printable(_cell(value))}" for key, value in lines.items() if value not in (None, [])]
        what = f"{type(model).__name__}, " if model is not None else ""
        summary = f"{self.path}: {self.kind}, {what}{len(state)} tensors"
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


def _is_finite(tensor: torch.Tensor) -> bool:
    numbers = tensor.float() if tensor.element_size() < 4 else tensor  # older releases find no ends of smaller numbers
    return bool(torch.stack(torch.aminmax(numbers)).isfinite().all())


def _if(kind: type, value: Any) -> Any:
    """A value that is of a type, or None."""
    return value if isinstance(value, kind) else None


def is_ultralytics_model(module: object) -> bool:
    """Whether a module is a network of Ultralytics that was built from a YAML."""
    return isinstance(module, import_offline().BaseModel) and isinstance(getattr(module, "yaml", None), dict)


def tensors_in(data: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors by name that a file without a model holds, in all of it or in one entry; empty without any."""
    for tensors in (data, *(data.get(key) for key in ("state_dict", "ema", "model"))):
        if isinstance(tensors, dict) and tensors and all(map(_is_named_tensor, tensors.items())):
            return tensors
    return {}


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], torch.Tensor)


def surgery_in_words(record: Any, depth: int = 0) -> str:
    """What a record of a graft says, one thing a line, each from the second on as far in as a column."""
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
