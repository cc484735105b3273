"""`lska-surgeon variants`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ...api import variants as api
from ...recipes.sync import Variants
from ...reports import render
from .. import say
from ..options import blocks as with_blocks
from ..options import formats, unchecked


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file is not up to date, with a diff.")
@click.option("--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@click.option("--costs", is_flag=True, help="Count what is not counted yet (needs torch), and show the costs.")
@click.option("--prune", is_flag=True, help="Delete files that the recipe wrote and no longer asks for.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand, or that somebody else wrote.")
@click.option("--verify", type=click.Choice(["build"]), help="Build every variant in Ultralytics and run it once.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes for --verify.")
@unchecked
@formats("text", "table", "md", "csv", "json", "github")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all went well.")
@with_blocks
@click.pass_context
def variants(ctx: click.Context, /, form: str, quiet: bool, verify: str | None, recipe: Path, **asked: Any) -> None:
    """Write all variants that RECIPE asks for, with an index of what each is and costs.

    RECIPE is a YAML file: which bases, positions, kernel sizes and operators; `lska-surgeon templates` lists some to
    start from. Only files that this recipe wrote are replaced, and none that was edited by hand. All are written, or
    none.

    Costs are one count by fvcore for each base, which is kept, and the exact closed form of what was inserted; the
    formats table, md and csv show them. A check takes them from the index and needs no torch. A budget that is
    exceeded is exit code 1.

    \b
    Examples:
      lska-surgeon variants recipe.yaml
      lska-surgeon variants recipe.yaml --check
      lska-surgeon variants recipe.yaml --costs --format md
      lska-surgeon variants recipe.yaml --check --verify build --jobs 4
    """
    if asked["check"]:
        for name in ("dry_run", "prune", "force"):
            if asked[name]:
                raise click.UsageError(f"--check writes nothing: drop --{name.replace('_', '-')}, or --check")
    result = api.variants(recipe, **asked, verify=verify is not None, track=_track)
    if asked["dry_run"]:  # it fails where the real one would
        result.check_folders()
    _show(result, "table" if form == "text" and asked["costs"] and not quiet else form, quiet)
    if result.failed:
        ctx.exit(1)


def _show(result: Variants, form: str, quiet: bool) -> None:
    report = result.report()
    if form in ("json", "github"):
        say.report(render(report, form))
        return
    if form != "text":
        say.report(render(replace(report, parts=report.parts[:1]), form) + "\n" * (form == "table"))
    apart = form in ("csv", "md")  # somebody else reads standard output
    for text in result.problems:
        say.report(text.encode("utf-8", errors="replace").decode(), err=apart)
    for note in [] if quiet else report.notes:
        say.note(note)
    if result.failed or not quiet:
        say.line(report.summary, err=apart)


def _track(items: Iterator[Any], what: str, total: int) -> Iterator[Any]:
    """The items, with a progress bar on a terminal."""
    if not sys.stderr.isatty() or total < 2:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total, console=Console(stderr=True), transient=True)
