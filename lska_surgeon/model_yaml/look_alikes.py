"""Characters that look like those of YAML and are none: no-break spaces, full-width commas; it reads no YAML."""

from __future__ import annotations

import re

_NAMES = {
    "\u00a0": ("a no-break space", "a plain space"),
    "\u202f": ("a narrow no-break space", "a plain space"),
    "\u3000": ("a full-width space", "a plain space"),
    "\u200b": ("a zero-width space", "nothing"),
    "\uff0c": ("a full-width comma", "a plain ,"),
    "\u3001": ("an ideographic comma", "a plain ,"),
    "\uff1a": ("a full-width colon", "a plain :"),
    "\uff3b": ("a full-width bracket", "a plain ["),
    "\uff3d": ("a full-width bracket", "a plain ]"),
    "\u3010": ("a full-width bracket", "a plain ["),
    "\u3011": ("a full-width bracket", "a plain ]"),
    "\u2212": ("a minus sign that is no hyphen", "a plain -"),
    "\uff0d": ("a full-width minus", "a plain -"),
    "\u2013": ("a dash", "a plain -"),
    "\u2018": ("a curly quote", "a plain '"),
    "\u2019": ("a curly quote", "a plain '"),
    "\u201c": ("a curly quote", 'a plain "'),
    "\u201d": ("a curly quote", 'a plain "'),
}
_ANY = re.compile(f"[{''.join(_NAMES)}]")
#: Where any character may stand.
_FREE = re.compile(r"""'[^'\n]*'|"[^"\n]*"|#[^\n]*""")


def look_alike(text: str) -> str | None:
    """`has a full-width comma (U+FF0C): write a plain ,` of the first such character outside of quotes and comments."""
    found = _ANY.search(_FREE.sub("", text))
    if not found:
        return None
    name, plain = _NAMES[found.group()]
    return f"has {name} (U+{ord(found.group()):04X}): write {plain}"


def first_look_alike(text: str) -> tuple[int, str] | None:
    """The first line, from 1, that has such a character, and what `look_alike` says of it."""
    if not _ANY.search(text):
        return None
    found = ((number, look_alike(line)) for number, line in enumerate(text.splitlines(), start=1))
    return next(((number, problem) for number, problem in found if problem), None)
