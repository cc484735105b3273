"""What checks found, as lines and as JSON; it finds nothing and prints nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from ..insertion import unified_diff
from ..report import SCHEMA
from .correction import corrected_text
from .findings import ERROR, WARNING, Finding
from .inspection import Inspection


def finding_line(inspection: Inspection, finding: Finding, mark: Callable[[str, str], str]) -> str:
    """`path:line: error[rule]: message; what to write instead`.

    Args:
        inspection: the file's.
        finding: one of its findings.
        mark: makes the third part stand out, from severity and text.
    """
    label = mark(finding.severity, f"{finding.severity}[{finding.rule}]")
    suggestion = f"; {finding.suggestion}" if finding.suggestion else ""
    return f"{inspection.path}:{finding.line}: {label}: {finding.message}{suggestion}"


def summary(inspections: Sequence[Inspection]) -> str:
    """All files in one line, and the files whose sources there was nothing to compare with."""
    errors, warnings = (sum(one.count(severity) for one in inspections) for severity in (ERROR, WARNING))
    parts = [_number(errors, "error")] if errors else []
    parts += [_number(warnings, "warning")] if warnings else []
    alone = [one.path.name for one in inspections if one.stock is None]
    note = f" (like no stock model, so compared with none: {', '.join(alone)})" if alone else ""
    return f"{_number(len(inspections), 'file')}: {', '.join(parts) or 'no mistakes found'}{note}"


def proposal(inspection: Inspection) -> str:
    """The unified diff that corrects what can be corrected; empty when there is nothing."""
    before = inspection.document.text
    after = corrected_text(inspection.document, inspection.findings)
    return unified_diff(before, after, str(inspection.path), str(inspection.path))


def findings_json(inspections: Sequence[Inspection], *, strict: bool, fix: bool) -> str:
    """Everything for a machine; with `fix`, each file's diff too."""
    files = []
    for one in inspections:
        content = {
            "file": str(one.path),
            "stock": one.stock,
            "errors": one.count(ERROR),
            "warnings": one.count(WARNING),
            "findings": [asdict(finding) for finding in one.findings],
        }
        files.append({**content, "diff": proposal(one)} if fix else content)
    failed = any(one.failed(strict) for one in inspections)
    return json.dumps({"schema": SCHEMA, "ok": not failed, "files": files}, indent=2, ensure_ascii=False)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
