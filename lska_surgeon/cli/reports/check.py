"""What checks found, as lines and as JSON; it finds nothing and prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...checks.check import CheckedFile
from ...checks.findings import ERROR, WARNING, Finding
from ...wording import counted, message, printable
from .github import annotation
from .json import dump


def finding_line(file: CheckedFile, finding: Finding, mark: Callable[[str, str], str]) -> str:
    """`path:line: error[rule]: message; what to write instead`.

    Args:
        file: the file.
        finding: one of its findings.
        mark: makes the third part stand out, from severity and text.
    """
    label = mark(finding.severity, f"{finding.severity}[{finding.rule}]")
    return f"{printable(str(file.path))}:{finding.line}: {label}: {message(finding.text)}"


def finding_annotation(file: CheckedFile, finding: Finding) -> str:
    """The same for GitHub, which shows it at that line of the file."""
    title = f"lska-surgeon check: {finding.rule}"
    return annotation(finding.severity, message(finding.text), file=str(file.path), line=finding.line, title=title)


def summary(checked: Sequence[CheckedFile], passed_over: int = 0) -> str:
    """All files in one line, and the files whose sources there was nothing to compare with.

    Args:
        checked: the files.
        passed_over: how many others are no model YAMLs.
    """
    errors, warnings = (sum(one.count(severity) for one in checked) for severity in (ERROR, WARNING))
    parts = [counted(errors, "error")] if errors else []
    parts += [counted(warnings, "warning")] if warnings else []
    alone = [one.path.name for one in checked if one.stock is None]
    note = f" (like no stock model, so compared with none: {', '.join(alone)})" if alone else ""
    others = f"; {counted(passed_over, 'other')} no model YAML" if passed_over else ""
    return f"{counted(len(checked), 'file')}: {', '.join(parts) or 'no mistakes found'}{others}{note}"


def findings_json(checked: Sequence[CheckedFile], unread: Mapping[str, str], *, strict: bool, fix: bool) -> str:
    """Everything for a machine; with `fix`, each file's diff too.

    Args:
        checked: the files that could be read.
        unread: those that could not -> why.
        strict: whether a warning is a failure.
        fix: whether to add the diffs.
    """
    files = [{**one.entry(), "diff": one.diff} if fix else one.entry() for one in checked]
    failed = bool(unread) or any(one.failed(strict) for one in checked)
    problems = [{"file": name, "problem": problem} for name, problem in unread.items()]
    report = {"schema": CheckedFile.schema, "ok": not failed, "files": files, "unread": problems}
    return dump(report)
