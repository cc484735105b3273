"""Real trainings of a tiny network: killed on their way, failed, resumed; and what is noticed of each."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.ablations import RECIPE, pretend, start_ablate, write_recipe
from support.shapes import surgeon, write_checkpoint

import lska_surgeon as ls
from lska_surgeon.ablation import launch, training, worker
from lska_surgeon.ablation.records import Epochs, Record, Task, Transferred, read_epochs, read_record
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.ablation.training import other_network
from lska_surgeon.errors import TargetError

ONE = RECIPE.replace("[neck, sppf]", "neck").replace("[0, 1, 2]", "[0]")


def numbers(folder: Path) -> dict[str, list[Any]]:
    """What the trainings came to, times left out."""
    return {
        str(path.parent.relative_to(folder)): [dict(epoch.values) for epoch in read_epochs(path.parent)]
        for path in sorted(folder.rglob("results.csv"))
    }


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def running_workers(folder: Path) -> list[int]:
    return [
        record["attempts"][-1]["pid"]
        for path in folder.rglob("run.json")
        for record in [json.loads(path.read_text(encoding="utf-8"))]
        if record["state"] == "running"
    ]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_killed_twice_the_table_is_the_same(tmp_path: Path) -> None:
    straight, broken = write_recipe(tmp_path / "a"), write_recipe(tmp_path / "b")
    shutil.copytree(tmp_path / "a" / "shapes", tmp_path / "b" / "shapes", dirs_exist_ok=True)
    assert start_ablate(straight, "--quiet").wait() == 0
    runs = broken.parent / "ablation"

    # A worker is killed in the middle of its second epoch; the call goes on with the other runs and says so.
    first = start_ablate(broken)
    wait_for(lambda: any((path / "resume.pt").exists() for path in runs.rglob("seed-*") if path.is_dir()))
    os.kill(running_workers(runs)[0], signal.SIGKILL)
    wait_for(lambda: len(list(runs.rglob("last.pt"))) >= 3)

    # Now the call itself is; its worker does not outlive it.
    workers = running_workers(runs)
    first.kill()
    first.wait()
    wait_for(lambda: not any(map(alive, workers)), 30)
    status = ls.ablate(broken, dry_run=True)
    done = {path: path.stat().st_mtime_ns for path in runs.rglob("results.csv")}
    finished = [run.folder / "results.csv" for run in status.runs if run.state == "done"]
    assert set(status.counts) >= {"interrupted", "waiting"}

    # And the folder is moved, half-trained runs and all.
    moved = tmp_path / "c"
    broken.parent.rename(moved)
    broken, runs = moved / broken.name, moved / "ablation"
    assert start_ablate(broken, "--quiet").wait() == 0
    assert not (tmp_path / "b").exists()
    for path in finished:
        assert (moved / path.relative_to(tmp_path / "b")).stat().st_mtime_ns == done[path]
    assert numbers(runs) == numbers(straight.parent / "ablation")
    assert all(len(epochs) == 3 for epochs in numbers(runs).values())
    tables = [json.loads(surgeon("results", recipe, "--json").output)["rows"] for recipe in (straight, broken)]
    for rows in tables:
        for row in rows:
            row.pop("notes")
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_two_calls_at_once_share_the_work(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", ONE)
    calls = [start_ablate(recipe) for _ in range(2)]
    assert [call.wait() for call in calls] == [0, 0]
    for run in plan_ablation(recipe).runs:
        record = read_record(run.folder)
        assert record.state == "done"
        assert len(record.attempts) == 1
        assert "precision@0.25(B)" in record.measured


@pytest.mark.slow
def test_a_copy_that_is_not_installed_is_found_from_the_recipes_folder(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", ONE.replace("epochs: 3", "epochs: 1"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "lska_surgeon", "ablate", str(recipe), "--devices", "cpu"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", ONE)
    call = start_ablate(recipe)
    wait_for(lambda: bool(running_workers(tmp_path)))
    workers = running_workers(tmp_path)
    call.send_signal(signal.SIGINT)
    assert call.wait() == 130
    assert not any(map(alive, workers))
    said = (tmp_path / "a" / "ablate.txt").read_text(encoding="utf-8")
    again = f"lska-surgeon ablate {recipe} --devices cpu"
    assert said.endswith(f"Stopped. recipe.yaml: 2 runs: 1 interrupted, 1 waiting; go on with: {again}\n")


@pytest.mark.slow
def test_a_failed_run_is_recorded_and_tried_again_when_asked(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", ONE)
    labels = tmp_path / "a" / "shapes" / "images" / "train"
    labels.rename(labels.with_name("away"))
    labels.mkdir()  # a folder without images; one that is not here is told before a run starts
    assert start_ablate(recipe).wait() == 1
    said = (tmp_path / "a" / "ablate.txt").read_text(encoding="utf-8")
    assert said.count("Failed: ") == 2
    assert "add --retry to train them again" in said
    record = read_record(plan_ablation(recipe).runs[0].folder)
    assert "images" in record.error.text
    labels.rmdir()
    labels.with_name("away").rename(labels)
    assert start_ablate(recipe).wait() == 1  # left as they are
    assert start_ablate(recipe, "--retry").wait() == 0
    assert ls.ablate(recipe, dry_run=True).counts == {"done": 2}


@pytest.mark.slow
def test_a_start_is_grafted_into_each_variant(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", ONE.replace("train: {", "train: {start: base.pt, "))
    write_checkpoint(tmp_path / "a")
    assert start_ablate(recipe).wait() == 0
    for run in plan_ablation(recipe).runs:
        record = read_record(run.folder)
        assert record.transferred.tensors == record.transferred.of > 100
        assert record.notes == {}


def ended_trainer(batch: int = 8, time: float | None = None) -> Any:
    """What is asked of a trainer that has ended."""
    return SimpleNamespace(
        args=SimpleNamespace(epochs=3, batch=batch, time=time),
        device=torch.device("cpu"),
        train_loader=SimpleNamespace(num_workers=0),
        validator=SimpleNamespace(metrics=SimpleNamespace()),
    )


@pytest.mark.parametrize(
    ("epochs", "trainer", "transferred", "kind", "text"),
    [
        ([0.1, 0.2], ended_trainer(), 90, "early stop", "stopped after 2 of 3 epochs"),
        ([0.1, math.nan, 0.2], ended_trainer(), 90, "NaN", "losses were not finite in epoch 2"),
        ([0.1, 0.2, 0.3], ended_trainer(batch=4), 90, "smaller batch", "out of memory: batch 8 became 4"),
        (
            [0.1, 0.2, 0.3],
            ended_trainer(),
            0,
            "nothing transferred",
            "none of the start's 90 tensors was in the network",
        ),
        ([0.1, 0.2], ended_trainer(time=0.1), 90, None, ""),
    ],
)
def test_what_one_has_to_know_of_a_training_is_noted(
    epochs: list[float], trainer: Any, transferred: int, kind: str | None, text: str, tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    write_checkpoint(tmp_path).rename(tmp_path / "weights" / "last.pt")
    pretend(tmp_path, None, [{"train/box_loss": loss} for loss in epochs])
    task = Task("tiny.yaml", "data.yaml", {"batch": 8})
    record = Record(
        1, "tiny", "base", "tiny", "data", 0, "a", {}, task, "running", transferred=Transferred(transferred, 90)
    )
    finished = training._Training(tmp_path, record).finished(trainer)
    assert finished.notes == ({kind: text} if kind else {})
    assert finished.epochs == Epochs(3, len(epochs))


def test_loggers_are_told_which_run_it_is_and_args_yaml_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for W&B, MLflow and Comet: what each of them reads when Ultralytics starts it."""
    run = plan_ablation(write_recipe(tmp_path / "a", ONE)).runs[1]
    seen: dict[str, Any] = {}

    class Trainer:
        def __init__(self) -> None:
            self.args = SimpleNamespace(project=str(run.folder.parent), name=run.folder.name)

        def run_callbacks(self, event: str) -> None:
            seen[event] = (self.args.project, self.args.name)

    trainer = training._named(Trainer, run.folder, run.record())()
    assert "Trainer" in type(trainer).__name__  # Ultralytics starts loggers for nothing else
    for event in ("on_pretrain_routine_start", "on_pretrain_routine_end", "on_train_start"):
        trainer.run_callbacks(event)
    name = "shapes tiny-lska-neck-k7 seed-0"
    assert seen["on_pretrain_routine_start"] == seen["on_pretrain_routine_end"] == ("recipe", name)
    assert seen["on_train_start"] == (trainer.args.project, trainer.args.name) == (str(run.folder.parent), "seed-0")

    def given(*_: Any, **__: Any) -> Any:
        seen.update({name: value for name, value in os.environ.items() if name.startswith(("WANDB", "MLFL", "COMET"))})

    monkeypatch.setenv("COMET_START_EXPERIMENT_TAGS", "mine")
    monkeypatch.setattr(training, "run_trainer", given)
    run.prepare()
    training._Training(run.folder, run.record()).train(None, "cpu")
    assert seen["WANDB_RUN_GROUP"] == "shapes tiny-lska-neck-k7"
    assert seen["WANDB_TAGS"] == "recipe,shapes,tiny-lska-neck-k7,seed-0"
    variant = {"group": "recipe", "data": "shapes", "variant": "tiny-lska-neck-k7", "seed": "seed-0"}
    assert json.loads(seen["MLFLOW_RUN_CONTEXT"]) == variant
    assert (seen["COMET_START_EXPERIMENT_NAME"], seen["COMET_START_EXPERIMENT_TAGS"]) == (name, "mine")
    assert "WANDB_TAGS" not in os.environ


class Killed(BaseException):
    """What ends a training at once, as a signal would."""


def test_a_failed_run_says_where_with_what_and_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no memory")

    run = plan_ablation(write_recipe(tmp_path / "a", ONE)).runs[0]
    run.prepare()
    monkeypatch.setattr(training, "train_run", fail)
    monkeypatch.setattr(worker.os, "dup2", lambda *_: None)  # the streams of this process stay ours
    assert worker.work(run.folder, "cpu") == worker.WRONG
    record = read_record(run.folder)
    assert (record.state, record.error.text, record.device) == ("failed", "ValueError: no memory", "cpu")
    assert set(record.versions) == {"ultralytics", "torch", "numpy"}
    attempt = record.attempts[0]
    assert attempt.started <= (attempt.ended or "")
    assert (attempt.seconds or 0) >= 0


def test_a_start_of_which_nothing_was_taken_is_told_also_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Network:
        """Stands for YOLO: killed in its first training."""

        task = "detect"

        def __init__(self, _: str) -> None:
            self.start: Callable[[Any], None] | None = None

        def add_callback(self, _: str, call: Callable[[Any], None]) -> None:
            self.start = self.start or call

        def train(self, **_: Any) -> None:
            assert self.start is not None
            args = SimpleNamespace(seed=0, deterministic=False)
            self.start(SimpleNamespace(resume=False, model=torch.nn.Linear(1, 1), args=args))
            self.trainer = ended_trainer()
            if not_yet_killed.pop():
                raise Killed

    not_yet_killed = [False, True]
    write_recipe(tmp_path / "a", ONE.replace("train: {", "train: {start: base.pt, "))
    write_checkpoint(tmp_path / "a")
    run = plan_ablation(tmp_path / "a" / "recipe.yaml").runs[0]
    run.prepare()
    monkeypatch.setattr("ultralytics.YOLO", Network)
    with pytest.raises(Killed):
        training.train_run(run.folder, run.record(), "cpu")
    record = read_record(run.folder)
    assert record is not None
    finished = training.train_run(run.folder, record, "cpu")
    assert finished.transferred.tensors == 0
    assert "nothing transferred" in finished.notes


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_same_numbers_also_between_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nbs 8 and batch 2 up to four batches make a step, so that gradients go from one epoch to the next.

    The warm-up lasts three of the epochs; the number of batches to a step grows in it from 1 to 4.
    """
    from ultralytics.utils.callbacks.base import default_callbacks

    from lska_surgeon.ablation.training import train_run

    left: list[int] = []  # epochs in whose first batch to kill it

    def kill(trainer: Any) -> None:
        if left and trainer.epoch == left[0]:
            left.pop(0)
            raise Killed

    monkeypatch.setitem(default_callbacks, "on_train_batch_end", [kill])
    text = (
        ONE.replace("nbs: 2", "nbs: 8").replace("epochs: 3", "epochs: 6").replace("close_mosaic: 1", "close_mosaic: 2")
    )
    ends = {}
    for name, kills in (("straight", []), ("broken", [0, 1, 1, 2, 3, 4, 5])):
        run = plan_ablation(write_recipe(tmp_path / name, text)).runs[0]
        run.prepare()
        left[:] = kills
        while True:
            try:
                train_run(run.folder, run.record(), "cpu")
            except Killed:
                continue
            break
        assert not left
        ends[name] = numbers(run.folder.parent)
    assert ends["broken"] == ends["straight"]
    assert [len(epochs) for epochs in ends["straight"].values()] == [6]


def test_another_network_than_the_one_asked_for_is_found(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path)
    assert other_network(checkpoint, tmp_path / "tiny.yaml") is None
    surgeon("insert", tmp_path / "tiny.yaml", "--at", "sppf", "--k", "7", "-o", tmp_path / "more.yaml")
    assert other_network(checkpoint, tmp_path / "more.yaml") == "row 6 is Upsample where LSKA was asked for"
    text = (tmp_path / "tiny.yaml").read_text(encoding="utf-8")
    for old, new, found in (
        ("[[-1, 2], 1, Concat", "[[-1, 1], 1, Concat", "row 7 (Concat) reads [-1, 2] where [-1, 1] was asked for"),
        ("C2f, [16]] # 8", "C2f, [24]] # 8", "row 8 (C2f) has other tensors than were asked for"),
    ):
        (tmp_path / "other.yaml").write_text(text.replace(old, new), encoding="utf-8")
        assert other_network(checkpoint, tmp_path / "other.yaml") == found


@pytest.mark.slow
def test_slurm_runs_every_run_of_the_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for sbatch runs the array in order, one process a task, as its script says."""
    recipe = write_recipe(tmp_path / "a", ONE.replace("epochs: 3", "epochs: 1"))
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(
        f"#!{sys.executable}\n"
        "import os, re, subprocess, sys\n"
        "text = open(sys.argv[1]).read()\n"
        "first, last = map(int, re.search(r'^#SBATCH --array=(\\d+)-(\\d+)$', text, re.M).groups())\n"
        "folder = re.search(r'^#SBATCH --chdir=(.+)$', text, re.M)[1]\n"
        "for number in range(first, last + 1):\n"
        "    environment = {**os.environ, 'SLURM_ARRAY_TASK_ID': str(number)}\n"
        "    subprocess.run(['bash', sys.argv[1]], env=environment, cwd=folder, check=True)\n"
        "print('Submitted batch job 42')\n",
        encoding="utf-8",
    )
    sbatch.chmod(0o755)
    shown = surgeon("ablate", recipe, "--slurm", "-p gpu -t 8:00:00", "--dry-run")
    assert "#SBATCH --array=0-1\n" in shown.output
    assert "#SBATCH -p gpu -t 8:00:00\n" in shown.output
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert surgeon("ablate", recipe, "--slurm", "").exit_code == 2  # no sbatch here
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    done = surgeon("ablate", recipe, "--slurm", "-p gpu")
    assert done.exit_code == 0, done.output
    assert "Submitted batch job 42 (2 runs, " in done.output
    assert ls.ablate(recipe, dry_run=True).counts == {"done": 2}
    assert "nothing is left to train" in surgeon("ablate", recipe, "--slurm", "").output


def test_a_process_without_a_run_says_so(tmp_path: Path) -> None:
    assert subprocess.run(worker.command(str(tmp_path / "no")), check=False).returncode == 1


@pytest.mark.slow
def test_a_training_imports_the_ultralytics_of_the_call_that_started_it(tmp_path: Path) -> None:
    """A fork on $PYTHONPATH, and in the recipe's folder, where the processes work, another one that is nobody's."""
    import ultralytics

    (tmp_path / "fork" / "ultralytics").mkdir(parents=True)
    real = str(ultralytics.__file__)
    (tmp_path / "fork" / "ultralytics" / "__init__.py").write_text(
        "print('this is the fork')\n"
        f"__path__.append({str(Path(real).parent)!r})\n"
        f"exec(compile(open({real!r}).read(), {real!r}, 'exec'))\n",
        encoding="utf-8",
    )
    recipe = write_recipe(tmp_path / "a", ONE.replace("epochs: 3", "epochs: 1"))
    (tmp_path / "a" / "ultralytics").mkdir()
    (tmp_path / "a" / "ultralytics" / "__init__.py").write_text("raise ImportError('nobody asked')\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path / "fork"))
        call = start_ablate(recipe)
        assert call.wait() == 0, (tmp_path / "a" / "ablate.txt").read_text(encoding="utf-8")
    logs = [(run.folder / "log.txt").read_text(encoding="utf-8") for run in plan_ablation(recipe).runs]
    assert ["this is the fork" in log for log in logs] == [True, True]


def stopped_by(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every training end at once with this exit code."""
    monkeypatch.setattr(launch, "command", lambda _: worker.as_here(f"sys.exit({code})"))


def test_another_ultralytics_stops_the_ablation_and_nothing_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "a", ONE)
    runs = plan_ablation(recipe).runs
    assert runs[0].prepare()
    with monkeypatch.context() as patched:
        patched.setattr(worker.os, "dup2", lambda *_: None)  # the streams of this process stay ours
        assert worker.work(runs[0].folder, "cpu", "/elsewhere/ultralytics/__init__.py") == worker.STOPPED
    monkeypatch.setattr(launch, "to_train", lambda *_, **__: list(runs))
    stopped_by(worker.STOPPED, monkeypatch)
    assert runs[1].prepare()
    result = surgeon("ablate", recipe, "--devices", "cpu")
    assert result.exit_code == 2
    started, message = result.output.splitlines()
    assert started == "Started tiny, seed 0, shapes on cpu"
    assert message.startswith("Error: tiny, seed 0: a training would import ultralytics from ")
    assert "the call that started it imported /elsewhere/ultralytics/__init__.py: see to it that both find " in message
    assert ls.ablate(recipe, dry_run=True).counts == {"interrupted": 1, "waiting": 1}


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.pt")


def full_for_a_record(*_: Any, **__: Any) -> None:
    try:
        full()
    except OSError as error:
        raise TargetError("can't write run.json: No space left on device") from error


def full_for_torch(*_: Any, **__: Any) -> None:
    try:
        full_for_a_record()
    except TargetError as error:
        raise RuntimeError("PytorchStreamWriter failed") from error


@pytest.mark.parametrize(
    ("module", "name", "fails"),
    [
        (training, "train_run", full),
        (training, "train_run", full_for_torch),
        (worker, "write_record", full_for_a_record),
    ],
)
def test_a_disk_that_is_full_stops_the_ablation_and_nothing_has_failed(
    module: Any, name: str, fails: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "a", ONE)
    runs = plan_ablation(recipe).runs
    assert [run.prepare() for run in runs] == [True, True]
    with monkeypatch.context() as patched:
        patched.setattr(worker.os, "dup2", lambda *_: None)  # the streams of this process stay ours
        patched.setattr(module, name, fails)
        assert worker.work(runs[0].folder, "cpu") == worker.STOPPED
    stopped_by(worker.STOPPED, monkeypatch)
    result = surgeon("ablate", recipe, "--devices", "cpu")
    assert result.exit_code == 2
    started, message = result.output.splitlines()
    assert started == "Started tiny, seed 0, shapes on cpu"
    assert "No space left on device" in message
    assert message.endswith("; all trainings were stopped, and the same command goes on")
    assert set(ls.ablate(recipe, dry_run=True).counts) <= {"interrupted", "waiting"}
