"""Where lines of a text begin and end, whichever of the three line endings is in use; it knows nothing about YAML."""

from __future__ import annotations

import difflib
import re

_BREAK = re.compile(r"\r\n|\r|\n")


def line_start(text: str, at: int) -> int:
    """Where the line around `at` begins."""
    window = 256  # looked at first, so that a text without one of the two is not searched to its start
    while True:
        low = max(at - window, 0)
        found = max(text.rfind("\n", low, at), text.rfind("\r", low, at))
        if found >= 0 or not low:
            return found + 1
        window *= 2


def line_end(text: str, at: int) -> int:
    """Where the line around `at` ends, its line ending not counted."""
    found = _BREAK.search(text, at)
    return found.start() if found else len(text)


def newline_at(text: str, at: int) -> str:
    """The line ending in use around `at`: the line's own, or that of the line before; "\\n" when there is none."""
    found = _BREAK.search(text, at)
    if found:
        return found.group()
    start = line_start(text, at)
    return "\r\n" if text[:start].endswith("\r\n") else text[start - 1 : start] or "\n"


def line_starts(text: str) -> list[int]:
    """Where each line begins."""
    return [0, *(found.end() for found in _BREAK.finditer(text))]


def unified_diff(before: str, after: str, old_name: str, new_name: str) -> str:
    """A unified diff of two texts, one newline style and no undecodable bytes, so that it prints well."""
    old, new = (text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in (before, after))
    lines = (old.splitlines(), new.splitlines())
    return "\n".join(difflib.unified_diff(*lines, f"a/{old_name}", f"b/{new_name}", lineterm=""))
