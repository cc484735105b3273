"""`lska-surgeon positions`."""

from __future__ import annotations

import click

from ...architecture.positions import named_sites
from ...model_yaml.load import open_model
from .. import completion
from ..options import blocks as with_blocks
from ..options import formats, not_empty
from ..reports.positions import layers_json, layers_table, names_table


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.option(
    "--scale", callback=not_empty, metavar="LETTER", help="Scale to show, where MODEL's name does not say it."
)
@formats("text", "json")
@with_blocks
def positions(model: str, scale: str | None, form: str) -> None:
    """Show every layer of MODEL and every position that --at accepts there.

    MODEL is a path, or a stock Ultralytics name with its scale letter. A stride with a question mark rests on a
    block that lska-surgeon does not know.

    \b
    Example:
      lska-surgeon positions yolov8s.yaml
    """
    opened = open_model(model, scale)
    graph, shapes = opened.document.graph, opened.shapes
    named = named_sites(graph, shapes)
    if form == "json":
        click.echo(layers_json(graph, shapes, named, opened.scaling.letter, str(opened.found.path)))
        return
    for note in opened.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"{layers_table(graph, shapes)}\n\n{names_table(graph, shapes, named)}")
