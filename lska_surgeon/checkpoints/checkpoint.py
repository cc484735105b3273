"""Checkpoint files: read without running what they carry, written whole or not at all; it knows nothing of grafts.

A checkpoint is a pickle, that is, a program. Assumed hostile: every byte of the file. Trusted: the installed packages,
and whoever can write to the file while it is being read. The order of reading:

1. `container` makes sure that `torch.save` wrote the file; any other kind of file is named.
2. `pickle_audit` reads the pickle with stand-ins and holds every global that it names, and every use of one, against
   `allowlist`; what is refused is listed by name. Nothing of the file has run up to here.
3. torch's own `weights_only` unpickler loads the same bytes, with those globals added that step 2 found and allowed.
4. `code_guard` looks the YAML in the model through, since building from it would run more than layers.

With `trust`, steps 2 and 4 refuse nothing, and step 3 is Python's unpickler: the file may run anything. Neither way
installs or downloads a thing for it. What is read before torch loads anything is bounded, trusted or not, far above any
real checkpoint, and so is what follows from it: depth, copies, tensors that repeat their elements. Out of scope: what a
model computes once it is called (its layers run, with attributes that the file chose).

Ultralytics' own loader and parser stand behind one door, `open_network`, which screens what comes to them.
"""

from __future__ import annotations

import functools
import os
import pickle
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import torch
from torch import nn

from ..core.shapes import numbers_in
from ..declarations.find import active_blocks, active_declarations, split_target, untrusted
from ..errors import TRUSTING, CheckpointError, SurgeonError, UnsafeCheckpointError
from ..files import planned_target, sha256_of, write_whole
from ..modelfile.text import LARGEST
from ..reports import Result
from ..wording import a_value, clean, first_line
from ..yolo.build import open_parser
from ..yolo.code_guard import unsafe_architecture
from ..yolo.environment import import_offline
from . import allowlist, container
from .allowlist import adopting
from .contents import Checkpoint, Globals, WrongTypeError, is_ultralytics_model, refuse_wrong_types, tensors_in
from .pickle_audit import AuditBudget, GlobalRule, MissingGlobal, PickleAudit, TooLarge

_MOST_LISTED = 8  # names in a message; the exception has them all
_YOLOV5 = ("models.yolo.", "models.common.", "models.experimental.")
#: What a training that distils writes into its checkpoints while it lasts, besides what is on the allow-list.
_DISTILLING = frozenset(f"ultralytics.nn.distill_model.{name}" for name in ("DistillationModel", "FeatureHook"))
_LOCK = threading.Lock()  # torch's list of allowed globals belongs to the whole process


def read_checkpoint(path: str | os.PathLike[str], *, trust: bool = False, stand_ins: bool = False) -> Checkpoint:
    """Read a checkpoint or a state dict, onto the CPU.

    Args:
        path: the file; it is never fetched when it is not there.
        trust: load what is not on the allow-list as well; the file may then run anything.
        stand_ins: load classes of somebody's own as modules that hold their content and compute nothing.

    Raises:
        UnsafeCheckpointError: the file names what is not on the allow-list, or its YAML would run more than layers.
        CheckpointError: the file is missing, damaged or of another kind, or holds no model.
    """
    path = Path(path)
    with container.opened(path) as file:
        kind = container.kind_of(path, file)
        names, damage = _audited(path, kind, file, allowlist.lookup_with_stand_ins if stand_ins else allowlist.lookup)
        _refuse_names(path, names, trust)
        if not trust:
            _refuse_damage(path, kind, damage)
        if names.missing:
            packages = " ".join(sorted({name.partition(".")[0] for name in names.missing}))
            raise CheckpointError(
                f"{path} needs {_listed(names.missing)}, which the installed release does not have: "
                f"pip install -U {packages}{adopting(path, names.missing)}"
            )
        _refuse_format(path, kind, names, trust)
        file.seek(0)
        digest = sha256_of(file)
        file.seek(0)
        data = (
            _load_trusted(path, file, adopting(path, (*names.refused, *names.missing)))
            if trust
            else _load_safely(path, file, names.allowed)
        )
    checkpoint = _checkpoint(path, digest, data, names, trust)
    if not trust:
        _refuse_architecture(checkpoint)
    return checkpoint


def refuse_unsafe(path: str | os.PathLike[str], *, besides: Collection[str] = ()) -> None:
    """Refuse a file that `read_checkpoint` would not read without trust, without reading more of it than its pickles.

    What it holds is not looked at: a YAML in it is refused when it is to be built.

    Args:
        path: the file.
        besides: names that it may use though they are not on the allow-list.

    Raises:
        UnsafeCheckpointError: the file names what is not on the allow-list.
        CheckpointError: the file is missing, damaged or of another kind.
    """
    path = Path(path)
    kind, names, damage = _scan(path)
    names = replace(names, refused=tuple(name for name in names.refused if name not in besides))
    _refuse_names(path, names)
    _refuse_damage(path, kind, damage)
    _refuse_format(path, kind, names, trust=False)


def globals_of(path: str | os.PathLike[str]) -> Globals:
    """What a file would import, held against the allow-list; nothing of it runs.

    Raises:
        CheckpointError: the file is missing, damaged, or no pickle at all.
    """
    path = Path(path)
    kind, names, damage = _scan(path)
    if not names.refused:
        _refuse_damage(path, kind, damage)
    return names


def import_custom_modules(path: str | os.PathLike[str]) -> None:
    """Import the declared classes that a file names, for a reader that looks at no declaration (Ultralytics' own).

    A file that can't be read is passed over: its reader says why.

    Raises:
        UnsafeCheckpointError: it names some whose declaration nobody has vouched for.
        DeclarationError: one of them can't be imported.
    """
    try:
        names = globals_of(path)
    except CheckpointError:
        return
    _refuse_untrusted(Path(path), names)


@contextmanager
def open_network(source: str, *, trust: bool = False) -> Iterator[Any]:
    """Ultralytics' `YOLO` of a file.

    As long as this lasts, whatever Ultralytics loads has to pass the allow-list, and whatever it parses has to be
    layers alone: the file itself, and all that its arguments, or those in a checkpoint, name.

    Args:
        source: path of a checkpoint or of a model YAML.
        trust: load and build whatever comes.

    Raises:
        UnsafeCheckpointError: a file names what is not on the allow-list.
        CheckpointError: a file is missing, damaged or of another kind.
        BuildError: a model would run more than layers.
    """
    import_offline()
    from ultralytics import YOLO

    with _loader(screened=not trust), open_parser(source, trust=trust):
        yield YOLO(source)


@contextmanager
def _loader(*, screened: bool) -> Iterator[None]:
    """Put the allow-list before `torch.load`, through which every release of Ultralytics loads.

    Releases of the time when torch by itself loaded more than weights don't tell it to: here it does for them.
    """
    original: Callable[..., Any] = torch.load

    @functools.wraps(original)
    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(file, (str, os.PathLike)):
            return original(file, *args, **kwargs)
        if screened:
            refuse_unsafe(file, besides=_DISTILLING)
        return original(file, *args, **{"weights_only": False, **kwargs})

    torch.load = load
    try:
        yield
    finally:
        torch.load = original


def write_checkpoint(path: str | os.PathLike[str], data: Mapping[str, Any], *, force: bool = False) -> None:
    """Write a checkpoint, whole or not at all; the same data give the same bytes, whatever the path.

    Raises:
        TargetError: the file is there and `force` is off, the target is no place for a file, or the system refuses.
    """
    # Not `torch.save`: Ultralytics puts a version in its place that, after an error, appends to what is there.
    write_whole(path, lambda file: torch.serialization.save(data, file), force=force)


class Product(Result):
    """A checkpoint that was made of another, in memory: its content is `data`, and the file to be `output`."""

    data: dict[str, Any]
    output: Path | None

    @property
    def model(self) -> nn.Module:
        """The network in it."""
        model: nn.Module = self.data["model"]
        return model

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the checkpoint, which YOLO(FILE) loads as any other.

        Args:
            path: the file; None for `output`.
            force: overwrite a file that is there.

        Returns:
            The file.

        Raises:
            TargetError: the file is there and `force` is off, it does not end in .pt, or the system refuses.
        """
        target = planned_target(path, self.output, ".pt")
        write_checkpoint(target, self.data, force=force)
        return target


def _scan(path: Path) -> tuple[str, Globals, Exception | None]:
    """The kind of a file, and what the audit of its pickles gives."""
    with container.opened(path) as file:
        kind = container.kind_of(path, file)
        return kind, *_audited(path, kind, file)


def _audited(
    path: Path,
    kind: str,
    file: IO[bytes],
    lookup: Callable[[str], GlobalRule | MissingGlobal | None] = allowlist.lookup,
) -> tuple[Globals, Exception | None]:
    """What the pickles in a file would do, and what kept them from being read to their end, if anything did."""
    names: dict[str, Any] = {}
    problems: dict[str, None] = {}
    protocol = 2
    damage: Exception | None = None
    budget = AuditBudget(container.most_unfolded_bytes(os.fstat(file.fileno()).st_size))
    try:
        for stream in container.pickles(kind, file):
            audit = PickleAudit(stream, lookup, budget)
            try:
                audit.read()
            finally:
                names.update(audit.names)
                problems.update(audit.problems)
                protocol = audit.proto
    except TooLarge as error:
        raise CheckpointError(f"{path} holds {error}, more than any checkpoint: nothing of it was run") from error
    except SurgeonError:
        raise
    except Exception as error:  # whatever bytes that are no pickle make of an unpickler
        damage = error
    refused = [*sorted(name for name, rule in names.items() if rule is None), *problems]
    missing = sorted(name for name, rule in names.items() if isinstance(rule, MissingGlobal))
    allowed = sorted(name for name, rule in names.items() if isinstance(rule, GlobalRule))
    return Globals(tuple(allowed), tuple(map(clean, refused)), tuple(map(clean, missing)), protocol), damage


def _refuse_damage(path: Path, kind: str, damage: Exception | None) -> None:
    if damage is not None and kind == container.ZIP:
        raise _damaged(path, first_line(damage)) from damage


def _damaged(path: Path, reason: object) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({reason}): copy or download it again")


def _refuse_names(path: Path, names: Globals, trust: bool = False) -> None:
    """Raise for what can't be loaded, and, without trust, for what must not."""
    if names.refused and all(name.startswith(_YOLOV5) for name in names.refused):
        raise CheckpointError(
            f"{path} is a checkpoint of the YOLOv5 repository, whose layers are not those of ultralytics: "
            "use one that ultralytics trained, such as yolov5su.pt"
        )
    if trust or not names.refused:
        return
    if all(name.startswith("__main__.") for name in names.refused):
        raise UnsafeCheckpointError(
            f"{path} needs {_listed(names.refused)}, defined in the script that saved it, so no other program has it: "
            f"save it again with that class in a module{adopting(path, names.refused)}",
            names.refused,
        )
    _refuse_untrusted(path, names)
    problem = f"{path} names what is not on the allow-list: {_listed(names.refused)}; nothing of it was run"
    raise UnsafeCheckpointError(f"{problem}; {TRUSTING}{adopting(path, names.refused)}", names.refused, problem)


def _refuse_untrusted(path: Path, names: Globals) -> None:
    """Raise for classes of the user's whose declaration nobody has vouched for."""
    declarations = active_declarations()
    classes = {".".join(split_target(block.target)) for block in declarations.blocks.values()}
    if not declarations.trusted and classes & set(names.refused):
        raise UnsafeCheckpointError(
            f"{path} needs {_listed(names.refused)}, declared in {untrusted(declarations)}", names.refused
        )


def _refuse_format(path: Path, kind: str, names: Globals, trust: bool) -> None:
    """Raise for a pickle that torch did not write, and, without trust, for one that it can't read safely."""
    if kind == container.PICKLE:
        raise CheckpointError(f"{path} is a plain pickle, not written by torch.save: save its content with torch.save")
    if kind != container.ZIP and not trust:
        raise CheckpointError(
            f"{path} has the format of torch before 1.6, which can't be read safely: "
            f"load it with torch.load and torch.save it again, or, {TRUSTING}"
        )
    if names.protocol != 2 and not trust:
        raise CheckpointError(
            f"{path} has pickle protocol {names.protocol}, and torch reads only 2 safely: "
            f"torch.save it again without pickle_protocol, or, {TRUSTING}"
        )


def _refuse_architecture(checkpoint: Checkpoint) -> None:
    yamls = [getattr(checkpoint.data.get(key), "yaml", None) for key in ("ema", "model")]
    blocks = active_blocks()
    unsafe = tuple(what for yaml in yamls if isinstance(yaml, dict) for what in unsafe_architecture(yaml, blocks))
    if unsafe:
        what = f"a YAML that would run more than layers: {_listed(unsafe)}; nothing of it was run"
        problem = f"{checkpoint.path} holds {what}"
        raise UnsafeCheckpointError(f"{problem}; {TRUSTING}", unsafe, problem)


def _checkpoint(path: Path, digest: str, data: Any, names: Globals, trusted: bool) -> Checkpoint:
    kind, key = "checkpoint", None
    if isinstance(data, nn.Module):
        kind, data = "model", {"model": data}
    if not isinstance(data, dict):
        held = a_value(data)
    elif key := next((key for key in ("ema", "model") if isinstance(data.get(key), nn.Module)), None):
        held = "" if is_ultralytics_model(data[key]) else a_value(data[key])
    elif tensors_in(data):
        kind, held = "state_dict", ""
    else:
        held = f"a dictionary of {_listed(list(map(str, data)))}" if data else "an empty dictionary"
    if held:
        raise CheckpointError(
            f"{path} holds {held}, neither an Ultralytics model nor tensors by name: save the model with "
            "model.save(FILE)"
        )
    model = data[key] if key else None
    if any(abs(number) >= LARGEST for number in numbers_in(getattr(model, "yaml", None)) if isinstance(number, int)):
        raise CheckpointError(f"{path} holds a YAML with a number of more than 18 digits: no network has any")
    try:
        refuse_wrong_types(data, model)
    except WrongTypeError as error:
        raise _damaged(path, error) from error
    return Checkpoint(path, digest, kind, data, key, names, trusted)


def _load_safely(path: Path, file: IO[bytes], names: Iterable[str]) -> Any:
    """What a file holds, loaded by torch's `weights_only` unpickler; `names` are the globals it may use."""
    # `torch.load` itself may be a replacement: Ultralytics puts one there.
    with _allowed(names):
        try:
            return torch.serialization.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file makes of torch
            # What is wrong, without torch's advice to load the file unsafely.
            reason = str(error).partition("WeightsUnpickler error:")[2].strip()
            raise _damaged(path, first_line(ValueError(reason) if reason else error)) from error


def _load_trusted(path: Path, file: IO[bytes], otherwise: str) -> Any:
    """What a file holds, loaded by Python's unpickler; the file may run anything. Nothing is installed for it."""
    try:
        return torch.serialization.load(file, map_location="cpu", weights_only=False, pickle_module=_PICKLE)
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{path} needs the module {error.name}: install it first, since nothing is installed for you{otherwise}"
        ) from error
    except Exception as error:  # the file runs what it likes
        problem = f"{type(error).__name__}: {first_line(error)}{otherwise}"
        raise CheckpointError(f"{path} can't be loaded: {problem}") from error


@contextmanager
def _allowed(names: Iterable[str]) -> Iterator[None]:
    """Let torch's `weights_only` unpickler serve these names, for as long as this lasts."""
    if not hasattr(torch.serialization, "add_safe_globals"):
        raise CheckpointError(f"torch {torch.__version__} can't load safely: pip install 'torch>=2.4', or add --trust")
    with _LOCK:
        before = list(torch.serialization.get_safe_globals())
        wanted = [item for name in names for item in allowlist.substitutes(name)]
        torch.serialization.add_safe_globals([item for item in dict.fromkeys(wanted) if item not in before])
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


class _TrustingUnpickler(pickle.Unpickler):
    """Python's unpickler, with old names of Ultralytics mapped to today's."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("ultralytics."):
            module, _, name = allowlist.current_name(f"{module}.{name}").rpartition(".")
        return super().find_class(module, name)


def _load_pickle(file: IO[bytes], **options: Any) -> Any:
    return _TrustingUnpickler(file, **options).load()


_PICKLE = SimpleNamespace(__name__="pickle", Unpickler=_TrustingUnpickler, load=_load_pickle)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    listed = ", ".join(map(clean, names[:_MOST_LISTED]))
    return f"{listed} and {more} more" if more > 0 else listed
