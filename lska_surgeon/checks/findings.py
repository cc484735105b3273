"""What a check finds, as values, and what it shows of one file or of several; it knows no rule."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DocumentError, TargetError
from ..files import planned_target, write_text
from ..modelfile.document import MARKS, Document
from ..modelfile.rewriting import changes_of_args, splice
from ..modelfile.text import patch, unified_diff
from ..reports import Annotation, Report, Result, Table
from ..wording import counted, message

ERROR, WARNING = "error", "warning"


class Correction(NamedTuple):
    """A value to write into a file: as a source or an argument of a row, into its index comment, or as a setting.

    Attributes:
        row: the row's index; None for a setting.
        slot: which of its sources, counted from 0; None for anything else.
        value: the value.
        arg: which of its arguments, counted from 0, or the next that it does not have; None for anything else.
        setting: the key of the setting; None for anything else.
        drop: the argument goes, and has no value.
    """

    row: int | None
    slot: int | None
    value: Any
    arg: int | None = None
    setting: str | None = None
    drop: bool = False

    @property
    def place(self) -> tuple[int | None, int | None, int | None, str | None]:
        """Where it is written: two corrections of one place are one too many."""
        return self.row, self.slot, self.arg, self.setting


class Finding(NamedTuple):
    """One error, or what looks like one.

    Attributes:
        severity: "error" or "warning".
        rule: the code of the rule that it breaks.
        line: line number in the file, from 1.
        row: the row's index; None for a finding about the whole file.
        message: what is wrong, in one line.
        suggestion: what to write instead, or None.
        corrections: the same for a machine; empty where there is no one right answer.
    """

    severity: str
    rule: str
    line: int
    row: int | None
    message: str
    suggestion: str | None = None
    corrections: tuple[Correction, ...] = ()

    @property
    def text(self) -> str:
        """What is wrong, and what to write instead."""
        return f"{self.message}; {self.suggestion}" if self.suggestion else self.message


def corrected_text(document: Document, findings: Iterable[Finding]) -> str:
    """The text with every correction applied; only the values in question change.

    Where two findings correct one place, the first counts. What a YAML alias stands for stays: it is written elsewhere.
    """
    chosen: dict[Hashable, Correction] = {}
    for finding in findings:
        for correction in finding.corrections:
            chosen.setdefault(correction.place, correction)
    args: dict[int, dict[int, Any]] = {}
    dropped: dict[int, set[int]] = {}
    changes = []
    for correction in chosen.values():
        if correction.row is None:
            span = document.value_span(str(correction.setting))
            changes += [(span, correction.value)] if span else []
            continue
        row, comment = document.rows[correction.row], document.comment_index(correction.row)
        if correction.arg is not None:
            args.setdefault(correction.row, {}).update({} if correction.drop else {correction.arg: correction.value})
            dropped.setdefault(correction.row, set()).update({correction.arg} if correction.drop else ())
        elif correction.slot is None:
            changes += [(comment[1], str(correction.value))] if comment else []
        elif row.whole.start < row.raw_sources[correction.slot].start < row.whole.end:
            changes.append((row.raw_sources[correction.slot], str(correction.value)))
    for index, values in args.items():
        before, row = document.layers[index].args, document.rows[index]
        after = [values.get(at, value) for at, value in enumerate(before) if at not in dropped[index]]
        after += [values[at] for at in sorted(values) if at >= len(before)]
        starts = [span.start for span in (row.args, *row.each_arg)]
        if all(row.whole.start < start < row.whole.end and document.text[start] not in MARKS for start in starts):
            changes += changes_of_args(document, index, before, after)
    return splice(document.text, changes)


@dataclass(frozen=True, repr=False)
class CheckedFile(Result):
    """What one file's check found.

    Attributes:
        path: the file.
        document: the file, parsed.
        findings: by line.
        stock: the stock model that its sources were compared with; None when it resembles none.
        scale: the scale that the file was asked for by, or None.
        notes: what the user should know.
        choices: the texts between which a person has to choose where the numbers fit several readings, likeliest first.
        choice: which of them `fixed_text` is, from 1; 0 for what is sure alone.
    """

    schema = 2
    path: Path
    document: Document
    findings: tuple[Finding, ...]
    stock: str | None
    scale: str | None
    notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    choice: int = 0

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
        """The text with every number fixed that has one right answer, or as it was chosen; else as it is."""
        return self.choices[self.choice - 1] if self.choice else corrected_text(self.document, self.findings)

    def chosen(self, choice: int) -> CheckedFile:
        """The same with one of the choices for its fixed text.

        Raises:
            DocumentError: there is no such choice.
        """
        if not 0 <= choice <= len(self.choices):
            there = f"{counted(len(self.choices), 'reading')} to choose from" if self.choices else "nothing to choose"
            raise DocumentError(
                f"no reading {choice}: {self.path} has {there}; lska-surgeon check --fix shows what is sure"
            )
        return replace(self, choice=choice)

    @property
    def patch(self) -> str:
        """The same for `patch -p1`, byte for byte."""
        return patch(self.document.text, self.fixed_text, str(self.path))

    @property
    def diff(self) -> str:
        """The unified diff from the file to `fixed_text`; empty where they are equal."""
        return unified_diff(self.document.text, self.fixed_text, str(self.path), str(self.path))

    def report(self) -> Report:
        """A table of the findings, and how many they are."""
        rows = [(str(finding.line), f"{finding.severity}[{finding.rule}]", finding.text) for finding in self.findings]
        parts = (Table(("line", "finding", "what"), rows),) if rows else ()
        alone = "" if self.stock else " (like no stock model, so compared with none)"
        summary = f"{self.path}: {_counts([self])}{alone}"
        data = CheckedFiles((self,)).data()
        return Report(summary, (*parts, summary), self.notes, data, annotations=_annotations(self))

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write `fixed_text`.

        Args:
            path: the file; None for the file that was checked, which needs `force`.
            force: overwrite a file that is there.

        Returns:
            The file.

        Raises:
            TargetError: there is nothing to fix, the file is there and `force` is off, or the system refuses.
        """
        if self.fixed_text == self.document.text:
            raise TargetError(f"{self.path} has no number that check can fix by itself, so nothing was written")
        target = planned_target(path, self.path, ".yaml")
        write_text(target, self.fixed_text, force=force)
        return target


@dataclass(frozen=True, repr=False)
class CheckedFiles(Result):
    """What the check of several files found.

    Attributes:
        files: those that could be read.
        unread: those that could not -> why.
        passed_over: how many others are no model YAMLs.
        strict: whether a warning is a failure.
        with_diffs: whether the data has each file's diff.
        rules: code of each rule -> what it finds.
    """

    schema = CheckedFile.schema
    files: Sequence[CheckedFile]
    unread: Mapping[str, str] = field(default_factory=dict)
    passed_over: int = 0
    strict: bool = False
    with_diffs: bool = False
    rules: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a file has errors; with `strict`, also when one has warnings."""
        return any(file.failed(self.strict) for file in self.files)

    def report(self) -> Report:
        """All files in one line, and what each finding says beside its line."""
        alone = [file.path.name for file in self.files if file.stock is None]
        note = f" (like no stock model, so compared with none: {', '.join(alone)})" if alone else ""
        others = f"; {counted(self.passed_over, 'other')} no model YAML" if self.passed_over else ""
        summary = f"{counted(len(self.files), 'file')}: {_counts(self.files)}{others}{note}"
        notes = tuple(note for file in self.files for note in file.notes)
        title = "lska-surgeon check: can't be read"
        annotations = [annotation for file in self.files for annotation in _annotations(file)]
        annotations += [Annotation(ERROR, problem, title, name) for name, problem in self.unread.items()]
        return Report(summary, (), notes, self.data(), annotations=annotations, rules=self.rules)

    def data(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "schema": self.schema,
            "ok": not self.unread and not self.failed,
            "files": [self._entry(file) for file in self.files],
            "unread": [{"file": name, "problem": problem} for name, problem in self.unread.items()],
        }

    def _entry(self, file: CheckedFile) -> dict[str, Any]:
        return {
            "file": str(file.path),
            "stock": file.stock,
            "errors": file.count(ERROR),
            "warnings": file.count(WARNING),
            "findings": [
                {**finding._asdict(), "corrections": [one._asdict() for one in finding.corrections]}
                for finding in file.findings
            ],
            "notes": list(file.notes),
            **({"diff": file.diff} if self.with_diffs else {}),
        }


def _counts(files: Sequence[CheckedFile]) -> str:
    counts = [(sum(file.count(severity) for file in files), severity) for severity in (ERROR, WARNING)]
    return ", ".join(counted(number, severity) for number, severity in counts if number) or "no errors found"


def _annotations(file: CheckedFile) -> list[Annotation]:
    """Each finding, to be shown beside its line."""
    return [
        Annotation(
            finding.severity,
            message(finding.text),
            f"lska-surgeon check: {finding.rule}",
            str(file.path),
            finding.line,
            finding.rule,
        )
        for finding in file.findings
    ]
