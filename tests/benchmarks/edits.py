"""What of a trained network goes into an edited one: thirteen edits of five families, grafted and trained for an epoch.

Run by hand; it takes some ten minutes on two cores, and goes on where it was stopped. It prints the table of
docs/replace.md:

    python tests/benchmarks/edits.py FOLDER

All data are generated, as in `graft_training.py`: each family's smallest network is trained for an epoch, then each
edit of it is written, grafted with `--into --init default`, and trained for an epoch more, whose losses have to be
finite. A cell says which share of the edited network's parameters stands in the exact region and which was carried in
all. The shares follow from the architectures, so that longer training would not change them.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
sys.path.insert(0, str(Path(__file__).parent))

import click
from graft_training import COMMON, make_data, skip_last_validation
from ultralytics import YOLO

import lska_surgeon as ls
from lska_surgeon.errors import SurgeonError

FAMILIES = ("yolov8n", "yolov5n", "yolo11n", "yolo12n", "yolo26n")
OTHER = {"yolov8n": "yolo11n", "yolov5n": "yolov8n", "yolo11n": "yolov8n", "yolo12n": "yolo11n", "yolo26n": "yolov8n"}
#: Edit -> what does it, given the family.
EDITS: dict[str, Any] = {
    "block: neck": lambda base: ls.replace(base, "neck", by="C2f" if base.startswith("yolov5") else "C3"),
    "stem: rows 0-1": lambda base: ls.replace(base, "0-1", by="HGStem"),
    "down: SCDown": lambda base: ls.replace(base, "down", by="SCDown"),
    "up: ConvTranspose2d": lambda base: ls.replace(base, "up", by="nn.ConvTranspose2d"),
    "fusion: weighted": lambda base: ls.replace(base, "fusion", by="WeightedConcat"),
    "fusion: weighted sum": lambda base: ls.replace(base, "fusion", by="WeightedSum"),
    "pool: SPPELAN": lambda base: ls.replace(base, "pool", by="SPPELAN"),
    "backbone of another": lambda base: ls.replace(base, "backbone", by=f"{OTHER[base[:-5]]}.yaml"),
    "+ P2": lambda base: ls.levels(base, add="p2"),
    "+ P6": lambda base: ls.levels(base, add="p6"),
    "- P5": lambda base: ls.levels(base, drop="p5"),
    "head: v10Detect": lambda base: ls.replace(base, "head", by="v10Detect"),
    "task: Segment": lambda base: ls.replace(base, "head", by="Segment"),
}
FUSION = '''
import torch
from torch import nn


class WeightedConcat(nn.Module):
    """A Concat whose sources are weighted, as in BiFPN."""

    def __init__(self, dimension=1):
        super().__init__()
        self.d, self.w = dimension, nn.Parameter(torch.ones(2))

    def forward(self, x):
        weight = self.w.relu() / (self.w.relu().sum() + 1e-4) * 2
        return torch.cat([weight[at] * one for at, one in enumerate(x)], self.d)


class WeightedSum(nn.Module):
    """A weighted sum of its sources behind 1x1 convolutions, as in BiFPN; half as wide as a Concat of them."""

    def __init__(self, widths):
        super().__init__()
        self.w = nn.Parameter(torch.ones(len(widths)))
        self.reduce = nn.ModuleList(nn.Conv2d(width, sum(widths) // 2, 1) for width in widths)

    def forward(self, x):
        weight = self.w.relu() / (self.w.relu().sum() + 1e-4)
        return sum(weight[at] * reduce(one) for at, (reduce, one) in enumerate(zip(self.reduce, x)))
'''
DECLARED = """
[blocks.WeightedConcat]
class = "fusion.py:WeightedConcat"
like = "Concat"

[blocks.WeightedSum]
class = "fusion.py:WeightedSum"
like = "Concat"
channels = "first"
width = "c/2"
"""


def trained(family: str, data: Path) -> Path:
    """The family's smallest network, trained."""
    best = Path(f"{family}.pt")
    if not best.exists():
        network = YOLO(f"{family}.yaml")
        network.train(data=str(data), epochs=1, seed=0, project=str(Path.cwd()), name=family, exist_ok=True, **COMMON)
        best.write_bytes((Path(family) / "weights" / "best.pt").read_bytes())
    return best


def measure(family: str, edit: str, best: Path, data: Path) -> dict[str, Any]:
    """One edit of one family: what was carried, and and whether an epoch of training goes well."""
    name = "".join(letter if letter.isalnum() else "-" for letter in edit)
    try:
        variant = EDITS[edit](f"{family}.yaml").write(f"{family}-{name}.yaml", force=True)
    except SurgeonError as error:
        return {"family": family, "edit": edit, "refused": str(error)}
    graft = ls.graft(str(best), into=variant, init="default", output=f"{family}-{name}.pt")
    assert graft.certificate.proof is not None
    run: dict[str, Any] = {"family": family, "edit": edit, **graft.certificate.proof.shares}
    path = graft.write(force=True)
    if edit.startswith("task"):  # the data have no masks
        return run
    network = YOLO(path)
    losses: list[float] = []
    network.add_callback("on_train_epoch_end", lambda trainer: losses.append(float(trainer.loss.sum())))
    network.add_callback("on_train_start", skip_last_validation)
    network.train(data=str(data), epochs=1, seed=0, project=str(Path.cwd()), name="run", exist_ok=True, **COMMON)
    assert losses
    assert all(map(math.isfinite, losses)), (family, edit, losses)
    return run


def table(runs: list[dict[str, Any]]) -> str:
    """The table in Markdown: a row for each edit, a column for each family."""
    lines = [f"| edit | {' | '.join(FAMILIES)} |", "|---" * (1 + len(FAMILIES)) + "|"]
    known = {(run["edit"], run["family"]): run for run in runs}
    for edit in EDITS:
        lines.append(f"| {edit} | {' | '.join(_cell(known.get((edit, family))) for family in FAMILIES)} |")
    return "\n".join(lines)


def _cell(run: dict[str, Any] | None) -> str:
    if run is None or "refused" in run:
        return "-"
    return f"{_percent(run['exact'])} / {_percent(1 - run['new'])}"


def _percent(share: float) -> str:
    """Never all of what is less, or nothing of what is more."""
    return f"{min(max(share, 0.01), 0.99):.0%}" if 0 < share < 1 else f"{share:.0%}"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Do what is not done yet, then print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("fusion.py").write_text(FUSION, encoding="utf-8")
    Path("lska-surgeon.toml").write_text(DECLARED, encoding="utf-8")
    data = make_data(Path("data"), seed=1, train=48, val=8, rough=False)
    done = Path("runs.jsonl")
    runs = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    for family in FAMILIES:
        best = trained(family, data)
        for edit in EDITS:
            if not any((run["family"], run["edit"]) == (family, edit) for run in runs):
                runs.append(measure(family, edit, best, data))
                with done.open("a") as file:
                    file.write(json.dumps(runs[-1]) + "\n")
    click.echo(table(runs))


if __name__ == "__main__":
    main()
