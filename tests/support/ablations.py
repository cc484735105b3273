"""A recipe of a few tiny trainings, and ablations that look trained; for the tests alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lska_surgeon.ablation.records import Record, write_record
from lska_surgeon.ablation.runs import Ablation, plan_ablation
from lska_surgeon.cost.latency import Latencies, Latency

from .shapes import write_data, write_network

RECIPE = """\
base: tiny.yaml
matrix: {at: [neck, sppf], k: 7}
imgsz: 64
train: {data: shapes/data.yaml, epochs: 3, imgsz: 64, batch: 2, nbs: 2, optimizer: SGD, close_mosaic: 1}
seeds: [0, 1, 2]
controls: base
"""

#: The same with eight seeds.
EIGHT = RECIPE.replace("[0, 1, 2]", "[0, 1, 2, 3, 4, 5, 6, 7]")
Score = Callable[[str, int], Sequence[float]]


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    """The recipe, its base and its data."""
    (folder / "shapes").mkdir(parents=True)
    write_data(folder / "shapes")
    write_network(folder)
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def start_ablate(recipe: Path, *words: str) -> subprocess.Popen[bytes]:
    """`lska-surgeon ablate` in a process of its own, on the CPU."""
    command = [sys.executable, "-m", "lska_surgeon", "ablate", str(recipe), "--devices", "cpu", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (recipe.parent / "ablate.txt").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, preexec_fn=_heed_ctrl_c)


def _heed_ctrl_c() -> None:
    """Also where the tests themselves run in the background of a shell, which lets Ctrl-C be ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def pretend(folder: Path, record: Record | None, epochs: list[Mapping[str, float]]) -> None:
    """A run that looks as if it had been trained: its record, if any, and one line of results for each epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    if record:
        write_record(folder, record)
    header = ["epoch", "time", *epochs[0]]
    lines = [[number + 1, 1.5 * (number + 1), *values.values()] for number, values in enumerate(epochs)]
    (folder / "results.csv").write_text(
        "".join(",".join(map(str, line)) + "\n" for line in (header, *lines)), encoding="utf-8"
    )


def experiment(folder: Path, score: Score, text: str = EIGHT, **changes: Any) -> Path:
    """A recipe whose runs look trained: `score` gives each one's mAP50-95, epoch by epoch; none, and it waits."""
    recipe = write_recipe(folder, text)
    pretend_trained(recipe, score, **changes)
    return recipe


def pretend_trained(recipe: Path, score: Score, **changes: Any) -> None:
    """Make every run of a recipe look trained."""
    for run in plan_ablation(recipe).runs:
        values = score(run.network.name, run.seed)
        if len(values):
            epochs = [{"metrics/mAP50(B)": 1.2 * value, "metrics/mAP50-95(B)": value} for value in values]
            pretend(run.folder, run.record().but(state="done", **changes), epochs)


def spread(seed: int) -> float:
    return 0.5 + 0.001 * (seed * 37 % 11)


def neck_gains(name: str, seed: int) -> list[float]:
    return [spread(seed) + (0.02 + 0.0007 * seed if "neck" in name else 0.0005 * (-1) ** seed if "sppf" in name else 0)]


def latencies(ablation: Ablation, runtime: str = "torch", batch: int = 1) -> Latencies:
    """Times of all networks in a runtime, each a millisecond longer than the one before."""
    seconds = {one.name: 0.01 + at / 1e3 for at, one in enumerate(ablation.networks)}
    how = {"device": "a <GPU>", "clock_mhz": None, "threads": 1, "runtime": runtime, "release": "2", "batch": batch}
    how |= {"precision": "fp32", "by_itself": "", "imgsz": [64, 64], "nms": False, "rounds": 9}
    rows = [Latency(name, taken, taken, 1.0, 1.0, 1.0) for name, taken in seconds.items()]
    return Latencies(tuple(rows), (1.0, 1.0, 1.0), {**how, "torch": "2", "ultralytics": "8"})
