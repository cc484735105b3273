"""`lska-surgeon adopt`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...api.sources import look_at
from ...files import check_target, no_file, target_path
from ...reports import dump
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats, writing
from ..quick_imports import own_process

if TYPE_CHECKING:
    from ...grafting.adopt import Adoption


@click.command()
@click.argument("checkpoint", shell_complete=completion.files)
@click.option("--check", "image", type=click.Path(path_type=Path), metavar="IMAGE",
              help="The input (.pt, .npy) to compare outputs for, or an image, scaled to 640 and padded.")  # fmt: skip
@click.option("--against", type=click.Path(path_type=Path), metavar="FILE",
              help="The outputs that the original gave for it (.pt, .npy).")  # fmt: skip
@with_blocks
@writing("File to write.")
@formats("text", "json")
def adopt(
    checkpoint: str,
    image: Path | None,
    against: Path | None,
    output: str | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    form: str,
) -> None:
    """Write CHECKPOINT anew with the blocks of lska-surgeon, where its own classes are not installed here.

    For files made as tutorials say, with LSKA, SPPF_LSKA, C2f_LSKA_Attention and the like pasted into Ultralytics. None
    of the file's code runs. A class is adopted when its tensors fit exactly: names, shapes, dilations, paddings. What
    it computes can't be read from tensors; what is assumed is said, and --check compares with outputs of the original:
    exit code 1 when they differ by more than 1e-4.

    \b
    Examples:
      lska-surgeon adopt tutorial.pt
      lska-surgeon adopt tutorial.pt --check input.pt --against outputs.pt -o mine.pt
    """
    if (image is None) != (against is None):
        raise click.UsageError("--check IMAGE and --against FILE go together: give both, or neither")
    target = target_path(output or f"{Path(checkpoint).stem}-adopted.pt", ".pt")
    check_target(target, force=force)
    look_at(checkpoint, "checkpoint")
    for path in filter(None, (image, against)):
        if no_file(path) or not path.exists():
            raise click.UsageError(f"no file {path}: give one that is here")
    with own_process():
        from ...api.adopt import adopt as adopt_checkpoint

        done = adopt_checkpoint(checkpoint)
    difference = _difference(done, image, against)
    report = replace(done, output=target, difference=difference).report()
    differs = difference is not None and not difference <= 1e-4
    if not dry_run and not differs:
        done.write(target, force=force)
    for note in report.notes if not quiet else ():
        say.note(note)
    written = None if dry_run or differs else str(target)
    if form == "json":
        say.report(dump({**report.data, "output": written}))
    elif dry_run or not quiet:
        say.report(f"{'Wrote' if written else 'Would write'} {report.parts[0]}")
    if differs:
        say.error(f"the outputs differ by up to {difference:g}, so nothing was written")
        click.get_current_context().exit(1)


def _difference(done: Adoption, image: Path | None, against: Path | None) -> float | None:
    if image is None or against is None:
        return None
    from ...grafting.certificate import largest_difference

    return largest_difference(done.checkpoint().float_model(), image, against)
