"""What a check found, as values; it knows no rule and no terminal."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from ..modelfile.document import MARKS, Document
from ..modelfile.rewriting import changes_of_args, splice

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Correction:
    """A value to write into a file: as a source or an argument of a row, into its index comment, or as a setting.

    Attributes:
        row: the row's index; None for a setting.
        tap: which of its sources, counted from 0; None for anything else.
        value: the value.
        arg: which of its arguments, counted from 0, or the next that it does not have; None for anything else.
        setting: the key of the setting; None for anything else.
    """

    row: int | None
    tap: int | None
    value: Any
    arg: int | None = None
    setting: str | None = None

    @property
    def place(self) -> tuple[int | None, int | None, int | None, str | None]:
        """Where it is written: two corrections of one place are one too many."""
        return self.row, self.tap, self.arg, self.setting


@dataclass(frozen=True)
class Finding:
    """One error, or what looks like one.

    Attributes:
        severity: "error" or "warning".
        rule: which rule it breaks, a short word.
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
    changes = []
    for correction in chosen.values():
        if correction.row is None:
            span = document.value_span(str(correction.setting))
            changes += [(span, correction.value)] if span else []
            continue
        row, comment = document.rows[correction.row], document.comment_index(correction.row)
        if correction.arg is not None:
            args.setdefault(correction.row, {})[correction.arg] = correction.value
        elif correction.tap is None:
            changes += [(comment[1], str(correction.value))] if comment else []
        elif row.whole.start < row.raw_sources[correction.tap].start < row.whole.end:
            changes.append((row.raw_sources[correction.tap], str(correction.value)))
    for index, values in args.items():
        before, row = document.layers[index].args, document.rows[index]
        after = [values.get(at, value) for at, value in enumerate(before)]
        after += [values[at] for at in sorted(values) if at >= len(before)]
        starts = [span.start for span in (row.args, *row.each_arg)]
        if all(row.whole.start < start < row.whole.end and document.text[start] not in MARKS for start in starts):
            changes += changes_of_args(document, index, before, after)
    return splice(document.text, changes)
