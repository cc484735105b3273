"""`lska-surgeon remove`."""

from __future__ import annotations

import click

from ...files import check_target, write_text
from ...model_yaml.remove import plan_remove
from .. import completion
from ..options import blocks as with_blocks
from ..options import formats, refuse_two_texts, writing
from ..reports.edits import removal_json, removal_line


@click.command()
@click.argument("variant", shell_complete=completion.files)
@writing
@formats("text", "json")
@with_blocks
def remove(variant: str, output: str | None, force: bool, dry_run: bool, quiet: bool, form: str) -> None:
    """Take LSKA out of the model YAML VARIANT and write the base.

    A file that `insert` wrote gives its base back byte for byte. In a file that people wrote, operator rows go,
    hosts such as SPPF_LSKA become plain again, and every source and index comment is renumbered.

    \b
    Example:
      lska-surgeon remove yolov8s-lska-neck-k35.yaml -o yolov8s-base.yaml
    """
    refuse_two_texts(form, output)
    removal = plan_remove(variant, output)
    if removal.output is not None and not dry_run:
        check_target(removal.output, force=force)
        write_text(removal.output, removal.text, force=force)
    if not quiet and form == "text":
        for note in removal.notes:
            click.echo(f"Note: {note}", err=True)
    if form == "json":
        click.echo(removal_json(removal))
    elif dry_run:
        click.echo(f"{removal_line(removal)}\n\n{removal.diff}")
    elif removal.output is None:
        click.echo(removal.text.encode("utf-8", errors="surrogateescape"), nl=False)
    elif not quiet:
        click.echo(f"Wrote {removal_line(removal)}")
