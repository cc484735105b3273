"""What a start of new rows is worth in training: edits of two trained networks, grafted with each `--start`.

Run by hand; it trains two networks and fine-tunes 54 starts, goes on where it was stopped, and prints the table of
docs/measured.md:

    python tests/benchmarks/starts.py FOLDER

All data are generated, as in `graft_training.py`, with outlines for labels: a YOLOv8n for boxes and one for masks learn
to find three kinds of shape. Then each edit of them is written, grafted with each start, and trained for two epochs on
96 new images, which are blurred and noisy. `--start fit` is given those images. The seed of a run is that of the
training and of the fit.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
sys.path.insert(0, str(Path(__file__).parent))

import click
import cv2
import numpy as np
import torch
import ultralytics
from graft_training import COMMON, SIZE, make_data, skip_last_validation
from ultralytics import YOLO
from ultralytics.nn.tasks import yaml_model_load
from yaml import safe_dump

import lska_surgeon as ls

SEEDS, EPOCHS = (0, 1, 2), 2
#: Task -> what the name of its stock model ends in, and its mAP50-95.
TASKS = {"detect": ("", "metrics/mAP50-95(B)"), "segment": ("-seg", "metrics/mAP50-95(M)")}
#: Edit -> what does it to a base. Masks of a level P2 would need another `mask_ratio`; one of width 256 keeps the class
#: branches.
EDITS: dict[str, Any] = {
    "none": None,
    "down: SCDown": lambda base: ls.replace(base, "down", by="SCDown"),
    "+ P2": lambda base: ls.levels(base, add="p2"),
    "+ P2 of 256": lambda base: Edited(str(ls.levels(base, add="p2").text).replace("C2f, [128]", "C2f, [256]")),
    "+ C2PSA": lambda base: with_block(base, 9, "C2PSA", 1024),
}
#: Edits that add, for which alone there is a start past what is new.
ADDS = ("+ P2", "+ P2 of 256", "+ C2PSA")


@dataclass(frozen=True)
class Edited:
    """A model YAML that no verb writes."""

    text: str

    def write(self, path: Path) -> None:
        path.write_text(self.text)


def with_block(base: str, behind: int, block: str, width: int) -> Edited:
    """A stock model with a block behind the last row of its backbone, which all read that read that row."""
    yaml = yaml_model_load(base)

    def moved(source: int) -> int:
        return source + (source >= behind)

    for row in yaml["head"]:
        row[0] = [*map(moved, row[0])] if isinstance(row[0], list) else moved(row[0])
    yaml["backbone"].append([-1, 1, block, [width]])
    return Edited(safe_dump({key: value for key, value in yaml.items() if key not in ("scale", "yaml_file")}))


def draw(rng: np.random.Generator, rough: bool) -> tuple[np.ndarray, list[str]]:
    """One image of shape (SIZE, SIZE, 3) and its label lines, outlines of shapes."""
    pixels = rng.integers(60, 196, (6, 6, 3)).astype(np.uint8)
    pixels = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    lines = []
    for _ in range(rng.integers(1, 5)):
        kind, radius = int(rng.integers(3)), int(rng.integers(6, 20))
        x, y = (int(value) for value in rng.integers(radius, SIZE - radius, 2))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        turn = np.arange(16) * np.pi / 8
        outlines = [
            np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]),
            np.stack([np.cos(turn), np.sin(turn)], 1),
            np.array([(0, -1), (-1, 1), (1, 1)]),
        ]
        corners = (np.array([x, y]) + radius * outlines[kind]).round().astype(int)
        cv2.fillPoly(pixels, [corners], colour)
        lines.append(f"{kind} " + " ".join(f"{value / SIZE:.5f}" for value in corners.reshape(-1)))
    if rough:
        pixels = cv2.GaussianBlur(pixels, (3, 3), 0).astype(float) + rng.normal(0, 12, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8), lines


def trained(task: str, data: Path) -> Path:
    """A network of a task, trained."""
    best = Path(f"base-{task}.pt")
    if not best.exists():
        network, place = YOLO(f"yolov8n{TASKS[task][0]}.yaml"), {"project": str(Path.cwd()), "name": f"base-{task}"}
        network.train(data=str(data), epochs=30, seed=0, exist_ok=True, val=False, **place, **COMMON)
        best.write_bytes((Path(f"base-{task}") / "weights" / "best.pt").read_bytes())
    return best


def start_of(task: str, edit: str, start: str, seed: int, base: Path, data: Path) -> Path:
    """The file that a training starts from."""
    made = EDITS[edit]
    if made is None:
        return base
    name = "".join(letter if letter.isalnum() else "-" for letter in edit)
    variant = Path(f"yolov8n-{name}-{task}.yaml")
    if not variant.exists():
        made(f"yolov8n{TASKS[task][0]}.yaml").write(variant)
    lesson = {"images": data, "seed": seed} if start == "fit" else {}
    graft = ls.graft(str(base), into=variant, init="default", start=start, **lesson, output=f"{start}.pt")
    return graft.write(force=True)


def measure(task: str, edit: str, start: str, seed: int, base: Path, data: Path) -> dict[str, Any]:
    """mAP50-95 before training and after each epoch."""
    file, key = start_of(task, edit, start, seed, base, data), TASKS[task][1]
    place = {"project": str(Path.cwd()), "name": "run", "exist_ok": True}
    quiet = {name: value for name, value in COMMON.items() if name not in ("batch", "cache")}
    curve = [float(YOLO(file).val(data=str(data), **quiet, **place).results_dict[key])]
    network = YOLO(file)
    network.add_callback("on_fit_epoch_end", lambda trainer: curve.append(float(trainer.metrics[key])))
    network.add_callback("on_train_start", skip_last_validation)
    optimizer = {"optimizer": "AdamW", "lr0": 0.001}
    network.train(data=str(data), epochs=EPOCHS, seed=seed, **optimizer, **place, **COMMON)
    return {"task": task, "edit": edit, "start": start, "seed": seed, "map": curve[: EPOCHS + 1]}


def wanted(tasks: tuple[str, ...], seeds: tuple[int, ...]) -> Iterator[tuple[str, str, str, int]]:
    """All runs, those of one seed after those of another."""
    for seed, task, edit in product(seeds, tasks, EDITS):
        if not (task == "segment" and "P2" in edit):
            yield from ((task, edit, start, seed) for start in _starts(edit))


def _starts(edit: str) -> tuple[str, ...]:
    if not EDITS[edit]:
        return ("control",)
    return ("carried", "fit", "past") if edit in ADDS else ("carried", "fit")


def table(runs: list[dict[str, Any]]) -> str:
    """mAP50-95 as mean and (lowest to highest) over the seeds."""
    lines = ["| task | edit | start | seeds | before | 1 epoch | 2 epochs |", "|---" * (5 + EPOCHS) + "|"]
    for task, edit in product(TASKS, EDITS):
        for start in _starts(edit):
            curves = [run["map"] for run in runs if (run["task"], run["edit"], run["start"]) == (task, edit, start)]
            if curves:
                cells = [f"{mean(values):.3f} ({min(values):.3f}–{max(values):.3f})" for values in zip(*curves)]
                lines.append(f"| {task} | {edit} | {start} | {len(curves)} | {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--task", "tasks", multiple=True, default=tuple(TASKS))
@click.option("--seed", "seeds", multiple=True, default=SEEDS)
def main(folder: Path, tasks: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Do what is not done yet, then print the table."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    clean = make_data(Path("clean"), seed=1, train=384, val=64, rough=False, drawn=draw)
    rough = make_data(Path("rough"), seed=2, train=96, val=64, rough=True, drawn=draw)
    store = Path("runs.jsonl")
    runs = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    done = {(run["task"], run["edit"], run["start"], run["seed"]) for run in runs}
    for key in wanted(tasks, seeds):
        if key not in done:
            runs.append(measure(*key, trained(key[0], clean), rough))
            with store.open("a") as file:
                file.write(json.dumps(runs[-1]) + "\n")
    click.echo(f"torch {torch.__version__}, ultralytics {ultralytics.__version__}, Python {sys.version.split()[0]}\n")
    click.echo(table(runs))


if __name__ == "__main__":
    main()
