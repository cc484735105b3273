"""What `draw` makes of the YAMLs in `cases/draw`, byte for byte: its images in the documentation, and charts as text.

`--update-goldens` writes them. One YAML has the rows of YOLOv8, kept here so that no release changes the images;
one is as people write it.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.cases import written

from lska_surgeon.cli.main import main

CASES = Path(__file__).parents[1] / "cases" / "draw"
DOCS = Path(__file__).parents[2] / "docs"
OWN = ["remove yolov8n-own.yaml -o yolov8n-plain.yaml -q", "draw yolov8n-own.yaml yolov8n-plain.yaml"]
NECK = ["insert yolov8s.yaml --at neck --k 35 -q", "draw yolov8s.yaml yolov8s-lska-neck-k35.yaml"]
#: Golden -> the commands that make it; the last draws.
COMMANDS = {
    DOCS / "images" / "insert-neck.svg": NECK,
    DOCS / "images" / "positions.svg": ["draw yolov8s.yaml --positions"],
    CASES / "own-removed.dot": OWN,
    CASES / "own-removed.md": OWN,
    CASES / "own-positions.md": ["draw yolov8n-own.yaml --positions --imgsz 480,640"],
}


@pytest.mark.parametrize("golden", COMMANDS, ids=lambda path: path.name)
def test_golden(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(CASES / "yolov8n-own.yaml", tmp_path)
    Path("yolov8s.yaml").write_text(written("# yolov8.base, but\nnc: 80\n"), encoding="utf-8")
    *before, last = COMMANDS[golden]
    made = tmp_path / f"golden{golden.suffix}"
    for command in (*before, f"{last} -o {made.name}"):
        result = CliRunner().invoke(main, shlex.split(command))
        assert result.exit_code == 0, result.output
    if request.config.getoption("--update-goldens"):
        shutil.copyfile(made, golden)
    assert made.read_bytes() == golden.read_bytes()


def test_the_page_on_drawing_shows_each_image_with_its_commands() -> None:
    page = (DOCS / "draw.md").read_text(encoding="utf-8")
    images = [path for path in COMMANDS if path.parent == DOCS / "images"]
    assert set(re.findall(r"\(images/([\w-]+\.svg)\)", page)) == {path.name for path in images}
    for command in (command for path in images for command in COMMANDS[path]):
        assert f"lska-surgeon {command.removesuffix(' -q')}" in page
