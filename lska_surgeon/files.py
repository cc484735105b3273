"""Files that are written whole or not at all, killed or not; it knows nothing of what is in them."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from .errors import TargetError

_STALE = 600  # seconds after which an unfinished file is removed, whoever has left it
#: An unfinished file's name: `.NAME.HOST-PID.RANDOM.tmp`.
_UNFINISHED = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)\.[a-z0-9_]+\.tmp")


def target_path(name: str, suffix: str) -> Path:
    """The path of a file to be, checked for the ending that Ultralytics knows it by.

    Raises:
        TargetError: another ending, or a directory's name.
    """
    path = Path(name)
    if name.endswith(("/", os.sep)) or path.is_dir():
        raise TargetError(f"{name} is a directory: give a file name with -o, such as {path / ('variant' + suffix)}")
    if path.suffix.lower() not in ((".yaml", ".yml") if suffix == ".yaml" else (suffix,)):
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

    A run that is killed leaves at most a hidden `.NAME.*.tmp` behind, which the next one in that folder removes.

    Args:
        path: the target; of a symbolic link, the file behind it.
        write: writes the content to the open file that it is given.
        force: replace a file that is there.

    Raises:
        TargetError: the file is there and `force` is off, the target is no place for a file, or the system refuses.
    """
    target = Path(os.path.realpath(path))
    check_target(target, force=force)
    remove_unfinished(target.parent)
    temporary: str | None = None
    try:
        handle, temporary = _unfinished(target)
        _fill(handle, write)
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


def planned_target(path: str | os.PathLike[str] | None, output: Path | None, suffix: str) -> Path:
    """The file that a result goes to: the one that is named now, or else the one that it was worked out for.

    Raises:
        TargetError: there is neither, or it has another ending.
    """
    if path is not None:
        return target_path(os.fspath(path), suffix)
    if output is None:
        raise TargetError(f"this was worked out for no file: say where to write it, write('FILE{suffix}')")
    return output


def replace_all(texts: Mapping[Path, str], delete: Collection[Path] = ()) -> None:
    """Write and delete many files, folders included: all of them or, when anything fails, none.

    Everything is written beside its target first; then files are deleted, then the new ones moved into place, in the
    order given. A run that is killed meanwhile leaves some old and some new, each of them whole. Of a symbolic link the
    file behind it is replaced, as `write_whole` does; when it is to be deleted, the link goes.

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
            for link, text in texts.items():
                path = Path(os.path.realpath(link))
                _make_folders(path.parent, folders)
                staged.append((_stage(path, text, done), path))
            for temporary, path in [*((None, path) for path in delete), *staged]:
                aside = _set_aside(path, done)
                undo.callback(_put_back, path, aside)
                if temporary is None:
                    path.unlink()
                else:
                    os.replace(temporary, path)
            for folder in dict.fromkeys(path.parent for _, path in staged):
                _sync_directory(folder)
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
    handle, temporary = _unfinished(path)
    done.callback(_remove, temporary)
    _fill(handle, lambda file: file.write(text.encode("utf-8", errors="surrogateescape")))
    os.chmod(temporary, _mode(path))
    return temporary


def _set_aside(path: Path, done: ExitStack) -> str | None:
    """A copy of the file that is there, removed in the end."""
    if not os.path.lexists(path):
        return None
    handle, aside = _unfinished(path)
    os.close(handle)
    done.callback(_remove, aside)
    if path.is_symlink():  # to be deleted: the link itself has to come back
        os.unlink(aside)
        os.symlink(os.readlink(path), aside)
    else:
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


class _Watched:
    """A file that remembers the first thing that the system refused.

    torch's writer turns an OSError of the file that it writes to into a RuntimeError of its own.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.refused: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.refused = self.refused or error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _fill(handle: int, write: Callable[[IO[bytes]], object]) -> None:
    """Write a content, down to the disk; raises OSError when the system refuses, whatever `write` makes of that."""
    # Without a buffer of ours: what the system refuses is refused in `write`, not when everything is closed.
    with os.fdopen(handle, "wb", buffering=0) as raw:
        watched = _Watched(_Whole(raw))  # type: ignore[arg-type]
        try:
            write(watched)  # type: ignore[arg-type]
        except Exception:
            if watched.refused:
                raise watched.refused from None
            raise
        if watched.refused:  # a writer that swallowed it
            raise watched.refused
        os.fsync(raw.fileno())


class _Whole:
    """A raw file whose `write` writes all of it: the system may take a part and refuse the rest with the next call."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        rest = memoryview(data).cast("B")
        while rest:
            done = self._file.write(rest)
            if not done:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rest = rest[done:]
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _unfinished(target: Path) -> tuple[int, str]:
    """A new hidden file beside a target, open; its name says which process of which machine writes it."""
    prefix = f".{target.name}.{_this_machine()}-{os.getpid()}."
    return tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=target.parent)


@cache
def _this_machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that are dead have left unfinished in a folder.

    Those of another machine, which may be alive, and those of systems that can't say go when nobody has touched them
    for ten minutes.
    """
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = _UNFINISHED.fullmatch(entry.name)
            if found is None:
                continue
            with suppress(OSError):
                is_old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE
                if is_old or (found[1] == _this_machine() and _is_dead(int(found[2]))):
                    os.remove(entry.path)


def _is_dead(process: int) -> bool:
    if os.name == "nt":  # where signal 0 would end it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


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
