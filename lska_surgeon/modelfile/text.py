"""YAML as text: bytes, lines, nodes with places, values as PyYAML reads them.

Ultralytics loads its YAMLs with PyYAML. ruamel.yaml follows YAML 1.2 (`no` is a string) or all of 1.1 (the scale key
`n` becomes False); PyYAML does neither. It reads here what is not written as model YAMLs usually are.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..errors import DocumentError, EncodingError, EndlessError
from ..files import open_to_read
from ..wording import clean, printable

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
    import difflib  # here, for who only reads a file needs none of it

    old, new = (re.findall(r"[^\n]*\n|[^\n]+\Z", text) for text in (before, after))
    found = difflib.unified_diff(old, new, f"a/{printable(name)}", f"b/{printable(name)}")
    whole = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)
    return "".join(whole).removesuffix("\n")


def unified_diff(before: str, after: str, old_name: str, new_name: str) -> str:
    """A unified diff of two texts for people: one newline style, and all but tabs to be seen."""
    import difflib

    old, new = (text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in (before, after))
    lines = (old.splitlines(), new.splitlines())
    names = (f"a/{printable(old_name)}", f"b/{printable(new_name)}")
    found = difflib.unified_diff(*lines, *names, lineterm="")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in found)


#: What PyYAML does not call printable. As a set of what it matches, for ruamel.yaml's, of what it does not match, takes
#: ten times as long to compile, in every process that reads one letter beyond ASCII.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


class Span(NamedTuple):
    """A half-open range of characters."""

    start: int
    end: int


class Node:
    """A piece of YAML.

    Attributes:
        value: the text, the items, or the pairs of key and item.
        start: where it begins; anchors and tags stand before.
        end: where its text ends; of a block collection, where its last item does.
        line: line number, from 1.
        column: column, from 0.
        style: the quote of a scalar, or "|" or ">"; "[" or "{" of a collection; None where there is no such mark.
    """

    __slots__ = ("column", "end", "line", "start", "style", "value")

    def __init__(self, value: Any, span: Span, line: int, column: int, style: str | None = None) -> None:
        self.value = value
        self.start, self.end = span
        self.line, self.column = line, column
        self.style = style


class ScalarNode(Node):
    """A word, a number or a text."""

    __slots__ = ()


class SequenceNode(Node):
    """A list."""

    __slots__ = ()


class MappingNode(Node):
    """A mapping."""

    __slots__ = ()


class UnreadableYaml(Exception):
    """Text that is no YAML.

    Attributes:
        line: line number, from 1; None where the reader names none.
    """

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


class EndlessYaml(UnreadableYaml):
    """Text whose aliases stand for more than anybody could read."""


_BOOLS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INT = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


def read_plain(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar."""
    if text in _NULLS:
        return None
    if text.lower() in _BOOLS and text in (text.lower(), text.capitalize(), text.upper()):
        return _BOOLS[text.lower()]
    if _INT.match(text):
        try:
            return _int(text.replace("_", ""))
        except ValueError:  # `0x_`, or more digits than Python converts: PyYAML refuses the whole file
            return text
    if _FLOAT.match(text):
        number = text.replace("_", "").lower()
        return float(number.replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _int(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if digits.startswith("0b"):
        return sign * int(digits[2:], 2)
    if digits.startswith("0x"):
        return sign * int(digits[2:], 16)
    if digits.startswith("0") and len(digits) > 1:
        return sign * int(digits, 8)
    return sign * int(digits)


#: No number of a model, a recipe or a training is as large as this; what is worked out of larger ones grows without
#: measure, and Python does not even write very large ones.
LARGEST = 10**18


class HugeNumber(DocumentError):
    """A whole number that is too large to mean anything.

    Attributes:
        line: line number, from 1.
        problem: what is wrong with it, without the place.
    """

    def __init__(self, text: str, line: int) -> None:
        self.line = line
        self.problem = f"has the number {clean(text, 24)}, and no number here has more than 18 digits"
        super().__init__(f"line {line} {self.problem}")


#: What is left to ruamel.yaml wherever it stands: tabs, what is not printable, and line ends beside LF and CR LF.
_UNUSUAL = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)")
_WORD = r"-?[A-Za-z0-9_.][A-Za-z0-9_.()=+/-]*"
_NOTHING = re.compile(r" *\r?(?:#|$)")
_OPENING = re.compile(r" *(?:(-) +|([A-Za-z0-9_]{1,64}):(?: +|(?=\r?$)))", re.MULTILINE)
_SCALAR = re.compile(_WORD)
_REST = re.compile(r" *\r?$| +#", re.MULTILINE)
_TOKEN = re.compile(rf""" *(?:([\[\],])|({_WORD})(?= *[,\]])|"([ !#-\[\]-~]*)"(?= *[,\]])|'([ -&(-~]*)'(?= *[,\]]))""")
_QUOTES = {2: None, 3: '"', 4: "'"}
_MOST_LEVELS = 20


class _Entry(NamedTuple):
    """A line with a dash or a key, and what stands behind it there."""

    start: int
    line: int
    column: int
    key: ScalarNode | None
    item: Node | None


def compose_usual(text: str) -> MappingNode | None:
    """The root node of a text in the usual form; None for all others.

    That form is: keys with a word or with a list in flow style on their line, or with lines of such below them, which
    begin with dashes or with keys of their own; and comments. ruamel.yaml, which reads all of YAML, takes ten times as
    long.
    """
    groups: list[tuple[_Entry, list[_Entry]]] = []
    for entry in [] if _UNUSUAL.search(text) else _entries(text):
        if entry.key is not None and not entry.column:
            groups.append((entry, []))
        elif groups and groups[-1][0].item is None:
            groups[-1][1].append(entry)
        else:
            return None
    return _mapping([entry._replace(item=entry.item or _block(below)) for entry, below in groups])


def _block(entries: Sequence[_Entry]) -> Node | None:
    """The collection that the lines below a key make."""
    if len({(entry.column, entry.key is None) for entry in entries}) != 1:
        return None
    first, items = entries[0], [entry.item for entry in entries if entry.item is not None]
    if first.key is not None:
        return _mapping(entries)
    if len(items) < len(entries):
        return None
    return SequenceNode(items, Span(first.start, items[-1].end), first.line, first.column)


def _mapping(entries: Sequence[_Entry]) -> MappingNode | None:
    """A block mapping; None where a key has no value, or stands there twice."""
    pairs = {entry.key.value: (entry.key, entry.item) for entry in entries if entry.key and entry.item}
    if not pairs or len(pairs) < len(entries):
        return None
    first, end = entries[0], max(item.end for _, item in pairs.values())
    return MappingNode(list(pairs.values()), Span(first.start, end), first.line, first.column)


def _entries(text: str) -> list[_Entry]:
    """The lines that say something; none where one of them is not in the usual form."""
    entries, start = [], 0
    for line, written in enumerate(text.split("\n"), start=1):
        if not _NOTHING.match(written):
            opening = _OPENING.match(text, start)
            if opening is None:
                return []
            at = opening.start(opening.lastindex or 0)
            key = ScalarNode(opening[2], Span(*opening.span(2)), line, at - start) if opening[2] else None
            item = _item(text, opening.end(), line, start)
            if not _REST.match(text, item.end if item else at + len(opening[2] or "-") + bool(key)):
                return []
            entries.append(_Entry(at, line, at - start, key, item))
        start += len(written) + 1
    return entries


def _item(text: str, at: int, line: int, line_start: int) -> Node | None:
    """The word, or the list in flow style, that begins there; None where neither does."""
    word = _SCALAR.match(text, at)
    if word:
        return ScalarNode(word[0], Span(*word.span()), line, at - line_start)
    opened: list[tuple[int, list[Node]]] = []
    between = False  # behind an item, where a comma or a bracket has to come
    while len(opened) < _MOST_LEVELS:
        token = _TOKEN.match(text, at)
        if token is None:
            return None
        at, kind = token.end(), token.lastindex or 0
        start, word_or_mark = token.start(kind), token[kind]
        if kind > 1 and opened and not between:
            span = Span(start, at) if kind == 2 else Span(start - 1, at)
            opened[-1][1].append(ScalarNode(word_or_mark, span, line, span.start - line_start, _QUOTES[kind]))
            between = True
        elif kind == 1 and word_or_mark == "[" and not between:
            opened.append((start, []))
        elif kind == 1 and word_or_mark == "]" and opened and (between or not opened[-1][1]):
            start, items = opened.pop()
            node = SequenceNode(items, Span(start, at), line, start - line_start, "[")
            if not opened:
                return node
            opened[-1][1].append(node)
            between = True
        elif kind == 1 and word_or_mark == "," and between:
            between = False
        else:
            return None
    return None


def plain_value(node: ScalarNode) -> Any:
    """A scalar's value: what is quoted is text.

    Raises:
        HugeNumber: it is a whole number that is too large.
    """
    if node.style is not None:
        return node.value
    value = read_plain(node.value)
    is_huge = abs(value) >= LARGEST if isinstance(value, int) else len(node.value) > 18 and _INT.match(node.value)
    if is_huge:
        raise HugeNumber(node.value, node.line)
    return value


def value_of(node: Node) -> Any:
    """A node's value, lists and mappings included.

    Raises:
        DocumentError: a key is no word.
        HugeNumber: a whole number is too large.
    """
    if isinstance(node, ScalarNode):
        return plain_value(node)
    if isinstance(node, SequenceNode):
        return [value_of(part) for part in node.value]
    if isinstance(node, MappingNode) and all(isinstance(key, ScalarNode) for key, _ in node.value):
        return {value_of(key): value_of(part) for key, part in node.value}
    raise DocumentError(f"line {node.line}: a key is a list or a mapping, and has to be a word")


def walk(node: Node) -> list[Node]:
    """A node and all items inside of its lists."""
    if isinstance(node, SequenceNode):
        return [node, *(inner for part in node.value for inner in walk(part))]
    return [node]


def span_of(node: Node) -> Span:
    """Where a node's text stands."""
    return Span(node.start, node.end)
