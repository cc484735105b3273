"""The process that trains one cell: `python -m lska_surgeon.ablation.worker FOLDER [--device D] [--parent PID]`.

All that it knows stands in the cell's folder, and all that it has to say goes there: into the log, and into the record.
It ends with the process that started it, so that no training is left behind that holds a device.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .records import DONE, FAILED, LOG, RUNNING, UNREADABLE, Busy, held, log_tail, read_record, write_record

#: Exit codes.
FINE, WRONG, BUSY = 0, 1, 75
#: Where this package lies; a process that is started in another folder has to find this very copy.
HOME = str(Path(__file__).resolve().parents[2])
_WATCH = 1.0  # seconds between looks at the parent


def main(words: Sequence[str] | None = None) -> int:
    """Train the cell that the words name."""
    parser = argparse.ArgumentParser(prog="python -m lska_surgeon.ablation.worker")
    parser.add_argument("folder", type=Path, help="a cell's folder, or with --index a file with one such folder a line")
    parser.add_argument("--index", type=int)
    parser.add_argument("--device")
    parser.add_argument("--parent", type=int)
    asked = parser.parse_args(words)
    folder = asked.folder
    if asked.index is not None:
        folder = Path(asked.folder.read_text(encoding="utf-8").splitlines()[asked.index])
    if asked.parent is not None:
        threading.Thread(target=_end_with, args=(asked.parent,), daemon=True).start()
    return work(folder.absolute(), asked.device)


def work(folder: Path, device: str | None) -> int:
    """Train a cell, unless somebody is at it, it is done, or another call's process has failed at it; an exit code.

    Whoever tries a cell again makes it wait again first, see `Cell.prepare`.
    """
    try:
        with held(folder, wait=3.0):
            record = read_record(folder)
            if record is None or record["state"] in (FAILED, UNREADABLE):
                return WRONG
            return FINE if record["state"] == DONE else _train(folder, record, device)
    except Busy:
        return BUSY


def _train(folder: Path, record: dict[str, Any], device: str | None) -> int:
    attempt: dict[str, Any] = {"started": _now(), "host": socket.gethostname(), "pid": os.getpid()}
    record = {**record, "state": RUNNING, "attempts": [*record.get("attempts", []), attempt]}
    record.pop("error", None)
    write_record(folder, record)
    begun = time.monotonic()
    try:
        with (folder / LOG).open("a", encoding="utf-8") as log:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                if isinstance(stream, io.TextIOWrapper):  # whatever is said is no reason to stop
                    stream.reconfigure(encoding="utf-8", errors="backslashreplace")
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        from ..yolo.environment import import_offline

        import_offline()
        from .training import device_name, train_cell, versions

        record.update(device=device_name(device), versions=versions())
        found = train_cell(folder, record, device)
    except BaseException as error:
        import traceback

        from ..errors import SurgeonError

        if not isinstance(error, Exception):
            raise  # stopped, not failed: the next call goes on
        if not isinstance(error, SurgeonError):
            traceback.print_exc()
        sys.stderr.flush()
        text = str(error) if isinstance(error, SurgeonError) else f"{type(error).__name__}: {error}"
        record["error"] = {"text": " ".join(text.split())[:500], "log": log_tail(folder)}
        attempt.update(_taken(begun))
        write_record(folder, {**record, "state": FAILED})
        return WRONG
    attempt.update(_taken(begun))
    write_record(folder, {**record, **found, "state": DONE})
    return FINE


def _taken(begun: float) -> dict[str, Any]:
    """When an attempt ended, and how many seconds it took."""
    return {"ended": _now(), "seconds": round(time.monotonic() - begun, 1)}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _end_with(parent: int) -> None:
    """Kill this process, and all that it has started, when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
