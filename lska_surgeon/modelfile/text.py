"""YAML as text: bytes, lines, nodes with places, values as PyYAML reads them; the one importer of ruamel.yaml.

Ultralytics loads its YAMLs with PyYAML. ruamel.yaml follows YAML 1.2 (`no` is a string) or all of 1.1 (the scale key
`n` becomes False); PyYAML does neither.
"""

from __future__ import annotations

import codecs
import re
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import Reader
from ruamel.yaml.scanner import Scanner

from ..errors import DocumentError, EncodingError, EndlessError
from ..files import open_to_read
from ..wording import clean, one_line, printable

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


__all__ = [
    "LARGEST",
    "UNPRINTABLE",
    "EndlessYaml",
    "HugeNumber",
    "MappingNode",
    "Node",
    "ScalarNode",
    "SequenceNode",
    "Span",
    "UnreadableYaml",
    "compose",
    "plain_value",
    "read_plain",
    "span_of",
    "value_of",
    "walk",
]

#: What PyYAML does not call printable. As a set of what it matches, for ruamel.yaml's, of what it does not match, takes
#: ten times as long to compile, in every process that reads one letter beyond ASCII.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
#: Line ends for PyYAML, which ruamel.yaml takes for blanks or letters; one character each, so that places stay.
#: A CR before one of them is a line end of its own, and must not become half of a CR LF.
_PYYAML_LINE_END = re.compile("[\x85\u2028\u2029]|\r(?=[\x85\u2028\u2029])")
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


#: The largest stock model is a thousand nodes; a few aliases of aliases stand for billions.
_MOST_NODES = 1_000_000
#: Five levels are usual.
_MOST_DEPTH = 100


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


class Span(NamedTuple):
    """A half-open range of characters."""

    start: int
    end: int


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


class _QuickReader(Reader):
    """ruamel.yaml's own, with a set that is compiled sooner."""

    NON_PRINTABLE: Any = UNPRINTABLE


class _BoundedScanner(Scanner):
    """ruamel.yaml's own, which takes time by the square of the depth, and stops where nobody nests as deep."""

    def fetch_more_tokens(self) -> Any:
        if self.flow_level + len(self.indents) > _MOST_DEPTH:
            raise RecursionError
        return super().fetch_more_tokens()

    def need_more_tokens(self) -> bool:
        """At once where no key is open, as in most of a row."""
        return not (self.tokens and not self.possible_simple_keys) and bool(super().need_more_tokens())


class _QuickComposer(Composer):
    """ruamel.yaml's own, which looks up its parser and its resolver thousands of times."""

    parser = cached_property(lambda self: self.loader.parser)
    resolver = cached_property(lambda self: self.loader.resolver)


def compose(text: str) -> Node | None:
    """The root node of a text; None for an empty one.

    Raises:
        UnreadableYaml: it is not YAML.
        EndlessYaml: its aliases stand for too much.
        RecursionError: it is nested too deep, or contains itself.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Reader, yaml.Scanner, yaml.Composer = _QuickReader, _BoundedScanner, _QuickComposer
    try:
        root: Node | None = yaml.compose(_PYYAML_LINE_END.sub("\n", text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = one_line(error.problem or error.context or "unreadable")
        raise UnreadableYaml(problem, mark.line + 1 if mark else None) from error
    except YAMLError as error:
        raise UnreadableYaml(one_line(error) or "unreadable", None) from error
    if root is not None and "*" in text and _written_out(root, {}) > _MOST_NODES:
        raise EndlessYaml("it has aliases that stand for too much: write it out plainly", None)
    return root


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
        raise HugeNumber(node.value, node.start_mark.line + 1)
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
    raise DocumentError(f"line {node.start_mark.line + 1}: a key is a list or a mapping, and has to be a word")


def _written_out(node: Node, known: dict[int, int]) -> int:
    """How many nodes a node is with every alias written out; RecursionError when it contains itself."""
    if isinstance(node, ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = -1
        inside = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
        known[id(node)] = 1 + sum([_written_out(part, known) for part in inside])
    elif known[id(node)] < 0:
        raise RecursionError
    return known[id(node)]


def walk(node: Node) -> list[Node]:
    """A node and all items inside of its lists."""
    if isinstance(node, SequenceNode):
        return [node, *(inner for part in node.value for inner in walk(part))]
    return [node]


def span_of(node: Node) -> Span:
    """Where a node's text stands."""
    # A block collection's own end mark stands at the next token, so the last leaf tells where its text ends.
    last = node
    while isinstance(last, (SequenceNode, MappingNode)) and not last.flow_style and last.value:
        last = last.value[-1] if isinstance(last, SequenceNode) else last.value[-1][1]
    return Span(node.start_mark.index, last.end_mark.index)
