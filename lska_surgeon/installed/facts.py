"""What the class of a block says of itself, read from its file: how it is built, what it extends, what it is given."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .python_files import Found, PythonFile

_DEEPEST = 20  # base classes that are followed
_STRIDES = ("s", "stride", "strides")
#: What says that a class may change the size of its map: in its layers, and in what it does with a map.
_RESIZES = re.compile(
    r"upsample|convtranspose|stride=\(?[2s]|strides=2|\bs=2\b|downsample|(max|avg)pool2d\(2|adaptive\w*pool"
    r"|, 3, 2[,)]|, 2, 2\)|, k, s",
    re.IGNORECASE,
)
_REARRANGES = re.compile(
    r"upsample|(un)?pixel_?(un)?shuffle|interpolate|::2|downsample|(max|avg)_pool2d\(|dwt|wavelet|unfold|rearrange",
    re.IGNORECASE,
)
_JOINS = re.compile(r"(^|\.)(cat|concat|stack)$")
_GOES_OVER = ("len", "sum", "enumerate", "zip", "list", "tuple")
_LAYER = re.compile(r"torch\.nn\b")


class Constructor(NamedTuple):
    """What a class is built from.

    Attributes:
        parameters: names, in order, without self.
        required: how many of them have no default.
    """

    parameters: tuple[str, ...]
    required: int


@dataclass(frozen=True)
class ClassFacts:
    """What a class says of itself.

    Attributes:
        file: where it is defined.
        line: the line there.
        bases: the names of what it extends, the nearest first; those outside of the package dotted.
        constructor: what it is built from; None where that is not known, or anything goes (`*args`).
        takes_list: whether `forward` takes several maps; None where that can't be told.
        keeps_size: whether nothing in it changes the size of a map, as far as its own words go: a hint.
        stride: which argument of the constructor says the stride, and what it is by default: a hint; None for none.
    """

    file: Path
    line: int
    bases: tuple[str, ...]
    constructor: Constructor | None
    takes_list: bool | None
    keeps_size: bool
    stride: tuple[int, Any] | None

    @property
    def is_layer(self) -> bool | None:
        """Whether it is a layer of torch's; None where what it extends can't be told."""
        outside = [name for name in self.bases if "." in name]
        return any(map(_LAYER.match, outside)) or (None if outside else False)


def facts_of(found: Found | None) -> ClassFacts | None:
    """What is known of a class by its definition; None for what is no class of the package."""
    node = found.node if found else None
    if found is None or found.source is None or not isinstance(node, ast.ClassDef):
        return None
    family = [(node, found.source), *_family(node, found.source)]
    bases = tuple(name for one, source in family for name in _names_of_bases(one, source))
    methods = [_methods(one) for one, _ in family]
    init = next((each["__init__"] for each in methods if "__init__" in each), None)
    forward = next((each["forward"] for each in methods if "forward" in each), None)
    body = "\n".join(ast.unparse(part) for part in (init, forward) if part)
    rearranges = forward is None or bool(_REARRANGES.search(body))
    names = [argument.arg for argument in init.args.args[1:]] if init else []
    at = next((at for at, name in enumerate(names) if name in _STRIDES), None)
    return ClassFacts(
        *(found.source.path, node.lineno, tuple(dict.fromkeys(bases))),
        constructor=_constructor(found.source, node),
        takes_list=_takes_list(forward) if forward else None,
        keeps_size=at is None and not rearranges and not _RESIZES.search(body),
        stride=None if at is None or init is None or rearranges else (at, _default(init, at)),
    )


def _methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}


def _base(node: ast.expr, source: PythonFile) -> Found | None:
    """What a base class is, by the name that stands there."""
    if isinstance(node, ast.Attribute):
        owner = _base(node.value, source)
        if owner is None or (owner.name and owner.source):
            return None
        return owner.source.find(node.attr) if owner.source else Found(None, f"{owner.name}.{node.attr}")
    return source.followed(node.id) if isinstance(node, ast.Name) else None


def _names_of_bases(node: ast.ClassDef, source: PythonFile) -> Iterator[str]:
    for base in node.bases:
        found = _base(base, source)
        yield found.name if found else f"?.{ast.unparse(base)}"


def _family(node: ast.ClassDef, source: PythonFile, depth: int = 0) -> Iterator[tuple[ast.ClassDef, PythonFile]]:
    """The classes of the package that a class extends, the nearest first."""
    for base in node.bases if depth < _DEEPEST else ():
        found = _base(base, source)
        there = found.node if found else None
        if found and found.source and isinstance(there, ast.ClassDef):
            yield there, found.source
            yield from _family(there, found.source, depth + 1)


def _constructor(source: PythonFile, node: ast.ClassDef, depth: int = 0) -> Constructor | None:
    """The constructor of a class, or that of the class which it extends first."""
    methods = _methods(node)
    if depth > _DEEPEST or node.keywords or node.decorator_list or "__new__" in methods:
        return None
    if "__init__" in methods:
        return _of_method(methods["__init__"])
    found = _base(node.bases[0], source) if node.bases else None
    there = found.node if found else None
    if found is None or found.source is None or not isinstance(there, ast.ClassDef):
        return None
    return _constructor(found.source, there, depth + 1)


def _of_method(method: ast.FunctionDef) -> Constructor | None:
    given = method.args
    if method.decorator_list or given.vararg or None in given.kw_defaults:
        return None
    names = [argument.arg for argument in (*given.posonlyargs, *given.args)][1:]
    return Constructor(tuple(names), max(len(names) - len(given.defaults), 0))


def _default(method: ast.FunctionDef, at: int) -> Any:
    given = method.args
    from_end = len(given.args) - 1 - at
    node = given.defaults[-from_end] if 0 < from_end <= len(given.defaults) else None
    return node.value if isinstance(node, ast.Constant) else None


def _takes_list(forward: ast.FunctionDef) -> bool | None:
    """Whether what `forward` does with its first argument is what one does with a list."""
    names = [argument.arg for argument in forward.args.args[1:]]
    if forward.args.vararg or not names:
        return None
    return any(_is_of_list(node, names[0]) for node in ast.walk(forward))


def _is_of_list(node: ast.AST, name: str) -> bool:
    def is_it(part: ast.AST | None) -> bool:
        return isinstance(part, ast.Name) and part.id == name

    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Tuple) and is_it(node.value)
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        return bool(_JOINS.search(called) or called in _GOES_OVER) and any(map(is_it, node.args))
    if isinstance(node, (ast.For, ast.comprehension)):
        return is_it(node.iter)
    if isinstance(node, ast.Subscript):
        is_place = isinstance(node.slice, ast.Slice) or isinstance(getattr(node.slice, "value", None), int)
        return is_it(node.value) and is_place
    return False
