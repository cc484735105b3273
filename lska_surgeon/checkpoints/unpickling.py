"""torch's two ways to load a pickle: its own restricted unpickler, and Python's, which runs what the file says."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import torch

from ..errors import CheckpointError
from ..wording import first_line
from . import allowlist

_LOCK = threading.Lock()  # torch's list of allowed globals belongs to the whole process


def load_safely(path: Path, file: IO[bytes], names: Iterable[str]) -> Any:
    """What a file holds, loaded by torch's `weights_only` unpickler; `names` are the globals it may use.

    Raises:
        CheckpointError: the file is damaged, or torch is older than 2.4 and has no list of globals.
    """
    # `torch.load` itself may be a replacement: Ultralytics puts one there.
    with _allowed(names):
        try:
            return torch.serialization.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file makes of torch
            raise CheckpointError(f"{path} is damaged ({_torch_says(error)}): copy or download it again") from error


def _torch_says(error: Exception) -> str:
    """What is wrong, without torch's advice to load the file unsafely."""
    found = str(error).partition("WeightsUnpickler error:")[2].strip()
    return first_line(ValueError(found)) if found else first_line(error)


def load_trusted(path: Path, file: IO[bytes], otherwise: str = "") -> Any:
    """What a file holds, loaded by Python's unpickler; the file may run anything. Nothing is installed for it.

    Args:
        path: its name in errors.
        file: the opened file.
        otherwise: what else may help where it can't be loaded; it ends the error.

    Raises:
        CheckpointError: it fails, or needs a module that is not here.
    """
    try:
        return torch.serialization.load(file, map_location="cpu", weights_only=False, pickle_module=_TRUSTING)
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
        full = f"{module}.{name}"
        current = allowlist.current_name(full) if module.startswith("ultralytics.") else full
        if current != full:
            module, _, name = current.rpartition(".")
        return super().find_class(module, name)


def _load_pickle(file: IO[bytes], **options: Any) -> Any:
    return _TrustingUnpickler(file, **options).load()


_TRUSTING = SimpleNamespace(__name__="pickle", Unpickler=_TrustingUnpickler, load=_load_pickle)
