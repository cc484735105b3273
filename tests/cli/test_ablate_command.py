"""`lska-surgeon ablate`: what it says on a terminal, in a log and to a machine, without training anything."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from support.ablations import EIGHT, RECIPE, experiment, neck_gains, write_recipe
from support.shapes import surgeon

from lska_surgeon.ablation.launch import Event, ended
from lska_surgeon.ablation.records import Attempt, read_record, write_record
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.api import experiments
from lska_surgeon.cli import say as screen_of


def test_a_dry_run_starts_nothing_and_shows_every_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a")
    shown = surgeon("ablate", recipe, "--dry-run")
    assert shown.exit_code == 0
    assert shown.output.count("waiting") == 10
    assert shown.output.endswith("recipe.yaml: 9 runs: 9 waiting\n")
    assert not (tmp_path / "a" / "ablation").exists()
    assert json.loads(surgeon("ablate", recipe, "--dry-run", "--json").output)["counts"] == {"waiting": 9}


def test_time_left_comes_from_the_runs_that_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def score(name: str, seed: int) -> list[float]:
        return neck_gains(name, seed) if seed < 6 else []

    recipe = experiment(tmp_path / "a", score, EIGHT, attempts=(Attempt(seconds=60.0),))
    for gpus, words, end in (
        (0, [], "24 runs: 18 done, 6 waiting; about 6 min left\n"),
        (3, [], "about 2 min left\n"),  # the real call would use them all
        (3, ["--devices", "0,1"], "about 3 min left\n"),
    ):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        assert surgeon("ablate", recipe, "--dry-run", *words).output.endswith(end)


def test_a_log_gets_plain_lines_and_quiet_only_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = plan_ablation(write_recipe(tmp_path / "a")).runs[0]
    events = [
        Event("started", run, "cpu"),
        Event("running", run, "cpu", "epoch 1/3"),
        Event("running", run, "cpu", "epoch 2/3"),
        Event("failed", run, "cpu", "no labels"),
    ]
    monkeypatch.setattr(screen_of, "_EVERY", 0.0)
    for quiet, lines in (
        (
            False,
            [
                "Started tiny, seed 0, shapes on cpu",
                "Running tiny, seed 0, shapes on cpu: epoch 1/3",
                "Running tiny, seed 0, shapes on cpu: epoch 2/3",
                "Failed tiny, seed 0, shapes: no labels",
            ],
        ),
        (True, ["Failed tiny, seed 0, shapes: no labels"]),
    ):
        with screen_of.Progress(quiet) as progress:
            for event in events:
                progress(event)
        assert capsys.readouterr().err.splitlines() == lines
    monkeypatch.setattr(screen_of, "_EVERY", 300.0)
    with screen_of.Progress(False) as progress:
        for event in events[:3]:
            progress(event)
    assert capsys.readouterr().err == "Started tiny, seed 0, shapes on cpu\n"


def test_what_was_noticed_of_a_training_is_told_when_it_ends_and_afterwards(tmp_path: Path) -> None:
    text = "stopped after 1 of 3 epochs"
    recipe = experiment(tmp_path / "a", neck_gains)
    run = plan_ablation(recipe).runs[0]
    record = read_record(run.folder)
    write_record(run.folder, record.but(notes={"early stop": text}))
    event = ended(run, "cpu", 0)
    assert (event.kind, event.text) == ("done", f"epoch 1/3, mAP50-95(B) 0.500; {text}")
    shown = surgeon("ablate", recipe, "--dry-run")
    assert [line.endswith("early stop") for line in shown.stdout.splitlines()[2:26]] == [True] + 23 * [False]
    assert f"Note: tiny: {text} (seed 0)\n" in shown.stderr


def test_all_done_is_said_and_nothing_runs(tmp_path: Path) -> None:
    result = surgeon("ablate", experiment(tmp_path / "a", neck_gains), "--devices", "cpu")
    assert (result.exit_code, result.output) == (0, "recipe.yaml: 24 runs: 24 done\n")
    assert surgeon("ablate", tmp_path / "a" / "recipe.yaml", "--devices", "cpu", "--quiet").output == ""


def test_after_ctrl_c_it_says_the_whole_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, folder = write_recipe(tmp_path / "a"), tmp_path / "my runs"
    real = experiments.ablate

    def stopped(*args: Any, dry_run: bool = False, **rest: Any) -> Any:
        if not dry_run:
            raise KeyboardInterrupt
        return real(*args, dry_run=True, **rest)

    monkeypatch.setattr(experiments, "ablate", stopped)
    (tmp_path / "own.toml").write_text("[blocks]\n", encoding="utf-8")
    asked = [str(recipe), "--folder", str(folder), "--slurm", "-p gpu", "--retry", "--renew"]
    asked += ["--blocks", str(tmp_path / "own.toml"), "--quiet", "--json"]
    result = surgeon("ablate", *asked)
    assert result.exit_code == 130
    assert shlex.split(result.output.partition("; go on with: ")[2]) == ["lska-surgeon", "ablate", *asked]


def on_screen(text: str) -> list[str]:
    """The lines that a terminal ends up with: it knows line feeds, carriage returns, going up, and erasing a line."""
    lines, row, column = [""], 0, 0
    for number, order, char in re.findall(r"\x1b\[([?\d;]*)([A-Za-z])|(.)", text, re.DOTALL):
        if char == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif char == "\r":
            column = 0
        elif char:
            lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
            column += 1
        elif order == "A":
            row -= int(number or 1)
        elif order == "K":
            lines[row] = ""
    return [line.rstrip() for line in lines if line.strip()]


def written(screen: int) -> str:
    """What was written to a terminal since."""
    parts = []
    while select.select([screen], [], [], 0.05)[0]:
        parts.append(os.read(screen, 1 << 16))
    return b"".join(parts).decode()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_on_a_terminal_each_line_has_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, other = plan_ablation(write_recipe(tmp_path / "a")).runs[:2]
    screen, terminal = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with open(terminal, "w", encoding="utf-8") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        with screen_of.Progress(False) as progress:
            for number in (1, 2):
                progress(Event("started" if number == 1 else "running", run, "0", f"epoch {number}/3, mAP50-95 0.000"))
                progress(Event("running", other, "1", f"epoch {number}/3"))
                progress.live.refresh()
            progress(Event("done", run, "0", "epoch 3/3"))
            progress.live.refresh()
            during = written(screen)
            progress(Event("failed", other, "1", "no labels [here] \n" + 90 * "x"))
        stream.write("recipe.yaml: 9 runs\n")
        stream.flush()
        text = during + written(screen)
    os.close(screen)
    said = ["Started tiny, seed 0, shapes: epoch 1/3, mAP50-95 0.000", "Done tiny, seed 0, shapes: epoch 3/3"]
    failed = f"Failed {other.name}, shapes: no labels [here] \\n{90 * 'x'}"
    assert on_screen(during) == [*said, f"{other.name}, shapes on 1: epoch 2/3"]
    assert on_screen(text) == [*said, failed, "recipe.yaml: 9 runs"]


def test_a_dry_run_for_slurm_shows_the_script_that_would_be_submitted(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains)
    states = ("failed", "failed", "stale", "interrupted", "waiting")
    for run, state in zip(plan_ablation(recipe).runs, states):
        kept = {"interrupted": "running", "stale": "done"}.get(state, state)
        record = run.record().but(state=kept)
        write_record(run.folder, record.but(identity="another") if state == "stale" else record)

    def shown(*words: str) -> str:
        return surgeon("ablate", recipe, "--dry-run", "--slurm", "-p gpu", *words).output

    assert "#SBATCH --array=0-1\n" in shown()
    assert "#SBATCH --array=0-3\n" in shown("--retry")
    assert "#SBATCH --array=0-4\n" in shown("--retry", "--renew")
    assert "#SBATCH -p gpu\n" in json.loads(shown("--json"))["script"]
    assert "script" not in json.loads(surgeon("ablate", recipe, "--dry-run", "--json").output)
    done = surgeon("ablate", experiment(tmp_path / "b", neck_gains), "--dry-run", "--slurm", "-p gpu").output
    assert done.endswith("24 done\n\nnothing is left to train: there is no job to submit\n")


def test_what_would_be_trained_again_is_in_the_time_left(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains, attempts=(Attempt(seconds=60.0),))
    for run in plan_ablation(recipe).runs[:6]:
        write_record(run.folder, run.record().but(state="failed"))
        (run.folder / "results.csv").unlink()
    assert surgeon("ablate", recipe, "--dry-run", "--devices", "cpu").output.endswith("18 done, 6 failed\n")
    again = surgeon("ablate", recipe, "--dry-run", "--devices", "cpu", "--retry").output
    assert again.endswith("18 done, 6 failed; about 6 min left\n")


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    "options", ["--array=0-99%4", "-p gpu --array 1", "-a0-3", "-a 0-3", "--arr=5", "--array", "--array=%"]
)
def test_the_array_is_one_task_for_each_run(options: str, dry: list[str], tmp_path: Path) -> None:
    result = surgeon("ablate", write_recipe(tmp_path / "a"), "--slurm", options, *dry)
    assert result.exit_code == 2
    assert result.output.startswith("Error: the array is one task for each run, and sbatch's option -")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "a" / "ablation").exists()


def test_how_many_tasks_run_at_once_may_be_said(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a")
    for limit in ("--array=%4", "-a %4", "-a%4"):
        shown = surgeon("ablate", recipe, "--dry-run", "--slurm", f"-p gpu {limit} -A 'my account'").output
        assert "#SBATCH --array=0-8%4\n" in shown
        assert "#SBATCH -p gpu -A 'my account'\n" in shown
    assert "can't read the options" in surgeon("ablate", recipe, "--dry-run", "--slurm", "-A 'x").output


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--dry-run", "--json"], ["--slurm", "", "--dry-run"]])
def test_arguments_that_ultralytics_does_not_know_are_told_by_a_dry_run_too(words: list[str], tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", RECIPE.replace("epochs: 3", "epoch: 3"))
    result = surgeon("ablate", recipe, *words)
    assert result.exit_code == 2
    assert f"{recipe}, line 4, train.epoch: ultralytics: " in result.output
    assert not (tmp_path / "a" / "ablation").exists()


@pytest.mark.parametrize(
    ("rooted", "split", "words"), [(True, "train", ["--devices", "cpu"]), (False, "val", ["--dry-run"])]
)
def test_images_that_are_not_here_are_told_before_a_training(
    rooted: bool, split: str, words: list[str], tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "a")
    folder, data = tmp_path / "a" / "shapes", tmp_path / "a" / "shapes" / "data.yaml"
    (folder / "images" / split).rename(folder / "elsewhere")
    if not rooted:
        data.write_text(data.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")
    result = surgeon("ablate", recipe, *words)
    assert result.exit_code == 2
    gone = folder / "images" / split
    assert result.stderr == (
        f"Error: {recipe}, line 4, train.data: {data} names {gone}, which is not here: put the images there, or mend "
        "that file\n"
    )
    assert not (tmp_path / "a" / "ablation").exists()
    # Where jobs run on other machines, it may be there.
    assert surgeon("ablate", recipe, "--dry-run", "--slurm", "-p gpu").exit_code == 0
    # A list of images, and one `../` too many, are Ultralytics' own ways.
    places = {"images/train", "images/val"} - {f"images/{split}"}
    listed = f"train: [{places.pop()}, elsewhere]\nval: ../elsewhere\nnames: [square, circle]\n"
    data.write_text(listed, encoding="utf-8")
    assert surgeon("ablate", recipe, "--dry-run").exit_code == 0


@pytest.mark.parametrize(("dry", "char"), [([], "\n"), (["--dry-run"], "\x1b")])
@pytest.mark.parametrize("place", ["options", "recipe", "folder", "data", "--folder"])
def test_a_slurm_script_has_no_control_characters(place: str, char: str, dry: list[str], tmp_path: Path) -> None:
    """A new line would be a command of the shell's."""
    evil = f"x{char}touch ran{char}"
    text = EIGHT.replace("shapes/data.yaml", json.dumps(f"{evil}.yaml")) if place == "data" else EIGHT
    parent = write_recipe(tmp_path / "a", text).parent
    for name in ("shapes/data.yaml", f"{evil}.yaml"):
        (parent / name).write_text("train: images/train\nval: images/val\nnames: [square, circle]\n", encoding="utf-8")
    recipe = (parent / "recipe.yaml").rename(parent / (f"{evil}.yml" if place == "recipe" else "recipe.yaml"))
    if place == "folder":
        recipe = parent.rename(tmp_path / evil) / recipe.name
    words = ["--slurm", f"-p gpu{evil}" if place == "options" else "-p gpu", *dry]
    words += ["--folder", str(tmp_path / f"{evil}2")] if place == "--folder" else []
    before = sorted(tmp_path.rglob("*"))
    result = surgeon("ablate", recipe, *words)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert result.output.startswith("Error: a control character is in ")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_odd_letters_is_one_line_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """U+2028 ends a line for Python's consumers, and a byte of another encoding is no UTF-8."""
    from lska_surgeon.ablation import worker
    from lska_surgeon.ablation.clusters import list_of

    write_recipe(tmp_path / "a").parent.rename(tmp_path / "a\u2028b\udcff")
    runs = plan_ablation(tmp_path / "a\u2028b\udcff" / "recipe.yaml").runs
    listed = tmp_path / "runs.txt"
    listed.write_bytes(os.fsencode(list_of(runs)))
    asked: list[Path] = []
    monkeypatch.setattr(worker, "work", lambda folder, *_: asked.append(folder) or 0)
    assert [worker.main([str(listed), "--index", str(number)]) for number in range(len(runs))] == [0] * len(runs)
    assert asked == [run.folder for run in runs]


@pytest.mark.parametrize(
    ("content", "code", "shown"),
    [
        (b"#!/bin/sh\nprintf 'job \\377\\033[1m\\n42\\n'\nexit 0\n", 0, r"Note: job \xff\x1b[1m 42 (24 runs, "),
        (b"#!/bin/sh\nprintf 'job \\377\\033[1m\\n42\\n'\nexit 1\n", 2, r"job \xff\x1b[1m 42"),
        (b"\x00", 2, "Error: can't run sbatch: Exec format error\n"),
    ],
)
def test_what_sbatch_prints_may_be_any_bytes_and_it_may_be_anything(
    content: bytes, code: int, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_bytes(content)
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # alone, for here may be a real one
    result = surgeon("ablate", write_recipe(tmp_path / "a", EIGHT), "--slurm", "")
    assert result.exit_code == code
    assert shown in result.output
