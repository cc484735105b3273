"""What a check found, as values; it knows no rule and no terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..model_yaml.document import Document
from ..model_yaml.rewriting import splice

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Correction:
    """A number to write into a file.

    Attributes:
        row: the row's index.
        tap: which of its sources, counted from 0; None for the number in its index comment.
        value: the number.
    """

    row: int
    tap: int | None
    value: int


@dataclass(frozen=True)
class Finding:
    """One mistake, or what looks like one.

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
    """The text with every correction applied; only the numbers in question change.

    Where two findings correct one tap, the first counts.
    """
    chosen: dict[tuple[int, int | None], Correction] = {}
    for finding in findings:
        for correction in finding.corrections:
            chosen.setdefault((correction.row, correction.tap), correction)
    changes = []
    for correction in chosen.values():
        row, comment = document.rows[correction.row], document.comment_index(correction.row)
        if correction.tap is None:
            changes += [(comment[1], str(correction.value))] if comment else []
        elif row.whole.start < row.taps[correction.tap].start < row.whole.end:  # else a YAML alias: it stands elsewhere
            changes.append((row.taps[correction.tap], str(correction.value)))
    return splice(document.text, changes)
