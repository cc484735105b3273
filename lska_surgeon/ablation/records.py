"""The record of a cell: all that is known of it, in one file that is replaced whole; it knows no recipe and no torch.

A record says "running" from the first moment of a training to its end. Whether somebody is still at it, the lock says:
it is the system's, and goes with the process that held it, however that ended. Whoever only looks writes nothing: the
folder may be somebody else's, or on a disk that can't be written.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, TypedDict, cast

from filelock import FileLock, Timeout
from msgspec import Meta

from ..errors import DamagedError
from ..files import open_to_read, read_json, read_within, write_text

SCHEMA = 1
RECORD = "cell.json"
LOG = "log.txt"
#: States of a cell; the first four are kept in its record.
WAITING, RUNNING, DONE, FAILED, STALE, INTERRUPTED = "waiting", "running", "done", "failed", "stale", "interrupted"
#: What Ultralytics writes of each epoch.
EPOCHS = "results.csv"
#: Of a cell whose record is damaged.
UNREADABLE = "unreadable"
_TAIL = 12  # lines of a log that a record keeps
_TAIL_BYTES = 2**16
_MOST_EPOCHS, _MOST_COLUMNS = 20_000, 200

_Number = Annotated[int, Meta(ge=0, le=10**9)]
_Seconds = Optional[Annotated[float, Meta(ge=0, le=1e12)]]
_Path = Optional[str]


class _Task(TypedDict):
    model: Annotated[str, Meta(pattern=r"^[^/\\\x00]+$")]  # a file in the cell's folder
    start: _Path
    data: str
    arguments: dict[str, Any]


class _Asked(TypedDict):
    arguments: dict[str, Any]


class _Attempt(TypedDict, total=False):
    seconds: _Seconds


class _Error(TypedDict):
    text: str


class _Epochs(TypedDict):
    asked: _Number
    done: _Number


class _Transferred(TypedDict):
    tensors: _Number
    of: _Number


class _Prepared(TypedDict):
    """What every record has."""

    schema: Literal[1]
    name: str
    role: str
    base: str
    data: str
    seed: int
    identity: Annotated[str, Meta(pattern=r"^\w+$")]
    asked: _Asked
    task: _Task
    state: Literal["waiting", "running", "done", "failed"]


class _Record(_Prepared, total=False):
    """What a record has besides, once somebody has tried."""

    attempts: list[_Attempt]
    error: _Error
    transferred: _Transferred
    epochs: _Epochs
    notes: dict[str, str]
    versions: dict[str, str]
    exact_resume: bool


def digest(value: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_record(folder: Path) -> dict[str, Any] | None:
    """A cell's record; None where there is none.

    In place of one that is damaged stands one that says so: its state is `UNREADABLE`, and its error names the file.
    """
    try:
        return cast("dict[str, Any]", read_json(folder / RECORD, _Record))
    except FileNotFoundError:
        return None
    except DamagedError as error:
        remedy = "repair it, or let ablate --renew move its folder aside and train anew"
        return {"state": UNREADABLE, "identity": "damaged", "error": {"text": f"{error}; {remedy}", "log": ""}}


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Replace a cell's record, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n", force=True)


class Busy(Exception):
    """Somebody else is training this cell."""


@contextmanager
def held(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold a cell, so that nobody else trains it.

    Args:
        folder: the cell.
        wait: seconds to wait for it; whoever only looks who holds it holds it for a moment.

    Raises:
        Busy: somebody else does.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise Busy(str(folder)) from error
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether somebody holds a cell now; nothing is written, and whoever else looks is not in the way."""
    try:
        with open_to_read(Path(f"{folder}.lock")) as lock:
            return _is_locked(lock.fileno())
    except OSError:  # nobody has held it yet, or what is there is no lock
        return False


if sys.platform == "win32":

    def _is_locked(handle: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBRLCK, 1)
        except OSError:
            return True
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        return False

else:

    def _is_locked(handle: int) -> bool:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # goes with the handle
        except OSError:  # or the system has no such locks: then the file itself is one
            return True
        return False


def state_of(folder: Path, identity: str | None = None) -> str:
    """What a cell is in; one that was trained under another identity is stale."""
    record = read_record(folder)
    if record is None:
        return RUNNING if is_held(folder) else WAITING
    state = str(record["state"])
    if state == UNREADABLE:
        return state
    if identity is not None and record["identity"] != identity:
        return STALE
    if state == RUNNING:
        return RUNNING if is_held(folder) else INTERRUPTED
    return state


def log_tail(folder: Path) -> str:
    """The end of a cell's log, progress bars left out."""
    try:
        with open_to_read(folder / LOG) as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.rpartition("\r")[2].rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line][-_TAIL:])


@dataclass(frozen=True)
class Epoch:
    """One line of a run's results.csv: column -> number."""

    number: int
    seconds: float
    values: Mapping[str, float]


def read_epochs(folder: Path) -> list[Epoch]:
    """The epochs that a run has finished; of an epoch that was trained twice, the last.

    Of a file that is no table of epochs there are none.
    """
    found: dict[int, Epoch] = {}
    try:
        text = read_within(folder / EPOCHS).decode("utf-8", errors="replace")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        if len(rows.fieldnames or ()) > _MOST_COLUMNS:
            return []
        for row in itertools.islice(rows, _MOST_EPOCHS):
            values = {(key or "").strip(): _number(value) for key, value in row.items()}
            if not math.isfinite(values.get("epoch", math.nan)):
                continue  # a line that is being written
            number, seconds = int(values.pop("epoch")), values.pop("time", math.nan)
            found[number] = Epoch(number, seconds, values)
    except (OSError, csv.Error):
        return []
    return [found[number] for number in sorted(found)]


def no_epochs(folder: Path) -> str:
    """Why `read_epochs` finds none, in words."""
    try:
        read_within(folder / EPOCHS)
    except FileNotFoundError:
        return f"it has no {EPOCHS}"
    except OSError as error:
        return f"can't read its {EPOCHS}: {error.strerror or error}"
    return f"its {EPOCHS} has no row that can be read"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
