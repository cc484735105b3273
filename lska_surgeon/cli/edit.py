"""The commands on model YAMLs."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..api import edit as api
from ..reports import render
from . import say
from .options import DELIVERY, FIX, QUIET, STRICT, Presentation, command, formats


@command(api.insert, *DELIVERY, *formats("text", "json", "github"))
def insert(how: Presentation, **asked: Any) -> None:
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
    how.deliver(api.insert(**asked))


@command(api.replace, *DELIVERY, *formats("text", "json", "github"), metavars={"at": "SLOT"})
def replace(how: Presentation, **asked: Any) -> None:
    """Put other blocks in the place of rows of the model YAML BASE and write the variant.

    Widths, repeats, layer indices, sources and index comments are written as they must be; everything else stays byte
    for byte, and `lska-surgeon remove` gives the base back. A block fits where it gives the size and, but for fusions,
    the width that was there; one that does not is refused.

    \b
    Slots:
      stem         the first row
      down, up     rows that sample down or up
      backbone     the last block of each stage; a model, where --by is one
      block        every block that refines features
      pool         the SPPF, or what stands in its place
      fusion       rows that join maps of one size, such as Concat
      neck         the block that refines each fusion
      head         the output layer
      SEL, A-B     a row (9, -2, SPPF, C2f#2); rows that become one (0-2)
    A slot may be narrowed: neck:p3,p4  down:7.

    \b
    Examples:
      lska-surgeon replace yolov8s.yaml --at neck --by C3k2
      lska-surgeon replace yolov8s.yaml --at down:p4,p5 --by ADown --at pool --by SPPELAN
      lska-surgeon replace yolov8s.yaml --at backbone --by yolo11s.yaml
      lska-surgeon replace yolov8s.yaml --at head --by Segment --dry-run
    """
    how.deliver(api.replace(**asked))


@command(api.levels, *DELIVERY, *formats("text", "json", "github"))
def levels(how: Presentation, **asked: Any) -> None:
    """Give the model YAML BASE pyramid levels more or less and write the variant.

    A new level gets a step of the neck up to it and back, as its neighbour has one; for a level behind the coarsest the
    backbone gets a stage more. `--add p2` makes of yolov8 what Ultralytics ships as yolov8-p2.

    \b
    Examples:
      lska-surgeon levels yolov8s.yaml --add p2
      lska-surgeon levels yolo11s.yaml --add p2 --drop p5
    """
    how.deliver(api.levels(**asked))


@command(api.remove, *DELIVERY, *formats("text", "json"), metavars={"at": "ROW"})
def remove(how: Presentation, **asked: Any) -> None:
    """Take out of the model YAML VARIANT what was put in, and write the base.

    A file that `insert`, `replace` or `levels` wrote gives its base back byte for byte. With --at rows are taken out
    that keep the shape of what they read. In a file that people wrote, operator rows go, hosts
    such as SPPF_LSKA become plain again, and every source and index comment is renumbered. VARIANT may be - for
    standard input; then the base goes to standard output unless -o names a file.

    \b
    Example:
      lska-surgeon remove yolov8s-lska-neck-k35.yaml -o yolov8s-base.yaml
      lska-surgeon remove yolov8s.yaml --at SPPF
    """
    how.deliver(api.remove(**asked))


@command(api.check, STRICT, FIX, QUIET, *formats("text", "json", "github", "sarif"))
def check(how: Presentation, **asked: Any) -> int:
    """Find the errors that people make in model YAMLs by hand, before training does.

    All numbers of a MODEL are explained at once, by what people do without renumbering: rows inserted, taken out or
    copied. A number that no likely edit explains is named, with the one that it should be; where two readings are as
    likely, --fix=1 and --fix=2 show both. A MODEL - is standard input. Exit code 1 when there are errors, 2 when a
    file can't be read; the others are checked all the same.

    \b
    RULES

    \b
    Examples:
      lska-surgeon check yolov8s-lska-neck-k35.yaml
      lska-surgeon check yolov8s.yaml yolov8s-lska-neck-k35.yaml --strict
      lska-surgeon check --models-only *.yaml
      lska-surgeon check mine.yaml --ignore comment,unread
    """
    files: Any = api.check(**asked)
    fix = how.fix is not None
    alone = len(files.files) == 1
    chosen = [file.chosen(how.fix or 0) if alone or file.choices else file for file in files.files]
    checked = dataclasses.replace(files, files=chosen, strict=how.strict, with_diffs=fix)
    report = checked.report()
    if how.form in ("json", "sarif"):
        how.show(report)
    else:
        if how.form == "text":  # why a file can't be read is an error of the command's
            report = dataclasses.replace(report, annotations=[one for one in report.annotations if one.line])
        if report.annotations:
            say.report(render(report, "lines" if how.form == "text" else how.form), err=fix)
        how.tell(report.notes)
        for file in checked.files if fix else ():
            say.content(f"{file.patch}\n".encode("utf-8", errors="surrogateescape") if file.patch else b"")
        if not how.quiet and (checked.files or checked.passed_over):
            say.line(report.summary, err=fix)
    for problem in checked.unread.values() if how.form not in ("github", "sarif") else ():
        say.error(problem)
    return 2 if checked.unread else int(checked.failed)


def _rules() -> str:
    from textwrap import wrap  # here, for only the help needs it

    rules = ((code, wrap(text, 100)) for code, text in api.rules_of_check())
    lines = [f"  {'' if at else code:<11}{text}" for code, texts in rules for at, text in enumerate(texts)]
    return "\n".join(["Rules (errors, unless the word warning stands behind them):", *lines])


check.placeholders["RULES"] = _rules
