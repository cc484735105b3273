"""`blocks=`, and what holds without it: the verbs know the same blocks of one's own as the commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.shapes import write_data

import lska_surgeon as ls
from lska_surgeon.errors import DeclarationError, RecipeError

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
YAML = "yolov8n-own.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project without its declaration, and the declaration in another folder."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    return folder


def backbone(**asked: object) -> list[int]:
    found: list[int] = ls.positions(YAML, **asked).to_dict()["positions"]["backbone"]  # type: ignore[arg-type]
    return found


def test_the_nearest_declaration_holds_without_a_word(project: Path) -> None:
    assert backbone() == [2, 4, 7]
    (project / "lska-surgeon.toml").rename(project / "away.toml")
    assert backbone() == [2, 5, 7]
    assert backbone(blocks=project / "away.toml") == [2, 4, 7]


def test_a_error_in_it_is_told(project: Path) -> None:
    (project / "lska-surgeon.toml").write_text('[blocks.EMA]\nclass = "my_blocks:EMA"\nlike = "atention"\n')
    with pytest.raises(DeclarationError, match=r"line 3.*like"):
        ls.insert(YAML, "neck")
    with pytest.raises(DeclarationError, match=r"nowhere\.toml"):
        ls.check(YAML, blocks="nowhere.toml")


def test_after_register_ultralytics_builds_it(project: Path) -> None:
    from ultralytics import YOLO

    ls.register()
    network = YOLO(YAML)
    assert type(network.model.model[5]).__name__ == "EMA"
    assert ls.flops(network, imgsz=64, fuse=False).params == sum(one.numel() for one in network.model.parameters())


def test_what_lies_beside_a_file_from_elsewhere_is_not_imported(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (project / "my_blocks.py").write_text("raise SystemExit('imported')\n")
    file = project / YAML
    assert ls.positions(file).to_dict()["positions"]["neck"]
    with pytest.raises(DeclarationError, match=f'add blocks="{project / "lska-surgeon.toml"}"'):
        ls.flops(file, imgsz=64)
    train = f"train: {{data: {write_data(tmp_path / 'data')}, epochs: 1, imgsz: 64, batch: 2}}"
    (project / "recipe.yaml").write_text(f"base: {YAML}\nmatrix: {{at: neck, k: 7}}\n{train}\nseeds: [0]\n")
    with pytest.raises(RecipeError, match=f'add blocks="{project / "lska-surgeon.toml"}"'):
        ls.ablate(project / "recipe.yaml", devices="cpu")
