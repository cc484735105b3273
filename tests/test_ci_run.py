"""`.ci/run`: README's own test command, then the linters, on a copy of the working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CI_RUN = ROOT / ".ci" / "run"

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or shutil.which("bash") is None, reason="the script needs git and bash"
)

# Stands for the real command: a virtual environment whose tools only say that they ran, and fail when told to.
FAKE_INSTALL = """\
mkdir -p .venv/bin && for tool in pip ruff mypy; do
  printf '#!/bin/sh\\necho "%s $*"; [ ! -e "{root}/broken-%s" ]\\n' $tool $tool > .venv/bin/$tool
  chmod +x .venv/bin/$tool
done && ls && echo passed"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with `.ci/run`, one tracked, one new and one ignored file."""
    root = tmp_path / "project"
    (root / ".ci").mkdir(parents=True)
    shutil.copy(CI_RUN, root / ".ci" / "run")
    shutil.copy(ROOT / ".gitignore", root)
    (root / "tracked file").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    (root / "new.py").touch()
    (root / "runs").mkdir()
    (root / "runs" / "ignored").touch()
    return root


def run(root: Path, readme: str) -> subprocess.CompletedProcess[str]:
    (root / "README.md").write_text(readme, encoding="utf-8")
    there = {**os.environ, "MERMAID_MODULES": "there"}  # else it would be fetched
    return subprocess.run([root / ".ci" / "run"], stdout=-1, stderr=-2, text=True, check=False, env=there)


def test_ci_run_does_what_readme_says_then_lints(project: Path) -> None:
    command = FAKE_INSTALL.format(root=project)
    result = run(
        project, f"Other:\n```bash\nexit 3\n```\n<!-- ci: test -->\n```bash\n{command}\n```\n```\nexit 4\n```\n"
    )
    assert result.returncode == 0, result.stdout
    said = [line for line in result.stdout.splitlines() if line and line not in f"+ {command}".splitlines()]
    assert said == [
        *("README.md", "new.py", "tracked file", "passed"),
        *('+ .venv/bin/pip install --quiet ".[dev]"', "pip install --quiet .[dev]"),
        *("+ .venv/bin/ruff check", "ruff check"),
        *("+ .venv/bin/ruff format --check", "ruff format --check"),
        *("+ .venv/bin/mypy", "mypy "),
    ]


def test_ci_run_leaves_the_checkout_as_it_was(project: Path) -> None:
    before = sorted(p for p in project.rglob("*") if ".git" not in p.parts)
    run(project, f"<!-- ci: test -->\n```bash\n{FAKE_INSTALL.format(root=project)}\n```\n")
    after = sorted(p for p in project.rglob("*") if ".git" not in p.parts)
    assert after == sorted([*before, project / "README.md"])


@pytest.mark.parametrize("tool", ["pip", "ruff", "mypy"])
def test_ci_run_fails_with_each_step(project: Path, tool: str) -> None:
    (project / f"broken-{tool}").touch()
    assert run(project, f"<!-- ci: test -->\n```bash\n{FAKE_INSTALL.format(root=project)}\n```\n").returncode == 1


def test_ci_run_fails_when_the_tests_fail(project: Path) -> None:
    result = run(project, "<!-- ci: test -->\n```bash\ntrue\nexit 5\n```\n")
    assert result.returncode == 5
    assert "ruff" not in result.stdout


def test_ci_run_asks_for_the_marked_command(project: Path) -> None:
    result = run(project, "```bash\ntrue\n```\n")
    assert result.returncode == 1
    assert result.stdout == ".ci/run: README.md has no fenced block after '<!-- ci: test -->'\n"
