"""`cases/draw/NAME.svg` and `NAME.md`: what `draw` makes of the YAMLs beside them; `--update-goldens` writes both.

The YAMLs are Ultralytics' own, kept here so that another release does not change an image, and one that people write.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main

CASES = Path(__file__).parents[1] / "cases" / "draw"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
#: Golden -> the commands that make it; the last draws.
COMMANDS = {
    "yolov3-tiny": ["draw yolov3-tiny.yaml"],
    "yolov8s-neck": [
        "insert yolov8s.yaml --at neck --k 35 -q",
        "draw yolov8s.yaml yolov8s-lska-neck-k35.yaml",
    ],
    "yolo11s-positions": ["draw yolo11s.yaml --positions --imgsz 480,640"],
    "yolov9e": ["draw yolov9e.yaml"],
    "rtdetr-l": ["draw rtdetr-l.yaml"],
    "yolo26x-p6-everywhere": [
        "insert yolo26x-p6.yaml --at backbone@7 --at head@11 --at sppf-inner --at residual:4 --op lka"
        " -o yolo26x-p6-all.yaml -q",
        "draw yolo26x-p6-all.yaml",
    ],
    "yolov8n-own": ["draw yolov8n-own.yaml"],
    "yolov8n-own-removed": [
        "remove yolov8n-own.yaml -o yolov8n-plain.yaml -q",
        "draw yolov8n-own.yaml yolov8n-plain.yaml",
    ],
}
#: Image of the documentation -> the commands that make it from stock models.
DOCUMENTED = {
    "insert-neck": [
        "insert yolov8s.yaml --at neck --k 35 -q",
        "draw yolov8s.yaml yolov8s-lska-neck-k35.yaml",
    ],
    "positions": ["draw yolov8s.yaml --positions"],
}


def run(words: str) -> None:
    result = CliRunner().invoke(main, shlex.split(words))
    assert result.exit_code == 0, result.output


def compare(golden: Path, made: Path, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-goldens"):
        shutil.copyfile(made, golden)
    assert made.read_bytes() == golden.read_bytes()


@pytest.mark.parametrize("ending", ["svg", "md"])
@pytest.mark.parametrize("name", COMMANDS)
def test_golden(
    name: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in CASES.glob("*.yaml"):
        shutil.copy(path, tmp_path)
    *before, last = COMMANDS[name]
    for command in before:
        run(command)
    run(f"{last} -o golden.{ending}")
    compare(CASES / f"{name}.{ending}", tmp_path / f"golden.{ending}", request)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_images_of_the_documentation_are_current(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    *before, last = DOCUMENTED[name]
    for command in before:
        run(command)
    run(f"{last} -o made.svg")
    compare(IMAGES / f"{name}.svg", tmp_path / "made.svg", request)


def test_the_page_on_drawing_shows_each_image_with_its_commands() -> None:
    page = (IMAGES.parent / "draw.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(images/([\w-]+)\.svg\)", page)) == set(DOCUMENTED)
    for commands in DOCUMENTED.values():
        for command in commands:
            assert f"lska-surgeon {command.removesuffix(' -q')}" in page
