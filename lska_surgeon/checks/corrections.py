"""Findings whose corrections were tried out: what they leave wrong is told as well; it writes no file.

1. The corrections are applied, and the result is checked again: a source that only then shows as stale is one more
   finding, and so on until nothing new comes up.
2. Numbers of the output layer are put right all together or not at all: where the corrections would leave it with
   inputs that do not get coarser one by one, or a branch that nobody reads, the set that does both is proposed, if
   there is one; else none, and the finding says that somebody has to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..architecture.roles import ATTENTION
from ..architecture.shapes import Shape
from .context import Context
from .findings import ERROR, Correction, Finding, corrected_text
from .strides import is_whole, shapes_or_none

_ROUNDS = 4


def settled(subject: Context, findings: list[Finding], check: Callable[[Context], list[Finding]]) -> list[Finding]:
    """The findings, their corrections tried out.

    Args:
        subject: the file.
        findings: what was found in it.
        check: what finds.
    """
    if not any(finding.severity == ERROR for finding in findings) or subject.bad_rows or subject.has_packed_backbone:
        return findings
    done = _of_output_layer(subject, _with_what_shows_later(subject, findings, check))
    return done if done == findings else _with_what_shows_later(subject, done, check)


def _with_what_shows_later(
    subject: Context, findings: list[Finding], check: Callable[[Context], list[Finding]]
) -> list[Finding]:
    """Case 1."""
    text = subject.document.text
    for _ in range(_ROUNDS):
        corrected = corrected_text(subject.document, findings)
        if corrected == text:
            break
        text = corrected
        told = {one.place for finding in findings for one in finding.corrections}
        rows = {(finding.row, finding.rule) for finding in findings}
        later = [
            one
            for one in check(subject.with_text(text))
            if one.severity == ERROR
            and (one.row, one.rule) not in rows
            and not any(fix.place in told for fix in one.corrections)
        ]
        findings = [*findings, *later]
    return findings


def _of_output_layer(subject: Context, findings: list[Finding]) -> list[Finding]:
    """Case 2."""
    output = subject.output.index
    wrong = [finding for finding in findings if finding.severity == ERROR and _speaks_of_inputs(finding, output)]
    after = subject.with_text(corrected_text(subject.document, findings))
    shapes = shapes_or_none(after.layers, after.alignment) if wrong and not after.bad_rows else None
    if shapes is None or len(subject.output.taps) < 2 or is_whole(after.layers, shapes):
        return findings
    chosen = _whole_set(after, shapes)
    if chosen is None:
        return [_undecided(finding, output) if finding in wrong else finding for finding in findings]
    first = replace(
        wrong[0],
        suggestion=f"write [{', '.join(map(str, chosen))}], by which strides double and every layer is read",
        corrections=tuple(Correction(output, tap, source) for tap, source in enumerate(chosen)),
    )
    explained = [*wrong[1:], *(one for one in findings if one.rule == "unread" and one.row in chosen)]
    return [first if one is wrong[0] else one for one in findings if one not in explained]


def _whole_set(subject: Context, shapes: Sequence[Shape]) -> tuple[int, ...] | None:
    """Inputs of the output layer by which strides double and every layer is read; None where there are none.

    Of each level it is the last block or attention; the coarsest level is the coarsest that has one in the head.
    """
    last: dict[float, int] = {}
    for layer in subject.layers[:-1]:
        stride = shapes[layer.index].stride
        if stride is None and len(layer.taps) == 1 and layer.sources[0] >= 0:
            stride = shapes[layer.sources[0]].stride  # an attention that nobody reads yet, so that nothing tells it
        if layer.section == "head" and stride and subject.role(layer.index) in ("block", *ATTENTION):
            last[stride] = layer.index
    levels = sorted(last)[-len(subject.output.taps) :]
    chosen = tuple(last[stride] for stride in levels)
    if len(chosen) < len(subject.output.taps) or any(b != 2 * a for a, b in zip(levels, levels[1:])):
        return None
    trial = [*subject.layers[:-1], replace(subject.output, frm=chosen)]
    after = shapes_or_none(trial)
    return chosen if after and is_whole(trial, after) else None


def _speaks_of_inputs(finding: Finding, output: int) -> bool:
    return finding.row == output and finding.rule in ("tap", "output", "source", "unread")


def _undecided(finding: Finding, output: int) -> Finding:
    left = tuple(one for one in finding.corrections if one.row != output)
    if left == finding.corrections:
        return finding
    hint = "the numbers here fit no one reading: choose the layers that it should read"
    return replace(finding, suggestion=hint, corrections=left)
