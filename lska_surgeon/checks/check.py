"""All rules on one file; it words nothing for a terminal and writes no file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..model_yaml.document import Document
from . import rules_levels, rules_rows, rules_taps
from .context import Context
from .findings import ERROR, Finding

_RULES = (
    rules_rows.bad_rows,
    rules_rows.sizes,
    rules_rows.sources,
    rules_rows.modules,
    rules_rows.kernels,
    rules_rows.scale,
    rules_rows.channels,
    rules_rows.comments,
    rules_taps.taps,
    rules_taps.inputs,
    rules_taps.unread,
    rules_levels.strides,
    rules_levels.bare_concat,
)


@dataclass(frozen=True)
class CheckedFile:
    """What one file's check found.

    Attributes:
        path: the file.
        document: the file, parsed.
        findings: by line.
        stock: the stock model that its sources were compared with; None when it resembles none.
        scale: the scale letter that the file was asked for by, or None.
    """

    path: Path
    document: Document
    findings: tuple[Finding, ...]
    stock: str | None
    scale: str | None

    def count(self, severity: str) -> int:
        """How many findings are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def failed(self, strict: bool = False) -> bool:
        """True when the file has errors; with `strict`, also when it has warnings."""
        return any(strict or finding.severity == ERROR for finding in self.findings)


def check_file(name: str) -> CheckedFile:
    """Check a model YAML.

    Args:
        name: a path, or a stock name.

    Raises:
        DocumentError: there is no such file, or it is no model YAML.
        GraphError: it has no rows.
    """
    subject = Context(name)
    findings = _without_echoes([finding for rule in _RULES for finding in rule(subject)])
    stock = subject.alignment.stock.name if subject.alignment else None
    findings.sort(key=lambda finding: (finding.line, finding.severity))
    return CheckedFile(subject.path, subject.document, tuple(findings), stock, subject.found.scale)


def _without_echoes(findings: list[Finding]) -> list[Finding]:
    """The findings without the unread layers that another finding's correction would give a reader."""
    told = {correction for finding in findings if finding.rule != "unread" for correction in finding.corrections}
    return [
        one for one in findings if one.rule != "unread" or not one.corrections or not told.issuperset(one.corrections)
    ]
