"""README: what it tells users to type exists, and works as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block_after(marker: str) -> str:
    """The fenced block that follows `<!-- marker -->`."""
    found = re.search(rf"^<!-- {re.escape(marker)} -->\n```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no fenced bash block after <!-- {marker} -->"
    return found[1]


def invoke(words: list[str]) -> None:
    assert words[0].rpartition("/")[2] == "lska-surgeon"
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"


def test_commands_table_names_every_command() -> None:
    assert re.findall(r"^\| `([a-z]+) ", README, re.MULTILINE) == list(main.list_commands(None))  # type: ignore[attr-defined]


@pytest.mark.parametrize("marker", ["ci: use", "ci: test"])
def test_set_up_is_one_line_that_makes_its_own_environment(marker: str) -> None:
    (line,) = block_after(marker).splitlines()
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_first_set_up_line_writes_the_variant_that_readme_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    invoke(shlex.split(block_after("ci: use").split("&&")[-1]))
    (written,) = tmp_path.iterdir()
    assert f"writes `{written.name}`" in README.replace("\n", " ")


@pytest.mark.parametrize("marker", ["ci: quick start", "ci: variants"])
def test_commands_run_from_top_to_bottom(marker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = block_after(marker).splitlines()
    assert len(lines) > 3
    for line in lines:
        invoke(shlex.split(line, comments=True))


def test_the_recipe_in_readme_works(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(base: .*?)^```$", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    invoke(["lska-surgeon", "variants", str(tmp_path / "recipe.yaml")])
    assert len(list(tmp_path.glob("variants/*.yaml"))) == 47
