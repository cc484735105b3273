"""`lska-surgeon latency`."""

from __future__ import annotations

from typing import Any

import click

from ...api.latency import latency as do_latency
from ...api.latency import look_at_recipe
from ...api.sources import look_at
from ...cost.limits import LARGEST_THREADS
from ...reports import render
from ...wording import number_in, shown
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats, image_size, not_empty, trust
from ..quick_imports import unwatched


def _batches(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """`1`, or `1,16`."""
    found = tuple(filter(None, map(number_in, value.replace(" ", "").split(","))))
    if len(found) <= value.count(","):
        raise click.BadParameter(f"{shown(value)} is no number of images: give one, or several as 1,16")
    return found


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """`640`, or `H,W`; None where it is left open."""
    return None if value is None else image_size(ctx, param, value)


@click.command()
@click.argument("models", nargs=-1, metavar="MODEL...", shell_complete=completion.models)
@click.option("--imgsz", callback=_size, metavar="N|H,W", help="Input size in pixels.  [default: the recipe's, or 640]")
@click.option("--batch", callback=_batches, default="1", show_default=True, metavar="N[,N…]", help="Images in the input.")  # fmt: skip  # noqa: E501
@click.option("--device", callback=not_empty, default="cpu", show_default=True, help="cpu, or a GPU's number.")
@click.option("--half", is_flag=True, help="Half precision, on a GPU.")
@click.option("--threads", type=click.IntRange(1, LARGEST_THREADS), metavar="N", help="Threads on a CPU.")
@click.option("--onnx", is_flag=True, help="Export, and run in onnxruntime on the CPU.")
@click.option("--nms", is_flag=True, help="Include non-maximum suppression; classifiers and RT-DETR have none.")
@click.option("--rounds", type=click.IntRange(min=2), default=50, show_default=True, help="Runs of each model.")
@click.option("--recipe", callback=not_empty, metavar="FILE", help="Measure the networks of a recipe, for results.")
@click.option("--folder", callback=not_empty, metavar="DIR", help="Of a recipe: where its cells lie.  [default: ablation/RECIPE]")  # fmt: skip  # noqa: E501
@trust
@with_blocks
@formats("table", "md", "json")
def latency(models: tuple[str, ...], batch: tuple[int, ...], form: str, **asked: Any) -> None:
    """Measure how long each MODEL takes on this machine, and how that compares with the first.

    All run in turns, after a warm-up, as Ultralytics runs them: fused, in eval mode. The first one is also measured
    against itself, and when that is off by more than 1%, the machine is too noisy. Weights play no part in this, but
    with --nms: how many boxes there are to suppress, they decide; give trained checkpoints.

    \b
    Examples:
      lska-surgeon latency yolov8n.yaml yolov8n-lska-neck-k35.yaml
      lska-surgeon latency yolov8s.yaml yolov8m.yaml --device 0 --batch 1,16 --half
      lska-surgeon latency --recipe recipe.yaml
    """
    if bool(models) == bool(asked["recipe"]):
        raise click.UsageError("give MODELs to measure, or --recipe FILE: one of the two")
    if asked["folder"] and not asked["recipe"]:
        raise click.UsageError("--folder says where the times of a recipe are kept: add --recipe FILE, or drop it")
    if len(batch) > 1 and asked["recipe"]:
        raise click.UsageError("--recipe keeps one time for each network: give --batch one number")
    for model in models:  # what can be told without torch is told before it is imported
        look_at(model)
    if asked["recipe"]:
        look_at_recipe(asked["recipe"])
    with unwatched():
        import torch  # noqa: F401
    from ...cost.latency import Measurements

    measured = Measurements(tuple(do_latency(models, batch=number, **asked) for number in batch))
    say.report(render(measured.report(), form))
