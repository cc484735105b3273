"""Files that are being written, under names that say by whom, so that those of the dead can be told and removed."""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

_OLD = 24 * 3600  # seconds after which an unfinished file is removed, whoever has left it
#: An unfinished file's name: `.NAME.MACHINE-PID.RANDOM.tmp`.
_UNFINISHED = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)\.[a-z0-9_]+\.tmp")


def new_unfinished(target: Path) -> tuple[int, str]:
    """A new hidden file beside a target, open; its name says which process of which machine writes it."""
    prefix = f".{target.name[:50]}.{this_machine()}-{os.getpid()}."  # a name may be as long as the system allows
    return tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=target.parent)


@cache
def this_machine() -> str:
    """A name for where process numbers mean the same: this machine since its start, or this container."""
    known = [platform.node()]
    with suppress(OSError):  # Linux alone tells
        known += [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"), os.readlink("/proc/self/ns/pid")]
    return f"{zlib.crc32(''.join(known).encode('utf-8', errors='replace')):08x}"  # hashlib takes 2 ms to import


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that are dead have left unfinished in a folder.

    What may still be somebody's work (of a process that lives, of another machine, or on a system that can't say) goes
    when nobody has touched it for a day.
    """
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = _UNFINISHED.fullmatch(entry.name)
            if found is None:
                continue
            with suppress(OSError):
                is_old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
                if is_old or (found[1] == this_machine() and _is_dead(int(found[2]))):
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
