"""The commands that look."""

from __future__ import annotations

from typing import Any

import click

from ..api import inspect as api
from . import say
from .options import (
    DRAW_FORM,
    EXIT_CODE,
    FIGURE,
    FORCE,
    HEAT_MAPS,
    LOG,
    MAX_GFLOPS,
    MAX_PARAMS,
    NOTES,
    PER_LAYER,
    QUIET,
    TEXTCONV,
    TOP,
    Presentation,
    command,
    formats,
)


@command(api.positions, *formats("text", "json"))
def positions(how: Presentation, **asked: Any) -> None:
    """Show every layer of MODEL and every position that --at accepts there.

    MODEL is a path, or a stock Ultralytics name with its scale. A stride with a question mark follows
    from its neighbours, for it stands behind a block that lska-surgeon does not know; a question mark alone says that
    nothing tells the stride.

    \b
    Example:
      lska-surgeon positions yolov8s.yaml
    """
    how.show(api.positions(**asked).report())


@command(api.diff, *formats("text", "md", "json", "github"), EXIT_CODE, TEXTCONV, optional="after")
def diff(how: Presentation, before: str, after: str | None, **asked: Any) -> int:
    """Tell how the architecture of AFTER differs from that of BEFORE.

    Each is a model YAML or a .pt, a stock Ultralytics name with its scale, or one of them - for standard input.
    Of a .pt the model YAML that it stores is compared, not the weights. Rows are
    matched by what they are and by what they read, not by their numbers: those that came, went, changed, or read
    another layer now are named. What operators cost is worked out exactly without building anything; where more than
    operators differs, --costs counts.

    \b
    Examples:
      lska-surgeon diff yolov8s.yaml yolov8s-lska-neck-k35.yaml
      lska-surgeon diff yolov8s.yaml yolov8s-lska-neck-k35.yaml --format md --exit-code
      lska-surgeon diff before.pt after.pt
      lska-surgeon diff --textconv yolov8s-lska-neck-k35.yaml
    """
    if how.textconv:
        if after is not None:
            raise click.UsageError("--textconv takes one model: drop the other")
        text = api.canonical(before, warn=say.note, blocks=asked["blocks"])
        say.content(text.encode("utf-8", errors="surrogateescape"))
        return 0
    if after is None:
        raise click.UsageError("diff takes two model YAMLs or checkpoints, BEFORE and AFTER, and got one")
    difference = api.diff(before, after, **asked)
    how.show(difference.report())
    return int(how.exit_code and bool(difference))


@command(
    api.flops,
    *(PER_LAYER, TOP, NOTES),
    *formats("table", "json", "csv", "md", "github"),
    *(MAX_GFLOPS, MAX_PARAMS),
)
def flops(how: Presentation, **asked: Any) -> int:
    """Count parameters, GMACs and GFLOPs of each MODEL, and how they differ from the first.

    MODEL is the path of a YAML or of a .pt, or a stock Ultralytics name with its scale; without any, all models
    of this folder are counted, the bases of the variants first. GMACs are billions of multiply-accumulates of one
    forward pass in eval mode, as fvcore counts them; GFLOPs are twice that, the unit in which Ultralytics publishes
    its models. --notes lists the ops that fvcore does not count.

    With --per-layer or --top, --format csv has layers instead of totals.

    \b
    Examples:
      lska-surgeon flops yolov8n.yaml yolov8s.yaml
      lska-surgeon flops yolov8s.yaml --imgsz 480,640 --top 5
      lska-surgeon flops yolov8s.yaml --max-gflops 30 --max-params 12M --format json
    """
    if asked["latency"] and how.form in ("csv", "github"):
        raise click.UsageError(f"--latency has no place in --format {how.form}: take table, md or json")
    models: Any = api.flops(**asked)
    costs = models.shown(per_layer=how.per_layer, top=how.top, explained=how.notes)
    above = costs.above(how.max_gflops, how.max_params)
    for note in costs.skipped if how.form in ("json", "github") else ():
        say.note(note)
    how.show(costs.report(), annotations=above)
    return int(bool(above))


@command(api.curves, FIGURE, LOG, FORCE, *formats("table", "json", "csv", "md"))
def curves(how: Presentation, **asked: Any) -> None:
    """Show what operators at positions of MODEL would cost, against their kernel size.

    From the closed forms, exactly, without building anything. The four designs are those that the paper compares.

    \b
    Examples:
      lska-surgeon curves yolov8s.yaml --at neck
      lska-surgeon curves yolov8s.yaml --at neck --op lska --op lka -o curves.svg
    """
    how.check_figure(how.output)
    if how.log and how.output is None:
        raise click.UsageError("--log is for the figure: add -o FILE, or drop it")
    points = api.curves(**asked)
    if how.output is not None:
        points.write(how.output, force=how.force, log=how.log)
    how.show(points.report(), wrote=how.output)


@command(api.latency, *formats("table", "md", "json"))
def latency(how: Presentation, **asked: Any) -> None:
    """Measure how long each MODEL takes on this machine, and how that compares with the first.

    All run in turns, after a warm-up, as Ultralytics runs them: fused, in eval mode. The first one is also measured
    against itself, and when that is off by more than 1%, the machine is too noisy. Weights play no part in this, but
    with --nms: how many boxes there are to suppress, they decide; give trained checkpoints.

    With --runtime they are exported, and run where they will be deployed, all with the same threads and in single
    precision. A runtime that is not here is left out, with what to type. Exported files are measured too.

    \b
    Examples:
      lska-surgeon latency yolov8n.yaml yolov8n-lska-neck-k35.yaml
      lska-surgeon latency yolov8s.yaml yolov8m.yaml --device 0 --batch 1,16 --half
      lska-surgeon latency base.pt graft.pt --runtime torch,onnx,openvino,ncnn,mnn
      lska-surgeon latency base.onnx graft.onnx
      lska-surgeon latency --recipe recipe.yaml
    """
    how.show(api.latency(**asked).report())


@command(api.draw, DRAW_FORM, FORCE, QUIET)
def draw(how: Presentation, **asked: Any) -> None:
    """Draw the network of MODEL; with VARIANT, draw what sets that apart from MODEL.

    Each is a model YAML, a stock Ultralytics name with its scale, or a checkpoint. Columns are backbone, neck
    and output layer, rows are pyramid levels. With VARIANT, what came is in colour and what was rewired is dashed.
    Neither a browser nor Graphviz is needed; .png and .pdf need matplotlib.

    \b
    Examples:
      lska-surgeon draw yolov8s.yaml --positions
      lska-surgeon draw yolov8s-lska-neck-k35.yaml -o model.svg
      lska-surgeon draw yolov8s.yaml yolov8s-lska-neck-k35.yaml -o difference.md
    """
    form = None if how.form == "text" else how.form
    target = api.drawing_target(asked["variant"] or asked["model"], asked["positions"], asked["output"], form)
    how.check_drawing(target)
    drawing = api.draw(**{**asked, "output": target or "-"})
    if target is None:
        say.content(drawing.content(form or "svg"))
    else:
        drawing.write(force=how.force)
    how.tell([*drawing.notes, *drawing.notes_on(form or (target.suffix[1:].lower() if target else "svg"))])
    if target is not None and not how.quiet:
        say.line(f"Wrote {drawing.line}")


@command(api.load_checkpoint, *formats("text", "json"))
def inspect(how: Presentation, **asked: Any) -> None:
    """Show what CHECKPOINT holds, and the record of its surgery if it was grafted.

    A checkpoint is a program; this one is looked through before anything of it runs, and what is not on the
    allow-list is named. Of an exported file or folder, what it says of itself is shown, the record of the graft too.

    \b
    Examples:
      lska-surgeon inspect yolov8s-lska-neck-k35.pt
      lska-surgeon inspect graft.onnx
    """
    how.show(api.load_checkpoint(**asked).report())


@command(api.erf, HEAT_MAPS, FORCE, *formats("table", "json"), metavars={"models": "CHECKPOINT..."})
def erf(how: Presentation, **asked: Any) -> None:
    """Show the effective receptive field at each input of the output layer of each CHECKPOINT.

    Measured as the authors of RepLKNet do: the gradient of the centre pixel with respect to the image. The table has
    the area of the smallest centred square that holds 20, 30, 50 and 99% of it, as a part of the image's.

    With --gates, how far each operator is from the identity, per channel: |out - in| as a part of |in|. An operator
    that training has left at the identity may be taken out again.

    \b
    Examples:
      lska-surgeon erf best.pt --imgsz 320
      lska-surgeon erf base.pt graft.pt --level p3,p4,p5 --images images -o erf.png
      lska-surgeon erf graft.pt --gates --images images -o gates.png
    """
    how.check_figure(how.output)
    seen = api.erf(**asked)
    if how.output is not None:
        seen.write(how.output, force=how.force)
    how.show(seen.report(), wrote=how.output)
