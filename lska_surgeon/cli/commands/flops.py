"""`lska-surgeon flops`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from ...api import flops as api
from ...api.latency import latency
from ...api.sources import look_at
from ...cost.cost import Cost, Costs
from ...cost.folder import FolderModels, models_in
from ...cost.limits import parse_amount
from ...errors import DocumentError, SurgeonError
from ...reports import render
from .. import completion, say
from ..options import FiniteRange, formats
from ..options import blocks as with_blocks
from ..options import imgsz as size_option
from ..quick_imports import own_process


def _amount(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A number, `40M`, `1.5k`."""
    if value is None:
        return None
    found = parse_amount(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no amount: give a number, or one with k, M or G (40M)")
    return int(found)


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...", shell_complete=completion.models)
@size_option
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Images in the input.")
@click.option("--no-fuse", is_flag=True, help="Keep Conv and BatchNorm apart, as in training.")
@click.option("--per-layer", is_flag=True, help="Show every layer, down to its convolutions, with its share.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show the N costliest layers; with --per-layer, only those.",
)
@click.option("--notes", is_flag=True, help="Say below the table how to read it, and what is not counted.")
@formats("table", "json", "csv", "md", "github")
@click.option("--max-gflops", type=FiniteRange(min=0), metavar="X", help="Exit 1 if a model has more GFLOPs.")
@click.option("--max-params", callback=_amount, metavar="X", help="Exit 1 if a model has more parameters (40M, 1.5k).")
@click.option("--latency", "timed", is_flag=True, help="Also measure how long each takes on this machine's CPU.")
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
    notes: bool,
    form: str,
    max_gflops: float | None,
    max_params: int | None,
    timed: bool,
    trust: bool,
) -> None:
    """Count parameters, GMACs and GFLOPs of each MODEL, and how they differ from the first.

    MODEL is the path of a YAML or of a .pt, or a stock Ultralytics name with its scale; without any, all models
    of this folder are counted, the bases of the variants first. GMACs are billions of multiply-accumulates of one
    forward pass in eval mode, as fvcore counts them; GFLOPs are twice that, the unit in which Ultralytics publishes
    its models. --notes lists the ops that fvcore does not count.

    With --per-layer or --top, --format csv has layers instead of totals.

    \b
    Examples:
      lska-surgeon flops yolov8n.yaml yolov8s.yaml
      lska-surgeon flops yolov8s.yaml --imgsz 480,640 --top 5
      lska-surgeon flops yolov8s.yaml --max-gflops 30 --max-params 12M --format json
    """
    if timed and form in ("csv", "github"):
        raise click.UsageError(f"--latency has no place in --format {form}: take table, md or json")
    here = None if models else models_in(Path())
    for model in models:  # before one of them is counted
        look_at(model, built=True)

    def count(model: str) -> Cost:
        return api.flops(model, imgsz=imgsz, batch=batch, fuse=not no_fuse, trust=trust)

    with own_process():
        costs = _count_here(here, count) if here else Costs(tuple(map(count, models)))
        if timed:
            names = [cost.name for cost in costs]
            costs = replace(costs, latency=latency(names, imgsz=imgsz, batch=batch, trust=trust))
    report = costs.shown(per_layer=per_layer, top=top, explained=notes).report()
    above = costs.above(max_gflops, max_params)
    for note in report.notes if form != "json" else costs.skipped:
        say.note(note)
    say.report(render(replace(report, annotations=(*report.annotations, *above)), form))
    for error in above if form != "github" else ():
        say.line(error.message, err=True)
    if above:
        ctx.exit(1)


def _count_here(here: FolderModels, count: Callable[[str], Cost]) -> Costs:
    """What can be counted of a folder's models, and what to tell of the rest; nobody asked for each of them by name."""
    costs, problems = [], dict(here.unread)
    for model in here.models:
        try:
            look_at(model, built=True)
            costs.append(count(model))
        except SurgeonError as error:
            problems[model] = error.as_typed
    if not costs:
        raise DocumentError(f"no model in this folder can be counted: {next(iter(problems.values()))}")
    skipped = [f"{name} is passed over: {problem}" for name, problem in problems.items()]
    skipped += [f"no models, so passed over: {', '.join(here.others)}"] if here.others else []
    return Costs(tuple(costs), tuple(skipped))
