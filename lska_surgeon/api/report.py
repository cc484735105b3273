"""The verb `report`."""

from __future__ import annotations

from pathlib import Path

from ..declarations.find import active_blocks
from ..files import target_path
from ..insight.folder import images_in
from ..page.gather import ReportPage, report_of
from ..page.words import LANGUAGES
from ..recipes.sync import SyncOptions, sync
from .arguments import PathLike, as_name, one_of
from .own_blocks import with_own_blocks


@with_own_blocks
def report(
    recipe: PathLike,
    *,
    costs: bool = False,
    images: PathLike | None = None,
    language: str = "en",
    output: PathLike | None = None,
    blocks: PathLike | None = None,
) -> ReportPage:
    """One HTML page on all variants of a recipe, that opens from disk; nothing is written before `.write()`.

    What exists is shown: each variant, what it costs, cost against kernel size, and what an ablation of the recipe
    left: results with their spread, latency, receptive fields. What is missing is named, with the command that would
    bring it.

    >>> import lska_surgeon as ls
    >>> recipe = ls.templates()["recommended"].write()
    >>> ls.report(recipe).write("report.html").name
    'report.html'

    Args:
        recipe: path of a recipe, a YAML file.
        costs: count bases that are not counted yet, which needs torch.
        images: a folder of images; measures with them what the trained networks see, as `erf` does.
        language: "en" or "zh".
        output: the file to be; None is `report.html` beside the recipe.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        RecipeError: the recipe, a base or the index can't be read or followed.
        SurgeonError: with `images`, there is no image, or nothing that was trained.
        TargetError: `output` does not end in .html.
    """
    one_of(language, LANGUAGES, "language")
    path = Path(recipe)
    target = target_path(as_name(output) or str(path.with_name("report.html")), ".html")
    images = None if images is None else Path(images)
    if images is not None:
        images_in(images)
    planned = sync(SyncOptions(path, dry_run=True, costs=costs), active_blocks())
    return report_of(planned, language=language, output=target, images=images)
