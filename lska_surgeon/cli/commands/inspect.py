"""`lska-surgeon inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from ...checkpoints.find import check_checkpoint
from ...yolo.environment import import_offline
from .. import completion
from ..options import blocks as with_blocks
from ..options import formats
from ..options import trust as trust_option
from ..quick_imports import unwatched


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
    check_checkpoint(Path(checkpoint))
    with unwatched():  # here, for it takes seconds and no mistake above should wait for it
        import_offline()
        from ...checkpoints.checkpoint import globals_of, read_checkpoint
        from ..reports.inspect import contents, contents_text
        from ..reports.json import dump

    found = contents(read_checkpoint(checkpoint, trust=trust), globals_of(checkpoint))
    click.echo(dump(found) if form == "json" else contents_text(found))
