"""`lska-surgeon blocks`."""

from __future__ import annotations

import click

from ...api import blocks as api
from ...reports import render
from .. import completion, say
from ..options import blocks_option, formats


@click.command()
@click.argument("source", required=False, metavar="[FILE]", shell_complete=completion.models)
@click.option("--write", is_flag=True, help="Write the declaration, to be checked.")
@click.option("-o", "--output", metavar="FILE", shell_complete=completion.files, help="Where to; lska-surgeon.toml.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@blocks_option
@formats("text", "json")
def blocks(source: str | None, write: bool, output: str | None, force: bool, blocks: str | None, form: str) -> None:
    """List the blocks that are known here: stock, of lska-surgeon, and declared by you.

    With a model YAML as FILE: its blocks that are not known, as a declaration to paste into lska-surgeon.toml. What
    each is like is guessed from how the rows use it. With a Python file: the same for the layers that it defines; it
    is read, and nothing of it is run.

    \b
    Examples:
      lska-surgeon blocks
      lska-surgeon blocks yolov8s.yaml
      lska-surgeon blocks my_blocks.py --write
    """
    if (write or output) and not source:
        raise click.UsageError("--write needs a FILE: a model YAML, or a Python file with your classes")
    inventory = api.blocks(source, blocks=blocks)
    report = inventory.report()
    for note in report.notes:
        say.note(note)
    if write or output:
        say.line(f"Wrote {inventory.write(output, force=force)}", err=form == "json")
    if form == "json" or (not write and not output):
        say.report(render(report, form))
