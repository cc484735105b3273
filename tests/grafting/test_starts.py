"""How rows that are new in a network start: fitted to what was in their place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml as pyyaml
from support import trained as t
from support.shapes import surgeon

import lska_surgeon as ls
from lska_surgeon.core.surgery import RECORD

SCALES = {"n": [0.33, 0.125, 1024]}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t.finished(tmp_path_factory.mktemp("trained") / "base.pt", t.trained())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data YAML with ten images to train on, without labels."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(10):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    path = folder / "data.yaml"
    path.write_text("train: images\nval: images\nnames: [a, b, c]\n")
    return path


def variant(folder: Path, stock: str = "yolov8n", **rows: list[Any]) -> Path:
    """A stock YAML at the scale of the checkpoint, with other blocks in rows: `r6=["C3k2", [512]]`."""
    yaml = {key: value for key, value in t.yaml_of(stock, scales=SCALES).items() if key not in ("yaml_file", "scale")}
    for row, block in rows.items():
        [*yaml["backbone"], *yaml["head"]][int(row[1:])][2:] = block
    path = folder / "yolov8n-mine.yaml"
    path.write_text(pyyaml.safe_dump(yaml, sort_keys=False))
    return path


def test_a_row_is_fitted_to_the_layer_in_its_place_and_no_other_is_touched(
    base: Path, data: Path, tmp_path: Path
) -> None:
    into, out = variant(tmp_path, r6=["C3", [512]]), tmp_path / "out.pt"
    words = ["graft", base, "--into", into, "--start", "fit", "--images", data, "--steps", "60", "-o", out]
    done = surgeon(*words)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"Wrote {out}: exact ")
    near = re.search(r"^  fitted: row 6 \(C3\), to layer 6: error ([\d.]+) -> ([\d.]+)$", done.stdout, re.MULTILINE)
    assert near, done.stdout
    assert float(near[2]) < float(near[1])
    assert (
        "\n  fitted on 8 images of 64x64, in 60 steps, seed 0; errors are those of 2 others, relative to what is to "
        "come out\n" in done.stdout
    )
    before, after = t.load(base)["model"].state_dict(), t.load(out)["model"].state_dict()
    assert all(torch.equal(after[name], one) for name, one in before.items() if not name.startswith("model.6."))
    record = t.load(out)[RECORD]
    assert {key: record["start"][key] for key in ("by", "steps", "seed", "images", "held_out", "imgsz")} == {
        **{"by": "fit", "steps": 60, "seed": 0},
        **{"images": 8, "held_out": 2, "imgsz": 64},
    }
    row = record["certificate"]["rows"][6]
    assert (row["state"], row["carried"], row["fitted"]) == ("fitted", 0, row["parameters"])
    assert row["fits"][0]["after"] < row["fits"][0]["before"]
    assert sum(record["certificate"]["shares"].values()) == pytest.approx(1.0, abs=1e-5)
    norms = [one for one in t.load(out)["model"].modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert len({(norm.eps, norm.momentum) for norm in norms}) == 1

    told = surgeon("inspect", out).stdout
    assert "new rows fitted to what was in their place: images 8, steps 60, seed 0\n" in told

    content = out.read_bytes()
    assert surgeon(*words, "--force").exit_code == 0
    assert out.read_bytes() == content
    other = ls.graft(base, into=into, start="fit", images=data, steps=60, seed=1)
    assert not torch.equal(other.model.state_dict()["model.6.cv1.conv.weight"], after["model.6.cv1.conv.weight"])
    t.outputs(t.loaded(out).model)


def test_rows_that_no_layer_stands_behind_learn_what_their_consumers_read(
    base: Path, data: Path, tmp_path: Path
) -> None:
    done = ls.graft(base, into=variant(tmp_path, "yolov8n-p2"), start="fit", images=data.parent / "images", steps=30)
    assert done.certificate.proof is not None
    rows = {row.row: row for row in done.certificate.proof.rows}
    assert [(fit.path, fit.of) for fit in rows[21].fits] == [("21", "15")]
    assert [rows[row].state for row in (18, 19, 21)] == ["fitted"] * 3
    assert {fit.of for fit in rows[28].fits} <= {"22.cv3.0", "22.cv3.1", "22.cv3.2"}
    assert rows[28].fits
    assert done.record["start"]["refused"]["28.cv3.0"] == "the original's output layer has no such part"
    text = str(done.report().parts[1])
    assert "\n  fitted with the row that they feed: rows 18-19\n" in text


def test_what_can_not_be_asked_for(base: Path, data: Path, tmp_path: Path) -> None:
    into, few, bad = variant(tmp_path, r6=["C3", [512]]), tmp_path / "few", tmp_path / "bad"
    for folder in (few, bad):
        folder.mkdir()
    for number in range(8):
        (few / f"{number}.jpg").write_bytes(b"") if number < 3 else None
        (bad / f"{number}.jpg").write_bytes(b"no image")
    fit = ["--into", into, "--start", "fit"]
    for words, problem in (
        (["--at", "neck", "--start", "fit", "--images", data], "--start fit is for --into YAML: operators at"),
        (fit, "--start fit needs images to fit on, which need no labels: give --images FOLDER|data.yaml"),
        (["--into", into, "--images", data], "--images is for --start fit: add that, or drop it"),
        (["--into", into, "--steps", "9"], "--steps is for --start fit: add that, or drop it"),
        ([*fit, "--images", data, "--steps", "0"], "steps 0 is out of range: give 1 to 100,000"),
        ([*fit, "--images", data, "--seed", "-1"], "seed -1 is out of range: give 0 to 4,294,967,295"),
        ([*fit, "--images", tmp_path / "none"], f"no folder {tmp_path / 'none'}: give a folder of images"),
        ([*fit, "--images", few], f"3 images in {few} are too few to fit anything on: give 4 or more"),
        ([*fit, "--images", bad], "can't be read as an image: take it out of the folder"),
        ([*fit, "--images", into], f"{into} names no images to train on: give its path, or the folder of images"),
        (["--into", variant(tmp_path / "few"), "--start", "fit", "--images", data], "has nothing that"),
    ):
        done = surgeon("graft", base, *words, "-o", tmp_path / "out.pt")
        assert done.exit_code == 2, done.output
        assert problem in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("Error")]) == 1
        assert not (tmp_path / "out.pt").exists()
    lists = tmp_path / "train.txt"
    lists.write_text("\n".join(f"{data.parent}/images/{number}.png" for number in range(9)))
    done = surgeon("graft", base, *fit, "--images", lists, "--steps", "1", "--format", "json", "-o", tmp_path / "o.pt")
    assert json.loads(done.stdout)["start"]["images"] == 7
    for at, size in enumerate((-64, float("nan"), [640, "a"], 5000)):
        stored = t.load(base)
        stored["train_args"]["imgsz"] = size
        torch.save(stored, tmp_path / f"{at}.pt")
        done = surgeon("graft", tmp_path / f"{at}.pt", *fit, "--images", data, "-o", tmp_path / "out.pt")
        assert done.exit_code == 2, done.output
        assert f"trained on images of {size!r}, which is no size of 1 to 4096: drop --start fit" in done.stderr
