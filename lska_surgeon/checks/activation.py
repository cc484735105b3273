"""Whether the text of a model YAML's `activation` makes a layer, and what was meant where not; nothing is run."""

from __future__ import annotations

import ast

from ..core.blocks import STOCK, BlockTable
from ..installed.names import constructor, parsed_names, torch_activations, torch_layers
from ..wording import clean
from .findings import ERROR, WARNING

_PREFIXES = ("nn", "torch.nn")


def activation_problem(text: str, known: BlockTable = STOCK) -> tuple[str, str, str | None] | None:
    """Severity, what is wrong, and what to write in its place, or None for that; None where it makes a layer.

    Ultralytics evaluates the text, in a module that knows `nn`, `torch`, and its own blocks by their names.
    """
    shown = f"activation is {clean(text, 60)}, "
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ERROR, f"{shown}which is no Python", None
    called = node.func if isinstance(node, ast.Call) else node
    prefix, _, name = _dotted(called).rpartition(".")
    if not name or not _is_literal(node):
        return WARNING, f"{shown}which is not one layer with plain arguments: nothing here builds it", None
    is_layer = _is_layer(prefix, name, known)
    right = None if is_layer and isinstance(node, ast.Call) else _right(prefix, name, is_layer, node)
    if not isinstance(node, ast.Call):
        return ERROR, f"{shown}which is a name and no layer", right
    if is_layer:
        return None
    if not prefix and right is None:
        return WARNING, f"{shown}which must be known to ultralytics before the model is built", None
    return ERROR, f"{shown}which is no layer", right


def _right(prefix: str, name: str, is_layer: bool, node: ast.expr) -> str | None:
    """The layer that was meant, with the arguments that are given."""
    if is_layer:
        meant = f"{prefix}.{name}" if prefix else name
    else:
        by_letters = {one.lower(): one for one in sorted(torch_activations() or ())}
        found = by_letters.get(name.lower().replace("_", ""))
        meant = f"nn.{found}" if found else ""
    given = ast.unparse(node)[len(ast.unparse(node.func)) :] if isinstance(node, ast.Call) else "()"
    wanted = constructor(meant.removeprefix("torch."))
    is_short = wanted is not None and wanted.required > 0 and given == "()"
    return f"{meant}{given}" if meant and not is_short else None


def _is_layer(prefix: str, name: str, known: BlockTable) -> bool:
    """Whether there is such a layer; so too where that is not known."""
    if prefix:
        layers = torch_layers() if prefix in _PREFIXES else frozenset[str]()
        return layers is None or name in layers
    blocks = parsed_names()
    return blocks is None or name in blocks or known.custom(name) is not None


def _dotted(node: ast.expr) -> str:
    """`nn.ReLU`; empty for what is no name."""
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def _is_literal(node: ast.expr) -> bool:
    """Whether all arguments of a call are literals; so for what is no call."""
    given = [*node.args, *(keyword.value for keyword in node.keywords)] if isinstance(node, ast.Call) else []
    try:
        return all(ast.literal_eval(argument) is not ... for argument in given)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
