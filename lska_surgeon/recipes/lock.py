"""One writer at a time for a folder: whoever comes second waits a little, then learns who is there.

The locks lie in this package's cache, not in the user's folder. The system releases that of a process that is killed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..costs.cache import cache_folder, sha256
from ..errors import TargetError
from ..files import read_within

#: Seconds that the second one waits.
PATIENCE = 10.0


@contextmanager
def only_writer(folders: Iterable[Path], who: str) -> Iterator[None]:
    """Be the only one that writes into these folders.

    Args:
        folders: they need not exist.
        who: what the others are told, such as the recipe's name.

    Raises:
        TargetError: somebody else is writing there, and has not ended while one waited.
    """
    with ExitStack() as held:
        for folder in sorted({os.path.realpath(folder) for folder in folders}):
            held.enter_context(_lock(folder, who))
        yield


@contextmanager
def _lock(folder: str, who: str) -> Iterator[None]:
    from filelock import FileLock, Timeout  # here, for a check needs no lock

    path = _place() / f"{sha256(folder)[:32]}.lock"
    holder = path.with_suffix(".txt")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        with suppress(OSError):
            who = read_within(holder, 1000).decode("utf-8", errors="replace")
        raise TargetError(f"{folder} is being written by {who}: try again when it is done") from None
    try:
        with suppress(OSError):
            holder.write_text(f"{who} (process {os.getpid()})", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _place() -> Path:
    """A folder for locks: in the cache, or among the temporary files where the cache can't be written."""
    for folder in (cache_folder(), Path(tempfile.gettempdir(), "lska-surgeon")):
        if folder is not None:
            with suppress(OSError):
                (folder / "locks").mkdir(parents=True, exist_ok=True)
                if os.access(folder / "locks", os.W_OK):
                    return folder / "locks"
    return Path(tempfile.mkdtemp(prefix="lska-surgeon-"))
