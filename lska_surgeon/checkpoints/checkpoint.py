"""Checkpoint files: read without running what they carry, written whole or not at all; it knows nothing of grafts.

A checkpoint is a pickle, that is, a program. Assumed hostile: every byte of the file. Trusted: the installed packages,
and whoever can write to the file while it is being read. The order of reading:

1. `container` makes sure that `torch.save` wrote the file; any other kind of file is named.
2. `rehearsal` reads the pickle with stand-ins and holds every global that it names, and every use of one, against
   `allowlist`; what is refused is listed by name. Nothing of the file has run up to here.
3. torch's own `weights_only` unpickler loads the same bytes, with those globals added that step 2 found and allowed.
4. `allowlist` looks the YAML in the model through, since building from it would run more than layers.

With `trust`, steps 2 and 4 refuse nothing, and step 3 is Python's unpickler: the file may run anything. Neither way
installs or downloads a thing for it. Out of scope: what a model computes once it is called (its layers run, with
attributes that the file chose), and files made to use up memory.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import torch
from torch import nn

from ..architecture.declared import in_force
from ..declarations.read import split_target
from ..errors import CheckpointError, SurgeonError, UnsafeCheckpointError
from ..files import write_whole
from ..nn.declared import untrusted
from ..wording import clean, first_line
from ..yolo.code_guard import unsafe_architecture
from ..yolo.environment import import_offline
from . import allowlist, container
from .pickle_scan import Missing, Rehearsal, Use
from .unpickling import load_safely, load_trusted

_SHOWN = 8  # names that a message lists; the exception has them all
_TRUSTING = "if you trust whoever made it, add --trust"
_YOLOV5 = ("models.yolo.", "models.common.", "models.experimental.")


@dataclass(frozen=True)
class Globals:
    """What a file would import and use, found without running any of it.

    Attributes:
        allowed: globals that are on the allow-list.
        refused: globals that are not on it, then wrong uses of those that are.
        missing: globals that belong on it, but that the installed release of their package does not have.
        protocol: the pickle protocol; torch can read only 2 safely.
    """

    allowed: tuple[str, ...]
    refused: tuple[str, ...]
    missing: tuple[str, ...]
    protocol: int


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint in memory, on the CPU.

    Attributes:
        path: the file.
        sha256: of its bytes, hexadecimal.
        kind: "checkpoint" (a dictionary with a model, as Ultralytics writes it), "model" (the module alone; `data`
            then holds it under "model") or "state_dict" (tensors by name).
        data: what the file holds, as stored.
        key: "ema" or "model", the entry that `model` is; None for a state dict.
        refused: what was loaded although it is not on the allow-list; empty unless the file was trusted.
    """

    path: Path
    sha256: str
    kind: str
    data: dict[str, Any]
    key: str | None
    refused: tuple[str, ...] = ()

    @property
    def model(self) -> nn.Module | None:
        """The trained module as stored, half precision included; `ema` before `model`, as Ultralytics does."""
        return self.data[self.key] if self.key else None

    @property
    def state_dict(self) -> dict[str, torch.Tensor]:
        """The tensors by name, as stored."""
        return self.model.state_dict() if self.model is not None else _tensors(self.data)

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

    def float_model(self) -> nn.Module:
        """A copy of the model in float32 and eval mode, fit for the installed torch.

        Raises:
            CheckpointError: the file holds a state dict only.
        """
        if self.model is None:
            raise CheckpointError(f"{self.path} holds tensors without a model: give its architecture with --into YAML")
        model = copy.deepcopy(self.model).float().eval()
        for module in model.modules():
            if isinstance(module, nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
                module.recompute_scale_factor = None  # files from before torch 1.11 have none
        return model


def read_checkpoint(path: str | os.PathLike[str], *, trust: bool = False) -> Checkpoint:
    """Read a checkpoint or a state dict, onto the CPU.

    Args:
        path: the file; it is never fetched when it is not there.
        trust: load what is not on the allow-list as well; the file may then run anything.

    Raises:
        UnsafeCheckpointError: the file names what is not on the allow-list, or its YAML would run more than layers.
        CheckpointError: the file is missing, damaged or of another kind, or holds no model.
    """
    path = Path(path)
    with container.opened(path) as file:
        kind = container.kind_of(path, file)
        found, damage = _rehearse(kind, file)
        _refuse_yolov5(path, found)
        if not trust:
            _refuse_names(path, found)
            _refuse_damage(path, kind, damage)
        _refuse_missing(path, found)
        _refuse_format(path, kind, found, trust)
        digest = _sha256(file)
        file.seek(0)
        data = load_trusted(path, file) if trust else load_safely(path, file, found.allowed)
    checkpoint = _checkpoint(path, digest, data, found.refused)
    if not trust:
        _refuse_architecture(checkpoint)
    return checkpoint


def globals_of(path: str | os.PathLike[str]) -> Globals:
    """What a file would import, held against the allow-list; nothing of it runs.

    Raises:
        CheckpointError: the file is missing, damaged, or no pickle at all.
    """
    path = Path(path)
    with container.opened(path) as file:
        kind = container.kind_of(path, file)
        found, damage = _rehearse(kind, file)
    if not found.refused:
        _refuse_damage(path, kind, damage)
    return found


def write_checkpoint(path: str | os.PathLike[str], data: Mapping[str, Any], *, force: bool = False) -> None:
    """Write a checkpoint, whole or not at all; the same data give the same bytes, whatever the path.

    Args:
        path: the target.
        data: what to store, as `torch.save` stores it.
        force: replace a file that is there.

    Raises:
        TargetError: the file is there and `force` is off, the target is no place for a file, or the system refuses.
    """
    # Not `torch.save`: Ultralytics puts a version in its place that, after an error, appends to what is there.
    write_whole(path, lambda file: torch.serialization.save(data, file), force=force)


def _rehearse(kind: str, file: IO[bytes]) -> tuple[Globals, Exception | None]:
    """What the pickles in a file would do, and what kept them from being read to their end, if anything did."""
    names: dict[str, Any] = {}
    problems: dict[str, None] = {}
    protocol = 2
    damage: Exception | None = None
    try:
        for stream in container.pickles(kind, file):
            rehearsal = Rehearsal(stream, allowlist.lookup)
            try:
                rehearsal.read()
            finally:
                names.update(rehearsal.names)
                problems.update(rehearsal.problems)
                protocol = rehearsal.proto
    except SurgeonError:
        raise
    except Exception as error:  # whatever bytes that are no pickle make of an unpickler
        damage = error
    refused = [*sorted(name for name, use in names.items() if use is None), *problems]
    missing = sorted(name for name, use in names.items() if isinstance(use, Missing))
    allowed = sorted(name for name, use in names.items() if isinstance(use, Use))
    return Globals(tuple(allowed), tuple(map(clean, refused)), tuple(map(clean, missing)), protocol), damage


def _refuse_yolov5(path: Path, found: Globals) -> None:
    if found.refused and all(name.startswith(_YOLOV5) for name in found.refused):
        raise CheckpointError(
            f"{path} is a checkpoint of the YOLOv5 repository, whose layers are not those of ultralytics: "
            "use one that ultralytics trained, such as yolov5su.pt"
        )


def _refuse_damage(path: Path, kind: str, damage: Exception | None) -> None:
    if damage is not None and kind == container.ZIP:
        raise CheckpointError(f"{path} is damaged ({first_line(damage)}): copy or download it again") from damage


def _refuse_missing(path: Path, found: Globals) -> None:
    if found.missing:
        packages = " ".join(sorted({name.partition(".")[0] for name in found.missing}))
        raise CheckpointError(
            f"{path} needs {_listed(found.missing)}, which the installed release does not have: "
            f"pip install -U {packages}"
        )


def _refuse_names(path: Path, found: Globals) -> None:
    """Raise for what must not be loaded without trust."""
    if not found.refused:
        return
    if all(name.startswith("__main__.") for name in found.refused):
        raise UnsafeCheckpointError(
            f"{path} needs {_listed(found.refused)}, defined in the script that saved it, so no other program has it: "
            "save it again with that class in a module",
            found.refused,
        )
    declarations = in_force()
    classes = {f"{module}.{cls}" for module, cls in (split_target(one.target) for one in declarations.blocks.values())}
    if not declarations.trusted and classes & set(found.refused):
        raise UnsafeCheckpointError(
            f"{path} needs {_listed(found.refused)}, declared in {untrusted(declarations)}", found.refused
        )
    raise UnsafeCheckpointError(
        f"{path} names what is not on the allow-list: {_listed(found.refused)}; nothing of it was run; {_TRUSTING}",
        found.refused,
    )


def _refuse_format(path: Path, kind: str, found: Globals, trust: bool) -> None:
    """Raise for a pickle that torch did not write, and, without trust, for one that it can't read safely."""
    if kind == container.PICKLE:
        raise CheckpointError(f"{path} is a plain pickle, not written by torch.save: save its content with torch.save")
    if kind != container.ZIP and not trust:
        raise CheckpointError(
            f"{path} has the format of torch before 1.6, which can't be read safely: "
            f"load it with torch.load and torch.save it again, or, {_TRUSTING}"
        )
    if found.protocol != 2 and not trust:
        raise CheckpointError(
            f"{path} has pickle protocol {found.protocol}, and torch reads only 2 safely: "
            f"torch.save it again without pickle_protocol, or, {_TRUSTING}"
        )


def _refuse_architecture(checkpoint: Checkpoint) -> None:
    yamls = [getattr(checkpoint.data.get(key), "yaml", None) for key in ("ema", "model")]
    found = tuple(what for yaml in yamls if isinstance(yaml, dict) for what in unsafe_architecture(yaml))
    if found:
        raise UnsafeCheckpointError(
            f"{checkpoint.path} holds a YAML that would run more than layers: {_listed(found)}; nothing of it was run; "
            f"{_TRUSTING}",
            found,
        )


def _checkpoint(path: Path, digest: str, data: Any, refused: tuple[str, ...]) -> Checkpoint:
    kind = "checkpoint"
    if isinstance(data, nn.Module):
        kind, data = "model", {"model": data}
    if not isinstance(data, dict):
        held = f"a {type(data).__name__}"
    elif key := next((key for key in ("ema", "model") if isinstance(data.get(key), nn.Module)), None):
        if _is_ultralytics_model(data[key]):
            return Checkpoint(path, digest, kind, data, key, refused)
        held = f"a {type(data[key]).__name__}"
    elif _tensors(data):
        return Checkpoint(path, digest, "state_dict", data, None, refused)
    else:
        held = f"a dictionary of {_listed(list(map(str, data)))}" if data else "an empty dictionary"
    raise CheckpointError(
        f"{path} holds {held}, neither an Ultralytics model nor tensors by name: save the model with model.save(FILE)"
    )


def _is_ultralytics_model(module: nn.Module) -> bool:
    return isinstance(module, import_offline().BaseModel) and isinstance(getattr(module, "yaml", None), dict)


def _tensors(data: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors by name that a file without a model holds, in all of it or in one entry; empty without any."""
    for found in (data, *(data.get(key) for key in ("state_dict", "ema", "model"))):
        if isinstance(found, dict) and found and all(isinstance(value, torch.Tensor) for value in found.values()):
            return found
    return {}


def _sha256(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(map(clean, names[:_SHOWN]))
    return f"{shown} and {more} more" if more > 0 else shown
