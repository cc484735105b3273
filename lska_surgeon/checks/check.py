"""All rules on one file; no file is written before `CheckedFile.write`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, BlockTable
from ..core.graph import MAY_BE_ATTENTION
from ..core.shapes import Shape
from ..errors import TargetError
from ..files import planned_target, write_text
from ..modelfile.document import Document
from ..modelfile.model import read_source, scale_note
from ..modelfile.sources import STDIN, Source, find_source
from ..modelfile.text import patch, unified_diff
from ..reports import Part, Shown, Table
from ..wording import counted
from . import rules_arguments, rules_blocks, rules_levels, rules_rows, rules_taps, rules_widths
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding, corrected_text
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
    if shapes is None or len(subject.output.raw_sources) < 2 or is_whole(after.layers, shapes):
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


def _speaks_of_inputs(finding: Finding, output: int) -> bool:
    return finding.row == output and finding.rule in ("tap", "output", "source", "unread")


def _undecided(finding: Finding, output: int) -> Finding:
    left = tuple(one for one in finding.corrections if one.row != output)
    if left == finding.corrections:
        return finding
    hint = "the numbers here fit no one reading: choose the layers that it should read"
    return replace(finding, suggestion=hint, corrections=left)


_RULES = (
    rules_rows.bad_rows,
    rules_rows.head,
    rules_rows.settings,
    rules_rows.sizes,
    rules_rows.sources,
    rules_blocks.modules,
    rules_blocks.declared_rows,
    rules_blocks.kernels,
    rules_arguments.arguments,
    rules_arguments.absent_settings,
    rules_widths.channels,
    rules_blocks.texts,
    rules_blocks.of_yolov5s_repository,
    rules_blocks.activations,
    rules_rows.scale,
    rules_rows.comments,
    rules_taps.taps,
    rules_taps.inputs,
    rules_taps.unread,
    rules_levels.strides,
    rules_levels.bare_concat,
)


@dataclass(frozen=True, repr=False)
class CheckedFile(Shown):
    """What one file's check found.

    Attributes:
        path: the file.
        document: the file, parsed.
        findings: by line.
        stock: the stock model that its sources were compared with; None when it resembles none.
        scale: the scale that the file was asked for by, or None.
        notes: what the user should be told.
    """

    path: Path
    document: Document
    findings: tuple[Finding, ...]
    stock: str | None
    scale: str | None
    notes: tuple[str, ...] = ()

    def count(self, severity: str) -> int:
        """How many findings are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def failed(self, strict: bool = False) -> bool:
        """True when the file has errors; with `strict`, also when it has warnings."""
        return any(strict or finding.severity == ERROR for finding in self.findings)

    @property
    def ok(self) -> bool:
        """True when the file has no errors; it may have warnings."""
        return not self.failed()

    @property
    def fixed_text(self) -> str:
        """The text with every number put right that has one right answer; else as it is."""
        return corrected_text(self.document, self.findings)

    @property
    def patch(self) -> str:
        """The same for `patch -p1`, byte for byte."""
        return patch(self.document.text, self.fixed_text, str(self.path))

    @property
    def diff(self) -> str:
        """The unified diff from the file to `fixed_text`; empty where they are equal."""
        return unified_diff(self.document.text, self.fixed_text, str(self.path), str(self.path))

    @property
    def line(self) -> str:
        """How many errors, in one line."""
        counts = [(self.count(severity), severity) for severity in (ERROR, WARNING)]
        found = ", ".join(counted(number, severity) for number, severity in counts if number)
        alone = "" if self.stock else " (like no stock model, so compared with none)"
        return f"{self.path}: {found or 'no errors found'}{alone}"

    def parts(self) -> tuple[Part, ...]:
        """A table of the findings, and how many they are."""
        rows = [(str(one.line), f"{one.severity}[{one.rule}]", one.text) for one in self.findings]
        return (*((Table(("line", "finding", "what"), rows),) if rows else ()), self.line)

    def entry(self) -> dict[str, Any]:
        """The file as plain data, as one of several files that were checked."""
        return {
            "file": str(self.path),
            "stock": self.stock,
            "errors": self.count(ERROR),
            "warnings": self.count(WARNING),
            "findings": [asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, as `--json` writes it of one file."""
        return {"schema": self.schema, "ok": self.ok, "files": [self.entry()], "unread": []}

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write `fixed_text`.

        Args:
            path: the file; None for the file that was checked, which needs `force`.
            force: overwrite a file that is there.

        Returns:
            The file.

        Raises:
            TargetError: there is nothing to put right, the file is there and `force` is off, or the system refuses.
        """
        if self.fixed_text == self.document.text:
            raise TargetError(f"{self.path} has no number that could be put right by itself, so nothing was written")
        target = planned_target(path, self.path, ".yaml")
        write_text(target, self.fixed_text, force=force)
        return target


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
        return check_found(source, document.text, blocks)
    return check_found(find_source(name), blocks=blocks)


def check_found(source: Source, text: str | None = None, blocks: BlockTable = STOCK) -> CheckedFile:
    """The same for a file that was found already, or for a text in its place."""
    subject = Context(source, text, blocks)
    findings = settled(subject, _found(subject), _found)
    stock = subject.alignment.stock.name if subject.alignment else None
    findings.sort(key=lambda finding: (finding.line, finding.severity))
    note = scale_note(subject.source, subject.document)
    notes = (note,) if note else ()
    return CheckedFile(subject.path, subject.document, tuple(findings), stock, subject.source.scale, notes)


def _found(subject: Context) -> list[Finding]:
    """What the rules find, each by itself."""
    return _without_echoes([finding for rule in _RULES for finding in rule(subject)])


def _without_echoes(findings: list[Finding]) -> list[Finding]:
    """The findings without the unread layers that another finding's correction would give a consumer."""
    told = {correction for finding in findings if finding.rule != "unread" for correction in finding.corrections}
    return [
        one for one in findings if one.rule != "unread" or not one.corrections or not told.issuperset(one.corrections)
    ]
