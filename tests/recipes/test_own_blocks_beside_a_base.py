"""A recipe here, its base and the declaration of the base's blocks in another folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.declarations.find import VARIABLE
from lska_surgeon.recipes.recipe import bases_of

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
BASE = "project/yolov8n-own.yaml"
RECIPE = f"base: {BASE}\nmatrix: {{at: neck, k: 7}}\n"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return path


def params_added(recipe: Path, **asked: object) -> int | None:
    (variant,) = ls.variants(recipe, **asked).to_dict()["index"]["variants"]  # type: ignore[arg-type]
    added: int | None = variant["difference"]["params"]
    return added


def test_its_widths_are_known_without_a_word(recipe: Path) -> None:
    known = params_added(recipe)
    assert known is not None
    assert known == params_added(recipe, blocks="project/lska-surgeon.toml")


def test_its_attention_is_an_operator(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(RECIPE.replace("k: 7", "op: SimAM"), encoding="utf-8")
    main(["variants", "recipe.yaml", "--dry-run"], standalone_mode=False)
    assert "1 variant, 3 files to write" in capsys.readouterr().out


def test_what_would_import_it_asks_for_it(recipe: Path) -> None:
    """And calls the variant by its name, not by where it was built."""
    done = ls.variants(recipe, verify=True, dry_run=True)
    problem = done.problems[-1]
    assert f"declared in {recipe.parent / 'project' / 'lska-surgeon.toml'}" in problem
    assert "add --blocks" in problem


def test_a_variant_that_does_not_build_is_called_by_its_name(recipe: Path) -> None:
    (recipe.parent / "project" / "lska-surgeon.toml").unlink()
    problem = ls.variants(recipe, verify=True, unchecked=True).problems[-1]
    assert "yolov8n-own-lska-neck-k7.yaml does not build: layer 1 (SPDDown)" in problem
    assert "/yolov8n-own-lska-neck-k7.yaml does not build" not in problem


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        (RECIPE, [BASE]),
        ("base: [a.yaml, b.yaml, a.yaml]\n", ["a.yaml", "b.yaml"]),
        ("include:\n- {base: c.yaml, at: neck}\n- 7\n", ["c.yaml"]),
        ("base: {a: b}\n", []),
        ("- base\n", []),
        ("base: [\n", []),
        ("", []),
    ],
)
def test_the_bases_of_anything(tmp_path: Path, text: str, bases: list[str]) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(text, encoding="utf-8")
    assert bases_of(path) == [str(tmp_path / base) for base in bases]
    assert bases_of(tmp_path) == []
    assert bases_of(tmp_path / "gone.yaml") == []
