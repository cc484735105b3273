"""What stands at a path, told without opening it, for opening a named pipe waits; it imports no torch."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import CheckpointError

DANGLING = "a symbolic link that leads nowhere"
_KINDS = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))


def no_file(path: Path) -> str | None:
    """`a directory`, `a device`, ...; None for a file, and where there is nothing.

    Of a symbolic link it tells what is behind it; one that leads nowhere is told as such.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return DANGLING if os.path.islink(path) else None
    if stat.S_ISREG(mode):
        return None
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "a device")


def check_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        CheckpointError: there is nothing, or no file.
    """
    found = no_file(path)
    if found == "a directory":
        inside = sorted(one.name for one in path.glob("*.pt"))
        example = inside[0] if inside else "weights/best.pt"
        raise CheckpointError(f"{path} is a directory: give the checkpoint in it, such as {path / example}")
    if found:
        raise CheckpointError(f"{path} is {found}: give the path of a .pt")
    if not path.exists():
        raise CheckpointError(f"no file {path}: give the path of a .pt that is here; nothing is downloaded")
