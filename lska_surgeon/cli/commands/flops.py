"""`lska-surgeon flops`."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import click

from ...checkpoints.find import check_checkpoint
from ...model_yaml.find import CHECKPOINT_SUFFIXES, find_model
from ...yolo.precheck import refuse_sizes
from .. import completion
from ..options import blocks as with_blocks
from ..options import formats
from ..options import imgsz as size_option
from ..quick_imports import unwatched
from ..reports.github import annotation

_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def _amount(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A number, `40M`, `1.5k`."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgb]?)", value.replace(",", "").lower())
    if found is None:
        raise click.BadParameter(f"{value!r} is no amount: give a number, or one with k, M or G (40M)")
    return int(Decimal(found[1]) * _FACTORS[found[2]])


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", shell_complete=completion.models)
@size_option
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Pictures in the input.")
@click.option("--no-fuse", is_flag=True, help="Keep Conv and BatchNorm apart, as in training.")
@click.option("--per-layer", is_flag=True, help="Show every layer, down to its convolutions, with its share.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show the N costliest layers; with --per-layer, only those.",
)
@formats("table", "json", "csv", "md", "github")
@click.option("--max-gflops", type=click.FloatRange(min=0), metavar="X", help="Exit 1 if a model has more GFLOPs.")
@click.option("--max-params", callback=_amount, metavar="X", help="Exit 1 if a model has more parameters (40M, 1.5k).")
@click.option("--trust", is_flag=True, help="Load a .pt although it names code that is not on the allow-list.")
@with_blocks
@click.pass_context
def flops(
    ctx: click.Context,
    models: tuple[str, ...],
    imgsz: tuple[int, int],
    batch: int,
    no_fuse: bool,
    per_layer: bool,
    top: int | None,
    form: str,
    max_gflops: float | None,
    max_params: int | None,
    trust: bool,
) -> None:
    """Count parameters, GMACs and GFLOPs of each MODEL, and how they differ from the first.

    MODEL is the path of a YAML or of a .pt, or a stock Ultralytics name with its scale letter. GMACs are billions of
    multiply-accumulates of one forward pass in eval mode, as fvcore counts them; GFLOPs are twice that, the unit in
    which Ultralytics publishes its models. Ops that fvcore does not count are listed.

    With --per-layer or --top, --format csv has layers instead of totals.

    \b
    Examples:
      lska-surgeon flops yolov8n.yaml yolov8s.yaml
      lska-surgeon flops yolov8s.yaml --imgsz 480,640 --top 5
      lska-surgeon flops yolov8s.yaml --max-gflops 30 --max-params 12M --format json
    """
    for model in models:  # what can be told without torch is told before it is imported
        if Path(model).suffix in CHECKPOINT_SUFFIXES:
            check_checkpoint(Path(model))
        else:
            find_model(model)
            refuse_sizes(model)
    with unwatched():
        from ...costs.count import count_source, load

        load()
    from ...costs.breakdown import Detail
    from ..reports.flops import above_limits, render

    costs = [count_source(model, imgsz, batch, not no_fuse, trust=trust) for model in models]
    click.echo(render(costs, form, Detail(per_layer, top)))
    above = above_limits(costs, max_gflops, max_params)
    for cost, line in above:
        if form == "github":
            line = annotation("error", line, file=cost.name, title="lska-surgeon flops: above the limit")
        click.echo(line, err=form != "github")
    if above:
        ctx.exit(1)
