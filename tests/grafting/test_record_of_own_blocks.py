"""Where the blocks of one's own are declared: the record says it wherever one of them is in the network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from support.custom import using

import lska_surgeon as ls
from lska_surgeon.core.blocks import Declarations
from lska_surgeon.declarations.find import read_declarations
from lska_surgeon.yolo.build import build

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
DECLARATION = "lska-surgeon.toml"
ROWS = {
    "nc": 1,
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "C2f", [16, True]],
        [-1, 1, "SimAM", []],
        [-1, 1, "SPPF", [16, 5]],
    ],
    "head": [[[3], 1, "Detect", ["nc"]]],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(PROJECT, tmp_path, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_checkpoint(project: Path, own: bool) -> Path:
    backbone = [row for row in ROWS["backbone"] if row[2] != "SimAM" or own]
    yaml = {**ROWS, "backbone": backbone, "head": [[[len(backbone) - 1], *ROWS["head"][0][1:]]]}
    with using(read_declarations(project / DECLARATION, trusted=True) if own else Declarations()):
        model = build(yaml)
    model.names = {0: "a"}
    torch.serialization.save({"epoch": -1, "model": model, "train_args": {"imgsz": 64}}, project / "base.pt")
    return project / "base.pt"


@pytest.mark.parametrize(
    ("own", "at", "op", "said"),
    [
        (True, "sppf", "lska", True),
        (False, "sppf", "SimAM", True),  # behind a gate
        (False, "residual", "SimAM", True),  # inside a host
        (False, "sppf", "lska", False),
    ],
)
def test_the_record_says_where_they_are_declared(own: bool, at: str, op: str, said: bool, project: Path) -> None:
    product = ls.graft(write_checkpoint(project, own), at, op=op, k=7 if op == "lska" else None).write("grafted.pt")
    checkpoint = ls.load_checkpoint(product)
    expected = str(project / DECLARATION) if said else None
    assert checkpoint.surgery.get("blocks") == expected
    assert (checkpoint.yaml or {})["lska_surgeon"].get("blocks") == expected  # what is left after a training
    assert (f"blocks declared in {project / DECLARATION}" in str(checkpoint)) is said
