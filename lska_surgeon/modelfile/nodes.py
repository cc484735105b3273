"""YAML as nodes with places, whichever reader made them, and what no reader takes."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

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
