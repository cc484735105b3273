"""The process that trains one run, and the words that start it.

All that it knows stands in the run's folder, and all that it has to say goes there: into the log, and into the record.
It ends with the process that started it, so that no training is left behind that holds a device. It finds its modules
where that process finds them, whatever lies in the folder that it works in: above all the same Ultralytics.
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
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..errors import AblationError, SurgeonError
from ..files import NO_ROOM, no_room
from ..yolo.environment import import_offline
from .records import (
    DONE,
    FAILED,
    LOG,
    UNREADABLE,
    Attempt,
    Busy,
    Failure,
    Record,
    held,
    log_tail,
    read_record,
    write_record,
)  # fmt: skip

#: Exit codes; after `STOPPED`, the other runs would end the same way.
FINE, WRONG, STOPPED, BUSY = 0, 1, 74, 75
_WATCH = 1.0  # seconds between looks at the parent


def as_here(code: str, *words: str) -> list[str]:
    """The words that run a line of Python in a process that finds its modules where this one does.

    `python -m` would look in the folder that it works in first, and into $PYTHONPATH before this process's own places.
    """
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    begin = "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); "
    return [sys.executable, "-c", begin + code, path, *words]


def command(folder: str) -> list[str]:
    """The words that train the run in a folder; with `--index N` behind them, that of a list of folders."""
    import_offline()
    begin = "from lska_surgeon.ablation.worker import main; sys.exit(main())"
    return as_here(begin, folder, "--ultralytics", str(sys.modules["ultralytics"].__file__))


def main(words: Sequence[str] | None = None) -> int:
    """Train the run that the words name."""
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("folder", type=Path, help="a run's folder, or with --index a file with one such folder a line")
    parser.add_argument("--index", type=int)
    parser.add_argument("--device")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--ultralytics", help="the file that it is to be imported from")
    asked = parser.parse_args(words)
    folder = asked.folder
    if asked.index is not None:
        folder = Path(os.fsdecode(asked.folder.read_bytes().split(b"\n")[asked.index]))
    if asked.parent is not None:
        threading.Thread(target=_end_with, args=(asked.parent,), daemon=True).start()
    return work(folder.absolute(), asked.device, asked.ultralytics)


def work(folder: Path, device: str | None, ultralytics: str | None = None) -> int:
    """Train a run, unless somebody is at it, it is done, or another call's process has failed at it; an exit code.

    Whoever tries a run again makes it wait again first, see `Run.prepare`.
    """
    try:
        with held(folder, wait=3.0):
            record = read_record(folder)
            if record is None or record.state in (FAILED, UNREADABLE):
                return WRONG
            return FINE if record.state == DONE else _train(folder, record, device, ultralytics)
    except Busy:
        return BUSY
    except (OSError, SurgeonError) as error:
        if no_room(error):  # for a record
            return STOPPED
        raise


class _Elsewhere(AblationError):
    """Ultralytics is another one here than where the call came from."""


def _train(folder: Path, record: Record, device: str | None, ultralytics: str | None) -> int:
    attempt = Attempt(_now(), socket.gethostname(), os.getpid())
    before, begun = record.attempts, time.monotonic()
    record = record.but(state="running", attempts=(*before, attempt), error=None)
    write_record(folder, record)
    try:
        _write_to_log(folder / LOG)
        import_offline()
        _check_same(ultralytics)
        from .training import device_name, train_run, versions

        record = record.but(device=device_name(device), versions=versions())
        write_record(folder, record)
        record = train_run(folder, record, device).but(state="done")
        code = FINE
    except BaseException as error:
        if not isinstance(error, Exception):
            raise  # stopped, not failed: the next call goes on
        text = str(error) if isinstance(error, SurgeonError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, SurgeonError):
            traceback.print_exc()
        sys.stderr.flush()
        if no_room(error) and NO_ROOM not in text:
            text = f"{NO_ROOM}: {text}"
        stops = no_room(error) or isinstance(error, _Elsewhere)
        failure = Failure(" ".join(text.split())[:500], log_tail(folder))
        written = read_record(folder) or record  # with what was noted on the way
        record, code = written.but(error=failure, state="running" if stops else "failed"), STOPPED if stops else WRONG
    taken = Attempt(attempt.started, attempt.host, attempt.pid, _now(), round(time.monotonic() - begun, 1))
    write_record(folder, record.but(attempts=(*before, taken)))
    return code


def _write_to_log(log: Path) -> None:
    """Let all that this process prints go into the log, whatever its letters."""
    with log.open("a", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _check_same(wanted: str | None) -> None:
    here = str(sys.modules["ultralytics"].__file__)
    if wanted is not None and os.path.realpath(here) != os.path.realpath(wanted):
        raise _Elsewhere(
            f"a training would import ultralytics from {here}, and the call that started it imported {wanted}: "
            "see to it that both find the same one, in $PYTHONPATH or in the environment"
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _end_with(parent: int) -> None:
    """Kill this process, and all that it has started, when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
