"""Which bases a recipe names, before it is read: the blocks of its operators may be declared beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..files import no_file
from ..modelfile.encoding import content_of
from ..yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, UnreadableYaml, compose


def bases_of(recipe: str | Path) -> list[str]:
    """Paths of the bases in a recipe; of a file that is none, nothing: reading it tells what is wrong."""
    path = Path(recipe)
    try:
        root = None if no_file(path) else compose(content_of(path).decode("utf-8-sig"))
    except (UnreadableYaml, OSError, ValueError, RecursionError):
        return []
    parts = [root, *(item for node in _values(root, "include") for item in _items(node))]
    nodes = [one for part in parts for node in _values(part, "base") for one in (node, *_items(node))]
    named = dict.fromkeys(one.value for one in nodes if isinstance(one, ScalarNode))
    return [str(path.parent / base) for base in named]


def _values(node: Node | None, key: str) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        yield from (value for name, value in node.value if isinstance(name, ScalarNode) and name.value == key)


def _items(node: Node) -> list[Node]:
    return list(node.value) if isinstance(node, SequenceNode) else []
