"""Ultralytics' own command on models with blocks of one's own: declared beside the model, not here, or nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from support.custom import using
from ultralytics.utils import checks

from lska_surgeon.cli.main import main
from lska_surgeon.declarations.find import VARIABLE, read_declarations
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.command import user_error

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project beside the working folder."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(checks, "ONLINE", False)
    return folder


def said_by_yolo(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["yolo", *words])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_model_whose_declaration_is_not_here(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by_yolo(capsys, "detect", "predict", f"model={project / 'yolov8n-own.yaml'}", "source=x.jpg")
    declaration = project / "lska-surgeon.toml"
    assert f"SPDDown is declared in {declaration}" in said
    assert f"set {VARIABLE} to that file" in said


def test_a_checkpoint_whose_declaration_is_not_here(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration, file = project / "lska-surgeon.toml", project / "own.pt"
    with using(read_declarations(declaration, trusted=True)):
        torch.serialization.save({"epoch": -1, "model": build(project / "yolov8n-own.yaml"), "train_args": {}}, file)
    monkeypatch.delenv(VARIABLE, raising=False)
    said = said_by_yolo(capsys, "predict", f"model={file}", "source=x.jpg")
    assert f"declared in {declaration}" in said
    assert "my_blocks.EMA" in said
    assert "requirements" not in said  # nothing is looked for in an index of packages
    monkeypatch.setenv(VARIABLE, str(declaration))
    assert "x.jpg does not exist" in said_by_yolo(capsys, "predict", f"model={file}", "source=x.jpg")


def test_a_module_that_is_missing_is_not_to_be_installed_blindly() -> None:
    told = user_error(ModuleNotFoundError("No module named 'my_blocks'", name="my_blocks"))
    assert told is not None
    assert told.startswith("this needs the module my_blocks, which is not here: if it is yours, name the file")
    assert "pip install" not in told
