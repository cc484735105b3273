"""What `ablate` costs beside the trainings themselves: six trainings by a shell's loop, by `ablate`, and by two.

Run by hand; it takes some minutes on two cores:

    python tests/benchmarks/ablation_throughput.py FOLDER [EPOCHS]

A base and one variant with three seeds each, on the data of `ablation_same.py`; each training is a process of its own
with one thread. The loop's are Ultralytics' own, one after the other. Told are wall time and the time of the CPU, which
other work on the machine changes less; and, of both, what `ablate` adds to each run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ablation_same import NETWORK, SIDE, write_data

from lska_surgeon.ablation.runs import Ablation, plan_ablation

EPOCHS = 6
RECIPE = """\
base: tiny.yaml
matrix: {{at: sppf, k: 7}}
imgsz: {side}
train: {{data: shapes.yaml, epochs: {epochs}, imgsz: {side}, batch: 8, optimizer: AdamW, lr0: 0.005, mosaic: 0}}
seeds: [0, 1, 2]
"""
#: One training of the loop: the model, where to, and the arguments.
ALONE = """\
import json, sys
import lska_surgeon.nn
from ultralytics import YOLO
model, arguments = sys.argv[1], json.loads(sys.argv[2])
YOLO(model).train(**arguments)
"""


class Taken(NamedTuple):
    """Seconds, of the clock and of the CPU."""

    wall: float
    cpu: float


def taken(commands: list[list[str]], at_once: int = 1) -> Taken:
    """What commands take, so many at once."""
    begun, before = time.monotonic(), os.times()
    for at in range(0, len(commands), at_once):
        running = [
            subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for words in commands[at : at + at_once]
        ]
        if any(one.wait() for one in running):
            raise SystemExit(f"failed: {commands[at][-1]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Taken(time.monotonic() - begun, cpu)


def loop(ablation: Ablation, to: Path) -> list[list[str]]:
    """Ultralytics' own trainings of an ablation's runs."""
    commands = []
    for run in ablation.runs:
        folder = to / run.network.name / f"{run.seed}"
        folder.mkdir(parents=True)
        run.write_models(folder)
        arguments = {**run.task.arguments, "data": run.task.data, "seed": run.seed, "device": "cpu", "plots": False}
        arguments |= {"project": str(folder), "name": "run", "exist_ok": True}
        commands.append([sys.executable, "-c", ALONE, str(folder / run.task.model), json.dumps(arguments)])
    return commands


def main(folder: Path, epochs: int) -> None:
    """Train three times, and compare."""
    write_data(folder)
    (folder / "tiny.yaml").write_text(NETWORK, encoding="utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(side=SIDE, epochs=epochs), encoding="utf-8")
    ablation = plan_ablation(recipe)
    ablate = [sys.executable, "-m", "lska_surgeon", "ablate", str(recipe), "--quiet", "--devices", "cpu"]
    told = {"loop": taken(loop(ablation, folder / "loop"))}
    for name, calls in (("ablate", 1), ("two calls of ablate at once", 2)):
        shutil.rmtree(ablation.folder, ignore_errors=True)
        told[name] = taken([ablate] * calls, calls)
    alone, number = told["loop"], len(ablation.runs)
    for name, one in told.items():
        wall, cpu = (of / own for of, own in zip(alone, one))
        more = (one.cpu - alone.cpu) / number
        print(
            f"{name}: {one.wall:.1f} s, {one.cpu:.1f} s of CPU; the loop takes {wall:.2f} of its time and {cpu:.2f} of "
            f"its CPU; {more:+.1f} s of CPU a run ({more / (alone.cpu / number):+.0%})",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else EPOCHS)
