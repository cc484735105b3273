"""docs/ablation.md: its recipe is read, and its commands exist with the options that it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from lska_surgeon.cli.main import main
from lska_surgeon.recipes.recipe import read_recipe

PAGE = (Path(__file__).parents[1] / "docs" / "ablation.md").read_text(encoding="utf-8")


def test_its_recipes_are_read(tmp_path: Path) -> None:
    recipes = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(recipes) >= 2
    for text in recipes:
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
        assert read_recipe(tmp_path / "recipe.yaml").experiment is not None


def test_its_commands_exist_with_their_options() -> None:
    lines = [
        line
        for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("lska-surgeon ")]
    assert len(commands) > 8
    context = click.Context(main)
    for _, name, *words in commands:
        command = main.get_command(context, name)
        assert command is not None, name
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, words
