"""docs/ablation.md: its recipe is read, and its commands exist with the options that it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
from support.ablations import write_recipe

from lska_surgeon.ablation.outcomes import KnownCosts
from lska_surgeon.ablation.results import Results
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.ablation.table import Summary, TableRow
from lska_surgeon.cli.main import main
from lska_surgeon.recipes.recipe import read_recipe

PAGE = (Path(__file__).parents[1] / "docs" / "ablation.md").read_text(encoding="utf-8")
FIGURE = Path(__file__).parents[1] / "docs" / "ablation.svg"


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


def drawn_from_the_page(folder: Path) -> Path:
    """The figure of the page's last recipe and of the table below it."""
    recipe = write_recipe(folder / "page", re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[-1])
    lines = re.findall(r"^\| (tiny.*) \|$", PAGE, re.MULTILINE)
    rows = []
    for name, params, gflops, _, accuracy, *_ in (line.split(" | ") for line in lines):
        mean, sd = map(float, accuracy.split(" ± "))
        network, role = (name.split()[0], "base") if name.endswith("(base)") else (name, "variant")
        costs, metrics = KnownCosts(int(params.replace(",", "")), float(gflops)), {"mAP50-95": Summary(mean, sd, 6)}
        rows.append(TableRow(network, "shapes", role, "tiny", costs, unfinished={}, metrics=metrics, values={}))
    assert len(rows) == 5
    table = Results("recipe.yaml", "mAP50-95", tuple(rows), (), kinds=plan_ablation(recipe).kinds)
    return table.write(folder / "ablation.svg")


def test_its_figure_shows_its_table(tmp_path: Path) -> None:
    """Text by text, and point by point: matplotlib's releases differ in the rest."""
    drawn, shown = (path.read_text(encoding="utf-8") for path in (drawn_from_the_page(tmp_path), FIGURE))
    for what in (r"<text [^>]*>(.*?)</text>", r'<use xlink:href="#\w+" (x="[\d.]+" y="[\d.]+")'):
        assert re.findall(what, shown) == re.findall(what, drawn)
