"""What a check found, as values; it knows no rule and no terminal."""

from __future__ import annotations

from dataclasses import dataclass

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
