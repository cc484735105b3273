"""The distribution: what `pip install` brings besides code."""

from __future__ import annotations

import importlib.metadata
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

import lska_surgeon
from lska_surgeon.cli.main import main

TEMPLATES = Path(__file__).parents[1] / "templates"


def test_installed_version_is_the_packages_own() -> None:
    assert importlib.metadata.version("lska-surgeon") == lska_surgeon.__version__


def test_templates_and_type_marker_ship_inside_the_package() -> None:
    installed = {str(path) for path in importlib.metadata.files("lska-surgeon") or ()}
    if "lska_surgeon/__init__.py" not in installed:
        pytest.skip("an editable install points at the checkout and carries no files")
    assert "lska_surgeon/py.typed" in installed
    shipped = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()}
    assert {f"lska_surgeon/templates/{name}" for name in shipped} <= installed


def run_hook(*files: Path) -> Result:
    """Run the pre-commit template's hook on `files`, as pre-commit does."""
    (repo,) = YAML(typ="safe").load(TEMPLATES / "pre-commit-config.yaml")["repos"]
    (hook,) = repo["hooks"]
    command, *words = shlex.split(hook["entry"])
    assert command == "lska-surgeon"
    return CliRunner().invoke(main, [*words, *map(str, files)])


def test_pre_commit_template_passes_right_files_and_stops_wrong_ones(tmp_path: Path) -> None:
    right, wrong = tmp_path / "yolov8s-right.yaml", tmp_path / "yolov8s-wrong.yaml"
    made = CliRunner().invoke(main, ["insert", "yolov8s.yaml", "--at", "neck", "--k", "35", "-o", str(right)])
    assert made.exit_code == 0, made.output
    text = right.read_text(encoding="utf-8")
    wrong.write_text(
        text.replace("[[17, 21, 25], 1, Detect, [nc]]", "[[15, 18, 21], 1, Detect, [nc]]"), encoding="utf-8"
    )
    assert wrong.read_text(encoding="utf-8") != text
    assert run_hook(right).exit_code == 0
    assert run_hook(right, wrong).exit_code == 1
    data, chart = tmp_path / "data.yaml", tmp_path / "chart.yaml"
    data.write_text("train: images\nnames: [backbone]\n", encoding="utf-8")
    chart.write_text("kind: {{ .Values.kind }}\n---\nname: two\n", encoding="utf-8")
    assert run_hook(data, chart).output == "0 files: no mistakes found; 2 others no model YAML\n"
    assert run_hook(data).exit_code == 0
    assert run_hook(data, right, wrong).exit_code == 1
