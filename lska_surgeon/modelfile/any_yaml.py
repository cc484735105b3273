"""All of YAML as nodes, by ruamel.yaml, of which this is the one importer; for what is not in the usual form."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import Reader
from ruamel.yaml.scanner import Scanner

from ..wording import one_line
from .text import UNPRINTABLE, EndlessYaml, MappingNode, Node, ScalarNode, SequenceNode, Span, UnreadableYaml

#: Line ends for PyYAML, which ruamel.yaml takes for blanks or letters; one character each, so that places stay.
#: A CR before one of them is a line end of its own, and must not become half of a CR LF.
_PYYAML_LINE_END = re.compile("[\x85\u2028\u2029]|\r(?=[\x85\u2028\u2029])")
#: The largest stock model is a thousand nodes; a few aliases of aliases stand for billions.
_MOST_NODES = 1_000_000
#: Five levels are usual.
_MOST_DEPTH = 100


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


def compose_any(text: str) -> Node | None:
    """The root node of a text; the errors are those of `document.compose`."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Reader, yaml.Scanner, yaml.Composer = _QuickReader, _BoundedScanner, _QuickComposer
    try:
        root = yaml.compose(_PYYAML_LINE_END.sub("\n", text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = one_line(error.problem or error.context or "unreadable")
        raise UnreadableYaml(problem, mark.line + 1 if mark else None) from error
    except YAMLError as error:
        raise UnreadableYaml(one_line(error) or "unreadable", None) from error
    if root is not None and "*" in text and _written_out(root, {}) > _MOST_NODES:
        raise EndlessYaml("it has aliases that stand for too much: write it out plainly", None)
    return None if root is None else _converted(root, {})


def _parts(node: Any) -> list[Any]:
    """The nodes right below one of ruamel.yaml's."""
    if node.id == "mapping":
        return [part for pair in node.value for part in pair]
    return list(node.value) if node.id == "sequence" else []


def _written_out(node: Any, known: dict[int, int]) -> int:
    """How many nodes a node is with every alias written out; RecursionError when it contains itself."""
    if node.id == "scalar":
        return 1
    if id(node) not in known:
        known[id(node)] = -1
        known[id(node)] = 1 + sum([_written_out(part, known) for part in _parts(node)])
    elif known[id(node)] < 0:
        raise RecursionError
    return known[id(node)]


def _converted(node: Any, known: dict[int, Node]) -> Node:
    """One of ruamel.yaml's nodes as ours; an alias stays the node that it stands for."""
    if id(node) not in known:
        mark, parts = node.start_mark, [_converted(part, known) for part in _parts(node)]
        # A block collection's own end mark stands at the next token, so its last leaf tells where its text ends.
        end = parts[-1].end if parts and not node.flow_style else node.end_mark.index
        span = Span(mark.index, end)
        if node.id == "scalar":
            known[id(node)] = ScalarNode(node.value, span, mark.line + 1, mark.column, node.style)
        elif node.id == "sequence":
            known[id(node)] = SequenceNode(parts, span, mark.line + 1, mark.column, "[" if node.flow_style else None)
        else:
            pairs = list(zip(parts[::2], parts[1::2]))
            known[id(node)] = MappingNode(pairs, span, mark.line + 1, mark.column, "{" if node.flow_style else None)
    return known[id(node)]
