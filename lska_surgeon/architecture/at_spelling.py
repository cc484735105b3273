"""What was surely meant by an `--at` value that breaks the grammar; it knows no position and no graph."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

#: What an input method types for a sign of the grammar, beside the full-width forms that Unicode itself can undo.
_SIGNS = {"、": ",", "→": "->", "–": "-", "—": "-", "−": "-"}  # noqa: RUF001
_BETWEEN = re.compile(r"[\s,;]+")
_AROUND_A_SIGN = re.compile(r"\s*(->|[:@])\s*")


def respelt(text: str) -> str:
    """The text with full-width letters, digits and signs as the plain ones: `neck：p3` -> `neck:p3`."""  # noqa: RUF002
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    return unicodedata.normalize("NFKC", text)


def wrong_signs(text: str) -> str:
    """Those signs of a text that `respelt` replaces, each once."""
    return " ".join(dict.fromkeys(sign for sign in text if not sign.isspace() and respelt(sign) != sign))


def meant(text: str, names: Collection[str], selecting: Collection[str]) -> list[str]:
    """The positions that a text names, each as its own `--at` value; empty where it begins with no position.

    What stands behind a position and is none itself narrows it, or is another layer of `after`, `before` or `edge`.

    Args:
        text: `sppf,neck`, `neck:p3@11 neck:p4`, `after:9,12`.
        names: positions that may be narrowed.
        selecting: positions that name one layer.
    """
    found: list[str] = []
    for part in filter(None, _BETWEEN.split(_AROUND_A_SIGN.sub(r"\1", respelt(text)))):
        name = re.split("[:@]", part)[0].lower()
        if name in names or name in selecting:
            found.append(name + part[len(name) :])
        elif not found:
            return []
        else:
            before = re.split("[:@]", found[-1])[0]
            if before in selecting or "@" in found[-1]:
                found.append(f"{before}:{part}")
            else:
                name, _, picks = found[-1].partition(":")
                found[-1] = f"{name}:{picks},{part}" if picks else f"{name}:{part}"
    return found
