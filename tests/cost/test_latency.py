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
from lska_surgeon.cost.latency import Latencies, Setting, measure
from lska_surgeon.errors import SurgeonError


def timed(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[str, int], float]) -> list[str]:
    """Let models be names, and a run of each take so long; returns the names in the order in which they ran."""
    ran: list[str] = []

    def runner(model: nn.Module, image: torch.Tensor, *_: Any) -> Callable[[], str]:
        name = f"{model}{'' if model != 'A' or 'A' not in made else ' again'}"
        made.append(name)
        return lambda: name

    def time(run: Callable[[], str], device: torch.device) -> float:
        ran.append(run())
        return seconds(run(), ran.count(run()))

    made: list[str] = []
    monkeypatch.setattr(latency, "_runner", runner)
    monkeypatch.setattr(latency, "_time", time)
    return ran


def test_models_run_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = timed(monkeypatch, lambda name, number: {"A": 1.0, "B": 2.0, "C": 3.0}[name[0]])
    found = measure([("A", "A"), ("B", "B"), ("C", "C")], Setting(rounds=3))  # type: ignore[list-item]
    assert ran[-12:] == ["A", "B", "C", "A again"] * 3
    assert [(row.name, row.median, row.ratio) for row in found.rows] == [
        ("A", 1.0, 1.0),
        ("B", 2.0, 2.0),
        ("C", 3.0, 3.0),
    ]
    assert found.quiet
    assert found.again == (1.0, 1.0, 1.0)


def test_a_first_model_that_equals_itself_by_chance_is_no_quiet_machine() -> None:
    how = {"device": "x", "clock_mhz": None, "threads": 1, "runtime": "torch", "precision": "fp32", "batch": 1}
    more = {"imgsz": [64, 64], "nms": False, "rounds": 9, "torch": "2", "ultralytics": "8"}
    quiet, wide = (Latencies((), again, {**how, **more}) for again in ((1.005, 0.98, 1.02), (1.0, 0.9, 1.1)))
    assert "too noisy" not in str(quiet)
    assert "the first model against itself: 1.000 [0.900, 1.100]: this machine is too noisy" in str(wide)
    assert "x, 1 thread, torch" in str(quiet)


def test_each_is_warm_before_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = timed(monkeypatch, lambda name, number: max(1.0, 30.0 - number))
    found = measure([("A", "A")], Setting(rounds=4))  # type: ignore[list-item]
    assert ran.count("A") > 30
    assert found.rows[0].median == 1.0


def test_drift_cancels_and_noise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, lambda name, number: (1 + 0.01 * number) * (2 if name[0] == "B" else 1))
    assert measure([("A", "A"), ("B", "B")], Setting(rounds=40)).rows[1].ratio == pytest.approx(2.0, rel=1e-6)  # type: ignore[list-item]
    timed(monkeypatch, lambda name, number: 9.0 if number % 10 == 0 else 1.0)
    (spiky,) = measure([("A", "A")], Setting(rounds=100)).rows  # type: ignore[list-item]
    assert (spiky.median, spiky.p95) == (1.0, 9.0)
    timed(monkeypatch, lambda name, number: 1.05 if name.endswith("again") else 1.0)
    noisy = measure([("A", "A")], Setting(rounds=4))  # type: ignore[list-item]
    assert not noisy.quiet
    assert "the first model against itself: 1.050 [1.050, 1.050]: this machine is too noisy" in str(noisy)


def test_the_interval_holds_the_true_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        timed(monkeypatch, lambda name, number: (1.1 if name == "B" else 1.0) * float(rng.lognormal(0, 0.05)))
        row = measure([("A", "A"), ("B", "B")], Setting(rounds=60)).rows[1]  # type: ignore[list-item]
        inside += row.low <= 1.1 <= row.high
    assert 50 <= inside <= 60


def test_a_larger_model_takes_longer_and_neither_changes() -> None:
    found = ls.latency(["yolov8n.yaml", "yolov8l.yaml"], imgsz=96, rounds=7, threads=1)
    assert found.rows[1].low > 1.5
    assert found.how["threads"] == 1
    assert found.to_dict()["schema"] == 1


def test_models_run_as_ultralytics_runs_them(tmp_path: Path) -> None:
    from lska_surgeon.yolo.build import build

    model = build(write_network(tmp_path)).train()
    seen: list[nn.Module] = []
    original = latency._torch

    def look(given: nn.Module, *rest: Any) -> Callable[[], Any]:
        run = original(given, *rest)
        assert run.__closure__ is not None
        seen.extend(cell.cell_contents for cell in run.__closure__ if isinstance(cell.cell_contents, nn.Module))
        return run

    latency._torch = look
    try:
        ls.latency(model, imgsz=64, rounds=2)
    finally:
        latency._torch = original
    assert model.training
    for backend in seen:
        assert not backend.training
        assert not [part for part in backend.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(seen) == 2


def test_onnx_and_nms(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    found = ls.latency(write_network(tmp_path), imgsz=64, rounds=3, onnx=True, nms=True)
    assert (found.how["runtime"], found.how["nms"]) == ("onnxruntime", True)


HEADS = {
    "Detect, [nc]": {"nc": 2, "rotated": False},
    "Segment, [nc, 4, 8]": {"nc": 2, "rotated": False},
    "Pose, [nc, kpt_shape]": {"nc": 2, "rotated": False},
    "OBB, [nc, 1]": {"nc": 2, "rotated": True},
    "v10Detect, [nc]": {"nc": 2, "rotated": False},
}


@pytest.mark.parametrize("head", HEADS)
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
    assert {name: seen[0][name] for name in HEADS[head]} == HEADS[head]


def test_suppression_of_masks_in_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert ls.latency(with_head(tmp_path, "Segment, [nc, 4, 8]"), imgsz=64, rounds=2, onnx=True, nms=True).how["nms"]


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


def test_without_onnxruntime_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if "onnx" in name else find(name, *rest))
    result = surgeon("latency", write_network(tmp_path), "--onnx")
    assert (result.exit_code, result.output) == (
        2,
        'Error: --onnx needs onnx and onnxruntime, which are not installed: pip install "lska-surgeon[onnx]"\n',
    )


def test_a_recipes_networks_are_measured_for_its_results(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains, RECIPE + "latency: true\n")
    nothing = ls.results(recipe)
    assert all(row.seconds is None for row in nothing.rows)
    assert not any("latency" in note for note in ls.results(experiment(tmp_path / "b", neck_gains, RECIPE)).notes)
    assert nothing.notes[-1] == f"latency is not measured yet: lska-surgeon latency --recipe {recipe}"
    measured = json.loads(surgeon("latency", "--recipe", recipe, "--rounds", 3, "--json").output)
    assert measured["measurements"][0]["how"]["imgsz"] == [64, 64]  # as the recipe says
    names = {row["name"]: row["median"] for row in measured["measurements"][0]["rows"]}
    assert {row.network: row.seconds for row in ls.results(recipe).rows} == names
    assert any(" ms " in line for line in str(ls.results(recipe)).splitlines() if not line.startswith("Note"))
    ls.results(recipe).write(tmp_path / "times.svg")
    assert "ms for one image" in (tmp_path / "times.svg").read_text(encoding="utf-8")
    assert "\nNote: ms: median for one image, " in str(ls.results(recipe))
    text = (tmp_path / "a" / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "a" / "tiny.yaml").write_text(text.replace("16, True", "24, True"), encoding="utf-8")
    pretend_trained(recipe, neck_gains)
    assert all(row.seconds is None for row in ls.results(recipe).rows)
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
