"""Models without `scales` under a name with a scale: Ultralytics builds them, and so does every command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.releases import published_head
from support.shapes import QUICK, surgeon, write_data

from lska_surgeon.grafting.train import plan_training
from lska_surgeon.modelfile.sources import find_source
from lska_surgeon.yolo.build import build

CASE = Path(__file__).parents[1] / "cases" / "scales" / "yolov8s-depth-multiple.yaml"
#: What Ultralytics builds of it, as published for YOLOv8s with 80 classes.
PARAMETERS = 11_166_560


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(CASE, CASE.name)
    shutil.copy(CASE, "yolov8-multiples.yaml")  # found under yolov8s-multiples.yaml as well


def written(*words: str) -> Path:
    made = surgeon("insert", *words)
    assert made.exit_code == 0, made.output
    return Path(made.output.split(": ")[0].removeprefix("Wrote "))


NAMES = [CASE.name, "yolov8s-multiples.yaml", "yolov8m-multiples.yaml"]


@published_head
@pytest.mark.parametrize("name", NAMES)
def test_the_letter_of_a_name_says_nothing_without_scales(name: str) -> None:
    found = find_source(name)
    model = build(found.path, named=found.scale)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS


@pytest.mark.parametrize("name", NAMES)
def test_every_command_builds_it(name: str) -> None:
    checked = surgeon("check", "--build", name)
    assert (checked.exit_code, checked.stdout) == (0, "1 file: no errors found\n")
    counted = surgeon("flops", name, "--imgsz", "64")
    assert counted.exit_code == 0, counted.output
    data = write_data(Path("data"))
    assert plan_training(name, [f"data={data}", *QUICK]).source == name


@pytest.mark.parametrize("base", ["yolov8s.yaml", "yolo11n.yaml", CASE.name])
def test_what_resolve_writes_builds_everywhere(base: str) -> None:
    variant = written(base, "--at", "neck", "--at", "residual", "--k", "7", "--resolve")
    checked = surgeon("check", "--build", variant)
    assert (checked.exit_code, checked.stdout) == (0, "1 file: no errors found\n")
    assert surgeon("flops", variant, "--imgsz", "64").exit_code == 0
    data = write_data(Path("data"))
    assert plan_training(str(variant), [f"data={data}", *QUICK]).stages


def test_a_letter_that_was_asked_for_is_refused_as_before() -> None:
    inserted = surgeon("insert", CASE.name, "--at", "neck", "--scale", "s")
    assert inserted.exit_code == 2
    assert "no scales" in inserted.stderr


def test_variants_with_real_widths_are_counted_whole_where_a_width_is_not_known() -> None:
    text = CASE.read_text()
    text = text.replace("depth_multiple: 0.33\nwidth_multiple: 0.50", "scales: {s: [0.33, 0.5, 1024]}")
    text = text.replace("SPPF, [1024, 5]]\n", "SPPF, [1024, 5]]\n  - [-1, 1, nn.LeakyReLU, []]\n")
    for old, new in (("[-1, 9]", "[-1, 10]"), ("[-1, 12]", "[-1, 13]"), ("15, 18, 21", "16, 19, 22")):
        text = text.replace(old, new)
    Path("yolov8s-unknown.yaml").write_text(text)
    Path("recipe.yaml").write_text(
        "base: yolov8s-unknown.yaml\nmatrix: {at: ['after:10'], k: [7]}\nresolve: true\nimgsz: 64\n"
    )
    made = surgeon("variants", "recipe.yaml", "--costs", "--verify", "build")
    assert made.exit_code == 0, made.output
