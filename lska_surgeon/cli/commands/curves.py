"""`lska-surgeon curves`."""

from __future__ import annotations

from pathlib import Path

import click

from ...core.operators import OP_BLOCKS
from ...cost.curves import DESIGNS, SIZES
from ...drawing.plots import check_figure
from ...reports import render
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats, not_empty
from ..options import imgsz as size_option


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.option("--at", multiple=True, required=True, metavar="POSITION", shell_complete=completion.positions,
              help="Where; may be given several times.")  # fmt: skip
@click.option("--op", multiple=True, type=click.Choice(list(OP_BLOCKS)), default=DESIGNS, show_default=True,
              help="Which operators; may be given several times.")  # fmt: skip
@click.option("--k", multiple=True, type=int, default=SIZES, show_default=True, help="Which kernel sizes.")
@click.option("--scale", callback=not_empty, metavar="LETTER", help="Scale, where MODEL's name does not say it.")
@size_option
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw the figure: .png, .svg or .pdf.")  # fmt: skip
@click.option("--log", is_flag=True, help="Draw costs on logarithmic axes.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@with_blocks
@formats("table", "json", "csv", "md")
def curves(
    model: str,
    at: tuple[str, ...],
    op: tuple[str, ...],
    k: tuple[int, ...],
    scale: str | None,
    imgsz: tuple[int, int],
    output: Path | None,
    log: bool,
    force: bool,
    form: str,
) -> None:
    """Show what operators at positions of MODEL would cost, against their kernel size.

    From the closed forms, exactly, without building anything. The four designs are those that the paper compares.

    \b
    Examples:
      lska-surgeon curves yolov8s.yaml --at neck
      lska-surgeon curves yolov8s.yaml --at neck --op lska --op lka -o curves.svg
    """
    from ...api.curves import curves as find_curves

    if output is not None:
        check_figure(output, force=force)
    elif log:
        raise click.UsageError("--log is for the figure: add -o FILE, or drop it")
    curves = find_curves(model, at, op=op, k=k, imgsz=imgsz, scale=scale)
    if output is not None:
        curves.write(output, force=force, log=log)
    for note in curves.notes:
        say.note(note)
    say.report(render(curves.report(), form))
    if output is not None:
        say.line(f"Wrote {output}", err=form != "table")
