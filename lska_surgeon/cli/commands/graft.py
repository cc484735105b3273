"""`lska-surgeon graft`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from ...architecture.placement import Placement, check_placement
from ...checkpoints.find import check_checkpoint
from ...files import check_target, target_path
from ...model_yaml.file_names import variant_stem
from ...model_yaml.find import find_model
from ...yolo.environment import import_offline
from ...yolo.precheck import refuse_sizes
from .. import completion
from ..options import blocks as with_blocks
from ..options import formats, not_empty, where_and_what, writing
from ..options import trust as trust_option
from ..quick_imports import unwatched


@click.command()
@click.argument("checkpoint", shell_complete=completion.files)
@where_and_what(required=False)
@click.option(
    "--into",
    callback=not_empty,
    metavar="YAML",
    shell_complete=completion.models,
    help="A variant that somebody wrote, to graft into instead of --at.",
)
@click.option("--init", type=click.Choice(["identity", "default"]), default="identity", show_default=True,
              help="How new operators start: as the exact identity, or at the paper's random init.")  # fmt: skip
@click.option(
    "--image",
    callback=not_empty,
    metavar="FILE",
    shell_complete=completion.files,
    help="A picture for one more run of the certificate.",
)
@trust_option
@writing
@formats("text", "json")
@with_blocks
def graft(
    checkpoint: str,
    at: tuple[str, ...],
    k: int,
    op: str,
    dilation: int | None,
    into: str | None,
    init: str,
    image: str | None,
    trust: bool,
    output: str | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    form: str,
) -> None:
    """Put LSKA into the trained CHECKPOINT without losing a weight.

    The architecture is the one stored in the file, whatever its task. Every tensor is carried over, the new operators
    start as the exact identity, and a certificate proves it: all outputs, before and after, must be equal in float32.
    An operator that is not LSKA goes behind a gate that starts closed, x + g * (A(x) - x).
    The product is an ordinary Ultralytics checkpoint: YOLO("....pt") predicts, validates and trains it.

    \b
    Examples:
      lska-surgeon graft yolov8s.pt --at neck --k 35
      lska-surgeon graft best.pt --at head:p4,p5 --at sppf -o grafted.pt
      lska-surgeon graft best.pt --at neck --op cbam
      lska-surgeon graft best.pt --into my-variant.yaml -o grafted.pt
    """
    if bool(at) == bool(into):
        raise click.UsageError("say where: --at POSITION (such as --at neck), or --into VARIANT.yaml; one of the two")
    given = [name for name in ("k", "op", "dilation") if into and _was_given(name)]
    if given:
        raise click.UsageError(f"--{given[0]} belongs to --at: the rows of --into {into} say theirs")
    placement = Placement(at, op, k, dilation)
    check_placement(placement)
    target = target_path(output, ".pt") if output else None
    if target is not None and not dry_run:
        check_target(target, force=force)
    check_checkpoint(Path(checkpoint))
    if into:
        find_model(into)
        refuse_sizes(into)
    with unwatched():  # here, for it takes seconds and no mistake above should wait for it
        import_offline()
        from ...checkpoints.checkpoint import read_checkpoint, write_checkpoint
        from ...grafting.graft import graft as do_graft
        from ...grafting.plan import plan_graft, plan_graft_into
        from ..reports.graft import graft_json, graft_text, plan_table

    base = read_checkpoint(checkpoint, trust=trust)
    plan = plan_graft_into(base, into) if into else plan_graft(base, placement)
    if target is None:
        stem = Path(checkpoint).stem
        edits = list(plan.rewrite.edits.values())
        target = Path(f"{stem}-{Path(into).stem}.pt" if into else f"{variant_stem(stem, placement, edits)}.pt")
        if not dry_run:
            check_target(target, force=force)
    done = do_graft(plan, identity=init == "identity", image=Path(image) if image else None)
    if not dry_run:
        write_checkpoint(target, done.data, force=force)
    if form == "json":
        click.echo(graft_json(done, None if dry_run else target))
        return
    if not quiet:
        for note in done.notes:
            click.echo(f"Note: {note}", err=True)
    if dry_run:
        click.echo(f"{plan_table(plan)}\n\nWould write {graft_text(done, target)}")
    elif not quiet:
        click.echo(f"Wrote {graft_text(done, target)}")


def _was_given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT
