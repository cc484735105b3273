"""Whether a checkpoint is where it is said to be, told without opening it; it imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import CheckpointError
from ..files import no_file


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
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"can't read {path}: Permission denied")
