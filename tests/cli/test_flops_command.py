"""`lska-surgeon flops`: what it prints, where, and how it exits."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main
from lska_surgeon.modelfile.sources import stock_models


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(main, ["flops", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def run_fresh(*words: str, config: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as a user who never ran Ultralytics."""
    command = [sys.executable, "-W", "default", "-m", "lska_surgeon", "flops", *words]
    environment = {**os.environ, "YOLO_CONFIG_DIR": str(config)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_variant_is_set_against_its_base(tmp_path: Path) -> None:
    variant = tmp_path / "yolov8n-lska.yaml"
    made = CliRunner().invoke(main, ["insert", "yolov8n.yaml", "--at", "sppf", "--k", "11", "-o", str(variant)])
    assert made.exit_code == 0, made.output
    code, out, err = run("yolov8n.yaml", str(variant), "--imgsz", "64")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "1 image of 64x64 (height x width), fused, eval mode"
    assert [line.split()[0] for line in lines[4:7]] == ["yolov8n.yaml", str(variant), "difference"]
    assert lines[6].split()[1] == "+70,912"  # C^2 + C(2a + 2b + 5) for C 256, a 3, b 5
    assert lines[7:] == ["", "GFLOPs = 2 x GMACs; --notes says what is counted."]
    _, explained, _ = run("yolov8n.yaml", str(variant), "--imgsz", "64", "--notes")
    assert "one multiply-accumulate is two floating-point operations" in explained
    assert "Not counted by fvcore in yolov8n.yaml: silu x" in explained


def test_what_one_has_to_know_of_a_model_is_told_beside_the_table() -> None:
    note = "yolov8.yaml: its name says no scale, so this is n, the first of n, s, m, l, x"
    _, out, err = run("yolov8.yaml", "--imgsz", "64")
    assert (note in out, err) == (False, f"Note: {note}\n")
    _, out, err = run("yolov8.yaml", "--imgsz", "64", "--notes")
    assert (f"{note}." in out, err) == (True, "")
    _, out, err = run("yolov8.yaml", "--imgsz", "64", "--format", "json")
    assert (note.partition(": ")[2] in out, err) == (True, "")


def test_without_a_model_all_of_this_folder_are_counted() -> None:
    for base, at in (("yolov8n.yaml", "sppf"), ("yolov8n-cls.yaml", "head")):
        assert CliRunner().invoke(main, ["insert", base, "--at", at, "--k", "11"]).exit_code == 0
    Path("a-plain-one.yml").write_text(stock_models()["yolov8-cls.yaml"].read_text(encoding="utf-8"), encoding="utf-8")
    Path("data.yaml").write_text("names: [a]\n", encoding="utf-8")
    Path("worse.yaml").write_text("backbone: [[-1]]\nhead: []\n", encoding="utf-8")
    Path("unknown.yaml").write_text("backbone: [[-1, 1, Convv, [8]]]\nhead: [[0, 1, Detect, [1]]]\n", encoding="utf-8")
    Path("noise.PT").write_bytes(b"no checkpoint at all")
    Path(".hidden.yaml").write_text("", encoding="utf-8")
    Path("folder.yaml").mkdir()
    code, out, err = run("--imgsz", "64", "--format", "csv")
    assert code == 0, err
    assert [row["model"] for row in csv.DictReader(io.StringIO(out))] == [
        "yolov8n-cls.yaml",
        "yolov8n.yaml",
        "a-plain-one.yml",
        "yolov8n-cls-lska-head-k11.yaml",
        "yolov8n-lska-sppf-k11.yaml",
    ]
    passed_over = {line.split()[1] for line in err.splitlines() if " is passed over: " in line}
    assert passed_over == {"worse.yaml", "unknown.yaml", "noise.PT"}
    assert "Note: no models, so passed over: data.yaml\n" in err


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "no model YAML and no checkpoint in this folder: give models, such as yolov8s.yaml"),
        (["data.yaml", "x.txt"], "no model YAML and no checkpoint in this folder (data.yaml can't be read as one): "),
        (["x.pt"], "no model in this folder can be counted: x.pt is not a checkpoint but a text file"),
    ],
)
def test_a_folder_without_models_is_one_line(names: list[str], told: str) -> None:
    for name in names:
        Path(name).write_text("names: [a]\n", encoding="utf-8")
    code, out, err = run()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"Error: {told}")


def test_json_is_all_that_a_new_user_sees(tmp_path: Path) -> None:
    done = run_fresh(
        "yolo11n.yaml", "--format", "json", "--imgsz", "64,96", "--batch", "2", "--no-fuse", config=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["schema"], report["imgsz"], report["batch"], report["fused"]) == (1, [64, 96], 2, False)
    assert report["models"][0]["ops"]["batch_norm"] > 0


def test_per_layer_reaches_the_convolutions_of_the_operator(tmp_path: Path) -> None:
    variant = tmp_path / "yolov8n-lska.yaml"
    CliRunner().invoke(main, ["insert", "yolov8n.yaml", "--at", "residual:4", "--k", "11", "-o", str(variant)])
    _, out, _ = run(str(variant), "--imgsz", "64", "--per-layer", "--format", "csv")
    paths = [row["layer"] for row in csv.DictReader(io.StringIO(out))]
    inside = [path.rpartition(".")[2] for path in paths if path.startswith("4.m.0.lska.")]
    assert inside == ["conv0h", "conv0v", "conv_spatial_h", "conv_spatial_v", "conv1"]


@pytest.mark.parametrize(
    ("limits", "code", "lines"),
    [
        (["--max-params", "40M", "--max-gflops", "1"], 0, []),
        (["--max-params", "2.5k"], 1, ["yolov8n-cls.yaml has 2,715,880 parameters, above the limit of 2,500"]),
        (["--max-params", "2715880"], 0, []),
        (["--max-params", "2_715_879".replace("_", ",")], 1, ["yolov8n-cls.yaml has 2,715,880 parameters"]),
        (["--max-gflops", "0.03"], 1, ["yolov8n-cls.yaml has 0.035 GFLOPs, above the limit of 0.03"]),
        (["--max-gflops", "0", "--max-params", "0"], 1, ["GFLOPs, above the limit of 0", "parameters, above"]),
    ],
)
def test_limits_decide_the_exit_code_after_the_report(limits: list[str], code: int, lines: list[str]) -> None:
    found, out, err = run("yolov8n-cls.yaml", "--imgsz", "64", *limits)
    assert found == code
    assert "yolov8n-cls.yaml" in out
    assert len(err.splitlines()) == len(lines)
    assert all(line in said for line, said in zip(lines, err.splitlines()))
