"""The rule of every block that Ultralytics' parser speaks of, found by asking it: what `core/parser_rules.py` ships."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from lska_surgeon.installed.parse_model import ParserSource, UnreadableParser
from lska_surgeon.installed.probing import _IMAGE, Probe, probes

_LETTERS = "nsmlx"
_MOST = 6  # arguments that tell all of a block's rule


@dataclass(frozen=True)
class ParserRule:
    """How `parse_model` treats a block.

    Attributes:
        width: the rule for the channels out, as in the table of blocks.
        arguments: what the constructor is given: c1, c2, n (the repeats), [ch] (all widths that are read), reg_max,
            end2end, `N` and `scaled(N)` of the row's arguments; `*N` is all of them from N on, ? what is none of these.
        letters: groups of scales that are treated alike; empty where all are.
    """

    width: str
    arguments: tuple[str, ...]
    letters: tuple[str, ...]


def rules_of(source: ParserSource) -> dict[str, ParserRule]:
    """The rule for each block that `parse_model` speaks of; any other keeps its source's width and its arguments.

    Raises:
        UnreadableParser: a block takes no arguments that are tried here.
    """
    return {name: _rule(source, name) for name in blocks_of(source)}


def blocks_of(source: ParserSource) -> list[str]:
    """The blocks that `parse_model` itself speaks of, as rows name them."""
    nodes = [node for node in ast.walk(source.function) if isinstance(node, (ast.Compare, ast.Set))]
    parts = [part for node in nodes for part in (node.elts if isinstance(node, ast.Set) else node.comparators)]
    found = {ast.unparse(part).replace("torch.nn.", "nn.") for part in parts}
    return sorted(name for name in found if name.startswith("nn.") or name in source.globals)


def _rule(source: ParserSource, name: str) -> ParserRule:
    for count in range(_MOST, 0, -1):
        rows = {letter: probes(source, name, (0,) * count, letter) for letter in _LETTERS}
        if not all(rows.values()):
            continue
        groups: dict[tuple[Any, ...], str] = {}
        for letter, (probe, *_) in rows.items():
            key = tuple(map(repr, probe.row.arguments))
            groups[key] = groups.get(key, "") + letter
        first = rows[_LETTERS[0]][0]
        letters = tuple(groups.values()) if len(groups) > 1 else ()
        return ParserRule(_width(source, name, first), _with_the_rest([*first.words], count), letters)
    raise UnreadableParser(f"{name} takes none of the arguments that are tried")


def _width(source: ParserSource, name: str, probe: Probe) -> str:
    width, args, sources = probe.row.width, probe.args, probe.sources
    if isinstance(args[0], int) and width == args[0] // 2:
        return "scaled"
    if len(args) > 3 and width == args[1]:  # the first residual layer of a ResNet is not four times as wide
        other = probes(source, name, (*args[:3], False, *args[4:]), _LETTERS[0])[0].row.width
        return "args[1]" if other == width else "resnet"
    for at, argument in enumerate(args):
        if width == argument:
            return f"args[{at}]"
    if len(sources) > 1 and width == sum(sources):
        return "sum"
    if width == sources[-1]:
        return "source" if len(sources) == 1 else "last"
    if width == _IMAGE:  # nothing was said of it; of a row with one source, that is the row before
        return "source" if len(sources) == 1 else "previous"
    return "?"


def _with_the_rest(words: list[str], count: int) -> tuple[str, ...]:
    """The words with `*N` in the place of a run of arguments that reaches the last one."""
    last = str(count - 1)
    if last not in words:
        return tuple(words)
    start = end = words.index(last)
    while start and words[start - 1] == str(int(words[start]) - 1):
        start -= 1
    return (*words[:start], f"*{words[start]}", *words[end + 1 :])
