"""The rules of `check`, and all of them on one file; no file is written before `CheckedFile.write`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..core.blocks import STOCK, BlockTable
from ..core.graph import MAY_BE_ATTENTION
from ..core.shapes import Shape
from ..errors import BrokenBaseError
from ..modelfile.model import read_source, scale_note
from ..modelfile.sources import STDIN, Source, find_source
from . import rules_arguments, rules_rows, rules_wiring
from .alignment import is_whole, shapes_or_none
from .context import Context, Rule
from .findings import ERROR, WARNING, CheckedFile, Correction, Finding, corrected_text

_ROUNDS = 4
#: Every rule, once: what `check` applies, in this order, and what its help and docs list.
RULES = (
    Rule(
        "row",
        ERROR,
        "a row is not [from, repeats, module, args], or its numbers make no layer",
        (
            rules_rows.bad_rows,
            rules_rows.head,
            rules_rows.sizes,
            rules_rows.custom_rows,
            rules_rows.texts,
            rules_rows.of_yolov5s_repository,
        ),
    ),
    Rule(
        "setting",
        ERROR,
        "what stands beside the rows, such as nc, is of a wrong type, missing, or a number that no network has; "
        "activation is no layer",
        (rules_rows.settings, rules_rows.activations),
    ),
    Rule("source", ERROR, "a source does not exist, or looks forward", (rules_wiring.sources,)),
    Rule("module", ERROR, "no such block (warning, unless it is surely misspelt)", (rules_rows.modules,)),
    Rule("kernel", ERROR, "an operator's kernel size or arguments are not supported", (rules_rows.kernels,)),
    Rule(
        "arguments",
        ERROR,
        "a row has fewer arguments than its block needs, or more than it takes (warning where it still builds)",
        (rules_arguments.arguments,),
    ),
    Rule(
        "channels",
        ERROR,
        "a literal width that its source does not have (warning, unless the block believes it at every scale)",
        (rules_arguments.channels,),
    ),
    Rule("scale", ERROR, "the scale that the file's name asks for is not there", (rules_rows.scale,)),
    Rule("comment", WARNING, "an index comment is stale", (rules_rows.comments,)),
    Rule(
        "wiring",
        ERROR,
        "a source is not what the stock model reads there (warning, where that may be meant)",
        (rules_wiring.wiring,),
    ),
    Rule("bypass", WARNING, "a source is read around an inserted attention", (rules_wiring.bypass,)),
    Rule(
        "inputs",
        ERROR,
        "a Concat, or the output layer (warning), has fewer inputs than in the stock model",
        (rules_wiring.inputs,),
    ),
    Rule("unread", ERROR, "a layer that nobody reads", (rules_wiring.unread,)),
    Rule("stride", ERROR, "a Concat's inputs have different strides", (rules_wiring.strides,)),
    Rule(
        "output", ERROR, "the output layer's inputs are unordered, doubled, or a bare Concat", (rules_wiring.outputs,)
    ),
    Rule("build", ERROR, "Ultralytics refuses to build it (with --build)"),
)


def check_file(name: str, blocks: BlockTable = STOCK) -> CheckedFile:
    """Check a model YAML.

    Args:
        name: a path, a stock name, or "-" for standard input.
        blocks: the table that says what the rows' blocks are.

    Raises:
        DocumentError: there is no such file, or it is no model YAML.
        GraphError: it has no rows.
    """
    if name == STDIN:
        source, document = read_source(name, bad_rows=[], blocks=blocks)
        return check_source(source, document.text, blocks)
    return check_source(find_source(name), blocks=blocks)


def check_source(source: Source, text: str | None = None, blocks: BlockTable = STOCK) -> CheckedFile:
    """The same for a source, or for a text in its place."""
    subject = Context(source, text, blocks)
    findings = _tried_out(subject, _broken_rules(subject))
    findings.sort(key=lambda finding: (finding.line, finding.severity))
    stock = subject.alignment.stock.name if subject.alignment else None
    note = scale_note(source, subject.document)
    return CheckedFile(source.path, subject.document, tuple(findings), stock, source.scale, (note,) if note else ())


def refuse_broken(source: Source, text: str | None = None, blocks: BlockTable = STOCK) -> None:
    """Refuse a model YAML in which `check` finds an error, before anything is put into it.

    Args:
        source: the file.
        text: its text, where it was read already.
        blocks: the table that says what the rows' blocks are.

    Raises:
        BrokenBaseError: it does; the message tells the first and how many there are.
    """
    errors = [finding for finding in check_source(source, text, blocks).findings if finding.severity == ERROR]
    if errors:
        first, more = errors[0], f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise BrokenBaseError(
            f"{source.name} is wrong as it is, and would be wrong with LSKA in it: line {first.line}, {first.text}"
            f"{more}; see lska-surgeon check {source.path} --fix, or go on with --unchecked"
        )


def _broken_rules(subject: Context) -> list[Finding]:
    """What the rules find, without the unread layers that another finding's correction would give a consumer."""
    findings = [
        replace(finding, rule=rule.code, severity=finding.severity or rule.severity)
        for rule in RULES
        for function in rule.functions
        for finding in function(subject)
    ]
    corrected = {fix for finding in findings if finding.rule != "unread" for fix in finding.corrections}
    return [
        finding
        for finding in findings
        if finding.rule != "unread" or not finding.corrections or not corrected.issuperset(finding.corrections)
    ]


def _tried_out(subject: Context, findings: list[Finding]) -> list[Finding]:
    """The findings, their corrections tried out.

    1. What shows only once others are corrected is a finding as well.
    2. Where the output layer still does not fit, it is corrected as a whole, or not at all.
    """
    errors = any(finding.severity == ERROR for finding in findings)
    if not errors or subject.bad_rows or subject.packed_row is not None:
        return findings
    done = _with_output_layer(subject, _with_later(subject, findings))
    return done if done == findings else _with_later(subject, done)


def _with_later(subject: Context, findings: list[Finding]) -> list[Finding]:
    """Case 1."""
    text = subject.document.text
    for _ in range(_ROUNDS):
        corrected = corrected_text(subject.document, findings)
        if corrected == text:
            break
        text = corrected
        places = {fix.place for finding in findings for fix in finding.corrections}
        known = {(finding.row, finding.rule) for finding in findings}
        findings = [
            *findings,
            *(
                later
                for later in _broken_rules(subject.with_text(text))
                if later.severity == ERROR
                and (later.row, later.rule) not in known
                and not any(fix.place in places for fix in later.corrections)
            ),
        ]
    return findings


def _with_output_layer(subject: Context, findings: list[Finding]) -> list[Finding]:
    """Case 2."""
    output = subject.output.index
    of_inputs = ("wiring", "output", "source", "unread")
    wrong = [
        finding
        for finding in findings
        if finding.severity == ERROR and finding.row == output and finding.rule in of_inputs
    ]
    after = subject.with_text(corrected_text(subject.document, findings))
    shapes = shapes_or_none(after.layers, after.alignment) if wrong and not after.bad_rows else None
    if shapes is None or len(subject.output.raw_sources) < 2 or is_whole(after.layers, shapes):
        return findings
    chosen = _whole_set(after, shapes)
    if chosen is None:
        return [_undecided(finding, output) if finding in wrong else finding for finding in findings]
    first = replace(
        wrong[0],
        suggestion=f"write [{', '.join(map(str, chosen))}], by which strides double and every layer is read",
        corrections=tuple(Correction(output, slot, source) for slot, source in enumerate(chosen)),
    )
    explained = [*wrong[1:], *(finding for finding in findings if finding.rule == "unread" and finding.row in chosen)]
    return [first if finding is wrong[0] else finding for finding in findings if finding not in explained]


def _whole_set(subject: Context, shapes: Sequence[Shape]) -> tuple[int, ...] | None:
    """Inputs of the output layer by which strides double and every layer is read; None where there are none.

    Of each level it is the last block or attention; the coarsest level is the coarsest that has one in the head.
    """
    last: dict[float, int] = {}
    for layer in subject.layers[:-1]:
        stride = shapes[layer.index].stride
        if stride is None and len(layer.raw_sources) == 1 and layer.sources[0] >= 0:
            stride = shapes[layer.sources[0]].stride  # an attention that nobody reads yet, so that nothing tells it
        if layer.section == "head" and stride and subject.role(layer.index) in ("block", *MAY_BE_ATTENTION):
            last[stride] = layer.index
    levels = sorted(last)[-len(subject.output.raw_sources) :]
    chosen = tuple(last[stride] for stride in levels)
    if len(chosen) < len(subject.output.raw_sources) or any(b != 2 * a for a, b in zip(levels, levels[1:])):
        return None
    trial = [*subject.layers[:-1], replace(subject.output, frm=chosen)]
    after = shapes_or_none(trial)
    return chosen if after and is_whole(trial, after) else None


def _undecided(finding: Finding, output: int) -> Finding:
    left = tuple(fix for fix in finding.corrections if fix.row != output)
    if left == finding.corrections:
        return finding
    hint = "the numbers here fit no one reading: choose the layers that it should read"
    return replace(finding, suggestion=hint, corrections=left)
