"""Making the block names known to Ultralytics in this process; it builds nothing."""

from __future__ import annotations

import importlib

import torch

from .blocks import BLOCK_CLASSES
from .parsing import BLOCKS, install

TASKS = "ultralytics.nn.tasks"


def register() -> None:
    """Make the block names known to Ultralytics in this process; a second call changes nothing.

    A name that `ultralytics.nn.tasks` has already (a class that somebody pasted into the installed package) stays as
    it is; `conflicts` lists those.
    """
    tasks = importlib.import_module(TASKS)
    install(tasks)
    _allow_restricted_loading()


def conflicts() -> dict[str, str]:
    """Block names of ours that somebody else had defined in `ultralytics.nn.tasks` -> where theirs comes from."""
    names = vars(importlib.import_module(TASKS))
    foreign = {name: names[name] for name in sorted(BLOCKS) if names.get(name) not in (BLOCKS[name], None)}
    owners = {name: theirs if hasattr(theirs, "__qualname__") else type(theirs) for name, theirs in foreign.items()}
    return {name: f"{owner.__module__}.{owner.__qualname__}" for name, owner in owners.items()}


def _allow_restricted_loading() -> None:
    """Let checkpoints with our classes pass torch's weights_only loading, which Ultralytics' restricted mode uses."""
    torch.serialization.add_safe_globals(list(BLOCK_CLASSES))
