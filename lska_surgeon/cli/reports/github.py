"""GitHub workflow commands, the lines that a job prints to mark a file; it only formats, and knows no command.

Source: GitHub's documentation, "Workflow commands for GitHub Actions", and the escaping of its own `@actions/core`.
"""

from __future__ import annotations

from ...wording import printable, printable_lines

LEVELS = ("error", "warning", "notice")


def annotation(
    level: str, message: str, *, file: str | None = None, line: int | None = None, title: str | None = None
) -> str:
    """One annotation, without a newline at the end: `::error file=a.yaml,line=3,title=tap::row 3 reads ...`.

    Args:
        level: one of `LEVELS`.
        message: what to say; it may have several lines.
        file: the path that it is about, from the root of the repository.
        line: the line in that file, from 1; GitHub ignores a line without a file.
        title: a short heading.
    """
    assert level in LEVELS, level
    given = (("file", file), ("line", line), ("title", title))
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in given if value is not None)
    return f"::{level}{' ' if properties else ''}{properties}::{_escaped(printable_lines(message))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(printable(text)).replace(":", "%3A").replace(",", "%2C")
