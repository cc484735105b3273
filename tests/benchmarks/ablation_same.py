"""An ablation without a question: the base alone, trained twelve times, six seeds against six others.

Run by hand; it takes some minutes on two cores, and goes on where it was stopped:

    python tests/benchmarks/ablation_same.py FOLDER

All data are generated: 96 images of 64 pixels, each with one to three squares and circles on noise, 72 of them to
train on. The network is a small YOLOv8 of two levels. Whatever comes out as a gain or a loss here is none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from lska_surgeon.ablation.launch import train_here
from lska_surgeon.ablation.outcomes import outcomes_of
from lska_surgeon.ablation.records import read_record
from lska_surgeon.ablation.runs import BASE, plan_ablation
from lska_surgeon.ablation.statistics import compare

SEEDS, METRIC, AT_ONCE = 12, "mAP50-95", 2
IMAGES, TRAINED_ON, SIDE = 96, 72, 64
NETWORK = """\
nc: 2
backbone:
  - [-1, 1, Conv, [16, 3, 2]] # 0
  - [-1, 1, Conv, [32, 3, 2]] # 1
  - [-1, 2, C2f, [32, True]] # 2
  - [-1, 1, Conv, [48, 3, 2]] # 3
  - [-1, 1, C2f, [48, True]] # 4
  - [-1, 1, SPPF, [48, 5]] # 5
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]] # 6
  - [[-1, 2], 1, Concat, [1]] # 7
  - [-1, 1, C2f, [32]] # 8
  - [[8, 5], 1, Detect, [nc]] # 9
"""
RECIPE = f"""\
base: tiny.yaml
matrix: {{at: sppf, k: 7}} # a recipe has a question; it is left alone here
imgsz: {SIDE}
train: {{data: shapes.yaml, epochs: 16, imgsz: {SIDE}, batch: 8,
  optimizer: AdamW, lr0: 0.005, mosaic: 0, warmup_epochs: 1}}
seeds: {list(range(SEEDS))}
"""


def write_data(folder: Path) -> None:
    """Images, labels, and the data YAML."""
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        split = "train" if number < TRAINED_ON else "val"
        pixels, lines = rng.integers(0, 120, (SIDE, SIDE, 3)).astype(np.uint8), []
        for _ in range(rng.integers(1, 4)):
            half = int(rng.integers(5, 11))
            x, y = (int(place) for place in rng.integers(half, SIDE - half, 2))
            colour, kind = tuple(map(int, rng.integers(130, 256, 3))), int(rng.integers(2))
            if kind == 0:
                cv2.rectangle(pixels, (x - half, y - half), (x + half, y + half), colour, -1)
            else:
                cv2.circle(pixels, (x, y), half, colour, -1)
            lines.append(f"{kind} {x / SIDE} {y / SIDE} {2 * half / SIDE} {2 * half / SIDE}\n")
        for kind_of_file in ("images", "labels"):
            (folder / kind_of_file / split).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / split / f"{number}.png"), pixels)
        (folder / "labels" / split / f"{number}.txt").write_text("".join(lines), encoding="utf-8")
    text = f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [square, circle]\n"
    (folder / "shapes.yaml").write_text(text, encoding="utf-8")


def main(folder: Path) -> None:
    """Train what is not trained yet, and compare."""
    if not (folder / "recipe.yaml").exists():
        write_data(folder)
        (folder / "tiny.yaml").write_text(NETWORK, encoding="utf-8")
        (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    ablation = plan_ablation(folder / "recipe.yaml")
    runs = [run for run in ablation.runs if run.network.role == BASE]
    left = [run for run in runs if run.prepare()]
    train_here(
        ablation, left, ["cpu"] * AT_ONCE, lambda event: event.kind == "running" or print(event.kind, event.text)
    )
    runs = [run for run in outcomes_of(ablation, "best") if run.role == BASE]
    values = [run.metrics[METRIC] for run in runs]
    half = SEEDS // 2
    found = compare([other - one for one, other in zip(values, values[half:])])
    assert found.low is not None
    assert found.high is not None
    seconds = sum(record.attempts[-1].seconds or 0 for run in runs if (record := read_record(run.folder)))
    print(f"{METRIC}: {', '.join(f'{value:.3f}' for value in values)}; {seconds / 60:.1f} min of training")
    print(f"means of {half} and {half} seeds: {np.mean(values[:half]):.4f}, {np.mean(values[half:]):.4f}")
    print(f"difference {found.mean:+.4f}, 95% interval [{found.low:+.4f}, {found.high:+.4f}], p {found.p:.3f}")
    print(f"largest difference of two of these runs: {max(values) - min(values):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
