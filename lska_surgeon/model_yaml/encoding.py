"""A YAML file's bytes as text, or what is wrong with their encoding; it knows nothing of what the text says."""

from __future__ import annotations

import codecs

from ..errors import EncodingError

#: How a file begins -> its encoding. The mark of UTF-32 begins with that of UTF-16, so it comes first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_HEAD = 4096


def decoded(content: bytes, name: str) -> str:
    """The text; bytes that are not UTF-8 (a comment in GBK, say) survive the round trip as lone surrogates.

    Raises:
        EncodingError: it is UTF-16 or UTF-32, with a mark or without.
    """
    found = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    head = content[:_HEAD]
    if found is None and head and head.count(0) >= len(head) / 4:  # a stray one is dropped, as Ultralytics does
        found = "UTF-16 or UTF-32 without a mark (it is full of zero bytes)"
    if found:
        raise EncodingError(f"{name} is {found}, and has to be UTF-8: save it as UTF-8")
    return content.decode("utf-8", errors="surrogateescape")
