"""The layers that a Python file defines, and what each may be like: the file is parsed, and nothing of it is run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from ..core.blocks import ADD, ATTENTION, CustomModule
from ..core.graph import Layer
from ..core.roles import role_of
from ..errors import DeclarationError
from ..files import no_file, read_within
from ..wording import clean
from .guess import like_by_name
from .read import LIKES

#: What people call the input's width, and the output's.
WIDTH = re.compile(
    r"c1?|ch|chn?|channels?|dim|d_model|c_?in|in_?(c|ch|channels?|planes|dim|features)|inp|inplanes", re.I
)
WIDTH_OUT = re.compile(r"c2|c_?out|out_?(c|ch|channels?|planes|dim|features)|oup|outplanes", re.I)
#: Ultralytics' own largest module has a tenth of it; Python's parser takes a hundred times as much memory.
_MOST_BYTES = 2**20
_STRIDES = {"up": 0.5, "down": 2.0}


def scan(path: Path) -> dict[str, CustomModule]:
    """A declaration for each layer of a file that no other class of it is made of.

    Args:
        path: the file; the declarations name it relative to the working folder.

    Raises:
        DeclarationError: it can't be read, is no Python, or has no layers.
    """
    found = no_file(path)
    if found:
        raise DeclarationError(f"{path} is {found}: give a Python file")
    try:
        tree = ast.parse(read_within(path, _MOST_BYTES))
    except OSError as error:
        raise DeclarationError(f"can't read {path}: {error.strerror}") from error
    except (RecursionError, MemoryError) as error:  # Python's parser has the second for its own stack
        raise DeclarationError(f"{path} is not Python that can be read: it is nested too deep") from error
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise DeclarationError(f"{path}{line} is not Python: {clean(str(getattr(error, 'msg', error)))}") from error
    layers = _layers({node.name: node for node in tree.body if isinstance(node, ast.ClassDef)})
    uses = {name: {part.id for part in _names(node)} for name, node in layers.items()}
    used = {part for name, parts in uses.items() for part in parts if name not in uses.get(part, ())}
    blocks = {name: _guess(node, path) for name, node in layers.items() if name not in used}
    if not blocks:
        raise DeclarationError(f"{path} defines no layers: a layer is a class that extends nn.Module or a stock block")
    return blocks


def _layers(classes: dict[str, ast.ClassDef]) -> dict[str, ast.ClassDef]:
    """The classes that extend a layer, through each other too, however long the chain is."""
    extend: dict[str, list[str]] = {}
    for name, node in classes.items():
        for base in map(_last_name, node.bases):
            extend.setdefault(base, []).append(name)
    found: set[str] = set()
    bases = [base for base in extend if base in ("Module", "Sequential") or base in LIKES]
    while bases:
        new = set(extend.get(bases.pop(), ())) - found
        found |= new
        bases += new
    return {name: node for name, node in classes.items() if name in found}


def _guess(node: ast.ClassDef, path: Path) -> CustomModule:
    name, target = node.name, f"{path.as_posix()}:{node.name}"
    bases = [base for base in map(_last_name, node.bases) if base in LIKES]
    if bases:
        return CustomModule(name, target, bases[0])
    arguments = _arguments(node, "__init__")
    stride = _STRIDES.get(role_of(Layer(0, "head", -1, 1, name, ()), 1))
    if _takes_several(node):
        fuses = "Concat" if re.search("cat", name, re.IGNORECASE) or _calls(node, "cat") else ADD
        return CustomModule(name, target, fuses, bool(arguments) and bool(WIDTH.fullmatch(arguments[0])))
    if len(arguments) > 1 and WIDTH.fullmatch(arguments[0]) and WIDTH_OUT.fullmatch(arguments[1]):
        repeats = arguments[2:3] in (["n"], ["num_blocks"], ["depth"], ["repeats"])
        like = like_by_name(name) or ("C2f" if repeats else "Conv")
        says_it = {"s", "stride"} & set(arguments)
        return CustomModule(name, target, like, stride=None if says_it or like != "Conv" else stride)
    return CustomModule(name, target, ATTENTION, bool(arguments) and bool(WIDTH.fullmatch(arguments[0])), stride)


def _takes_several(node: ast.ClassDef) -> bool:
    """Whether `forward` takes a list of maps: its one argument is indexed by a number, iterated, or joined."""
    forward = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "forward"), None)
    if forward is None or len(forward.args.args) != 2:
        return False
    name = forward.args.args[1].arg
    for inner in ast.walk(forward):
        if isinstance(inner, ast.Subscript) and _is_name(inner.value, name) and isinstance(inner.slice, ast.Constant):
            return True
        if isinstance(inner, (ast.For, ast.comprehension)) and name in {part.id for part in _names(inner.iter)}:
            return True
        if isinstance(inner, ast.Assign) and _is_name(inner.value, name) and isinstance(inner.targets[0], ast.Tuple):
            return True
        if _joins(inner) and any(_is_name(argument, name) for argument in getattr(inner, "args", ())[:1]):
            return True
    return False


def _joins(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _last_name(node.func) in ("cat", "stack")


def _arguments(node: ast.ClassDef, method: str) -> list[str]:
    """The names of a method's arguments, self left out; none where the class does not define it."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == method:
            return [argument.arg for argument in part.args.args[1:]]
    return []


def _calls(node: ast.AST, name: str) -> bool:
    return any(isinstance(inner, ast.Call) and _last_name(inner.func) == name for inner in ast.walk(node))


def _names(node: ast.AST) -> list[ast.Name]:
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
