"""`lska-surgeon doctor`."""

from __future__ import annotations

import click

from ...api import doctor as api
from ...reports import render
from .. import say
from ..options import formats


@click.command()
@formats("text", "json")
@click.pass_context
def doctor(ctx: click.Context, form: str) -> None:
    """Show the versions of what is installed here, and the known traps of this environment with their remedies.

    Such as a torchvision that does not match torch, an Ultralytics that is too old, changed, or hidden by a clone of
    its repository, or a settings folder that can't be written. Exit code 1 when there is a trap.

    \b
    Example:
      lska-surgeon doctor
    """
    diagnosis = api.doctor()
    say.report(render(diagnosis.report(), form))
    if diagnosis.traps:
        ctx.exit(1)
