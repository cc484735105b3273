"""What checks found, as lines and as JSON; it finds nothing and prints nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from ...checks.check import CheckedFile
from ...checks.findings import ERROR, WARNING, Finding, corrected_text
from ...model_yaml.lines import patch, unified_diff
from .github import annotation
from .json import SCHEMA


def finding_line(file: CheckedFile, finding: Finding, mark: Callable[[str, str], str]) -> str:
    """`path:line: error[rule]: message; what to write instead`.

    Args:
        file: the file.
        finding: one of its findings.
        mark: makes the third part stand out, from severity and text.
    """
    label = mark(finding.severity, f"{finding.severity}[{finding.rule}]")
    suggestion = f"; {finding.suggestion}" if finding.suggestion else ""
    return f"{file.path}:{finding.line}: {label}: {finding.message}{suggestion}"


def finding_annotation(file: CheckedFile, finding: Finding) -> str:
    """The same for GitHub, which shows it at that line of the file."""
    suggestion = f"; {finding.suggestion}" if finding.suggestion else ""
    title = f"lska-surgeon check: {finding.rule}"
    return annotation(
        finding.severity, f"{finding.message}{suggestion}", file=str(file.path), line=finding.line, title=title
    )


def summary(checked: Sequence[CheckedFile], passed_over: int = 0) -> str:
    """All files in one line, and the files whose sources there was nothing to compare with.

    Args:
        checked: the files.
        passed_over: how many others are no model YAMLs.
    """
    errors, warnings = (sum(one.count(severity) for one in checked) for severity in (ERROR, WARNING))
    parts = [_number(errors, "error")] if errors else []
    parts += [_number(warnings, "warning")] if warnings else []
    alone = [one.path.name for one in checked if one.stock is None]
    note = f" (like no stock model, so compared with none: {', '.join(alone)})" if alone else ""
    others = f"; {_number(passed_over, 'other')} no model YAML" if passed_over else ""
    return f"{_number(len(checked), 'file')}: {', '.join(parts) or 'no mistakes found'}{others}{note}"


def proposal(file: CheckedFile) -> str:
    """The patch that corrects what can be corrected, byte for byte; empty when there is nothing."""
    return patch(file.document.text, corrected_text(file.document, file.findings), str(file.path))


def findings_json(checked: Sequence[CheckedFile], unread: Mapping[str, str], *, strict: bool, fix: bool) -> str:
    """Everything for a machine; with `fix`, each file's diff too.

    Args:
        checked: the files that could be read.
        unread: those that could not -> why.
        strict: whether a warning is a failure.
        fix: whether to add the diffs.
    """
    files = []
    for one in checked:
        content = {
            "file": str(one.path),
            "stock": one.stock,
            "errors": one.count(ERROR),
            "warnings": one.count(WARNING),
            "findings": [asdict(finding) for finding in one.findings],
        }
        files.append({**content, "diff": _shown(one)} if fix else content)
    failed = bool(unread) or any(one.failed(strict) for one in checked)
    problems = [{"file": name, "problem": problem} for name, problem in unread.items()]
    report = {"schema": SCHEMA, "ok": not failed, "files": files, "unread": problems}
    return json.dumps(report, indent=2, ensure_ascii=False)


def _shown(file: CheckedFile) -> str:
    """The same to be read: one kind of line ending, and no bytes that are no text."""
    after = corrected_text(file.document, file.findings)
    return unified_diff(file.document.text, after, str(file.path), str(file.path))


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
