"""The examples: what their pages say to type works from top to bottom, and the notebook runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.light import full_environment

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "settings"))
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    return tmp_path / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tutorial", "own-module", "ablation"])
def test_an_example_runs_from_top_to_bottom(name: str, examples: Path) -> None:
    (commands,) = re.findall(
        r"```bash\n(.*?)```", (examples / name / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    recipe = examples / "ablation" / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("epochs: 30", "epochs: 1"), encoding="utf-8")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=examples / name,
        env=full_environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    if name == "ablation":
        assert "nothing learned" in done.stdout  # in one epoch


def test_every_example_is_listed_in_both_languages() -> None:
    for page in ("README.md", "README.zh-CN.md"):
        text = (EXAMPLES / page).read_text(encoding="utf-8")
        found = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
        assert set(re.findall(r"\]\(([\w-]+)/README", text)) == found


@pytest.mark.slow
def test_the_notebook_runs(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    notebook = nbformat.read(examples / "notebook.ipynb", as_version=4)
    monkeypatch.setenv("PATH", full_environment()["PATH"])
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(examples)}}).execute()
    shown = [str(output) for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("certificate: max |Δ| 0.0 of all outputs" in text for text in shown)
    assert any("<svg" in text for text in shown)
