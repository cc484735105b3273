"""The record of a cell: all that is known of it, in one file that is replaced whole; it knows no recipe and no torch.

A record says "running" from the first moment of a training to its end. Whether somebody is still at it, the lock says:
it is the system's, and goes with the process that held it, however that ended.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import AblationError
from ..files import write_text

SCHEMA = 1
RECORD = "cell.json"
LOG = "log.txt"
#: States of a cell; the first four are kept in its record.
WAITING, RUNNING, DONE, FAILED, STALE, INTERRUPTED = "waiting", "running", "done", "failed", "stale", "interrupted"
_TAIL = 12  # lines of a log that a record keeps


def digest(value: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_record(folder: Path) -> dict[str, Any] | None:
    """A cell's record; None where there is none.

    Raises:
        AblationError: the file is no record.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise AblationError(f"can't read {path}: {error}; move {folder} away to train it anew") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise AblationError(f"{path} is no record that this release reads: move {folder} away to train it anew")
    return record


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
    """Whether somebody holds a cell now."""
    if not Path(f"{folder}.lock").exists():
        return False
    try:
        with held(folder):
            return False
    except Busy:
        return True


def state_of(folder: Path, identity: str | None = None) -> str:
    """What a cell is in; one that was trained under another identity is stale."""
    record = read_record(folder)
    if record is None:
        return RUNNING if is_held(folder) else WAITING
    state = str(record["state"])
    if identity is not None and record["identity"] != identity:
        return STALE
    if state == RUNNING:
        return RUNNING if is_held(folder) else INTERRUPTED
    return state


def log_tail(folder: Path) -> str:
    """The end of a cell's log, progress bars left out."""
    try:
        text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
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
    """The epochs that a run has finished; of an epoch that was trained twice, the last."""
    try:
        with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
            rows = [{(key or "").strip(): value for key, value in row.items()} for row in csv.DictReader(file)]
    except OSError:
        return []
    found: dict[int, Epoch] = {}
    for row in rows:
        values = {key: _number(value) for key, value in row.items()}
        if not math.isfinite(values.get("epoch", math.nan)):
            continue  # a line that is being written
        number, seconds = int(values.pop("epoch")), values.pop("time", math.nan)
        found[number] = Epoch(number, seconds, values)
    return [found[number] for number in sorted(found)]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
