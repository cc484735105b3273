"""`lska-surgeon graft`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from ...api import graft as api
from ...modelfile.sources import refuse_yaml
from .. import completion
from ..deliver import Delivery, delivered
from ..options import blocks as with_blocks
from ..options import not_empty, where_and_what
from ..options import trust as trust_option
from ..options import unchecked as unchecked_option
from ..quick_imports import own_process


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
              help="How new operators start: as the exact identity, or at random init, as papers have it.")  # fmt: skip
@click.option(
    "--image",
    callback=not_empty,
    metavar="FILE",
    shell_complete=completion.files,
    help="An image for one more run of the certificate.",
)
@click.option("--download", is_flag=True,
              help="Fetch a CHECKPOINT that Ultralytics publishes, such as yolov8s.pt, if missing.")  # fmt: skip
@trust_option
@unchecked_option
@delivered("text", "json")
@with_blocks
def graft(
    checkpoint: str,
    at: tuple[str, ...],
    k: int | None,
    op: str,
    dilation: int | None,
    into: str | None,
    init: str,
    image: str | None,
    download: bool,
    trust: bool,
    unchecked: bool,
    delivery: Delivery,
) -> None:
    """Put LSKA into the trained CHECKPOINT without losing a weight.

    The architecture is the one stored in the file, whatever its task. Every tensor is carried over, the new operators
    start as the exact identity, and a certificate proves it: all outputs, before and after, must be equal in float32.
    An operator that is not LSKA goes behind a gate that starts closed, x + g * (A(x) - x).
    The product is an ordinary Ultralytics checkpoint: YOLO("....pt") predicts, validates and trains it.

    \b
    Examples:
      lska-surgeon graft yolov8s.pt --at neck --k 35 --download
      lska-surgeon graft best.pt --at head:p4,p5 --at sppf -o grafted.pt
      lska-surgeon graft best.pt --at neck --op cbam
      lska-surgeon graft best.pt --into my-variant.yaml -o grafted.pt
    """
    refuse_yaml(Path(checkpoint))
    if bool(at) == bool(into):
        raise click.UsageError("say where: --at POSITION (such as --at neck), or --into VARIANT.yaml; one of the two")
    given = [name for name in ("k", "op", "dilation") if into and _was_given(name)]
    if given:
        raise click.UsageError(f"--{given[0]} belongs to --at: the rows of --into {into} say theirs")
    delivery.check(".pt", api.name_of_graft(checkpoint, at, into=into, k=k, op=op, dilation=dilation))
    with own_process():
        done = api.graft(
            checkpoint,
            at,
            into=into,
            k=k,
            op=op,
            dilation=dilation,
            init=init,
            image=image,
            download=download,
            trust=trust,
            unchecked=unchecked,
            output=delivery.output,
        )
    table, text = done.report().parts
    planned = (table, f"Would write {text}")
    delivery.deliver(done, preview=planned, changes={"output": None} if delivery.dry_run else None)


def _was_given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT
