"""A YAML file's bytes as text, or what is wrong with their encoding; it knows nothing of what the text says."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import IO

from ..errors import EncodingError, EndlessError
from ..files import open_to_read

#: How a file begins -> its encoding. The mark of UTF-32 begins with that of UTF-16, so it comes first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_HEAD = 4096
#: Stock models have a few thousand bytes; a million would take a minute to read.
MOST_BYTES = 2**17


def content_of(file: Path | IO[bytes]) -> bytes:
    """A file's bytes, at most one more than `MOST_BYTES` of them: `decoded` tells of those that have more.

    Raises:
        OSError: it can't be read.
    """
    if not isinstance(file, Path):
        return file.read(MOST_BYTES + 1)
    with open_to_read(file) as opened:
        return opened.read(MOST_BYTES + 1)


def decoded(content: bytes, name: str) -> str:
    """The text; bytes that are not UTF-8 (a comment in GBK, say) survive the round trip as lone surrogates.

    Raises:
        EncodingError: it is UTF-16 or UTF-32, with a mark or without.
        EndlessError: it is far too long.
    """
    if len(content) > MOST_BYTES:
        raise EndlessError(f"{name} has more than {MOST_BYTES:,} bytes, and no network or recipe is as long as that")
    found = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    head = content[:_HEAD]
    if found is None and head and head.count(0) >= len(head) / 4:  # a stray one is dropped, as Ultralytics does
        found = "UTF-16 or UTF-32 without a mark (it is full of zero bytes)"
    if found:
        raise EncodingError(f"{name} is {found}, and has to be UTF-8: save it as UTF-8")
    return content.decode("utf-8", errors="surrogateescape")
