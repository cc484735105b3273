"""`lska-surgeon erf`."""

from __future__ import annotations

from pathlib import Path

import click

from ...drawing.plots import check_figure
from ...insight.asked import LARGEST_SIDE, SMALLEST_SIDE
from ...reports import drawn, dump
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats
from ..options import trust as trust_option
from ..quick_imports import own_process


def _levels(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> list[str]:
    """`p3,p4,p5`, once or several times."""
    return [part.strip() for text in value for part in text.split(",") if part.strip()]


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="CHECKPOINT...", shell_complete=completion.files)
@click.option("--level", callback=_levels, multiple=True, metavar="P3,P4",
              help="Inputs of the output layer; may be given several times.  [default: all]")  # fmt: skip
@click.option(
    "--layer", type=int, multiple=True, metavar="INDEX", help="Behind this layer; may be given several times."
)
@click.option("--images", type=click.Path(path_type=Path), metavar="FOLDER", help="Images.  [default: noise]")
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="Images at most.")
@click.option("--imgsz", type=click.IntRange(SMALLEST_SIDE, LARGEST_SIDE), default=640, show_default=True, metavar="N",
              help="Side of the square that images are resized to, pixels; a multiple of the stride.")  # fmt: skip
@click.option("--gates", is_flag=True, help="Show how far each operator is from the identity instead.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw heat maps: .png, .svg or .pdf.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@trust_option
@with_blocks
@formats("table", "json")
def erf(
    models: tuple[str, ...],
    level: list[str],
    layer: tuple[int, ...],
    images: Path | None,
    most: int,
    imgsz: int,
    gates: bool,
    output: Path | None,
    force: bool,
    trust: bool,
    form: str,
) -> None:
    """Show the effective receptive field at each input of the output layer of each CHECKPOINT.

    Measured as the authors of RepLKNet do: the gradient of the centre cell with respect to the image. The table has
    the area of the smallest centred square that holds 20, 30, 50 and 99% of it, as a part of the image's.

    With --gates, how far each operator is from the identity, per channel: |out - in| as a part of |in|. An operator
    that training has left at the identity may be taken out again.

    \b
    Examples:
      lska-surgeon erf best.pt --imgsz 320
      lska-surgeon erf base.pt graft.pt --level p3,p4,p5 --images images -o erf.png
      lska-surgeon erf graft.pt --gates --images images -o gates.png
    """
    from ...api.erf import erf as find_erf

    if output is not None:
        check_figure(output, force=force)
    with own_process():
        found = find_erf(
            models, level=level, layer=layer, images=images, imgsz=imgsz, most=most, gates=gates, trust=trust
        )
    if output is not None:
        found.write(output, force=force)
    for note in found.notes:
        say.note(note)
    say.report(dump(found.to_dict()) if form == "json" else drawn(found.parts()))
    if output is not None:
        say.line(f"Wrote {output}", err=form == "json")
