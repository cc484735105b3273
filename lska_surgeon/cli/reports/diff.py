"""A difference as text, Markdown, JSON or GitHub annotations; it compares nothing and counts nothing."""

from __future__ import annotations

from ...costs.difference import Difference
from ...tables import drawn, dump, markdown, markdown_line, markdown_text
from .github import annotation


def difference_markdown(difference: Difference) -> str:
    """For a comment on a pull request."""
    if not difference:
        return markdown_line(difference.line)
    parts = [f"**{markdown_text(difference.line)}**", *map(markdown, (difference.table(), *difference.totals()))]
    return "\n\n".join([*parts, *map(markdown_line, (difference.costs.line, *difference.footnotes()))])


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
