"""Files that are written whole or not at all, killed or not; it knows nothing of what is in them."""

from __future__ import annotations

import glob
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from .errors import TargetError

_STALE = 600  # seconds after which the unfinished file of an earlier run is removed


def target_path(name: str, suffix: str) -> Path:
    """The path of a file to be, checked for the ending that Ultralytics knows it by.

    Raises:
        TargetError: another ending, or a directory's name.
    """
    path = Path(name)
    if name.endswith(("/", os.sep)) or path.is_dir():
        raise TargetError(f"{name} is a directory: give a file name with -o, such as {path / ('variant' + suffix)}")
    if path.suffix not in ((".yaml", ".yml") if suffix == ".yaml" else (suffix,)):
        stem = path.with_suffix("") if path.suffix[1:].isalpha() else path  # the .2 of v1.2 is part of the name
        raise TargetError(f"{name} does not end in {suffix}, by which Ultralytics would know it: try -o {stem}{suffix}")
    return path


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a target that must not, or can't, be written; call it before any work.

    Raises:
        TargetError: the file is there and `force` is off, its folder is not there, or the path is no file.
    """
    found = no_file(path)
    if found and found != DANGLING:
        raise TargetError(f"{path} is {found}: give a file name with -o")
    if not path.parent.is_dir():
        raise TargetError(f"can't write {path}: {_no_directory(path.parent)}")
    if path.exists() and not force:
        raise TargetError(f"{path} is already there: choose another name with -o, or add --force to overwrite it")


def _no_directory(folder: Path) -> str:
    """Why nothing can be written into a folder; where a parent is what is wrong, that parent is named."""
    there = next((parent for parent in (folder, *folder.parents) if os.path.lexists(parent)), folder)
    if os.path.lexists(there) and not there.is_dir():
        return f"{there} is {no_file(there) or 'a file'}, not a directory"
    return f"there is no directory {folder}"


def write_whole(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object], *, force: bool = False) -> None:
    """Write a file beside its target and move it into place: whoever looks sees the old file or the new one.

    A run that is killed leaves at most a hidden `.NAME.*.tmp` behind, which a later one removes.

    Args:
        path: the target; of a symbolic link, the file behind it.
        write: writes the content to the open file that it is given.
        force: replace a file that is there.

    Raises:
        TargetError: the file is there and `force` is off, the target is no place for a file, or the system refuses.
    """
    target = Path(os.path.realpath(path))
    check_target(target, force=force)
    _remove_stale(target)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        _move(temporary, target, force)
        _sync_directory(target.parent)
    except OSError as error:
        raise TargetError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            _remove(temporary)


def write_text(path: str | os.PathLike[str], text: str, *, force: bool = False) -> None:
    """Write a text whole; newlines, and bytes that were no UTF-8 when they were read, stay as they are.

    Raises:
        TargetError: as `write_whole`.
    """
    write_whole(path, lambda file: file.write(text.encode("utf-8", errors="surrogateescape")), force=force)


def replace_all(texts: Mapping[Path, str], delete: Collection[Path] = ()) -> None:
    """Write and delete many files, folders included: all of them or, when anything fails, none.

    Everything is written beside its target first; then files are deleted, then the new ones moved into place, in the
    order given. A run that is killed meanwhile leaves some old and some new, each of them whole.

    Args:
        texts: content by path; what is there is replaced.
        delete: files to delete.

    Raises:
        TargetError: the system refuses; then everything is as it was.
    """
    # Left from the last to the first: targets are put back, then what lies beside them goes, then the new folders.
    with ExitStack() as folders, ExitStack() as done, ExitStack() as undo:
        path = Path()
        try:
            staged = []
            for path, text in texts.items():
                _make_folders(path.parent, folders)
                staged.append((_stage(path, text, done), path))
            for temporary, path in [*((None, path) for path in delete), *staged]:
                aside = _set_aside(path, done)
                undo.callback(_put_back, path, aside)
                if temporary is None:
                    path.unlink()
                else:
                    os.replace(temporary, path)
        except OSError as error:
            raise TargetError(f"can't write {path}: {error.strerror or error}") from error
        undo.pop_all()
        folders.pop_all()


def _make_folders(folder: Path, undo: ExitStack) -> None:
    for missing in [parent for parent in (*reversed(folder.parents), folder) if not parent.exists()]:
        missing.mkdir()
        undo.callback(missing.rmdir)


def _stage(path: Path, text: str, done: ExitStack) -> str:
    """A finished file beside `path`, removed in the end if nobody moves it."""
    _remove_stale(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    done.callback(_remove, temporary)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))
    os.chmod(temporary, _mode(path))
    return temporary


def _set_aside(path: Path, done: ExitStack) -> str | None:
    """A copy of the file that is there, removed in the end."""
    if not path.exists():
        return None
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    done.callback(_remove, aside)
    shutil.copy2(path, aside)
    return aside


def _put_back(path: Path, aside: str | None) -> None:
    if aside is not None:
        os.replace(aside, path)
    else:
        _remove(path)


def _remove(path: str | Path) -> None:
    with suppress(OSError):  # moved away, as it should be
        os.unlink(path)


def _move(temporary: str, target: Path, force: bool) -> None:
    """Give the finished file its name; without `force`, fail where somebody was faster."""
    if not force:
        try:
            os.link(temporary, target)  # unlike a rename, it never replaces
            return
        except OSError:  # the target is there now, or the file system has no links
            check_target(target, force=force)
    os.replace(temporary, target)


def _remove_stale(target: Path) -> None:
    """Remove what runs that were killed have left; a file that still grows is somebody's work."""
    for found in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError):
            if time.time() - found.stat().st_mtime > _STALE:
                found.unlink()


def _sync_directory(directory: Path) -> None:
    """Make the new name survive a power failure, where the system lets a directory be opened."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or what a new file would get."""
    if path.exists():
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


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
