"""The rule of every block that Ultralytics' parser speaks of, found by asking it: what `core/parser_rules.py` ships."""

from __future__ import annotations

import ast

from lska_surgeon.installed.parse_model import ParserSource
from lska_surgeon.installed.probing import ParserRule, rule_of


def rules_of(source: ParserSource) -> dict[str, ParserRule]:
    """The rule for each block that `parse_model` speaks of; any other keeps its source's width and its arguments.

    Raises:
        UnreadableParser: a block takes no arguments that are tried here.
    """
    return {name: rule_of(source, name) for name in blocks_of(source)}


def blocks_of(source: ParserSource) -> list[str]:
    """The blocks that `parse_model` itself speaks of, as rows name them."""
    nodes = [node for node in ast.walk(source.function[1]) if isinstance(node, (ast.Compare, ast.Set))]
    parts = [part for node in nodes for part in (node.elts if isinstance(node, ast.Set) else node.comparators)]
    found = {ast.unparse(part).replace("torch.nn.", "nn.") for part in parts}
    return sorted(name for name in found if name.startswith("nn.") or source.tasks.has(name))
