"""What exports lose: five tasks, three kernel sizes, every runtime that is here; prints the table of docs/devices.md.

Run by hand; it takes an hour on two cores, and goes on where it was stopped:

    python tests/benchmarks/exports.py FOLDER
    python tests/benchmarks/exports.py FOLDER --task detect --k 23     # less

All data are generated: squares and bars, turned, on coloured ground. A small YOLOv8 learns each task on them; LSKA is
grafted in and trained for two epochs more, so that it is no longer the identity. Then each is exported to each format
and precision, and held beside torch in float32 on images that no training saw.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import click
import cv2
import numpy as np
from ultralytics import YOLO

import lska_surgeon as ls
from lska_surgeon.reports import Table, markdown
from lska_surgeon.yolo.exported import RUNTIMES

SIZE = 96
TASKS = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}
SIZES = (7, 23, 53)
#: Networks that learned for minutes are seldom surer.
SURE = 0.1
#: Format -> the precisions that Ultralytics exports it in on a CPU.
FORMATS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16"),
    "ncnn": ("fp32", "fp16"),
    "mnn": ("fp32", "fp16", "int8"),
    "torchscript": ("fp32",),
}
SHAPES = ("square", "bar")
COMMON = {"imgsz": SIZE, "batch": 16, "workers": 0, "device": "cpu", "plots": False, "verbose": False, "exist_ok": True}


def draw(rng: np.random.Generator, most: int) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """An image, and of each thing in it the kind and the corners, in parts of the image."""
    pixels = cv2.resize(rng.integers(60, 196, (6, 6, 3)).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    things = []
    for _ in range(rng.integers(1, most + 1)):
        kind, side = int(rng.integers(2)), float(rng.uniform(14, 30))
        turned = (tuple(rng.uniform(20, SIZE - 20, 2)), (side, side * (1, 0.4)[kind]), float(rng.uniform(0, 180)))
        corners = cv2.boxPoints(turned)
        cv2.fillPoly(pixels, [corners.astype(np.int32)], tuple(int(value) for value in rng.integers(0, 256, 3)))
        things.append((kind, (corners / SIZE).clip(0, 1)))
    return pixels, things


def label(task: str, kind: int, corners: np.ndarray) -> str:
    """A line of a label: the outline, or the box with its corners as keypoints."""
    numbers = [float(value) for value in corners.ravel()]
    if task == "pose":
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        ordered = corners[np.argsort(corners[:, 1])]
        numbers = [*map(float, box), *(value for x, y in ordered for value in (float(x), float(y), 2.0))]
    return " ".join([str(kind), *(f"{value:.5f}" for value in numbers)])


def make_data(folder: Path, task: str) -> str:
    """A dataset on disk; returns what training is told as `data`."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 160), ("val", 32), ("check", 32)):
        for number in range(count):
            pixels, things = draw(rng, 1 if task == "classify" else 3)
            kind = SHAPES[things[0][0]] if task == "classify" and split != "check" else ""
            image = (
                folder / split / kind / f"{number}.png"
                if task == "classify"
                else folder / "images" / split / f"{number}.png"
            )
            image.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), pixels)
            if task != "classify":
                lines = folder / "labels" / split / f"{number}.txt"
                lines.parent.mkdir(parents=True, exist_ok=True)
                lines.write_text("\n".join(label(task, *thing) for thing in things))
    if task == "classify":
        return str(folder)
    text = f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames: {list(SHAPES)}\n"
    text += "kpt_shape: [4, 3]\n" if task == "pose" else ""
    (folder / "data.yaml").write_text(text)
    return str(folder / "data.yaml")


def make_models(folder: Path, task: str, sizes: tuple[int, ...]) -> str:
    """The trained network and its grafts; returns the data."""
    data = make_data(folder / "data", task)
    told = {"data": data, "seed": 0, "project": str(folder.resolve()), **COMMON}
    if not (folder / "base.pt").exists():
        network, first = YOLO(f"yolov8n{TASKS[task]}.yaml"), folder.parent / "detect" / "base.pt"
        if first.exists() and task != "classify":
            network.load(first)  # who finds things is soon taught their outlines
        network.train(epochs=8 if first.exists() else 25, name="base", **told)
        (folder / "base.pt").write_bytes((folder / "base" / "weights" / "last.pt").read_bytes())
    for k in sizes:
        if (folder / f"k{k}.pt").exists():
            continue
        at = "after:8" if task == "classify" else "neck"
        ls.graft(folder / "base.pt", at, k=k).write(folder / "start.pt", force=True)
        (run,) = ls.train(folder / "start.pt", epochs=2, name=f"k{k}", **told)
        (folder / f"k{k}.pt").write_bytes((run / "weights" / "last.pt").read_bytes())
    return data


def measure(folder: Path, task: str, k: int, format: str, precision: str, data: str) -> dict[str, Any]:
    """The proof of one export, kept in a file."""
    kept = folder / "checks" / f"k{k}-{format}-{precision}.json"
    if not kept.exists():
        calibrated = {"data": data} if precision == "int8" and format != "mnn" else {}
        images = folder / "data" / ("check" if task == "classify" else "images/check")
        done = ls.export(
            folder / f"k{k}.pt", format=format, half=precision == "fp16", int8=precision == "int8", imgsz=SIZE,
            check=images, base=folder / "base.pt", conf=SURE, **calibrated,
        )  # fmt: skip
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(done.to_dict()))
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def cell(task: str, found: list[dict[str, Any]]) -> str:
    """The largest difference and the least F1 at IoU 0.5 of all kernel sizes, and the base's."""
    kind, unit = ("probabilities", "") if task == "classify" else ("boxes", " px")
    words = []
    for number in (0, 1):
        checks = [one["checks"][number] for one in found]
        largest = max(check["largest"][kind] for check in checks)
        words.append(f"{largest:.1g}{unit}, {min(check['f1']['0.5'] for check in checks):.3f}")
    return "; ".join(words)


@click.command()
@click.argument("folder", type=Path)
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(TASKS)), default=list(TASKS))
@click.option("--k", "sizes", multiple=True, type=int, default=SIZES)
def main(folder: Path, tasks: tuple[str, ...], sizes: tuple[int, ...]) -> None:
    """Train, export, and print the table."""
    rows: dict[str, list[str]] = {}
    for task in tasks:
        data = make_models(folder / task, task, sizes)
        for format, precisions in FORMATS.items():
            if RUNTIMES[format].problem(export=True):
                continue
            for precision in precisions:
                found = [measure(folder / task, task, k, format, precision, data) for k in sizes]
                rows.setdefault(f"{format}, {precision}", []).append(cell(task, found))
    print(markdown(Table(("export", *tasks), [(name, *cells) for name, cells in rows.items()])))


if __name__ == "__main__":
    main()
