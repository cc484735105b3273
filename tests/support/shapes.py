"""A small network that detects, and a few images to train it on; for the tests alone."""

from __future__ import annotations

import inspect
from pathlib import Path

import cv2
import numpy as np
import torch
from click.testing import CliRunner, Result

from lska_surgeon.cli.main import main
from lska_surgeon.yolo.build import build

NETWORK = """\
nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]] # 0
  - [-1, 1, Conv, [16, 3, 2]] # 1
  - [-1, 2, C2f, [16, True]] # 2
  - [-1, 1, Conv, [16, 3, 2]] # 3
  - [-1, 1, C2f, [16, True]] # 4
  - [-1, 1, SPPF, [16, 5]] # 5
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]] # 6
  - [[-1, 2], 1, Concat, [1]] # 7
  - [-1, 1, C2f, [16]] # 8
  - [[8, 5], 1, Detect, [nc]] # 9
"""
#: What every training here is told besides its data.
QUICK = ["epochs=1", "imgsz=64", "batch=2", "nbs=2", "device=cpu", "workers=0", "plots=False", "seed=0"]


def write_network(folder: Path) -> Path:
    """The network as a model YAML."""
    path = folder / "tiny.yaml"
    path.write_text(NETWORK, encoding="utf-8")
    return path


def write_checkpoint(folder: Path, network: Path | None = None, scale: str | None = None) -> Path:
    """A network as a checkpoint in half precision; its norms know their inputs, so that every layer has a say."""
    torch.manual_seed(0)
    model = build(network or write_network(folder), named=scale).train()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain mean
    model(torch.rand(4, 3, 64, 64))
    for norm in norms:
        norm.momentum = 0.03  # as Ultralytics has it
    model.names = dict(enumerate(["square", "circle", *map(str, range(2, model.yaml["nc"]))]))
    data = {"epoch": -1, "model": model.eval().half(), "ema": None, "optimizer": None, "train_args": {"imgsz": 64}}
    torch.serialization.save(data, folder / "base.pt")
    return folder / "base.pt"


def write_data(folder: Path) -> Path:
    """Six images with one square each; returns the data YAML."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
            pixels[16:48, 16:48] = 200
            cv2.imwrite(str(folder / "images" / split / f"{number}.png"), pixels)
            (folder / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    path = folder / "data.yaml"
    path.write_text(f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames: [square, circle]\n")
    return path


def surgeon(*words: object) -> Result:
    """Run the command line in this process, with its two streams kept apart."""
    # click did that only if asked, until 8.2 made it the only way.
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(main, [str(word) for word in words])


def graft(checkpoint: Path, *at: str, op: str = "lska", k: int = 7, to: str = "graft.pt") -> Path:
    """A graft of a checkpoint, beside it."""
    places = [word for position in at for word in ("--at", position)]
    target = checkpoint.parent / to
    result = surgeon("graft", checkpoint, *places, "--op", op, "--k", k, "-o", target, "--force")
    assert result.exit_code == 0, result.output
    return target
