"""Reading a YAML file field by field, each error with its file, line and field; it knows no recipe."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from string import Formatter
from typing import Any

from ..errors import RecipeError
from ..wording import did_you_mean
from ..yaml_nodes import (
    HugeNumber,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    UnreadableYaml,
    compose,
    plain_value,
    value_of,
)


class YamlFields:
    """The fields of one file, from their nodes.

    Each method raises RecipeError where a node is not what it asks for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def compose(self, text: str) -> Node:
        """The root of a file's text, a mapping."""
        try:
            root = compose(text)
        except UnreadableYaml as error:
            where = f", line {error.line}" if error.line else ""
            raise RecipeError(f"{self.path}{where} is not YAML: {error}") from error
        except RecursionError as error:
            raise RecipeError(f"{self.path} is not YAML: it is nested too deep") from error
        if not isinstance(root, MappingNode):
            raise RecipeError(f"{self.path} is not a recipe: it needs the keys base and matrix, or include")
        return root

    def mapping(self, node: Node, field: str, allowed: Collection[str]) -> dict[str, Node]:
        """A mapping's values by key; only keys of `allowed`, each once."""
        return self._pairs(node, field, ", ".join(list(allowed)[:3]), allowed)

    def open_mapping(self, node: Node, field: str, example: str) -> dict[str, Node]:
        """A mapping's values by key, whatever the keys; each once."""
        return self._pairs(node, field, example, None)

    def _pairs(self, node: Node, field: str, example: str, allowed: Collection[str] | None) -> dict[str, Node]:
        if not isinstance(node, MappingNode):
            raise self.bad(node, field, f"it is a mapping with keys such as {example}")
        found: dict[str, Node] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            if allowed is not None and name not in allowed:
                hint = did_you_mean(name, allowed)
                raise self.bad(key, field, f"no field {name!r} here{hint}: there are {', '.join(allowed)}")
            if name in found:
                raise self.bad(key, field, f"it has {name} twice: keep one")
            found[name] = value
        return found

    def sequence(self, node: Node, field: str, meaning: str = "it is a list of mappings") -> list[Node]:
        """The items of a list."""
        if not isinstance(node, SequenceNode):
            raise self.bad(node, field, meaning)
        return list(node.value)

    def items(self, node: Node) -> list[Node]:
        """The items of a list, or the one thing that stands in place of one."""
        return list(node.value) if isinstance(node, SequenceNode) else [node]

    def words(self, node: Node, field: str) -> list[str]:
        """One word, or a list of them; never empty."""
        return [self.word(item, field) for item in self.filled(node, field)]

    def numbers(self, node: Node, field: str) -> list[int]:
        """One whole number, or a list of them; never empty."""
        return [self.number(item, field) for item in self.filled(node, field)]

    def filled(self, node: Node, field: str) -> list[Node]:
        """The items of a list that is not empty, or the one thing that stands in place of one."""
        items = self.items(node)
        if not items:
            raise self.bad(node, field, "the list is empty")
        return items

    def word(self, node: Node, field: str) -> str:
        """A word."""
        value = self.plain(node)
        if not isinstance(value, str) or not value:
            raise self.bad(node, field, f"{_show(node)} is not a word")
        return value

    def number(self, node: Node, field: str) -> int:
        """A whole number."""
        value = self.value(node, field) if isinstance(node, ScalarNode) else None
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(node, field, f"{_show(node)} is not a whole number")
        return value

    def boolean(self, node: Node, field: str) -> bool:
        """true or false."""
        value = self.plain(node)
        if not isinstance(value, bool):
            raise self.bad(node, field, f"{_show(node)} is neither true nor false")
        return value

    def scalar(self, node: Node, field: str) -> str:
        """A word or a number, as it was written."""
        if not isinstance(node, ScalarNode) or not node.value:
            raise self.bad(node, field, "it is one word or number")
        return str(node.value)

    def value(self, node: Node, field: str) -> Any:
        """Anything as PyYAML reads it, lists and mappings included."""
        try:
            return value_of(node)
        except HugeNumber as error:
            raise self.bad(node, field, f"it {error.problem}") from error

    def plain(self, node: Node) -> Any:
        """A scalar's value as PyYAML reads it; None for a list or a mapping."""
        return plain_value(node) if isinstance(node, ScalarNode) else None

    def bad(self, node: Node, field: str, problem: object) -> RecipeError:
        """An error, with its place."""
        place = f"{self.path}, line {node.start_mark.line + 1}"
        return RecipeError(f"{place}, {field}: {problem}" if field else f"{place}: {problem}")


def names_in_braces(text: str) -> list[str]:
    """The fields that a text has in braces.

    Raises:
        ValueError: the braces can't be read, or ask for a width that no file's name has.
    """
    found = [(name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None]
    if any(re.search(r"\d{3}", spec) for _, spec in found):
        raise ValueError("a field wider than a name")
    return [name for name, _ in found]


def _show(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        return "a list" if isinstance(node, SequenceNode) else "a mapping"
    return repr(node.value) if node.value else "nothing"
