"""`lska-surgeon draw`."""

from __future__ import annotations

from pathlib import Path

import click

from ...drawing.drawing import FORMATS, check_output, default_target, format_of
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import imgsz as size_option
from ..options import not_empty
from ..options import trust as trust_option
from ..quick_imports import unwatched


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.argument("variant", required=False, shell_complete=completion.models)
@click.option("--positions", is_flag=True, help="Mark every position that --at takes by name.")
@size_option
@click.option(
    "--scale", callback=not_empty, metavar="LETTER", help="Scale to draw, where a YAML's name does not say it."
)
@click.option(
    "-o",
    "--output",
    callback=not_empty,
    metavar="FILE",
    shell_complete=completion.files,
    help="File to write: .svg, .md (Mermaid), .dot, .png or .pdf; - for standard output.",
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="What to draw, where -o FILE does not say it.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all went well.")
@with_blocks
@trust_option
def draw(
    model: str,
    variant: str | None,
    positions: bool,
    imgsz: tuple[int, int],
    scale: str | None,
    output: str | None,
    form: str | None,
    force: bool,
    quiet: bool,
    trust: bool,
) -> None:
    """Draw the network of MODEL; with VARIANT, draw what sets that apart from MODEL.

    Each is a model YAML, a stock Ultralytics name with its scale, or a checkpoint. Columns are backbone, neck
    and output layer, rows are pyramid levels. With VARIANT, what came is in colour and what was rewired is dashed.
    Neither a browser nor Graphviz is needed; .png and .pdf need matplotlib.

    \b
    Examples:
      lska-surgeon draw yolov8s.yaml --positions
      lska-surgeon draw yolov8s-lska-neck-k35.yaml -o model.svg
      lska-surgeon draw yolov8s.yaml yolov8s-lska-neck-k35.yaml -o difference.md
    """
    with unwatched():  # a YAML is thousands of small objects, and a checkpoint imports torch
        from ...api.draw import draw as draw_models

        target = _target(variant or model, positions, output, form)
        check_output(target, force)
        drawing = draw_models(
            model, variant, positions=positions, imgsz=imgsz, scale=scale, output=target or "-", trust=trust
        )
    if not quiet:
        for note in drawing.notes:
            say.note(note)
    if drawing.output is None:
        say.content(drawing.content(form or "svg"))
    else:
        drawing.write(force=force)
    if not quiet:
        for note in drawing.notes_on(form or (format_of(drawing.output) if drawing.output else "svg")):
            say.note(note)
    if drawing.output is not None and not quiet:
        say.line(f"Wrote {drawing.line}")


def _target(model: str, positions: bool, output: str | None, form: str | None) -> Path | None:
    """The file to write; None for standard output."""
    if output == "-":
        return None
    target = default_target(model, positions, form or "svg") if output is None else Path(output)
    if form is not None and format_of(target) != form:
        raise click.UsageError(f"-o {output} and --format {form} do not agree: drop one")
    return target
