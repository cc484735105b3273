"""Two ablations in rounds whose answer is known: of equal networks, and of a base that was made worse on purpose.

Run by hand; each goes on where it was stopped, and ends with its table:

    python tests/benchmarks/ablation_rounds.py FOLDER same            # three variants that change nothing but chance
    python tests/benchmarks/ablation_rounds.py FOLDER worse           # a base with noise in it: one variant is without
    python tests/benchmarks/ablation_rounds.py FOLDER same detect     # the same with a detector
    python tests/benchmarks/ablation_rounds.py FOLDER worse detect    # whose base has noise in its neck

All data are generated. The classifiers are three convolutions, on 360 images of 32 pixels, squares and circles on
noise, 160 of them to train on; the detector and its images are those of ablation_same.py. `Jitter` multiplies its map
by one, give or take 0.01%, while it is trained, and so moves the stream of random numbers from which a classifier's
images are drawn, too: with more of it or less, a network is the same but for chance. `Noise` adds noise that is four
times as strong as the map.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ablation_same as detector
import cv2
import numpy as np

IMAGES, TRAINED_ON, SIDE = 360, 160, 32
BLOCKS = '''\
import torch
from torch import nn


class Jitter(nn.Module):
    """Changes nothing but chance: in training it scales its map by one, give or take 0.01%."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1 + 1e-4 * torch.randn(1)) if self.training else x


class Noise(nn.Module):
    """Makes its network worse: noise, four times as strong as what is in the map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 4 * x.std() * torch.randn_like(x)
'''
NETWORKS = {
    "classify": """\
nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]] # 0
  - [-1, 1, FIRST, []] # 1
  - [-1, 1, Conv, [16, 3, 2]] # 2
  - [-1, 1, Jitter, []] # 3
  - [-1, 1, Conv, [32, 3, 2]] # 4
  - [-1, 1, Jitter, []] # 5
head:
  - [-1, 1, Classify, [nc]] # 6
""",
    "detect": detector.NETWORK[: detector.NETWORK.index("head:")]
    + """\
  - [-1, 1, FIRST, []] # 6
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]] # 7
  - [[-1, 2], 1, Concat, [1]] # 8
  - [-1, 1, C2f, [32]] # 9
  - [-1, 1, FIRST, []] # 10
  - [-1, 1, Jitter, []] # 11
  - [[11, 6], 1, Detect, [nc]] # 12
""",
}
RECIPE = """\
base: BASE.yaml
matrix: {edits: [EDITS]}
imgsz: SIZE
train: {data: DATA, imgsz: SIZE, batch: 8, optimizer: AdamW, plots: false, workers: 0, MORE}
sequential: true
"""
#: The block at first, what is done to it, and how it is trained.
ASKED = {
    ("classify", "same"): (
        "Jitter",
        "remove 5, [remove 5, remove 3], [remove 5, remove 3, remove 1]",
        "epochs: 8, lr0: 0.003, warmup_epochs: 0",
    ),
    ("classify", "worse"): ("Noise", "remove 1, remove 3", "epochs: 16, lr0: 0.006, warmup_epochs: 0"),
    ("detect", "same"): (
        "Jitter",
        "remove 11, [remove 11, remove 10], [remove 11, remove 10, remove 6]",
        "epochs: 16, lr0: 0.005, warmup_epochs: 1, mosaic: 0",
    ),
    ("detect", "worse"): (
        "Noise",
        "[remove 10, remove 6], remove 11",
        "epochs: 16, lr0: 0.005, warmup_epochs: 1, mosaic: 0",
    ),
}


def write_data(folder: Path) -> None:
    """Images, in a folder for each class."""
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        split = "train" if number < TRAINED_ON else "val"
        pixels, half = rng.integers(0, 160, (SIDE, SIDE, 3)).astype(np.uint8), int(rng.integers(5, 9))
        x, y = (int(place) for place in rng.integers(half, SIDE - half, 2))
        colour = tuple(map(int, rng.integers(90, 256, 3)))
        if number % 2 == 0:
            cv2.rectangle(pixels, (x - half, y - half), (x + half, y + half), colour, -1)
        else:
            cv2.circle(pixels, (x, y), half, colour, -1)
        place = folder / split / ("square", "circle")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number}.png"), pixels)


def main(folder: Path, which: str, task: str = "classify") -> None:
    """Train what decides, and show it."""
    if not (folder / "recipe.yaml").exists():
        if task == "detect":
            detector.write_data(folder)
        else:
            write_data(folder / "shapes")
        first, edits, more = ASKED[task, which]
        base, data, size = (
            ("tiny-cls", "shapes", SIDE) if task == "classify" else ("tiny", "shapes.yaml", detector.SIDE)
        )
        recipe = RECIPE.replace("EDITS", edits).replace("MORE", more).replace("DATA", data).replace("BASE", base)
        declared = (
            f'[blocks.{name}]\nclass = "my_blocks:{name}"\nlike = "attention"\n' for name in ("Jitter", "Noise")
        )
        for name, text in {
            "my_blocks.py": BLOCKS,
            "lska-surgeon.toml": "\n".join(declared),
            f"{base}.yaml": NETWORKS[task].replace("FIRST", first),
            "recipe.yaml": recipe.replace("SIZE", str(size)),
        }.items():
            (folder / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "lska_surgeon"]
    subprocess.run([*command, "ablate", "recipe.yaml", "--devices", "cpu"], cwd=folder, check=True)
    subprocess.run([*command, "results", "recipe.yaml", "--format", "md"], cwd=folder, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), *sys.argv[2:])
