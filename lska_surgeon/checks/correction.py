"""A file's text with the corrections of a check in it; it finds nothing itself."""

from __future__ import annotations

from collections.abc import Iterable

from ..model_yaml.document import Document
from ..model_yaml.rewriting import splice
from .findings import Correction, Finding


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
