"""`lska-surgeon ungraft`."""

from __future__ import annotations

from pathlib import Path

import click

from ...checkpoints.find import check_checkpoint
from ...files import check_target, target_path
from ...yolo.environment import import_offline
from .. import completion
from ..options import blocks as with_blocks
from ..options import formats, writing
from ..options import trust as trust_option
from ..quick_imports import unwatched


@click.command()
@click.argument("checkpoint", shell_complete=completion.files)
@click.option("--lossy", is_flag=True, help="Take operators out although they have learned something.")
@trust_option
@writing
@formats("text", "json")
@with_blocks
def ungraft(
    checkpoint: str,
    lossy: bool,
    trust: bool,
    output: str | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    form: str,
) -> None:
    """Take LSKA out of the grafted CHECKPOINT and give the original's tensors back.

    Exact while the operators are still the identity. Once they have been trained, taking them out changes what the
    model predicts: that is refused, with the measured difference, unless --lossy asks for it.

    \b
    Example:
      lska-surgeon ungraft yolov8s-lska-neck-k35.pt -o original.pt
    """
    target = target_path(output or f"{Path(checkpoint).stem}-ungrafted.pt", ".pt")
    check_checkpoint(Path(checkpoint))
    if not dry_run:
        check_target(target, force=force)
    with unwatched():  # here, for it takes seconds and no mistake above should wait for it
        import_offline()
        from ...checkpoints.checkpoint import read_checkpoint, write_checkpoint
        from ...grafting.ungraft import ungraft as do_ungraft
        from ..reports.graft import ungraft_json, ungraft_text

    done = do_ungraft(read_checkpoint(checkpoint, trust=trust), lossy=lossy)
    if not dry_run:
        write_checkpoint(target, done.data, force=force)
    if form == "json":
        click.echo(ungraft_json(done, None if dry_run else target))
    elif dry_run or not quiet:
        click.echo(f"{'Would write' if dry_run else 'Wrote'} {ungraft_text(done, target)}")
