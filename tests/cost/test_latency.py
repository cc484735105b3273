"""Latency: models in turns, each warm, the first against itself, and what is said of the machine."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.ablations import RECIPE, experiment, neck_gains, pretend_trained
from support.shapes import surgeon, write_network
from torch import nn

import lska_surgeon as ls
from lska_surgeon.cost import latency
from lska_surgeon.cost.latency import Latencies, Setting
from lska_surgeon.errors import SurgeonError
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.exported import RUNTIMES, Runtime, export


class Named:
    """What stands for a running network."""

    version, precision, by_itself = "2", "fp32", ""

    def __init__(self, name: str, runtime: str) -> None:
        self.name, self.runtime = name, RUNTIMES[runtime]

    def __call__(self, image: torch.Tensor) -> str:
        return self.name


def timed(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[str, int], float]) -> list[str]:
    """Let models be names, and a run of each take so long; returns the names in the order in which they ran."""
    ran: list[str] = []

    def start(self: Any, name: str, model: str) -> Named:
        model, _, runtime = model.partition(" in ")
        name = f"{model}{' again' if model == 'A' and ('A', runtime) in made else ''}"
        made.append((model, runtime))
        return Named(f"{name} in {runtime}" if runtime else name, runtime or "torch")

    def exported(self: Any, name: str, model: str, runtime: Runtime, size: Any) -> str:
        return model if runtime.name == "torch" else f"{model} in {runtime.name}"

    def time(run: Callable[[], str], device: torch.device) -> float:
        ran.append(run())
        return seconds(run(), ran.count(run()))

    made: list[tuple[str, str]] = []
    monkeypatch.setattr(latency._Starter, "__call__", start)
    monkeypatch.setattr(latency._Starter, "exported", exported)
    monkeypatch.setattr(latency, "_time", time)
    return ran


def measure(names: str, setting: Setting) -> Latencies:
    """Names, each a model, in one runtime."""
    (measured,) = latency.measure([(name, name) for name in names], [setting])  # type: ignore[misc]
    return measured


def test_models_run_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = timed(monkeypatch, lambda name, number: {"A": 1.0, "B": 2.0, "C": 3.0}[name[0]])
    found = measure("ABC", Setting(rounds=3))
    assert ran[-12:] == ["A", "B", "C", "A again"] * 3
    assert [(row.name, row.median, row.ratio) for row in found.rows] == [("A", 1, 1), ("B", 2, 2), ("C", 3, 3)]
    assert found.quiet
    assert found.again == (1.0, 1.0, 1.0)


def test_a_first_model_that_equals_itself_by_chance_is_no_quiet_machine() -> None:
    how = {"device": "x", "clock_mhz": None, "threads": 1, "runtime": "torch", "release": "2", "precision": "fp32"}
    how |= {"by_itself": "", "imgsz": [64, 64], "batch": 1, "nms": False, "rounds": 9, "torch": "2", "ultralytics": "8"}
    quiet, wide = (Latencies((), again, how) for again in ((1.005, 0.98, 1.02), (1.0, 0.9, 1.1)))
    assert "too noisy" not in str(quiet)
    assert "the first model against itself: 1.000 [0.900, 1.100]: this machine is too noisy" in str(wide)
    assert "x, 1 thread, torch" in str(quiet)


def test_each_is_warm_before_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = timed(monkeypatch, lambda name, number: max(1.0, 30.0 - number))
    found = measure("A", Setting(rounds=4))
    assert ran.count("A") > 30
    assert found.rows[0].median == 1.0


def test_drift_cancels_and_noise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, lambda name, number: (1 + 0.01 * number) * (2 if name[0] == "B" else 1))
    assert measure("AB", Setting(rounds=40)).rows[1].ratio == pytest.approx(2.0, rel=1e-6)
    timed(monkeypatch, lambda name, number: 9.0 if number % 10 == 0 else 1.0)
    (spiky,) = measure("A", Setting(rounds=100)).rows
    assert (spiky.median, spiky.p95) == (1.0, 9.0)
    timed(monkeypatch, lambda name, number: 1.05 if name.endswith("again") else 1.0)
    noisy = measure("A", Setting(rounds=4))
    assert not noisy.quiet
    assert "the first model against itself: 1.050 [1.050, 1.050]: this machine is too noisy" in str(noisy)


def test_the_interval_holds_the_true_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        timed(monkeypatch, lambda name, number: (1.1 if name == "B" else 1.0) * float(rng.lognormal(0, 0.05)))
        row = measure("AB", Setting(rounds=60)).rows[1]
        inside += row.low <= 1.1 <= row.high
    assert 50 <= inside <= 60


def test_a_larger_model_takes_longer() -> None:
    found = ls.latency(["yolov8n.yaml", "yolov8l.yaml"], imgsz=96, rounds=7, threads=1)
    assert found.rows[1].low > 1.5
    assert found.how["threads"] == 1
    assert found.to_dict()["schema"] == 1


def test_models_run_as_ultralytics_runs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(write_network(tmp_path)).train()
    seen: list[nn.Module] = []
    original = latency.opened

    def look(*words: Any, **more: Any) -> Any:
        running = original(*words, **more)
        seen.append(running.backend)
        return running

    monkeypatch.setattr(latency, "opened", look)
    ls.latency(model, imgsz=64, rounds=2)
    assert model.training
    for backend in seen:
        assert not backend.training
        assert not [part for part in backend.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(seen) == 2


@pytest.mark.parametrize(
    "head", ["Detect, [nc]", "Segment, [nc, 4, 8]", "Pose, [nc, kpt_shape]", "OBB, [nc, 1]", "v10Detect, [nc]"]
)
def test_suppression_knows_the_classes_and_angles_of_every_task(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    original = latency._function()
    monkeypatch.setattr(
        latency, "_function", lambda: lambda boxes, **words: (seen.append(words), original(boxes, **words))
    )
    found = ls.latency(with_head(tmp_path, head), imgsz=64, rounds=2, nms=True)
    assert found.how["nms"]
    assert (seen[0]["nc"], seen[0]["rotated"]) == (2, head.startswith("OBB"))


def test_suppression_of_masks_in_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    network = with_head(tmp_path, "Segment, [nc, 4, 8]")
    assert ls.latency(network, imgsz=64, rounds=2, runtime="onnx", nms=True).how["nms"]


def test_a_classifier_has_nothing_to_suppress(tmp_path: Path) -> None:
    path = with_head(tmp_path, "Classify, [nc]", "-1")
    assert surgeon("latency", path, "--imgsz", 64, "--rounds", 2).exit_code == 0
    result = surgeon("latency", path, "--imgsz", 64, "--rounds", 2, "--nms")
    assert (result.exit_code, result.output) == (
        2,
        f"Error: {path} ends in Classify, which has no non-maximum suppression: drop nms, or leave this model out\n",
    )
    assert "with --nms" in " ".join(surgeon("latency", "--help").output.split())


def with_head(folder: Path, head: str, sources: str = "[8, 5]") -> Path:
    """The small network with another output layer."""
    path = write_network(folder)
    text = path.read_text(encoding="utf-8").replace("[[8, 5], 1, Detect, [nc]]", f"[{sources}, 1, {head}]")
    path.write_text(f"kpt_shape: [5, 3]\n{text}", encoding="utf-8")
    return path


def test_runtimes_take_turns_and_each_has_its_first_model(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"A": 0.010, "B": 0.012, "A again": 0.010, "A in openvino": 0.004, "B in openvino": 0.005}
    ran = timed(monkeypatch, lambda name, number: taken.get(name, 0.004))
    monkeypatch.setattr(Named, "by_itself", "bf16")
    problems = {"coreml": "runtime coreml runs on macOS alone", "torch": None, "openvino": None}
    monkeypatch.setattr(Runtime, "problem", lambda self, **_: problems[self.name])
    monkeypatch.setattr(latency, "_cpu_name", lambda: "x")
    monkeypatch.setattr(latency, "_clock", lambda device: None)
    setting = Setting((64, 64), rounds=3, threads=1, runtimes=("torch", "openvino", "coreml"))
    found = latency.measure([("A", "A"), ("B", "B")], [setting])  # type: ignore[list-item]
    turn = ["A", "B", "A again", "A in openvino", "B in openvino", "A again in openvino"]
    assert ran[-18:] == turn * 3
    versions = f"torch {torch.__version__}, ultralytics {found.all[0].how['ultralytics']}"
    shown = f"""\
Note: left out: runtime coreml runs on macOS alone

runtime   model  median ms  p95 ms  ratio    95% interval
--------  -----  ---------  ------  -----  --------------
torch     A          10.00   10.00  1.000  [1.000, 1.000]
torch     B          12.00   12.00  1.200  [1.200, 1.200]
openvino  A           4.00    4.00  1.000  [1.000, 1.000]
openvino  B           5.00    5.00  1.250  [1.250, 1.250]

ratio  torch  openvino
-----  -----  --------
A      1.000     1.000
B      1.200     1.250

runtime     precision                       the first model against itself
----------  ------------------------------  ------------------------------
torch       fp32 as asked (bf16 by itself)  1.000 [1.000, 1.000]
openvino 2  fp32 as asked (bf16 by itself)  1.000 [1.000, 1.000]

x, 1 thread, batch 1, 64x64, 3 rounds, {versions}"""
    assert [line.rstrip() for line in str(found).splitlines()] == shown.splitlines()


def test_what_is_not_here_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = write_network(tmp_path), importlib.util.find_spec
    gone = ("onnx", "onnxruntime", "onnxslim", "openvino")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in gone else found(name, *rest))
    onnx = (
        'runtime onnx needs onnxruntime, onnx and onnxslim, which are not installed: pip install "lska-surgeon[onnx]"'
    )
    result = surgeon("latency", path, "--runtime", "onnx")
    assert (result.exit_code, result.output) == (2, f"Error: {onnx}\n")
    result = surgeon("latency", path, "--imgsz", 64, "--rounds", 2, "--runtime", "torch,onnx")
    assert (result.exit_code, result.stderr) == (0, f"Note: left out: {onnx}\n")
    result = surgeon("latency", path, "--runtime", "torch,openvin")
    assert (result.exit_code, result.output) == (
        2,
        "Error: no runtime 'openvin' (did you mean openvino?): "
        "there are torch, torchscript, onnx, openvino, ncnn, mnn, tensorrt, coreml\n",
    )
    result = surgeon("latency", path, "--runtime", "torch,ncnn", "--batch", "1,2")
    assert (result.exit_code, result.output) == (
        2,
        "Error: ncnn takes one image at a time: exported for 2, it crashes or answers wrongly; "
        "measure it with --batch 1, or leave it out\n",
    )


def test_exported_files_run_where_they_were_exported_for(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    network = build(write_network(tmp_path))
    path = export(network, "onnx", tmp_path, "tiny", imgsz=(64, 96))
    program = export(network, "torchscript", tmp_path, "tiny", imgsz=(64, 96))
    words = ["latency", path, tmp_path / "tiny.yaml", "--runtime", "torch,onnx", "--rounds", 2, "--nms", "--json"]
    found = json.loads(surgeon(*words).output)["measurements"]
    assert [(one["how"]["runtime"], one["how"]["imgsz"], [row["name"] for row in one["rows"]]) for one in found] == [
        ("onnx", [64, 96], [str(path), str(tmp_path / "tiny.yaml")]),
        ("torch", [64, 96], [str(tmp_path / "tiny.yaml")]),
    ]
    for words, told in {
        f"{path} --imgsz 64": f"{path} was exported for 64x96, not 64x64: add --imgsz 64,96",
        f"{path} --batch 2": f"{path} was exported for 1 image at once: add --batch 1",
        f"{path} --runtime mnn": "--runtime says what models are exported for, and exported files have theirs: drop it "
        "(see main latency --help)",
        f"{program} --rounds 2": f"{program} is TorchScript, a program: nothing of it was run; if you trust whoever "
        "made it, add --trust",
        f"{tmp_path}/gone_ncnn_model": f"no folder {tmp_path}/gone_ncnn_model",
    }.items():
        result = surgeon("latency", *shlex.split(words))
        assert (result.exit_code, result.output) == (2, f"Error: {told}\n")
    assert surgeon("latency", program, "--rounds", 2, "--trust").exit_code == 0


def test_a_recipes_networks_are_measured_for_its_results(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains, RECIPE + "latency: true\n")
    nothing = ls.results(recipe)
    assert not any(row.seconds for row in nothing.rows)
    assert not any("latency" in note for note in ls.results(experiment(tmp_path / "b", neck_gains, RECIPE)).notes)
    assert nothing.notes[-1] == f"latency is not measured yet: lska-surgeon latency --recipe {recipe}"
    measured = json.loads(surgeon("latency", "--recipe", recipe, "--rounds", 3, "--json").output)
    assert measured["measurements"][0]["how"]["imgsz"] == [64, 64]  # as the recipe says
    names = {row["name"]: row["median"] for row in measured["measurements"][0]["rows"]}
    assert {row.network: row.seconds for row in ls.results(recipe).rows} == {
        name: {"torch": seconds} for name, seconds in names.items()
    }
    assert any(" ms " in line for line in str(ls.results(recipe)).splitlines() if not line.startswith("Note"))
    ls.results(recipe).write(tmp_path / "times.svg")
    assert "ms for one image" in (tmp_path / "times.svg").read_text(encoding="utf-8")
    assert "\nNote: ms: median for one image, " in str(ls.results(recipe))
    text = (tmp_path / "a" / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "a" / "tiny.yaml").write_text(text.replace("16, True", "24, True"), encoding="utf-8")
    pretend_trained(recipe, neck_gains)
    assert not any(row.seconds for row in ls.results(recipe).rows)
    assert "latency is not measured of tiny, tiny-lska-neck-k7, tiny-lska-sppf-k7, as they are now" in str(
        ls.results(recipe)
    )


def test_cells_that_lie_elsewhere_have_their_times_there(tmp_path: Path) -> None:
    recipe, folder = experiment(tmp_path / "a", neck_gains, RECIPE + "latency: true\n"), tmp_path / "b b"
    (tmp_path / "a" / "ablation" / "recipe").rename(folder)
    advice = shlex.split(ls.results(recipe, folder=folder).notes[-1].partition(": ")[2])
    assert advice == ["lska-surgeon", "latency", "--recipe", str(recipe), "--folder", str(folder)]
    assert surgeon(*advice[1:], "--rounds", 2).exit_code == 0
    assert all(row.seconds for row in ls.results(recipe, folder=folder).rows)
    assert not (tmp_path / "a" / "ablation" / "recipe").exists()
    (folder / "latency.json").write_text("{", encoding="utf-8")
    damaged = ls.results(recipe, folder=folder)
    assert not any(row.seconds for row in damaged.rows)
    assert re.search(r"latency\.json is damaged: .*; delete it and measure again: .* --folder ", damaged.notes[-1])
    alone = surgeon("latency", tmp_path / "a" / "tiny.yaml", "--folder", folder)
    assert (alone.exit_code, alone.output.count("\n")) == (2, 1)
    assert "add --recipe FILE, or drop it" in alone.output
    with pytest.raises(SurgeonError, match="add recipe=FILE, or drop it"):
        ls.latency(tmp_path / "a" / "tiny.yaml", folder=folder)


def test_flops_tells_it_too(tmp_path: Path) -> None:
    path = write_network(tmp_path)
    assert "median ms" in surgeon("flops", path, "--imgsz", 64, "--latency").output
    assert json.loads(surgeon("flops", path, "--imgsz", 64, "--latency", "--json").output)["latency"]["rows"]
    assert "--latency has no place in --format csv" in surgeon("flops", path, "--latency", "--format", "csv").output
