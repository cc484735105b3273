"""A difference as text, Markdown, JSON or GitHub annotations; it compares nothing and counts nothing."""

from __future__ import annotations

from ...costs.difference import Difference
from ...tables import drawn, pipes
from .github import annotation
from .json import dump


def difference_markdown(difference: Difference) -> str:
    """For a comment on a pull request."""
    if not difference:
        return difference.line
    header, rows, _ = difference.table()
    parts = [f"**{difference.line}**", pipes(header, rows, left=len(header))]
    parts += [pipes(total.header, total.rows) for total in difference.totals()]
    return "\n\n".join([*parts, difference.costs.line, *difference.footnotes()])


def difference_github(difference: Difference) -> str:
    """One notice at the second file."""
    rows = [
        " ".join(filter(None, [change, _place(old, new), block])) + f": {what}"
        for change, old, new, block, what in difference.table().rows
    ]
    text = "\n".join([*rows, difference.costs.line]) if difference else "one architecture"
    return annotation("notice", text, file=str(difference.after.found.path), title=difference.line)


#: What `--format` takes -> the report.
REPORTS = {
    "text": lambda difference: drawn(difference.parts()),
    "md": difference_markdown,
    "json": lambda difference: dump(difference.to_dict()),
    "github": difference_github,
}


def _place(old: str, new: str) -> str:
    return f"{old} -> {new}" if old and new and old != new else new or old
