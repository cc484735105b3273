"""`lska-surgeon insert`."""

from __future__ import annotations

import click

from ...api import insert as api
from ...modelfile.insert import Insertion
from ...reports import annotation
from .. import completion
from ..deliver import Delivery, delivered
from ..options import blocks as with_blocks
from ..options import not_empty, where_and_what
from ..options import unchecked as unchecked_option


def insertion_notice(done: Insertion, written: bool) -> str:
    """What was done, or would be."""
    text = "\n".join([done.line, *done.notes])
    title = "variant written" if written else "variant planned"
    return annotation("notice", text, file=str(done.output), title=f"lska-surgeon insert: {title}")


@click.command()
@click.argument("base", shell_complete=completion.models)
@where_and_what(required=True)
@click.option(
    "--scale",
    callback=not_empty,
    metavar="LETTER",
    shell_complete=completion.scales,
    help="Scale to build, where BASE's name does not say it.",
)
@click.option("--gated", is_flag=True, help="Put an operator that is not LSKA behind a gate that starts closed.")
@click.option("--resolve", is_flag=True, help="Write the scale's real widths and repeats into every row.")
@unchecked_option
@delivered("text", "json", "github", help_of_output="File to write, or - for standard output.")
@with_blocks
def insert(
    base: str,
    at: tuple[str, ...],
    k: int | None,
    op: str,
    dilation: int | None,
    scale: str | None,
    gated: bool,
    resolve: bool,
    unchecked: bool,
    delivery: Delivery,
) -> None:
    """Put LSKA into the model YAML BASE and write the variant.

    BASE is a path, or a stock Ultralytics name with its scale. Layer indices, sources, the output layer's
    inputs and index comments are renumbered; everything else stays byte for byte. A base in which `lska-surgeon check`
    finds an error is refused.

    \b
    Positions:
      backbone     after the last block of each stage
      sppf         after the SPPF
      neck         after each fusion block
      head         before the output layer, on each of its inputs
      residual     inside each bottleneck that has a shortcut
      sppf-inner   inside the SPPF, before its last convolution
      after:SEL    before:SEL    edge:A->B      (SEL: 9, -2, SPPF, C2f#2)
    A name may be narrowed (neck:p3,p4  residual:2,4) and take its own kernel size (neck:p3@11).
    `lska-surgeon positions BASE` shows what a model has.

    \b
    Examples:
      lska-surgeon insert yolov8s.yaml --at neck --k 35
      lska-surgeon insert yolov8m-seg.yaml --at sppf --at head:p4,p5 --k 23 -o out.yaml
      lska-surgeon insert yolo11n.yaml --at neck:p3@11 --at neck:p5@35 --op lka --dry-run
      lska-surgeon insert yolov8s.yaml --at neck --op cbam
    """
    delivery.check(".yaml")
    done = api.insert(
        base,
        at,
        k=k,
        op=op,
        dilation=dilation,
        gated=gated,
        scale=scale,
        resolve=resolve,
        unchecked=unchecked,
        output=delivery.output,
    )
    delivery.deliver(done, notice=lambda written: insertion_notice(done, written))
