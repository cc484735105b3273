"""What a graft is worth in training: fine-tunes five starts of one trained network, and prints README's table.

Run by hand; it takes the better part of an hour on one core, and goes on where it was stopped:

    python tests/benchmarks/graft_training.py FOLDER
    python tests/benchmarks/graft_training.py FOLDER --op cbam     # another operator, beside the same control
    python tests/benchmarks/graft_training.py FOLDER --op cbam --arm graft --arm default-init --optimizer SGD   # less

All data are generated: a YOLOv8n learns to find three kinds of shape, and is then fine-tuned on new images of them,
which are blurred and noisy, from these starts:

- control: the trained network as it is
- graft: `lska-surgeon graft --at neck`, trained as Ultralytics trains anything
- protected: the same file through `lska-surgeon train`: the gates' biases warm up from a learning rate of 0
- default-init: `graft --init default`
- load: `YOLO("variant.yaml").load("base.pt")`, Ultralytics' own way

`control` and `graft` differ in nothing else than the operators; the seed of a run sets the order of the images and
their augmentation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import click
import cv2
import numpy as np
import torch
import ultralytics
from ultralytics import YOLO

from lska_surgeon.cli.main import main as surgeon
from lska_surgeon.grafting.trainers import TRAINERS

SIZE = 96
EPOCHS = 5
SHOWN = (1, 2, 5)
SEEDS = (0, 1, 2)
OPTIMIZERS = {"SGD": {"lr0": 0.01}, "AdamW": {"lr0": 0.001}, "auto": {}}
ARMS = ("control", "graft", "protected", "default-init", "load")
COMMON = {"imgsz": SIZE, "batch": 16, "workers": 0, "device": "cpu", "plots": False, "cache": "ram", "verbose": False}
SHAPES = ("square", "circle", "triangle")
Run = dict[str, Any]


def draw(rng: np.random.Generator, rough: bool) -> tuple[np.ndarray, list[str]]:
    """One image of shape (SIZE, SIZE, 3) and its label lines."""
    pixels = rng.integers(60, 196, (6, 6, 3)).astype(np.uint8)
    pixels = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    lines = []
    for _ in range(rng.integers(1, 5)):
        kind, radius = int(rng.integers(3)), int(rng.integers(6, 20))
        x, y = (int(value) for value in rng.integers(radius, SIZE - radius, 2))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        if kind == 0:
            cv2.rectangle(pixels, (x - radius, y - radius), (x + radius, y + radius), colour, -1)
        elif kind == 1:
            cv2.circle(pixels, (x, y), radius, colour, -1)
        else:
            corners = np.array([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)])
            cv2.fillPoly(pixels, [corners], colour)
        side = (2 * radius + 1) / SIZE
        lines.append(f"{kind} {x / SIZE:.5f} {y / SIZE:.5f} {side:.5f} {side:.5f}")
    if rough:
        pixels = cv2.GaussianBlur(pixels, (3, 3), 0).astype(float) + rng.normal(0, 12, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8), lines


Drawing = Callable[[np.random.Generator, bool], tuple[np.ndarray, list[str]]]


def make_data(folder: Path, seed: int, train: int, val: int, rough: bool, drawn: Drawing = draw) -> Path:
    """A dataset on disk, of images that are drawn so; returns its YAML."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels, lines = drawn(rng, rough)
            cv2.imwrite(str(folder / "images" / split / f"{number}.png"), pixels)
            (folder / "labels" / split / f"{number}.txt").write_text("\n".join(lines))
    text = f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames: {list(SHAPES)}\n"
    (folder / "data.yaml").write_text(text)
    return folder / "data.yaml"


def make_starts(folder: Path, op: str) -> None:
    """The trained network, its grafts, and the variant YAML."""
    if not (folder / "base.pt").exists():
        data = make_data(folder / "clean", seed=1, train=384, val=64, rough=False)
        network = YOLO("yolov8n.yaml")
        network.train(data=str(data), epochs=50, seed=0, project=str(folder), name="base", exist_ok=True, **COMMON)
        (folder / "base.pt").write_bytes((folder / "base" / "weights" / "best.pt").read_bytes())
    base, place = str(folder / "base.pt"), ["--at", "neck", "--op", op]
    (folder / _of(op)).mkdir(exist_ok=True)
    for name, words in (
        ("graft.pt", ["graft", base, *place]),
        ("default-init.pt", ["graft", base, *place, "--init", "default"]),
        ("yolov8n-variant.yaml", ["insert", "yolov8n.yaml", *place]),
    ):
        if not (folder / _of(op) / name).exists():
            surgeon([*words, "-o", str(folder / _of(op) / name)], standalone_mode=False)


def _of(op: str) -> str:
    """The folder, below that of all runs, of an operator's files; LSKA's are beside the others."""
    return "." if op == "lska" else op.replace(":", "-")


def start_of(arm: str, folder: Path, op: str) -> YOLO:
    if arm == "load":
        return YOLO(folder / _of(op) / "yolov8n-variant.yaml").load(folder / "base.pt")
    if arm == "control":
        return YOLO(folder / "base.pt")
    return YOLO(folder / _of(op) / ("graft.pt" if arm == "protected" else f"{arm}.pt"))


def skip_last_validation(trainer: Any) -> None:
    """Ultralytics ends with the best epoch's validation, which would say nothing new."""
    trainer.final_eval = lambda: None


@cache
def map_before(arm: str, folder: Path, data: Path, op: str) -> float:
    options = {"imgsz": SIZE, "device": "cpu", "workers": 0, "plots": False, "verbose": False}
    place = {"project": str(folder), "name": "val", "exist_ok": True}
    return float(start_of(arm, folder, op).val(data=str(data), **options, **place).box.map)


def measure(arm: str, optimizer: str, seed: int, folder: Path, data: Path, op: str) -> Run:
    """Fine-tune one start; mAP50-95 before training and after each epoch."""
    before = map_before(arm, folder, data, op)
    begin = time.perf_counter()
    network = start_of(arm, folder, op)
    curve: list[float] = []
    network.add_callback("on_fit_epoch_end", lambda trainer: curve.append(trainer.metrics["metrics/mAP50-95(B)"]))
    network.add_callback("on_train_start", skip_last_validation)
    chosen: dict[str, Any] = {"optimizer": optimizer, **OPTIMIZERS[optimizer]}
    if arm == "protected":
        chosen["trainer"] = TRAINERS["detect"]
    place = {"project": str(folder), "name": "run", "exist_ok": True}
    network.train(data=str(data), epochs=EPOCHS, seed=seed, **chosen, **place, **COMMON)
    seconds = round(time.perf_counter() - begin, 1)
    return {
        "arm": arm,
        "optimizer": optimizer,
        "seed": seed,
        "map": [before, *curve[:EPOCHS]],
        "seconds": seconds,
        "op": op,
    }


def wanted() -> Iterator[tuple[str, str, int]]:
    """All runs, in an order whose beginning is the most worth having."""
    for arms in (("control", "graft", "protected"), ("default-init", "load")):
        for seed, optimizer, arm in product(SEEDS, OPTIMIZERS, arms):
            # `auto` starts all biases from zero by itself: the protected run would be the graft's, once more.
            if (arm, optimizer) != ("protected", "auto"):
                yield arm, optimizer, seed


def table(runs: list[Run]) -> str:
    """README's table: mAP50-95 as mean and (lowest to highest) over the seeds."""
    header = [f"{n} epoch{'s' * (n > 1)}" for n in SHOWN]
    lines = ["| optimizer | start | before | seeds | " + " | ".join(header) + " |"]
    lines.append("|---" * (4 + len(SHOWN)) + "|")
    for optimizer in OPTIMIZERS:
        for arm in ARMS:
            curves = [run["map"] for run in runs if (run["arm"], run["optimizer"]) == (arm, optimizer)]
            if curves:
                cells = [
                    f"{curves[0][0]:.3f}",
                    str(len(curves)),
                    *(_cell([curve[n] for curve in curves]) for n in SHOWN),
                ]
                lines.append(f"| {optimizer} | {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--op", default="lska", help="The operator to graft.")
@click.option("--arm", "arms", multiple=True, type=click.Choice(ARMS), default=ARMS, help="Starts to measure.")
@click.option("--optimizer", "optimizers", multiple=True, type=click.Choice(list(OPTIMIZERS)), default=list(OPTIMIZERS))
def main(folder: Path, op: str, arms: tuple[str, ...], optimizers: tuple[str, ...]) -> None:
    """Measure what is not yet in FOLDER/runs.json, then print the table."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    make_starts(folder, op)
    data = make_data(folder / "rough", seed=2, train=192, val=128, rough=True)
    store = folder / "runs.json"
    runs: list[Run] = json.loads(store.read_text()) if store.exists() else []
    mine = [run for run in runs if run["arm"] == "control" or run.get("op", "lska") == op]
    done = {(run["arm"], run["optimizer"], run["seed"]) for run in mine}
    for key in wanted():
        if key not in done and key[0] in arms and key[1] in optimizers:
            runs.append(measure(*key, folder, data, op))
            mine.append(runs[-1])
            store.write_text(json.dumps(runs, indent=1))
    click.echo(f"torch {torch.__version__}, ultralytics {ultralytics.__version__}, Python {sys.version.split()[0]}\n")
    click.echo(table(mine))


if __name__ == "__main__":
    main()
