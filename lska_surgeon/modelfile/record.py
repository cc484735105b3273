"""What an edit leaves at the end of a file, so that it can be undone byte for byte: the lines that were there before.

    # lska-surgeon: C3k2 at neck, from yolov8s.yaml (23 rows); lska-surgeon remove gives back:
    # @ 27
    # -  - [-1, 3, C3k2, [512, False]] # 12
    # +  - [-1, 3, C2f, [512]] # 12

Each `@` names a line of the file as it was written, `-` the lines that stand there, `+` those that stood there. A line
that has changed its place since is found by what it says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import DocumentError
from ..wording import clean, printable
from .text import BREAKS, newline_at

_HEAD = re.compile(
    r"# lska-surgeon: (?P<done>.+), from (?P<base>.+) \((?P<rows>\d{1,9}) rows\); "
    r"lska-surgeon remove gives back(?P<bare> the last line's end)?:"
)
_OPEN = "\\"  # behind a line that ended the file without a line ending


class Hunk(NamedTuple):
    """Lines of a file, with their endings, and those that stood there before.

    Attributes:
        at: the first of them, counted from 0.
        now: the lines.
        before: the others.
    """

    at: int
    now: tuple[str, ...]
    before: tuple[str, ...]


class EditRecord(NamedTuple):
    """What an edit left.

    Attributes:
        base: the name of the file before it.
        done: the edit, in words.
        rows: how many rows the network has after it.
        hunks: what it changed.
        body: the text without the record.
    """

    base: str
    done: str
    rows: int
    hunks: tuple[Hunk, ...]
    body: str


def with_record(text: str, before: str, base: str, done: str, rows: int) -> str:
    """A text with the record of an edit at its end.

    Args:
        text: the text after the edit.
        before: the text before it.
        base: the file before it.
        done: the edit, in words; one line.
        rows: how many rows the network has now.
    """
    import difflib  # here, for who only reads a file needs none of it

    now, was = _lines(text), _lines(before)
    newline = newline_at(text, len(text))
    bare = "" if not text or text[-1] in BREAKS else " the last line's end"
    lines = [f"# lska-surgeon: {done}, from {base} ({rows} rows); lska-surgeon remove gives back{bare}:{newline}"]
    for tag, start, end, old_start, old_end in difflib.SequenceMatcher(None, now, was, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        lines.append(f"# @ {start + 1}{newline}")
        for sign, part in (("-", now[start:end]), ("+", was[old_start:old_end])):
            for line in part:
                closed = line[-1] in BREAKS
                lines.append(f"# {sign}{line}" if closed else f"# {sign}{line}{newline}# {_OPEN}{newline}")
    return f"{text}{newline if bare else ''}{''.join(lines)}"


def read_record(text: str) -> EditRecord | None:
    """The record of the last edit; None where the file does not end with one."""
    lines = _lines(text)
    at = len(lines)
    while at and re.match(r"# [@+\-\\]", lines[at - 1]):
        at -= 1
    head = _HEAD.match(lines[at - 1]) if 0 < at < len(lines) else None
    if head is None:
        return None
    body = "".join(lines[: at - 1])
    if head["bare"]:
        body = body[: -len(_ending(body))]
    return EditRecord(head["base"], head["done"], int(head["rows"]), tuple(_hunks(lines[at:])), body)


def edits_in(text: str) -> list[str]:
    """What the records of a text say was done, in that order: `C3k2 at neck, from yolov8s.yaml`."""
    found: list[str] = []
    record = read_record(text)
    while record is not None:
        found.insert(0, printable(f"{record.done}, from {record.base}"))
        record = read_record(record.body)
    return found


def undone(record: EditRecord, body: str, name: str) -> str:
    """A text with an edit undone.

    Args:
        record: the edit.
        body: the text, without the record.
        name: what messages call the file.

    Raises:
        DocumentError: lines that it wrote are not there any more.
    """
    lines = _lines(body)
    shift = 0
    for hunk in record.hunks:
        at = _place(lines, hunk, hunk.at + shift)
        if at is None:
            missing = clean("".join((*hunk.now, *hunk.before)[:1]).strip(), 60)
            raise DocumentError(
                f"{name}: line {hunk.at + 1}, {missing!r}, was changed since {record.done}, so {record.base} can't be "
                "given back; the lines that it had stand at the end of the file, behind # +"
            )
        lines[at : at + len(hunk.now)] = hunk.before
        shift = at - hunk.at + len(hunk.before) - len(hunk.now)
    return "".join(lines)


def _place(lines: Sequence[str], hunk: Hunk, near: int) -> int | None:
    """Where the lines of a hunk stand."""
    size = len(hunk.now)
    if not size:
        return near if 0 <= near <= len(lines) else None
    places = [at for at in range(len(lines) - size + 1) if tuple(lines[at : at + size]) == hunk.now]
    return min(places, key=lambda at: abs(at - near)) if places else None


def _hunks(lines: Sequence[str]) -> list[Hunk]:
    found: list[Hunk] = []
    for line in lines:
        sign, rest = line[2], line[3:]
        if sign == "@":
            number = re.match(r" (\d{1,9})", rest)
            found.append(Hunk(int(number[1]) - 1 if number else 0, (), ()))
        elif found and sign == _OPEN:
            last = found[-1]
            found[-1] = (
                last._replace(before=_opened(last.before)) if last.before else last._replace(now=_opened(last.now))
            )
        elif found and sign == "-":
            found[-1] = found[-1]._replace(now=(*found[-1].now, rest))
        elif found:
            found[-1] = found[-1]._replace(before=(*found[-1].before, rest))
    return found


def _opened(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines, the last without its ending."""
    return (*lines[:-1], *(line[: -len(_ending(line))] for line in lines[-1:]))


def _lines(text: str) -> list[str]:
    """The lines with their endings."""
    return re.findall(rf"[^{BREAKS}]*(?:\r\n|[{BREAKS}])|[^{BREAKS}]+\Z", text)


def _ending(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else line[-1:]
