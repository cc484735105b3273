"""Files that are written whole or not at all; it knows nothing of what is in them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import TargetError


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a target that must not, or can't, be written; call it before any work.

    Raises:
        TargetError: the file is there and `force` is off, its folder is not there, or the path is a folder.
    """
    if path.is_dir():
        raise TargetError(f"{path} is a directory: give a file name with -o")
    if not path.parent.is_dir():
        raise TargetError(f"can't write {path}: there is no directory {path.parent}")
    if path.exists() and not force:
        raise TargetError(f"{path} is already there: choose another name with -o, or add --force to overwrite it")


def write_text(path: Path, text: str, *, force: bool = False) -> None:
    """Write `text` beside its target, then move it into place; newlines and odd bytes stay as they are.

    Raises:
        TargetError: as `check_target`, or the system refuses.
    """
    check_target(path, force=force)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", errors="surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise TargetError(f"can't write {path}: {error.strerror}") from error
    finally:
        if temporary is not None:
            os.unlink(temporary)


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or what a new file would get."""
    if path.exists():
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
