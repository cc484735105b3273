"""`lska-surgeon positions`."""

from __future__ import annotations

import click

from ...api import positions as api
from ...reports import drawn, dump
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats, not_empty


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.option(
    "--scale",
    callback=not_empty,
    metavar="LETTER",
    shell_complete=completion.scales,
    help="Scale to show, where MODEL's name does not say it.",
)
@formats("text", "json")
@with_blocks
def positions(model: str, scale: str | None, form: str) -> None:
    """Show every layer of MODEL and every position that --at accepts there.

    MODEL is a path, or a stock Ultralytics name with its scale. A stride with a question mark follows
    from its neighbours, for it stands behind a block that lska-surgeon does not know; a question mark alone says that
    nothing tells the stride.

    \b
    Example:
      lska-surgeon positions yolov8s.yaml
    """
    found = api.positions(model, scale=scale)
    if form == "json":
        say.report(dump(found.to_dict()))
        return
    for note in found.notes:
        say.note(note)
    say.report(drawn(found.parts()))
