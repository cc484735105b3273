"""What a Python file imports that is not here, and which module has the name now; only source text is read."""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
import importlib.util
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .package import root_of

_MOST_FILES, _MOST_BYTES = 3000, 2**20
_ENDINGS = tuple(importlib.machinery.all_suffixes())
#: What snippets use without importing it.
_USUAL = {
    "torch": "import torch",
    "nn": "from torch import nn",
    "F": "from torch.nn import functional as F",
    "init": "from torch.nn import init",
    "np": "import numpy as np",
    "math": "import math",
    "torchvision": "import torchvision",
    "rearrange": "from einops import rearrange",
}
_ULTRALYTICS = ("ultralytics.nn.modules", "ultralytics.nn", "ultralytics")


class Import(NamedTuple):
    """One statement.

    Attributes:
        line: its line in the file, from 1.
        module: what it names, with leading dots.
        names: what it takes from there; none where it takes the module.
    """

    line: int
    module: str
    names: tuple[str, ...] = ()


def import_problems(tree: ast.Module, path: Path) -> list[str]:
    """For each import of a file that can't succeed here: the line, why, and what to write there, in one sentence.

    Imports inside of `try` and of functions are the file's own business.
    """
    found = (_problem(one, path.resolve().parent) for one in _imports(tree))
    return [problem for problem in found if problem]


def forgotten_imports(tree: ast.Module) -> list[str]:
    """For each name that a file uses and has from nowhere, where that is known: the line that it lacks."""
    bound = _names_bound(tree)
    if bound is None:
        return []
    used = {node.id: node.lineno for node in reversed(list(ast.walk(tree))) if isinstance(node, ast.Name)}
    lacking: dict[str, list[str]] = {}
    for name in sorted(set(used) - bound - set(dir(builtins)), key=lambda name: (used[name], name)):
        line = _USUAL.get(name) or _from_ultralytics(name)
        if line:
            lacking.setdefault(line, []).append(name)
    return [
        f"line {used[names[0]]} uses {', '.join(names)}, which nothing imports: write {line} above it"
        for line, names in lacking.items()
    ]


def _from_ultralytics(name: str) -> str | None:
    """The import of a name that the blocks' own modules of Ultralytics have; snippets are mostly parts of those."""
    root = root_of("ultralytics")
    for module in ("", ".conv", ".block", ".head", ".transformer"):
        file = _place(root, ["nn", "modules", *module.split(".")]) if root else None
        if file and name in (_bound(file) or ()):
            return f"from ultralytics.nn.modules{module} import {name}"
    return None


def problem_behind(error: ImportError | NameError, file: Path) -> str | None:
    """That of a file's imports which made importing it fail, as far as its text tells."""
    try:
        tree = ast.parse(file.read_bytes() if file.stat().st_size <= _MOST_BYTES else b"")
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    problems = [*import_problems(tree, file), *forgotten_imports(tree)]
    words = set(re.findall(r"'([^']+)'", str(error)))
    return next((one for one in problems if words & set(re.split(r"[ ,:]+", one))), next(iter(problems), None))


def _imports(tree: ast.Module) -> Iterator[Import]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(node.lineno, "." * node.level + (node.module or ""), names)


def _problem(one: Import, folder: Path) -> str | None:
    line = f"line {one.line} imports {one.module}"
    if one.module.startswith("."):
        return _problem_of_neighbour(one, line, folder)
    top, *parts = one.module.split(".")
    if _place(folder, [top]) or _place(Path.cwd(), [top]):
        return None
    root = root_of(top)
    if root is None:
        return None if _is_there(top) else f"{line}, which is not here: install what has {top}, or take the line out"
    module = _place(root, parts)
    missing = () if module is None else _missing(one.names, module, root.parent)
    if module is not None and not missing:
        return None
    there = f"{top}{_version_of(top)}"
    if module is None:
        lacks = f"which {there} does not have"
    else:
        line, lacks = f"{line} for {', '.join(missing)}", f"which {there} does not have there"
    wanted = missing or one.names
    now = _modules_with(wanted, root, one.module)
    change = f"; write from {now} import {', '.join(wanted)}" if now else ""
    return f"{line}, {lacks}{change or ': edit the line, or install a release of the time of the file'}"


def _problem_of_neighbour(one: Import, line: str, folder: Path) -> str | None:
    """An import from beside the file: a file at the top of a project has no package that it could be relative to."""
    dots = len(one.module) - len(one.module.lstrip("."))
    place = folder
    for _ in range(dots - 1):
        place = place.parent
    if dots == 1 and (place / "__init__.py").is_file() and _place(place, one.module.strip(".").split(".")):
        return None
    name = one.module.lstrip(".")
    for package in _ULTRALYTICS:
        root = root_of("ultralytics")
        there = ".".join(filter(None, (package, name)))
        module = _place(root, there.split(".")[1:]) if root else None
        if root and module and not _missing(one.names, module, root.parent):
            return f"{line}, which is beside it in a package alone; write from {there} import {', '.join(one.names)}"
    return f"{line}, which is not beside it here: bring that file, and import it by its name"


def _is_there(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _place(folder: Path, parts: Sequence[str]) -> Path | None:
    """The file of a module below a folder."""
    place = folder.joinpath(*filter(None, parts))
    if place.is_dir():
        return place / "__init__.py"
    return next((file for ending in _ENDINGS if (file := place.with_name(place.name + ending)).is_file()), None)


def _missing(names: Sequence[str], module: Path, root: Path) -> tuple[str, ...]:
    """The names that a module surely does not have."""
    if "*" in names or not names or module.suffix != ".py":
        return ()
    bound = _bound(module)
    if bound is None:
        return ()
    folder = module.parent if module.name == "__init__.py" else None
    return tuple(name for name in names if name not in bound and not (folder and _place(folder, [name])))


@cache
def _bound(module: Path) -> set[str] | None:
    """The names at the top of a module; None where only running it tells them."""
    try:
        text = module.read_text(encoding="utf-8", errors="replace")
        tree = ast.parse(text) if len(text) <= _MOST_BYTES else None
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    if tree is None or "__getattr__" in text or "globals()" in text or "sys.modules" in text:
        return None
    return _names_bound(tree)


def _names_bound(tree: ast.Module) -> set[str] | None:
    """The names that anything in a module binds; None where it takes all of another module's."""
    names: set[str] = set()
    for node in ast.walk(tree):  # what a branch or a function binds may be bound at the top, too
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            if any(alias.name == "*" for alias in node.names):
                return None
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def _modules_with(names: Sequence[str], root: Path, asked: str) -> str | None:
    """The module of a package that has all of these names at its top, most like the one that was asked for."""
    if not names or "*" in names:
        return None
    wanted = [
        re.compile(rf"(?m)^(?:(?:class|def)[ \t]+{re.escape(name)}\b|{re.escape(name)}[ \t]*[:=])") for name in names
    ]
    given = [re.compile(rf"(?m)^(?:from|import|[ \t]).*\b{re.escape(name)}\b") for name in names]
    found = []
    for file in sorted(root.rglob("*.py"))[:_MOST_FILES]:
        parts = (root.name, *file.relative_to(root).with_suffix("").parts)
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        module = ".".join(parts)
        if module == asked or any(part.startswith("_") or part == "tests" for part in parts):
            continue
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        patterns = [*zip(wanted, given)] if file.name == "__init__.py" else [(one, one) for one in wanted]
        if all(first.search(text) or second.search(text) for first, second in patterns):
            found.append((-len(set(parts) & set(asked.split("."))), len(parts), module))
    return min(found)[-1] if found else None


def _version_of(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # here, for only an error needs it

    try:
        return f" {version(package)}"
    except PackageNotFoundError:
        return ""
