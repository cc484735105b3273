"""How rows that are new in a network start: fitted to what was in their place, or past it."""

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
from support.shapes import QUICK, surgeon, write_data

import lska_surgeon as ls
from lska_surgeon.core.surgery import RECORD
from lska_surgeon.nn import Bypass

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
        ([*fit, "--images", few], f"{few} has 3 images, too few to fit anything on: give 4 or more"),
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


def with_c2psa(folder: Path) -> Path:
    """YOLOv8n with a C2PSA behind its backbone, which all read that read the SPPF."""
    path = variant(folder)
    yaml = pyyaml.safe_load(path.read_text())
    yaml["backbone"].append([-1, 1, "C2PSA", [1024]])
    for row in yaml["head"]:
        moved = [source + (source >= 9) for source in ([row[0]] if isinstance(row[0], int) else row[0])]
        row[0] = moved[0] if isinstance(row[0], int) else moved
    path.write_text(pyyaml.safe_dump(yaml, sort_keys=False))
    return path


@pytest.mark.slow
def test_an_added_block_starts_as_a_bypass_that_training_opens(base: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "out.pt", write_data(tmp_path)
    done = surgeon("graft", base, "--into", with_c2psa(tmp_path), "--start", "past", "-o", out)
    assert done.exit_code == 0, done.output
    assert "\n  certificate: max |Δ| 0.0 of all outputs in float32 (eval 64x96, " in done.stdout
    assert (
        "\n  past row 10 (C2PSA): row 11 (Bypass) gives what layer 9 gave, and lets it in as its gate opens\n"
        in done.stdout
    )
    stored = t.load(out)
    assert stored[RECORD]["start"] == {
        "by": "past",
        "rows": [{"row": 11, "new": 10, "old": 9, "layer": 9, "exact": True}],
    }
    rows = [*stored["model"].yaml["backbone"], *stored["model"].yaml["head"]]
    assert [row[:3] for row in rows[10:14]] == [
        [-1, 1, "C2PSA"],
        [[9, -1], 1, "Bypass"],
        [-1, 1, "nn.Upsample"],
        [[-1, 6], 1, "Concat"],
    ]
    assert "past new row 10 (by row 11, from row 9), until gates open\n" in surgeon("inspect", out).stdout
    for mode in ("eval", "train"):
        pairs = zip(t.outputs(t.load(base)["model"], mode), t.outputs(stored["model"], mode))
        assert all(torch.equal(one, other) for one, other in pairs)
    back = surgeon("ungraft", out, "-o", tmp_path / "back.pt")
    assert back.exit_code == 0, back.output
    assert all(
        map(
            torch.equal,
            t.load(tmp_path / "back.pt")["model"].state_dict().values(),
            t.load(base)["model"].state_dict().values(),
        )
    )

    words = [*QUICK, f"project={tmp_path}", "name=run", "warmup_epochs=0", "val=False"]
    trained = surgeon("train", out, f"data={data}", *words, "epochs=2", "save_period=1")
    assert trained.exit_code == 0, (trained.output, trained.exception)
    last = tmp_path / "run" / "weights" / "last.pt"
    after = t.load(last)["model"]
    assert type(after.model[11]) is Bypass
    assert float(after.model[11].gate.abs().max()) > 0
    assert not torch.equal(after.model[10].cv1.conv.weight, stored["model"].model[10].cv1.conv.weight)
    expected, image = t.loaded(last), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        right = expected.model.float().eval()(image)[0]
        found = torch.jit.load(t.loaded(last).export(format="torchscript", imgsz=64))(image)
    assert torch.allclose(found[0] if isinstance(found, (tuple, list)) else found, right, atol=1e-2)
    middle = tmp_path / "run" / "weights" / "epoch0.pt"
    resumed = surgeon("train", middle, "resume=True", f"data={data}")
    assert resumed.exit_code == 0, (resumed.output, resumed.exception)
    assert type(t.load(last)["model"].model[11]) is Bypass


def test_an_added_level_leaves_the_others_as_they_were(base: Path, tmp_path: Path) -> None:
    done = ls.graft(base, into=variant(tmp_path, "yolov8n-p2"), start="past")
    assert done.record["start"]["rows"] == [{"row": 22, "new": 21, "old": 15, "layer": 15, "exact": True}]
    proof = done.certificate.proof
    assert proof is not None
    assert done.certificate.strides == (8, 16, 32)
    assert done.certificate.max_delta == 0.0
    assert [row.row for row in proof.rows if row.state == "exact"] == [*range(16), *range(23, 29)]
    assert [row.state for row in proof.rows[16:23]] == ["new"] * 7
    carried = ls.graft(base, into=tmp_path / "yolov8n-mine.yaml", init="default")
    assert carried.certificate.proof is not None
    assert carried.certificate.proof.shares["exact"] < proof.shares["exact"] / 1.5
    assert set(done.sources.values()) == set(carried.sources.values())
    (tmp_path / "past.yaml").write_text(pyyaml.safe_dump(dict(done.model.yaml), sort_keys=False))
    named = ls.positions(tmp_path / "past.yaml").named
    assert [site.layer for site in named["neck"]] == [12, 15, 18, 21, 25, 28]  # 21 is new, and 22 its bypass


def test_where_there_is_nothing_to_lead_past(base: Path, tmp_path: Path) -> None:
    replaced = variant(tmp_path, r6=["C3", [512]])
    for words, problem in (
        (["--at", "neck"], "--start past is for --into YAML: operators at positions start as the exact identity"),
        (["--into", replaced, "--steps", "9"], "--steps is for --start fit: add that, or drop it"),
        (
            ["--into", replaced],
            f"--start past: no new row of {replaced.name} stands in the place of a map of its width and stride that is "
            "still there before it; use --start fit",
        ),
    ):
        done = surgeon("graft", base, *words, "--start", "past", "-o", tmp_path / "out.pt")
        assert done.exit_code == 2, done.output
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        assert line.startswith(f"Error: {problem}")
        assert not (tmp_path / "out.pt").exists()


def test_a_bypass_joins_two_maps_of_one_width(tmp_path: Path) -> None:
    path = with_c2psa(tmp_path)
    yaml = pyyaml.safe_load(path.read_text())
    for sources, problem in (([8, 6], "joins two maps of one width"), (-1, "joins sources")):
        rows = [*yaml["backbone"], [sources, 1, "Bypass", []]]
        path.write_text(pyyaml.safe_dump({**yaml, "backbone": rows}, sort_keys=False))
        done = surgeon("flops", path)
        assert done.exit_code == 2, done.output
        assert problem in done.stderr
