"""A file of the YOLOv5 repository is told in the same sentence by every command that reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

import lska_surgeon as ls
from lska_surgeon.errors import BuildError
from lska_surgeon.yolo.build import build

CASE = Path(__file__).parents[1] / "cases" / "check" / "people_yolov5_repository.yaml"
SENTENCE = "this is a file of the YOLOv5 repository, whose Detect takes anchors: the ultralytics package has no anchors"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "yolov5s-mine.yaml"
    path.write_text(CASE.read_text(encoding="utf-8").partition("# =====")[0], encoding="utf-8")
    return path


def test_it_is_told_where_it_is_built(file: Path) -> None:
    for building in (build, ls.flops):
        with pytest.raises(BuildError) as told:
            building(file)  # type: ignore[operator]
        assert SENTENCE in str(told.value)


def test_it_is_told_by_positions(file: Path) -> None:
    assert any(note.startswith(SENTENCE) for note in ls.positions(file).notes)
    assert not any("YOLOv5" in note for note in ls.positions("yolov8n.yaml").notes)
