"""The one door to Ultralytics' `YOLO`: what comes to its loader and to its parser is looked through before it runs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from ..yolo.build import open_parser
from ..yolo.environment import import_offline
from .checkpoint import refuse_unsafe

#: What a training that distils writes into its checkpoints while it lasts, besides what is on the allow-list.
_DISTILLING = frozenset(f"ultralytics.nn.distill_model.{name}" for name in ("DistillationModel", "FeatureHook"))


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

    with nullcontext() if trust else _screened_loader(), open_parser(source, trust=trust):
        yield YOLO(source)


@contextmanager
def _screened_loader() -> Iterator[None]:
    """Put the allow-list before `torch.load`, through which every release of Ultralytics loads."""
    original: Callable[..., Any] = torch.load

    @functools.wraps(original)
    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, (str, os.PathLike)):
            refuse_unsafe(file, besides=_DISTILLING)
        return original(file, *args, **kwargs)

    torch.load = load
    try:
        yield
    finally:
        torch.load = original
