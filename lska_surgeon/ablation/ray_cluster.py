"""Training cells on a Ray cluster whose nodes share the cells' folder; Ray runs a dead node's cells again.

What one has to know of Ray: relative paths fail in its workers, so all are absolute here; it writes a token file into
the home folder unless told not to; what a task started outlives the task, so each cell's process watches its parent.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from ..declarations.find import for_children
from ..errors import AblationError, needs
from ..wording import clean, error_in_one_line, number_in
from .cells import Ablation, Cell
from .records import read_record
from .scheduler import Event, Report, ended
from .status import progress_line
from .worker import as_here, command

_LOOK = 2.0  # seconds between looks at the cells
_KNOCK = 10.0  # seconds that a cluster has to answer
_JOIN = 60.0  # seconds that it takes at most to join it
_RETRIES = 10  # times that a cell is run again because its node died


def check_ray() -> None:
    """Refuse an environment without Ray.

    Raises:
        MissingPackageError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise needs("ray", what="a Ray cluster")


def train_on_ray(ablation: Ablation, cells: Sequence[Cell], address: str, report: Report) -> None:
    """Train cells as Ray tasks, a GPU each, or a CPU where the cluster has no GPU.

    Raises:
        AblationError: the cluster can't be reached.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    mine = not ray.is_initialized()
    if mine and address != "local":
        _knock(address)
        _try(address)
    try:
        if mine:
            ray.init(address=None if address == "local" else address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address, error_in_one_line(error)) from error
    gpus = ray.cluster_resources().get("GPU", 0)
    wants: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1, "num_gpus": 0}
    task = ray.remote(max_retries=_RETRIES, **wants)(_run)
    folder = str(ablation.recipe.folder.absolute())
    device = [] if gpus else ["--device", "cpu"]
    told = for_children()
    before = {str(cell.folder): _attempts(cell) for cell in cells}
    running = {task.remote([*command(str(cell.folder)), *device], folder, told): cell for cell in cells}
    try:
        with redirect_stdout(sys.stderr):  # what Ray itself tells of dead nodes is no result
            _watch(ray, running, before, report)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if mine:
            ray.shutdown()


def _watch(ray: Any, running: dict[Any, Cell], before: dict[str, int], report: Report) -> None:
    """Tell of tasks until all have ended; one that has not begun waits for a device, and nothing is told of it."""
    begun: set[str] = set()
    while running:
        finished, _ = ray.wait(list(running), timeout=_LOOK)
        for reference in finished:
            report(_ended(ray, reference, running.pop(reference)))
        for cell in running.values():
            if str(cell.folder) in begun:
                report(Event("running", cell, "ray", progress_line(cell)))
            elif _attempts(cell) > before[str(cell.folder)]:
                begun.add(str(cell.folder))
                report(Event("started", cell, "ray"))


def _knock(address: str) -> None:
    """Refuse a HOST:PORT at which nobody listens, which Ray itself takes minutes for.

    Raises:
        AblationError: nobody does.
    """
    host, colon, port = address.rpartition(":")
    number = number_in(port)
    if "/" in address or not colon or number is None:
        return
    try:
        socket.create_connection((host.strip("[]"), number), timeout=_KNOCK).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _try(address: str) -> None:
    """Refuse a cluster that can't be joined, which Ray itself may try for ever: by a process that can be ended.

    One that goes by another address than it was asked by answers, and then waits for whoever asked under that one.

    Raises:
        AblationError: it can't be joined, or takes too long.
    """
    join = (
        "import logging, ray; "
        "ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL); ray.shutdown()"
    )
    try:
        done = subprocess.run(as_here(join, address), capture_output=True, timeout=_JOIN, check=False)
    except subprocess.TimeoutExpired as error:
        why = f"it was not to be joined within {_JOIN:.0f} s; it may go by another address, see what ray start printed"
        raise _no_cluster(address, why) from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        raise _no_cluster(address, clean(lines[-1] if lines else "it can't be joined", 300))


def _no_cluster(address: str, why: str) -> AblationError:
    if address == "auto" and why.startswith("ConnectionError"):
        why = "none runs here"
    return AblationError(f"no Ray cluster at {address}: {why}: start one with ray start --head, or give HOST:PORT")


def _attempts(cell: Cell) -> int:
    """How often it was begun."""
    return len((read_record(cell.folder) or {}).get("attempts", []))


def _ended(ray: Any, reference: Any, cell: Cell) -> Event:
    try:
        return ended(cell, "ray", ray.get(reference))
    except ray.exceptions.RayError as error:
        return Event("killed", cell, "ray", f"its task was lost: {' '.join(str(error).split())[:200]}")


def _run(words: list[str], cwd: str, told: dict[str, str]) -> int:
    """In a worker of Ray: train a cell in a process of its own, which ends with this one."""
    words = [sys.executable, *words[1:], "--parent", str(os.getpid())]
    process = subprocess.Popen(words, cwd=cwd, env={**os.environ, **told}, start_new_session=True)
    try:
        return process.wait()
    finally:
        process.kill()
