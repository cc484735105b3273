"""`lska-surgeon insert`."""

from __future__ import annotations

import click

from ...architecture.placement import Placement
from ...files import check_target, write_text
from ...model_yaml.insert import plan_insert
from .. import completion
from ..options import blocks as with_blocks
from ..options import formats, not_empty, refuse_two_texts, where_and_what, writing
from ..reports.edits import insertion_json, insertion_line, insertion_notice, insertion_table


@click.command()
@click.argument("base", shell_complete=completion.models)
@where_and_what(required=True)
@click.option(
    "--scale", callback=not_empty, metavar="LETTER", help="Scale to build, where BASE's name does not say it."
)
@click.option("--gated", is_flag=True, help="Put an operator that is not LSKA behind a gate that starts closed.")
@click.option("--resolve", is_flag=True, help="Write the scale's real widths and repeats into every row.")
@writing
@formats("text", "json", "github")
@with_blocks
def insert(
    base: str,
    at: tuple[str, ...],
    k: int,
    op: str,
    dilation: int | None,
    scale: str | None,
    gated: bool,
    resolve: bool,
    output: str | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    form: str,
) -> None:
    """Put LSKA into the model YAML BASE and write the variant.

    BASE is a path, or a stock Ultralytics name with its scale letter. Layer indices, sources, the output layer's
    inputs and index comments are renumbered; everything else stays byte for byte.

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
    refuse_two_texts(form, output)
    plan = plan_insert(base, Placement(at, op, k, dilation, gated), scale=scale, resolve=resolve, output=output)
    if plan.output is not None:
        check_target(plan.output, force=force or dry_run)
    if plan.output is not None and not dry_run:
        write_text(plan.output, plan.text, force=force)
    if not quiet and form == "text":
        for note in plan.notes:
            click.echo(f"Note: {note}", err=True)
    if form == "json":
        click.echo(insertion_json(plan))
    elif form == "github":
        click.echo(insertion_notice(plan, written=not dry_run))
    elif dry_run:
        click.echo(f"{insertion_line(plan)}\n\n{insertion_table(plan)}\n\n{plan.diff}")
    elif plan.output is None:
        click.echo(plan.text.encode("utf-8", errors="surrogateescape"), nl=False)
    elif not quiet:
        click.echo(f"Wrote {insertion_line(plan)}")
