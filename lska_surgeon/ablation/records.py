"""The record of a run: all that is known of it, in one file that is replaced whole; it knows no recipe and no torch.

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
from typing import Annotated, Any, Literal, Optional

import msgspec
from filelock import FileLock, Timeout
from msgspec import Meta, Struct

from ..errors import DamagedError
from ..files import open_to_read, read_json, read_within, write_text
from ..wording import clean

RECORD = "run.json"
#: What it was called before.
_FORMER = "cell.json"
LOG = "log.txt"
#: States of a run; the first four are kept in its record.
WAITING, RUNNING, DONE, FAILED, STALE, INTERRUPTED = "waiting", "running", "done", "failed", "stale", "interrupted"
#: Of a run whose record is damaged.
UNREADABLE = "unreadable"
#: What Ultralytics writes of each epoch.
EPOCHS = "results.csv"
_TAIL = 12  # lines of a log that a record keeps
_TAIL_BYTES = 2**16
_MOST_EPOCHS, _MOST_COLUMNS = 20_000, 200

_Number = Annotated[int, Meta(ge=0, le=10**9)]
_Seconds = Optional[Annotated[float, Meta(ge=0, le=1e12)]]
_Text = Optional[str]


class Task(Struct, frozen=True):
    """What a process has to know to train, paths of this machine among it.

    Attributes:
        model: the YAML of what is trained, a file in the run's folder.
        data: the data YAML, or folder, as Ultralytics takes it.
        arguments: Ultralytics' own arguments.
        base: the YAML of its base, relative to that folder.
        start: the checkpoint that is grafted into it.
        init: how operators start in that checkpoint.
    """

    model: Annotated[str, Meta(pattern=r"^[^/\\\x00]+$")]
    data: str
    arguments: dict[str, Any]
    base: str = ""
    start: _Text = None
    init: str = "identity"


class Attempt(Struct, frozen=True, omit_defaults=True):
    """One process that trained, or tried to."""

    started: str = ""
    host: str = ""
    pid: int = 0
    ended: _Text = None
    seconds: _Seconds = None


class Failure(Struct, frozen=True):
    """Why a run failed, and the end of its log."""

    text: str
    log: str = ""


class Epochs(Struct, frozen=True):
    """How many epochs were asked for and done."""

    asked: _Number
    done: _Number


class Transferred(Struct, frozen=True):
    """How many tensors of its start a network holds."""

    tensors: _Number
    of: _Number


_Failure = Optional[Failure]
_Transferred = Optional[Transferred]
_Epochs = Optional[Epochs]


class Record(Struct, frozen=True, omit_defaults=True):
    """What is kept of a run.

    Attributes:
        name, role, base, data, seed: which run.
        identity: hash of `asked`.
        asked: all that the training depends on.
        task: what a process has to know to train it.
        state: see above.
        attempts: the processes that were at it.
        error: why it failed.
        transferred: how much of its start was in the network.
        epochs: how many it has done.
        notes: kind -> what one has to know of it.
        versions: releases that it was trained with.
        measured: metric -> value, of best.pt, beyond the table of epochs; empty in records of before.
        exact_resume: whether an interruption changes no number.
        device, batch: what it was trained on, and with.
    """

    schema: Literal[1]
    name: str
    role: str
    base: str
    data: str
    seed: int
    identity: Annotated[str, Meta(pattern=r"^\w+$")]
    asked: dict[str, Any]
    task: Task
    state: Literal["waiting", "running", "done", "failed", "unreadable"]
    attempts: tuple[Attempt, ...] = ()
    error: _Failure = None
    transferred: _Transferred = None
    epochs: _Epochs = None
    notes: dict[str, str] = {}
    versions: dict[str, str] = {}
    measured: dict[str, float] = {}
    exact_resume: bool = True
    device: _Text = None
    batch: Any = None

    def but(self, **changes: Any) -> Record:
        """The same with other values."""
        return msgspec.structs.replace(self, **changes)


def digest(value: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_record(folder: Path) -> Record | None:
    """A run's record; None where there is none.

    In place of one that is damaged stands one that says so: its state is `UNREADABLE`, and its error names the file.
    """
    path = folder / RECORD
    if not os.path.lexists(path):
        path = folder / _FORMER
    try:
        return msgspec.convert(read_json(path, dict), Record)
    except FileNotFoundError:
        return None
    except (DamagedError, msgspec.ValidationError) as error:
        problem = error if isinstance(error, DamagedError) else f"{path} is damaged: {clean(str(error))}"
        text = f"{problem}; repair it, or let ablate --renew move its folder aside and train anew"
        nothing = Task("", "", {})
        return Record(1, "", "", "", "", 0, "damaged", {}, nothing, "unreadable", error=Failure(text))


def write_record(folder: Path, record: Record) -> None:
    """Replace a run's record, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(record), indent=2).decode()
    write_text(folder / RECORD, f"{text}\n", force=True)
    (folder / _FORMER).unlink(missing_ok=True)


class Busy(Exception):
    """Somebody else is at this run."""


@contextmanager
def held(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold a run, so that nobody else trains it.

    Args:
        folder: the run.
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
    """Whether somebody holds a run now; nothing is written, and whoever else looks is not in the way."""
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


def state_of(folder: Path, record: Record | None, identity: str) -> str:
    """What a run is in, by its record and its lock; one that was trained under another identity is stale."""
    if record is None:
        return RUNNING if is_held(folder) else WAITING
    if record.state == UNREADABLE:
        return UNREADABLE
    if record.identity != identity:
        return STALE
    if record.state == RUNNING:
        return RUNNING if is_held(folder) else INTERRUPTED
    return record.state


def log_tail(folder: Path) -> str:
    """The end of a run's log, progress bars left out."""
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
    epochs: dict[int, Epoch] = {}
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
            epochs[number] = Epoch(number, seconds, values)
    except (OSError, csv.Error):
        return []
    return [epochs[number] for number in sorted(epochs)]


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
