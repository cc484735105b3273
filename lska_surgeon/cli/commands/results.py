"""`lska-surgeon results`."""

from __future__ import annotations

from pathlib import Path

import click

from ...api.results import results as do_results
from .. import say
from ..options import FiniteRange, formats, not_empty
from ..options import blocks as with_blocks
from ..quick_imports import unwatched


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """`network,params`."""
    return tuple(name.strip() for name in (not_empty(ctx, param, value) or "").split(",") if name.strip())


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="RECIPE|FOLDER...", type=click.Path(path_type=Path))
@formats("table", "md", "latex", "csv", "json", "html")
@click.option("--metric", callback=not_empty, metavar="NAME", help="What is compared.  [default: mAP50-95, or top1]")
@click.option(
    "--epoch",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Which epoch of each run counts.",
)
@click.option("--resolve", type=FiniteRange(min=0, min_open=True), metavar="X", help="Tell how many seeds would show a true difference of X.")  # fmt: skip  # noqa: E501
@click.option("--gate", callback=not_empty, metavar="RULE", help="Exit 1 when a variant is distinguishably worse: 'mAP50-95 >= base'.")  # fmt: skip  # noqa: E501
@click.option("--base", callback=not_empty, metavar="NETWORK", help="Of plain runs: compare with this one.")
@click.option("--folder", callback=not_empty, metavar="DIR", help="Where the cells lie.  [default: ablation/RECIPE]")
@click.option(
    "--columns", callback=_names, metavar="NAME,…", help="Show these columns only, in this order: network,params,p."
)
@click.option("--plot", callback=not_empty, metavar="FILE", help="Also write the figure: .png, .svg or .pdf.")
@click.option("--force", is_flag=True, help="Overwrite the figure if it is there.")
@with_blocks
@click.pass_context
def results(
    ctx: click.Context,
    sources: tuple[Path, ...],
    form: str,
    metric: str | None,
    epoch: str,
    resolve: float | None,
    gate: str | None,
    base: str | None,
    folder: str | None,
    columns: tuple[str, ...],
    plot: str | None,
    force: bool,
) -> None:
    """Show what the trainings of a RECIPE came to, one row per network, with what the seeds allow to say.

    Each number is a mean over seeds, with its standard deviation. Each variant is compared with its base, paired by
    seed: an exact sign-flip test, corrected for the number of variants, and an interval. Unfinished cells are counted,
    never left out silently. Given FOLDERs in place of a recipe, it gathers plain runs of Ultralytics.

    \b
    Examples:
      lska-surgeon results recipe.yaml
      lska-surgeon results recipe.yaml --format latex --plot ablation.pdf
      lska-surgeon results recipe.yaml --columns "network,params,mAP50-95,mAP50-95 - base,p (Holm)"
      lska-surgeon results recipe.yaml --resolve 0.005
      lska-surgeon results recipe.yaml --gate "mAP50-95 >= base - 0.005"
      lska-surgeon results runs/detect --base yolov8s
    """
    with unwatched():
        from ...ablation.formats import DATA, FIGURES, render

    if columns and form in DATA:
        raise click.UsageError(f"--columns is for what shows a table, and --format {form} has all: drop one")

    if plot is not None and Path(plot).suffix not in FIGURES:
        raise click.UsageError(f"--plot {plot} does not end in {', '.join(FIGURES)}")
    if plot is not None and Path(plot).exists() and not force:
        raise click.UsageError(f"{plot} is already there: give --plot another name, or add --force to overwrite it")
    found = do_results(sources, metric=metric, epoch=epoch, resolve=resolve, base=base, folder=folder, columns=columns)
    failed = found.worse(gate) if gate else []
    if plot is not None:
        found.write(plot, force=force)
        say.line(f"Wrote {plot}", err=True)
    say.report(render(found, form))
    for line in failed:
        say.line(f"Gate: {line}", err=True)
    for note in found.gate_notes if gate else ():
        say.note(f"the gate lets pass what it can't tell: {note}")
    if failed:
        ctx.exit(1)
