"""`lska-surgeon inspect`."""

from __future__ import annotations

import click

from ...api import inspect as api
from ...reports import render
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats
from ..options import trust as trust_option
from ..quick_imports import own_process


@click.command()
@click.argument("checkpoint", shell_complete=completion.files)
@trust_option
@formats("text", "json")
@with_blocks
def inspect(checkpoint: str, trust: bool, form: str) -> None:
    """Show what CHECKPOINT holds, and the record of its surgery if it was grafted.

    A checkpoint is a program; this one is looked through before anything of it runs, and what is not on the
    allow-list is named.

    \b
    Example:
      lska-surgeon inspect yolov8s-lska-neck-k35.pt
    """
    with own_process():
        report = api.load_checkpoint(checkpoint, trust=trust).report()
    say.report(render(report, form))
