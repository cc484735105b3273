"""Where lines of a text begin and end, by every ending that YAML 1.1 knows; it knows nothing else about YAML."""

from __future__ import annotations

import difflib
import re

from ..wording import printable

#: Each single character that ends a line for PyYAML: beside the usual ones, NEL, LS and PS.
BREAKS = "\n\r\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{BREAKS}]")


def line_start(text: str, at: int) -> int:
    """Where the line around `at` begins."""
    window = 256  # looked at first, so that a text without one of them is not searched to its start
    while True:
        low = max(at - window, 0)
        found = max(text.rfind(one, low, at) for one in BREAKS)
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


def line_number(text: str, at: int) -> int:
    """The number, from 1, of the line around `at`; who asks often takes `line_starts`."""
    return sum(1 for _ in _BREAK.finditer(text, 0, at)) + 1


def line_starts(text: str) -> list[int]:
    """Where each line begins."""
    return [0, *(found.end() for found in _BREAK.finditer(text))]


def patch(before: str, after: str, name: str) -> str:
    """A unified diff that `patch -p1` and `git apply` take, which know lines by LF alone, without its last newline.

    All bytes are there, a CR before an LF and what is not UTF-8 included; a text without any LF is one line.
    """
    old, new = (re.findall(r"[^\n]*\n|[^\n]+\Z", text) for text in (before, after))
    found = difflib.unified_diff(old, new, f"a/{printable(name)}", f"b/{printable(name)}")
    whole = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)
    return "".join(whole).removesuffix("\n")


def unified_diff(before: str, after: str, old_name: str, new_name: str) -> str:
    """A unified diff of two texts for people: one newline style, and all but tabs to be seen."""
    old, new = (text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in (before, after))
    lines = (old.splitlines(), new.splitlines())
    names = (f"a/{printable(old_name)}", f"b/{printable(new_name)}")
    found = difflib.unified_diff(*lines, *names, lineterm="")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in found)
