"""Training runs on this machine, one process per device; all that is known of a run is in its files."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..declarations.find import for_children
from ..errors import AblationError, SurgeonError
from ..files import NO_ROOM
from ..recipes.recipe import ELSEWHERE
from ..wording import number_in, shown
from ..yolo.environment import import_offline
from .records import FAILED, INTERRUPTED, LOG, RUNNING, WAITING, read_record
from .rounds import begin, settle
from .runs import Ablation, Run
from .status import progress_line
from .worker import BUSY, FINE, STOPPED, WRONG, command

_LOOK = 0.2  # seconds between looks at the processes
_STOP = 10.0  # seconds that a process has to stop


@dataclass(frozen=True)
class Event:
    """What happened to a run.

    Attributes:
        kind: "started", "running", "done", "failed", "killed" or "busy"; or "round", when one is decided.
        run: the run; None for a round.
        device: where it is trained.
        text: more about it.
    """

    kind: str
    run: Run | None
    device: str
    text: str = ""


Report = Callable[[Event], Any]


def check_arguments(ablation: Ablation) -> None:
    """Refuse what is no argument of the installed Ultralytics, has a wrong value, or names a file that would run code.

    Raises:
        RecipeError: with file, line and field.
    """
    import_offline()
    from ..grafting.train import check_options, refuse_unsafe_files

    for name, value in ablation.experiment.arguments.items():
        try:
            said = check_options({name: value}, ablation.recipe.folder)
            refuse_unsafe_files({name: value}, ablation.recipe.folder)
        except SurgeonError as error:
            raise ablation.recipe.bad(f"train.{name}", error) from error
        for key, default in (("pretrained", True), ("resume", False)):
            if said.get(key) not in (None, default):
                problem = f"{value} says {key}: {said[key]}, and {ELSEWHERE[key]}"
                raise ablation.recipe.bad(f"train.{name}", problem)


def read_devices(asked: str) -> tuple[str, ...]:
    """The devices that a text names, here or not.

    Raises:
        AblationError: it names none, one twice, or something else.
    """
    words = asked.replace(" ", "").split(",")
    devices = [word if (number := number_in(word)) is None else str(number) for word in words if word]
    for device in devices:
        if device not in ("cpu", "mps") and number_in(device) is None:
            raise AblationError(f"{shown(device)} is no device: give the numbers of GPUs, such as 0,1, or cpu")
        if devices.count(device) > 1:
            raise AblationError(f"device {device} is there twice, and one training runs on each: give it once")
    if not devices:
        raise AblationError("no device was given: such as --devices 0,1 or --devices cpu")
    return tuple(devices)


def find_devices(asked: str | None) -> tuple[str, ...]:
    """The devices to train on: those that were asked for, else every GPU, else the CPU.

    Raises:
        AblationError: one is not here.
    """
    import torch

    here = tuple(map(str, range(torch.cuda.device_count())))
    if asked is None:
        return here or ("cpu",)
    devices = read_devices(asked)
    for device in devices:
        if number_in(device) is not None and device not in here:
            raise AblationError(f"no device {device!r} here: there are {', '.join([*here, 'cpu'])}")
    return devices


def to_train(runs: Sequence[Run], *, retry: bool = False, renew: bool = False) -> list[Run]:
    """Those of some runs that are to be trained now, their folders prepared."""
    return [run for run in runs if run.prepare(renew=renew, retry=retry) and run.state in (WAITING, INTERRUPTED)]


def train_in_rounds(
    ablation: Ablation,
    train: Callable[[Sequence[Run]], Any],
    at_once: int,
    report: Report,
    *,
    retry: bool = False,
    renew: bool = False,
) -> None:
    """Train round after round what the next decision needs, until all is decided or a round can't be completed.

    Args:
        ablation: the ablation.
        train: trains runs whose folders are prepared, until all of them have ended.
        at_once: how many it trains at once.
        report: is told of each round.
        retry: runs that failed, and are not counted yet, are trained once more.
        renew: runs whose record is damaged are moved aside.

    Raises:
        AblationError: what was fixed before the first training has changed.
    """
    told, tried = begin(ablation), set[Path]()
    while True:
        rounds = settle(ablation, tried, retry=retry)
        if len(rounds.counted) > len(told.counted):
            report(Event("round", None, "", rounds.since(told)))
            told = rounds
        wanted = [run for run in rounds.next_runs(at_once) if run.folder not in tried]
        now = to_train(wanted, retry=retry, renew=renew)
        tried.update(run.folder for run in now)
        if now:
            train(now)
        elif any(run.state == RUNNING for run in rounds.next_runs()):
            time.sleep(_LOOK)  # another call is at it
        else:
            return


def train_here(ablation: Ablation, runs: Sequence[Run], devices: Sequence[str], report: Report) -> None:
    """Train runs, one process per device; when this is interrupted, every process is stopped.

    Raises:
        AblationError: the other runs would end as one has: the disk is full, or Ultralytics is another one there.
    """
    waiting = list(runs)
    running: dict[int, tuple[Run, str, subprocess.Popen[bytes]]] = {}
    try:
        while waiting or running:
            for number, device in enumerate(devices):
                if number not in running and waiting:
                    run = waiting.pop(0)
                    running[number] = (run, device, _start(ablation, run, device))
                    report(Event("started", run, device))
            time.sleep(_LOOK)
            for number, (run, device, process) in list(running.items()):
                code = process.poll()
                if code is None:
                    report(Event("running", run, device, progress_line(run)))
                else:
                    del running[number]
                    report(ended(run, device, code))
    finally:
        _stop([process for _, _, process in running.values()])


def _start(ablation: Ablation, run: Run, device: str) -> subprocess.Popen[bytes]:
    """A process that trains a run, and ends when this one does."""
    with (run.folder / LOG).open("ab") as log:
        return subprocess.Popen(
            [*command(str(run.folder)), "--parent", str(os.getpid()), "--device", device],
            cwd=ablation.recipe.folder,
            env={**os.environ, **for_children(ablation.recipe.blocks)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that Ctrl-C in the terminal is for us alone
        )


def ended(run: Run, device: str, code: int) -> Event:
    """What the end of a run's process means.

    Raises:
        AblationError: that no other is to be started.
    """
    record = read_record(run.folder)
    if code == STOPPED:
        told = record.error.text if record and record.state == RUNNING and record.error else NO_ROOM
        raise AblationError(f"{run.name}: {told}; all trainings were stopped, and the same command goes on")
    if code == FINE:
        notes = record.notes.values() if record else ()
        return Event("done", run, device, "; ".join([progress_line(run, ended=True), *notes]))
    if code == BUSY:
        return Event("busy", run, device, "another call trains it")
    if code == WRONG and record and record.state == FAILED and record.error:
        return Event("failed", run, device, record.error.text)
    how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
    hint = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
    return Event("killed", run, device, f"its process was {how}{hint}; the next call goes on with it")


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes and all that they have started."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    until = time.monotonic() + _STOP
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()


def _signal(process: subprocess.Popen[bytes], what: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, what)
        else:
            process.terminate()
