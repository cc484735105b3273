"""All rules on one file; no file is written before `CheckedFile.write`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..architecture.blocks import STOCK, BlockTable
from ..errors import TargetError
from ..files import planned_target, write_text
from ..model_yaml.document import Document
from ..model_yaml.find import STDIN, FoundModel, find_model
from ..model_yaml.lines import patch, unified_diff
from ..model_yaml.load import read_model, scale_note
from ..tables import Part, Shown, Table
from ..wording import counted
from . import rules_arguments, rules_blocks, rules_levels, rules_rows, rules_taps, rules_widths
from .context import Context
from .corrections import settled
from .findings import ERROR, WARNING, Finding, corrected_text

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
        scale: the scale letter that the file was asked for by, or None.
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
        """How many mistakes, in one line."""
        counts = [(self.count(severity), severity) for severity in (ERROR, WARNING)]
        found = ", ".join(counted(number, severity) for number, severity in counts if number)
        alone = "" if self.stock else " (like no stock model, so compared with none)"
        return f"{self.path}: {found or 'no mistakes found'}{alone}"

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
        found, document = read_model(name, bad_rows=[], blocks=blocks)
        return check_found(found, document.text, blocks)
    return check_found(find_model(name), blocks=blocks)


def check_found(found: FoundModel, text: str | None = None, blocks: BlockTable = STOCK) -> CheckedFile:
    """The same for a file that was found already, or for a text in its place."""
    subject = Context(found, text, blocks)
    findings = settled(subject, _found(subject), _found)
    stock = subject.alignment.stock.name if subject.alignment else None
    findings.sort(key=lambda finding: (finding.line, finding.severity))
    note = scale_note(subject.found, subject.document)
    notes = (note,) if note else ()
    return CheckedFile(subject.path, subject.document, tuple(findings), stock, subject.found.scale, notes)


def _found(subject: Context) -> list[Finding]:
    """What the rules find, each by itself."""
    return _without_echoes([finding for rule in _RULES for finding in rule(subject)])


def _without_echoes(findings: list[Finding]) -> list[Finding]:
    """The findings without the unread layers that another finding's correction would give a reader."""
    told = {correction for finding in findings if finding.rule != "unread" for correction in finding.corrections}
    return [
        one for one in findings if one.rule != "unread" or not one.corrections or not told.issuperset(one.corrections)
    ]
