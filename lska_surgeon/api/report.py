"""The verb `report`."""

from __future__ import annotations

from pathlib import Path

from ..drawing.page.gather import ReportPage, report_of
from ..drawing.page.words import LANGUAGES
from ..files import target_path
from ..recipes.result import SyncOptions
from ..recipes.sync import sync
from .arguments import PathLike, as_name, one_of
from .own_blocks import with_own_blocks


@with_own_blocks
def report(
    recipe: PathLike,
    *,
    costs: bool = False,
    language: str = "en",
    output: PathLike | None = None,
    blocks: PathLike | None = None,
) -> ReportPage:
    """One HTML page on all variants of a recipe, that opens from disk; nothing is written before `.write()`.

    What exists is shown: each variant, what it costs, cost against kernel size; what is missing is named, with the
    command that would bring it.

    >>> import lska_surgeon as ls
    >>> recipe = ls.templates()["recommended"].write()
    >>> ls.report(recipe).write("report.html").name
    'report.html'

    Args:
        recipe: path of a recipe, a YAML file.
        costs: count bases that are not counted yet, which needs torch.
        language: "en" or "zh".
        output: the file to be; None is `report.html` beside the recipe.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        RecipeError: the recipe, a base or the index can't be read or followed.
        TargetError: `output` does not end in .html.
    """
    one_of(language, LANGUAGES, "language")
    path = Path(recipe)
    target = target_path(as_name(output) or str(path.with_name("report.html")), ".html")
    return report_of(sync(SyncOptions(path, dry_run=True, costs=costs)), language=language, output=target)
