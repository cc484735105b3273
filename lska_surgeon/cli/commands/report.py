"""`lska-surgeon report`."""

from __future__ import annotations

from pathlib import Path

import click

from ...api import report as api
from ...recipes.recipe import open_recipe
from ..deliver import Delivery, delivered
from ..options import blocks as with_blocks


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--costs", is_flag=True, help="Count bases that are not counted yet (needs torch).")
@click.option("--images", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Images, to show what trained networks see.")  # fmt: skip
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the page.")
@with_blocks
@delivered("text", "json")
def report(recipe: Path, costs: bool, images: Path | None, language: str, delivery: Delivery) -> None:
    """Write one HTML page on all variants that RECIPE asks for.

    It opens from disk and needs nothing else: tables that sort, to copy as Markdown or LaTeX; plots whose points lead
    to their variants; a drawing of each. What was trained or measured of RECIPE is there too: results, latency, and
    with --images receptive fields. What is missing is named, with the command that would bring it.

    \b
    Examples:
      lska-surgeon report recipe.yaml -o report.html
      lska-surgeon report recipe.yaml --images images --language zh
    """
    open_recipe(recipe)
    delivery.check(".html", str(recipe.with_name("report.html")))
    delivery.deliver(api.report(recipe, costs=costs, images=images, language=language, output=delivery.output))
