"""Files that are written whole or not at all, and read within bounds; it knows nothing of what is in them.

What is being written is a hidden temporary file beside its target, under a name that says which process of which
machine writes it, so that those of dead processes are known and removed.
"""

from __future__ import annotations

import errno
import io
import os
import platform
import re
import stat
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from .errors import ClosedError, DamagedError, SurgeonError, TargetError
from .wording import clean

#: No file that this package writes and reads again is as long as this.
MOST_BYTES = 2**24
#: No image is as long as this.
MOST_IMAGE_BYTES = 2**29
_MOST_DEEP = 50  # lists in lists, in such a file
Kind = TypeVar("Kind")


def as_path(path: object) -> Path:
    """A path that somebody names for a file to be.

    Raises:
        TargetError: it is none.
    """
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise TargetError(f"{clean(repr(path), 60)} is not a path: give one, such as 'name.yaml'")
    return Path(path)


def target_path(name: str, suffix: str) -> Path:
    """The path of a file to be, checked for the ending that whoever opens it knows it by.

    Raises:
        TargetError: another ending, a directory's name, or standard output.
    """
    path = Path(name)
    if name == "-":
        raise TargetError(f"a {suffix} can't go to standard output: give a file name, such as -o out{suffix}")
    if name.endswith(("/", os.sep)) or path.is_dir():
        raise TargetError(f"{name} is a directory: give a file name with -o, such as {path / ('variant' + suffix)}")
    if path.suffix not in ((".yaml", ".yml") if suffix == ".yaml" else (suffix,)):
        stem = path.with_suffix("") if path.suffix[1:].isalpha() else path  # the .2 of v1.2 is part of the name
        knows = "a browser" if suffix == ".html" else "Ultralytics"
        raise TargetError(f"{name} does not end in {suffix}, by which {knows} would know it: try -o {stem}{suffix}")
    return path


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a target that must not, or can't, be written; call it before any work.

    Raises:
        TargetError: the file is there and `force` is off, its folder is not there or can't be written to, or the path
            is no file.
    """
    _check_name(path, force)
    check_folder(Path(os.path.realpath(path)).parent, path)


def _check_name(path: Path, force: bool) -> None:
    kind = no_file(path)
    if kind and kind != DANGLING:
        raise TargetError(f"{path} is {kind}: give a file name with -o")
    if not path.parent.is_dir():
        raise TargetError(f"can't write {path}: {_no_directory(path.parent)}")
    if path.exists() and not force:
        raise TargetError(f"{path} is already there: choose another name with -o, or add --force to overwrite it")


def check_folder(folder: Path, target: Path) -> None:
    """Refuse a folder in which no file can be made, or, where it is not there, no folder.

    A file is made in it and removed: of a read-only system, an access list or a foreign owner nothing else tells all.

    Args:
        folder: the folder.
        target: the file to be, for the message.

    Raises:
        ClosedError: the system refuses.
    """
    there = next((parent for parent in (folder, *folder.parents) if parent.is_dir()), folder)
    try:
        handle, temporary = _new_temporary(there / target.name)
    except OSError as error:
        raise ClosedError(f"can't write {target}: {error.strerror or error}") from error
    os.close(handle)
    _remove(temporary)


def _no_directory(folder: Path) -> str:
    """Why nothing can be written into a folder; where a parent is what is wrong, that parent is named."""
    there = next((parent for parent in (folder, *folder.parents) if os.path.lexists(parent)), folder)
    if os.path.lexists(there) and not there.is_dir():
        return f"{there} is {no_file(there) or 'a file'}, not a directory"
    return f"there is no directory {folder}"


def open_to_read(path: Path) -> IO[bytes]:
    """Open a file; of a named pipe, a socket, a device or a folder nothing is read, for it may have no end.

    Raises:
        OSError: it is no file, or can't be opened; `strerror` says why in words.
    """
    _refuse_no_file(no_file(path), path)
    # What stands there may be another thing by now: a pipe that nobody writes into is not waited for either.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _refuse_no_file(_kind(os.fstat(handle).st_mode), path)
        return os.fdopen(handle, "rb")
    except OSError:
        os.close(handle)
        raise


def _refuse_no_file(kind: str | None, path: Path) -> None:
    if kind:
        raise OSError(errno.ENOENT if kind == DANGLING else errno.EINVAL, f"it is {kind}", str(path))


def read_within(path: Path, most: int = MOST_BYTES) -> bytes:
    """A file's bytes.

    Raises:
        OSError: it is no file, can't be read, or has more than `most` bytes; `strerror` says why in words.
    """
    with open_to_read(path) as file:
        is_long = os.fstat(file.fileno()).st_size > most
        content = b"" if is_long else file.read(most + 1)
    if is_long or len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content


def sha256_of(file: IO[bytes]) -> str:
    """SHA-256 of an open file, from where it stands to its end, in hexadecimal."""
    import hashlib  # here, for it takes 2 ms

    digest = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def read_json(path: Path, kind: type[Kind]) -> Kind:
    """A JSON file that this package wrote.

    Args:
        path: the file.
        kind: what it has to be, such as a TypedDict; keys that it does not name are kept.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is something else, or can't be read.
    """
    try:
        if path.is_symlink():  # this package makes none; whoever writes would write somewhere else
            raise OSError(errno.EINVAL, "it is a symbolic link")
        return parse_json(read_within(path), kind)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"can't read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {clean(str(error))}") from error


def parse_json(content: str | bytes, kind: type[Kind]) -> Kind:
    """JSON that this package wrote, as `read_json` takes it.

    Raises:
        ValueError: it is something else.
    """
    import msgspec  # here, for most commands read none

    try:
        value = msgspec.json.decode(content)  # strict: no number that is none, none beyond the largest
        _refuse_depth(value, _MOST_DEEP)
        msgspec.convert(value, kind)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return cast(Kind, value)


def _refuse_depth(value: Any, most: int) -> None:
    """Raise for what could be read, and not be written again."""
    if isinstance(value, (dict, list)):
        if not most:
            raise RecursionError
        for part in value.values() if isinstance(value, dict) else value:
            _refuse_depth(part, most - 1)


def write_whole(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object], *, force: bool = False) -> None:
    """Write a file beside its target and move it into place: whoever looks sees the old file or the new one.

    A run that is killed leaves at most a hidden `.NAME.*.tmp` behind, which the next one in that folder removes. What
    is written is on the disk when this returns, and survives a power failure.

    Args:
        path: the target; of a symbolic link, the file behind it.
        write: writes the content to the open file that it is given.
        force: replace a file that is there.

    Raises:
        TargetError: the file is there and `force` is off, the target is no place for a file, or the system refuses.
    """
    target = _behind(path)
    _check_name(target, force)
    remove_temporary(target.parent)
    with ExitStack() as done:
        try:
            temporary = _stage(target, write, done)
            _move(temporary, target, force)
            _sync([target.parent])
        except OSError as error:
            raise TargetError(f"can't write {path}: {error.strerror or error}") from error


def write_text(path: str | os.PathLike[str], text: str, *, force: bool = False) -> None:
    """Write a text whole; newlines, and bytes that were no UTF-8 when they were read, stay as they are.

    Raises:
        TargetError: as `write_whole`.
    """
    write_whole(path, _writing(text), force=force)


@contextmanager
def for_a_while(name: str, text: str) -> Iterator[Path]:
    """A file of this name for whoever reads files alone; what an error says of it is said of the name, not the folder.

    Args:
        name: the file's, without a folder.
        text: its content.
    """
    import tempfile  # here, for quick commands need none of it

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write_text(path, text)
        try:
            yield path
        except SurgeonError as error:
            error.args = tuple(
                part.replace(f"{folder}{os.sep}", "") if isinstance(part, str) else part for part in error.args
            )
            raise


def planned_target(path: str | os.PathLike[str] | None, output: Path | None, suffix: str) -> Path:
    """The file that a result goes to: the one that is named now, or else the one that it was worked out for.

    Raises:
        TargetError: there is neither, or it has another ending.
    """
    target = planned_path(path, output, f"FILE{suffix}")
    return target if path is None else target_path(os.fspath(target), suffix)


def planned_path(path: str | os.PathLike[str] | None, output: Path | None, such: str = "NAME") -> Path:
    """The same of a folder, or of a file that may end in anything.

    Raises:
        TargetError: there is neither; the message gives a name such as `such`.
    """
    target = output if path is None else as_path(path)
    if target is None:
        raise TargetError(f"this was worked out for no file: say where to write it, write('{such}')")
    return target


def put_in_place(made: Path, target: Path, *, force: bool = False) -> None:
    """Copy a file, or a folder with all that is in it, to its place, whole or not at all.

    Args:
        made: the file or folder; it stays.
        target: where to; a folder that is there goes.
        force: replace what is there.

    Raises:
        TargetError: it is there and `force` is off, or the system refuses.
    """
    import shutil  # here, for quick commands need none of it

    if not made.is_dir():
        with made.open("rb") as file:
            write_whole(target, lambda output: shutil.copyfileobj(file, output), force=force)
        return
    target = _behind(target)
    remove_temporary(target.parent)
    with ExitStack() as done:
        try:
            staged, aside = (_temporary_name(target) for _ in range(2))
            for temporary in (staged, aside):
                done.callback(shutil.rmtree, temporary, ignore_errors=True)
            shutil.copytree(made, staged, copy_function=_copied)
            if force and target.is_dir():
                os.rename(target, aside)
            os.rename(staged, target)  # fails where somebody was faster, for no folder with files in it is replaced
            _sync([target.parent])
        except OSError as error:
            if os.path.isdir(aside) and not os.path.lexists(target):
                os.rename(aside, target)
            raise TargetError(f"can't write {target}: {error.strerror or error}") from error


def _copied(source: str, target: str) -> None:
    """A copy of a file, down to the disk, with the mode of a new one."""
    import shutil

    with open(source, "rb") as before, open(target, "wb") as after:
        shutil.copyfileobj(before, after)
        after.flush()
        os.fsync(after.fileno())


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
            for path, text in texts.items():
                target = _behind(path)
                _make_folders(target.parent, folders)
                staged.append((_stage(target, _writing(text), done), target))
            for temporary, path in [*((None, path) for path in delete), *staged]:
                aside = _set_aside(path, done)
                undo.callback(_put_back, path, aside)
                if temporary is None:
                    path.unlink()
                else:
                    os.replace(temporary, path)
            _sync(path.parent for path in (*delete, *(target for _, target in staged)))
        except OSError as error:
            raise TargetError(f"can't write {path}: {error.strerror or error}") from error
        undo.pop_all()
        folders.pop_all()


def _writing(text: str) -> Callable[[IO[bytes]], object]:
    return lambda file: file.write(text.encode("utf-8", errors="surrogateescape"))


def _behind(path: str | os.PathLike[str]) -> Path:
    """The file that is written when `path` is: of a symbolic link what it leads to, which need not be there."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise TargetError(f"{path} is a symbolic link that leads to itself: give another file name")
    return target


def _make_folders(folder: Path, undo: ExitStack) -> None:
    for missing in [parent for parent in (*reversed(folder.parents), folder) if not parent.exists()]:
        missing.mkdir(exist_ok=True)  # somebody may be faster
        undo.callback(_remove_folder, missing)
        _sync([missing.parent])


def _remove_folder(folder: Path) -> None:
    with suppress(OSError):  # somebody else has put a file there
        folder.rmdir()


def _stage(target: Path, write: Callable[[IO[bytes]], object], done: ExitStack) -> str:
    """A finished file beside `target`, down to the disk, removed in the end if nobody moves it."""
    handle, temporary = _new_temporary(target)
    done.callback(_remove, temporary)
    _fill(handle, write)
    os.chmod(temporary, _mode(target))
    return temporary


def _set_aside(path: Path, done: ExitStack) -> str | None:
    """A copy of the file that is there, removed in the end."""
    if not os.path.lexists(path):
        return None
    handle, aside = _new_temporary(path)
    os.close(handle)
    done.callback(_remove, aside)
    if path.is_symlink():  # to be deleted: the link itself has to come back
        os.unlink(aside)
        os.symlink(os.readlink(path), aside)
    else:
        import shutil  # here, for quick commands need none of it

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
            _check_name(target, force)
    os.replace(temporary, target)


class _Output(io.FileIO):
    """A file that remembers the last thing that the system refused, for torch makes a RuntimeError of it."""

    refused: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.refused = error
            raise


def _fill(handle: int, write: Callable[[IO[bytes]], object]) -> None:
    """Write a content, down to the disk; raises OSError when the system refuses, whatever `write` makes of that."""
    output = _Output(handle, "wb")
    try:
        with io.BufferedWriter(output) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except Exception:
        if output.refused:
            raise output.refused from None
        raise
    if output.refused:  # by a writer that swallowed it
        raise output.refused


def _sync(folders: Iterable[Path]) -> None:
    """Make new names survive a power failure, where the system lets a folder be opened."""
    for folder in dict.fromkeys(folders):
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
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


_OLD = 24 * 3600  # seconds after which a temporary file is removed, whoever has left it
#: A temporary file's name: `.NAME.MACHINE-PID.RANDOM.tmp`.
_TEMPORARY = r"\..+\.([0-9a-f]{8})-(\d+)\.[a-z0-9_]+\.tmp"


def _temporary_name(target: Path) -> str:
    prefix = f".{target.name[:50]}.{this_machine()}-{os.getpid()}."  # a name may be as long as the system allows
    return os.path.join(target.parent, f"{prefix}{os.urandom(4).hex()}.tmp")


def _new_temporary(target: Path) -> tuple[int, str]:
    while True:
        path = _temporary_name(target)
        with suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), path


def cache_folder() -> Path | None:
    """Where this package keeps what it can find out again; None for a user without a home."""
    given = os.environ.get("LSKA_SURGEON_CACHE")
    if given:
        return Path(given)
    with suppress(RuntimeError):
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lska-surgeon")
    return None


@cache
def this_machine() -> str:
    """A name for where process numbers mean the same: this machine since its start, or this container."""
    known = [platform.node()]
    with suppress(OSError):  # Linux alone tells
        known += [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"), os.readlink("/proc/self/ns/pid")]
    return f"{zlib.crc32(''.join(known).encode('utf-8', errors='replace')):08x}"  # hashlib takes 2 ms to import


def remove_temporary(folder: Path) -> None:
    """Remove the temporary files, and folders, that dead processes have left in a folder.

    What may still be somebody's work (of a process that lives, of another machine, or on a system that can't say) goes
    when nobody has touched it for a day.
    """
    with suppress(OSError):
        for entry in os.scandir(folder):
            name = re.fullmatch(_TEMPORARY, entry.name)
            if name is None:
                continue
            with suppress(OSError):
                is_old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
                if is_old or (name[1] == this_machine() and _is_dead(int(name[2]))):
                    if entry.is_dir(follow_symlinks=False):
                        import shutil  # here, for quick commands need none of it

                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        os.remove(entry.path)


def _is_dead(process: int) -> bool:
    if os.name == "nt":  # where signal 0 would end it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's
        pass
    return False


NO_ROOM = os.strerror(errno.ENOSPC)


def no_room(error: BaseException | None) -> bool:
    """Whether an error comes of a disk that is full, whatever was made of that on the way."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def told_apart(paths: Sequence[Path]) -> list[str]:
    """What to call files: each by its name, those of one name by the folders that tell them apart, too.

    `runs/a/weights/best.pt` beside `runs/b/weights/best.pt` is `a/…/best.pt`; a file that is there twice has a number.
    """
    names = []
    for path in paths:
        folders = [other.absolute().parent.parts for other in paths if other.name == path.name]
        above = _shared(folders)
        below = _shared([parts[above:][::-1] for parts in folders])
        own = path.absolute().parent.parts
        between = [*own[above : len(own) - below], *(["…"] if below else [])] if len(folders) > 1 else []
        names.append("/".join([*between, path.name]))
    return [f"{number}: {name}" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """How many parts all paths begin with in common."""
    differ = (at for at, parts in enumerate(zip(*paths)) if len(set(parts)) > 1)
    return next(differ, min(map(len, paths)))


DANGLING = "a symbolic link that leads nowhere"
_KINDS = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))


def no_file(path: Path) -> str | None:
    """`a directory`, `a device`, ...; None for a file, and where there is nothing.

    Of a symbolic link it says what is behind it, or that it leads nowhere.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return DANGLING if os.path.islink(path) else None
    return _kind(mode)


def _kind(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "a device")
