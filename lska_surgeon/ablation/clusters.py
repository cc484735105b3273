"""Training runs on other machines that share the runs' folder: as tasks of a Ray cluster, or one array of Slurm jobs.

What one has to know of Ray: relative paths fail in its workers, so all are absolute here; it writes a token file into
the home folder unless told not to; what a task started outlives the task, so each run's process watches its parent; it
runs a dead node's tasks again. Slurm is called, not replaced.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..declarations.find import for_children
from ..errors import AblationError, needs
from ..files import write_text
from ..wording import clean, counted, error_in_one_line, number_in, one_line
from .launch import Event, Report, ended, to_train
from .records import read_record
from .rounds import begin, settle
from .runs import Ablation, Run
from .status import NOTHING, RunStatus, progress_line
from .worker import as_here, command

_LOOK = 2.0  # seconds between looks at the runs
_KNOCK = 10.0  # seconds that a cluster has to answer
_JOIN = 60.0  # seconds that it takes at most to join it
_DEATHS = 5  # times that a run's process may die before no job is submitted for it again
_RETRIES = 10  # times that a run is begun again because its node died
#: `--array=0-9`, `--array 0-9`, `-a 0-9`, `-a0-9`, and the abbreviations that sbatch takes.
_ARRAY = re.compile(r"--ar(?:r|ra|ray)?(?:=(.*))?|-a(.*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LIMIT = re.compile(r"%[1-9]\d*")

# Ray.


def check_ray() -> None:
    """Refuse an environment without Ray.

    Raises:
        MissingPackageError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise needs("ray", what="a Ray cluster")


@contextmanager
def ray_cluster(address: str) -> Iterator[Cluster]:
    """A Ray cluster, joined for as long as runs are trained there.

    Raises:
        AblationError: it can't be reached.
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
    try:
        yield Cluster(ray)
    finally:
        if mine:
            ray.shutdown()


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that was joined."""

    ray: Any

    @property
    def _device(self) -> Literal["GPU", "CPU"]:
        return "GPU" if self.ray.cluster_resources().get("GPU", 0) else "CPU"

    @property
    def free(self) -> int:
        """How many runs it can train at once now, and always one, for which there may be a wait."""
        return max(1, int(self.ray.available_resources().get(self._device, 0)))

    def train(self, ablation: Ablation, runs: Sequence[Run], report: Report) -> None:
        """Train runs as Ray tasks, a GPU each, or a CPU where the cluster has no GPU."""
        gpus = self._device == "GPU"
        wants: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1, "num_gpus": 0}
        task = self.ray.remote(max_retries=_RETRIES, **wants)(_run)
        folder = str(ablation.recipe.folder.absolute())
        device = [] if gpus else ["--device", "cpu"]
        told = for_children(ablation.recipe.blocks)
        before = {str(run.folder): _attempts(run) for run in runs}
        running = {task.remote([*command(str(run.folder)), *device], folder, told): run for run in runs}
        try:
            with redirect_stdout(sys.stderr):  # what Ray itself tells of dead nodes is no result
                _watch(self.ray, running, before, report)
        finally:
            for reference in running:
                self.ray.cancel(reference, force=True)


def _watch(ray: Any, running: dict[Any, Run], before: dict[str, int], report: Report) -> None:
    """Tell of tasks until all have ended; one that has not begun waits for a device, and nothing is told of it."""
    begun: set[str] = set()
    while running:
        finished, _ = ray.wait(list(running), timeout=_LOOK)
        for reference in finished:
            report(_ended(ray, reference, running.pop(reference)))
        for run in running.values():
            if str(run.folder) in begun:
                report(Event("running", run, "ray", progress_line(run)))
            elif _attempts(run) > before[str(run.folder)]:
                begun.add(str(run.folder))
                report(Event("started", run, "ray"))


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


def _attempts(run: Run) -> int:
    """How often it was begun."""
    record = read_record(run.folder)
    return len(record.attempts) if record else 0


def _ended(ray: Any, reference: Any, run: Run) -> Event:
    try:
        return ended(run, "ray", ray.get(reference))
    except ray.exceptions.RayError as error:
        return Event("killed", run, "ray", f"its task was lost: {' '.join(str(error).split())[:200]}")


def _run(words: list[str], cwd: str, told: dict[str, str]) -> int:
    """In a worker of Ray: train a run in a process of its own, which ends with this one."""
    words = [sys.executable, *words[1:], "--parent", str(os.getpid())]
    process = subprocess.Popen(words, cwd=cwd, env={**os.environ, **told}, start_new_session=True)
    try:
        return process.wait()
    finally:
        process.kill()


# Slurm.


def check_slurm() -> None:
    """Refuse a machine that can't submit jobs.

    Raises:
        AblationError: there is no sbatch.
    """
    if shutil.which("sbatch") is None:
        raise AblationError("no sbatch here: call this on a machine that submits to Slurm, or leave --slurm out")


def _split(options: str) -> tuple[str, str]:
    """Options without `--array=%4`, and its `%4`: how many tasks run at once."""
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise AblationError(f"can't read the options of sbatch {options!r}: {error}") from error
    rest: list[str] = []
    limit = ""
    while words:
        word = words.pop(0)
        found = _ARRAY.fullmatch(word)
        if found is None:
            rest.append(word)
            continue
        value = found[1] or found[2] or (words.pop(0) if words else "")
        if not _LIMIT.fullmatch(value):
            raise AblationError(
                f"the array is one task for each run, and sbatch's option {word} would set another: "
                "leave it out, or say only how many run at once, as --array=%4"
            )
        limit = value
    return (shlex.join(rest) if limit else options.strip()), limit


def at_once(options: str) -> int:
    """How many tasks run at once, as far as the options say it; else 1."""
    return int(_split(options)[1][1:] or 1)


def script(ablation: Ablation, runs: Sequence[Run | RunStatus], options: str, listed: str | None = None) -> str:
    """The job script: one task of the array for each run; "" where there is none.

    Args:
        ablation: the ablation.
        runs: what is to be trained.
        options: what the user wants sbatch to be told, as one would type it.
        listed: the file that lists the runs' folders, one a line; None for a name that it may have.

    Raises:
        AblationError: the options hold an array of their own, or a name or the options a control character.
    """
    options, limit = _split(options)
    list_of(runs)
    if not runs:
        return ""
    listed = listed or str(ablation.folder / "slurm" / "DATE-runs.txt")
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={shlex.quote(ablation.recipe.path.stem)}",
        f"#SBATCH --array=0-{len(runs) - 1}{limit}",
        f"#SBATCH --output={shlex.quote(str(ablation.folder / 'slurm' / '%A-%a.txt'))}",
        f"#SBATCH --chdir={shlex.quote(str(ablation.recipe.folder.absolute()))}",
        "#SBATCH --requeue",
        *([f"#SBATCH {options}"] if options else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in for_children(ablation.recipe.blocks).items()),
        "# A task whose node fails is queued again and goes on where it stopped; one that is done ends at once.",
        f'exec {shlex.join(command(listed))} --index "$SLURM_ARRAY_TASK_ID"',
    ]
    return _in_lines(lines)


def _in_lines(texts: Sequence[str]) -> str:
    """Texts, each of them in a line, for whoever reads line by line.

    Raises:
        AblationError: one would be several, or hold what a terminal or shell takes for an order.
    """
    for text in texts:
        if _CONTROL.search(text):
            raise AblationError(f"a control character is in {clean(repr(text), 300)}: Slurm's files can't have any")
    return "".join(f"{text}\n" for text in texts)


def list_of(runs: Sequence[Run | RunStatus]) -> str:
    """The runs' folders, one a line.

    Raises:
        AblationError: a folder's name has a control character.
    """
    return _in_lines([str(run.folder) for run in runs])


def submit_round(ablation: Ablation, options: str, *, retry: bool = False, renew: bool = False) -> str:
    """Count what is complete, submit an array of the next round, and a job behind it that does the same again.

    A round has as many seeds as keep so many jobs busy as the options let run at once, with `--array=%4`; else one.

    Returns:
        What sbatch answered.

    Raises:
        AblationError: sbatch refused, or what was fixed before the first training has changed.
    """
    begin(ablation)
    rounds = settle(ablation, (), retry=retry)
    runs = to_train(rounds.next_runs(at_once(options)), retry=retry, renew=renew)
    often = [run for run in runs if _attempts(run) >= _DEATHS]
    if often:
        name = often[0].name
        raise AblationError(
            f"{name}: its process died {_DEATHS} times, see {often[0].folder}: train it here, or mend it"
        )
    note = submit(ablation, runs, options)
    job = re.search(r"(\d+) \(\d+ runs, ", note)
    if not runs or job is None:
        return note
    return f"{note}; {_submit_next(ablation, options, job[1])} goes on when they have ended"


def _submit_next(ablation: Ablation, options: str, after: str) -> str:
    """Submit a job that submits the next round, when an array has ended, however that was."""
    recipe, folder = str(ablation.recipe.path.absolute()), str(ablation.folder)
    words = as_here("from lska_surgeon.cli.main import main; main()", "ablate", recipe, "--folder", folder)
    folder_of_jobs = ablation.folder / "slurm"
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={shlex.quote(ablation.recipe.path.stem)}-next",
        f"#SBATCH --dependency=afterany:{after}",
        f"#SBATCH --output={shlex.quote(str(folder_of_jobs / '%j-next.txt'))}",
        f"#SBATCH --chdir={shlex.quote(str(ablation.recipe.folder.absolute()))}",
        *([f"#SBATCH {rest}"] if (rest := _split(options)[0]) else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in for_children(ablation.recipe.blocks).items()),
        f"exec {shlex.join([*words, '--slurm', options])}",
    ]
    path = folder_of_jobs / f"{time.strftime('%Y%m%d-%H%M%S')}-next.sh"
    write_text(path, _in_lines(lines), force=True)
    return _sbatch(path)


def submit(ablation: Ablation, runs: Sequence[Run], options: str) -> str:
    """Write the list and the script, and submit it.

    Returns:
        What sbatch answered.

    Raises:
        AblationError: sbatch refused.
    """
    if not runs:
        return NOTHING
    folder = ablation.folder / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    listed, path = folder / f"{stamp}-runs.txt", folder / f"{stamp}.sh"
    write_text(listed, list_of(runs), force=True)
    write_text(path, script(ablation, runs, options, str(listed)), force=True)
    return f"{_sbatch(path)} ({counted(len(runs), 'run')}, {path})"


def _sbatch(path: Path) -> str:
    """Submit a script; what sbatch answered."""
    try:
        done = subprocess.run(["sbatch", str(path)], capture_output=True, check=False)
    except OSError as error:
        raise AblationError(f"can't run sbatch: {error.strerror or error}") from error
    if done.returncode:
        said = _words_of(done.stderr or done.stdout)
        raise AblationError(f"sbatch refused {path}: {said or f'exit code {done.returncode}'}")
    return _words_of(done.stdout)


def _words_of(said: bytes) -> str:
    """What a program said, in one line, whatever its encoding."""
    return clean(one_line(said.decode("utf-8", errors="backslashreplace")), 500)
