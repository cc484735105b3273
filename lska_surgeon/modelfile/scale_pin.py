"""Making a file build the scale that was asked for, whatever its name says; text in, text out.

Ultralytics takes the scale from the file NAME: `yolov8s-x.yaml` builds scale s, `x.yaml` builds the first entry of
`scales`. So a variant under a name that does not say its scale needs `scales` changed: the entry is moved to the
front, or, where the name says another letter, that letter gets its values. A comment line above `scales` records
the change, so that `unpin_scale` undoes it to the byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import TargetError
from ..yaml_nodes import Span
from .document import Document
from .lines import BREAKS, line_end, line_start, newline_at
from .rewriting import splice
from .sources import scale_in_name

_MARK = "# lska-surgeon:"
_EOL = rf"(?:\r\n|[{BREAKS}])\Z"
_FRONT = re.compile(rf"{_MARK} (\S+) stands first, so that a name without a scale builds it \(was ([^\r\n]+)\){_EOL}")
_ALIAS = re.compile(
    rf"{_MARK} (\S+) holds the values of (\S+), the scale of this file; its name says \1 \(was ([^\r\n]+)\){_EOL}"
)


@dataclass(frozen=True)
class Pinned:
    """A text and what was done to it: None when nothing had to be."""

    text: str
    note: str | None


def pin_scale(document: Document, scale: str | None, name: str | None) -> Pinned:
    """The document's text, changed where that is needed so that it builds `scale` under the file name `name`.

    Args:
        document: a model YAML.
        scale: the scale; None when the model has no scales.
        name: the file's name to be; None when it is not known (standard output).

    Raises:
        TargetError: the name says another letter, and no text could make that build `scale`.
    """
    if names_scale(document, scale, name):
        return Pinned(document.text, None)
    assert scale is not None
    scales = list(document.scales)
    said = scale_in_name(name) if name else None
    if said is not None:
        return _alias(document, said, scale, name or "")
    if scales[0] == scale:
        return Pinned(document.text, None)
    order = [scale, *(letter for letter in scales if letter != scale)]
    mark = f"{_MARK} {scale} stands first, so that a name without a scale builds it (was {', '.join(scales)})"
    text = _reorder(document, order, _mark_line(document, mark))
    return Pinned(text, f"scale {scale} was moved to the front of scales, for the file's name has no scale")


def names_scale(document: Document, scale: str | None, name: str | None) -> bool:
    """True when the file name says all about the scale that has to be said."""
    return scale is None or not document.scales or (name is not None and scale_in_name(name) == scale)


def pinned_scale(document: Document) -> str | None:
    """The scale that `pin_scale` put first, for the file's name says none; None where it did not."""
    if not document.scales:
        return None
    front = _FRONT.search(document.text[: _mark_place(document).start])
    return front.group(1) if front and front.group(1) == next(iter(document.scales)) else None


def unpin_scale(document: Document) -> str:
    """The document's text with what `pin_scale` did undone; the same text when it did nothing."""
    if not document.scales:
        return document.text
    above = document.text[: _mark_place(document).start]
    front, alias = _FRONT.search(above), _ALIAS.search(above)
    if front:
        order = front.group(2).split(", ")
        if sorted(order) != sorted(document.scales):
            return document.text
        return _reorder(document, order, (Span(*front.span()), ""))
    if alias and alias.group(1) in document.scales:
        value = document.scales[alias.group(1)].value
        return splice(document.text, [(Span(*alias.span()), ""), (value, alias.group(3))])
    return document.text


def without_scaling(document: Document, letter: str | None) -> str:
    """The document's text with nothing left to scale: for rows that hold real widths and repeats.

    Args:
        document: such rows, under the scales of their base.
        letter: the one scale to keep, with neutral values, for blocks that Ultralytics builds by letter; None for none.
    """
    changes: list[tuple[Span, str]] = []
    text = document.text
    if document.scales:
        span = document.setting_span("scales")
        start, end = _mark_place(document).start, line_end(text, span.end)
        kept = f"scales: {{{letter}: [1.0, 1.0, 65536]}}" if letter else ""
        if text[start : span.start].strip() or text[span.end : end].lstrip()[:1] not in ("", "#"):
            changes.append((span, kept or "scales: null"))  # beside other keys, as in a JSON file
        elif letter:
            note = "# the rows hold real widths and repeats; the letter is for the blocks that Ultralytics builds by it"
            changes.append((Span(span.start, end), f"{kept} {note}"))
        else:
            changes.append((Span(start, document.whole_lines(span).end), ""))
    for key in ("depth_multiple", "width_multiple"):
        if document.settings.get(key, 1.0) != 1.0:
            changes.append((document.setting_span(key), f"{key}: 1.0"))
    return splice(text, changes)


def _alias(document: Document, said: str, scale: str, name: str) -> Pinned:
    if said not in document.scales:
        letters = ", ".join(document.scales)
        raise TargetError(
            f"the name {name} says scale {said}, and {document.name} has {letters}: "
            f"choose a name with {scale} in that place"
        )
    by_letter = {layer.kind.plain: layer.kind.letters for layer in document.layers if layer.kind.letters}
    for block, groups in sorted(by_letter.items()):
        if not any(said in group and scale in group for group in groups):
            raise TargetError(
                f"the name {name} says scale {said}, and Ultralytics builds {block} by that letter, so the file can't "
                f"be {scale}: choose a name with {scale} in that place, or with no scale"
            )
    value = document.scales[said].value
    old = document.text[value.start : value.end]
    new = document.text[document.scales[scale].value.start : document.scales[scale].value.end]
    if old == new:
        return Pinned(document.text, None)
    if len(old.splitlines()) > 1 or len(new.splitlines()) > 1:
        raise TargetError(f"the name {name} says scale {said}, not {scale}: choose a name with {scale} in that place")
    mark = f"{_MARK} {said} holds the values of {scale}, the scale of this file; its name says {said} (was {old})"
    text = splice(document.text, [_mark_line(document, mark), (value, new)])
    return Pinned(text, f"the name says scale {said}: in this file {said} holds the values of {scale}")


def _reorder(document: Document, order: list[str], mark: tuple[Span, str]) -> str:
    """Put the entries of `scales` in another order; what stands between them (newlines, commas) keeps its place."""
    slots = [_entry(document, letter) for letter in document.scales]
    texts = {letter: document.text[slot.start : slot.end] for letter, slot in zip(document.scales, slots)}
    return splice(document.text, [mark, *((slot, texts[letter]) for slot, letter in zip(slots, order))])


def _entry(document: Document, letter: str) -> Span:
    """The entry's key and value; with the comment behind it when it has the line to itself."""
    entry, text = document.scales[letter], document.text
    eol = line_end(text, entry.value.end)
    comment = text[entry.value.end : eol].lstrip().startswith("#")
    return Span(entry.key.start, eol if comment and entry.on_lines else entry.value.end)


def _mark_line(document: Document, mark: str) -> tuple[Span, str]:
    place = _mark_place(document)
    return place, mark + newline_at(document.text, document.scales_at)


def _mark_place(document: Document) -> Span:
    """The start of the line with the key `scales`; a byte order mark stays first in the file."""
    start = line_start(document.text, document.scales_at)
    start += document.text.startswith("\ufeff", start)
    return Span(start, start)
