"""Which names the installed Ultralytics and torch have, and what their classes are built from, by their source text."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

# Those that take a whole module begin with a plain character, which is looked for fast: the end of the line before.
_IMPORT = re.compile(r"\n[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)")
_MODULE = re.compile(r"\n[ \t]*import[ \t]+([\w.]+)(?:[ \t]+as[ \t]+(\w+))?[ \t]*(?:#.*)?$", re.MULTILINE)
_DEFINED = re.compile(r"\n(?:(?:class|def)[ \t]+(\w+)|(\w+)[ \t]*(?::[^=\n]+)?=)")
_COMMENT = re.compile(r"#[^\n]*")
_SCALE = re.compile(r"\n[ \t]*((?:\w+[ \t]*,[ \t]*)+\w+)[ \t]*=[ \t]*scales\[")
_DEEPEST = 20  # imports and base classes that are followed
#: What ends a definition at the top of a module.
_NEXT = re.compile(r"\n(?:class\b|def\b|async\b|@)")


class Constructor(NamedTuple):
    """What a class is built from.

    Attributes:
        parameters: names, in order, without self.
        required: how many of them have no default.
    """

    parameters: tuple[str, ...]
    required: int


@cache
def constructor(block: str) -> Constructor | None:
    """How the class is built that a row names; None where that is not known, or anything goes (`*args`)."""
    prefix, _, name = block.rpartition(".")
    if not is_installed(block):
        return None
    root = _package("torch" if prefix else "ultralytics")
    files = ("nn/modules/__init__.py",) if prefix else ("nn/tasks.py", "nn/modules/__init__.py")
    found = (_constructor(name, root / file, root) for file in files) if root else ()
    return next(filter(None, found), None)


def is_installed(block: str) -> bool:
    """Whether Ultralytics or torch has the class that a row names, whether or not the parser knows it."""
    prefix, _, name = block.rpartition(".")
    if prefix:
        return prefix == "nn" and name in (torch_layers() or ())
    return name in (parsed_names() or ()) or name in stock_modules()


def tasks_file() -> Path | None:
    """`nn/tasks.py` of Ultralytics; None when ultralytics is not installed."""
    root = _package("ultralytics")
    tasks = root / "nn" / "tasks.py" if root else None
    return tasks if tasks and tasks.is_file() else None


@cache
def torch_activations() -> frozenset[str] | None:
    """Names of torch's activations; None when torch is not installed."""
    root = _package("torch")
    layers = torch_layers()
    if root is None or layers is None:
        return None
    return layers & {first for first, _ in _DEFINED.findall("\n" + _read(root / "nn" / "modules" / "activation.py"))}


def parsed_names() -> frozenset[str] | None:
    """Names that Ultralytics' parser finds; None when ultralytics is not installed."""
    tasks = tasks_file()
    return names_in(tasks) if tasks else None


@cache
def names_in(tasks: Path) -> frozenset[str]:
    """Names that are bound in a package's `nn/tasks.py`."""
    return _names(tasks, tasks.parents[1])


@cache
def stock_modules() -> frozenset[str]:
    """Names of the classes that `ultralytics.nn.modules` hands on."""
    root = _package("ultralytics")
    file = root / "nn" / "modules" / "__init__.py" if root else None
    return _names(file, None) if file and file.is_file() else frozenset()


@cache
def torch_layers() -> frozenset[str] | None:
    """Names that torch's layers have; None when torch is not installed."""
    root = _package("torch")
    layers = root / "nn" / "modules" / "__init__.py" if root else None
    return _names(layers, None) if layers and layers.is_file() else None


def scale_numbers() -> tuple[str, ...]:
    """What Ultralytics' parser calls the numbers of a scale, in order; that of every release where it does not say."""
    tasks = tasks_file()
    found = _SCALE.search(_read(tasks)) if tasks else None
    return tuple(name.strip() for name in found[1].split(",")) if found else ("depth", "width", "max_channels")


def definitions(kind: str, name: str, text: str) -> list[tuple[int, str]]:
    """Each `class` or `def` of that name at the top of a module: where it begins, and its text."""
    found = []
    for match in re.finditer(rf"\n{kind}[ \t]+{re.escape(name)}\b", f"\n{text}"):
        start = match.start()  # in the text, which has one line end less in front
        end = _NEXT.search(text, start)
        found.append((start, text[start : end.start() + 1 if end else len(text)]))
    return found


@cache
def imports(text: str) -> tuple[tuple[str, str, str], ...]:
    """Every name that a module imports from another: that module, the name there, and here; `*` for all."""
    found = []
    for module, imported in _IMPORT.findall(f"\n{text}"):
        for part in _COMMENT.sub("", imported).strip("() \t\n").split(","):
            name, _, bound = part.strip().partition(" as ")
            if name:
                found.append((module, name.strip(), (bound or name).strip()))
    return tuple(found)


def modules(text: str) -> Iterator[tuple[str, str]]:
    """Every module that a module imports by itself: its name, and the name here."""
    for module, here in _MODULE.findall(f"\n{text}"):
        yield (module, here) if here else (module.partition(".")[0],) * 2


@cache
def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


@cache
def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _constructor(name: str, file: Path, root: Path, depth: int = 0) -> Constructor | None:
    """The constructor of a class that a module defines or imports, or that of the class which it extends first."""
    text = _read(file)
    bodies = definitions("class", name, text)
    if depth > _DEEPEST:
        return None
    if not bodies:
        imported = _imported_from(name, file, root)
        return _constructor(name, imported, root, depth + 1) if imported else None
    try:
        node = ast.parse(bodies[-1][1]).body[0]
    except (SyntaxError, ValueError):
        return None
    assert isinstance(node, ast.ClassDef)
    methods = {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}
    if node.keywords or node.decorator_list or "__new__" in methods:
        return None
    if "__init__" in methods:
        return _of_method(methods["__init__"])
    base = ast.unparse(node.bases[0]) if node.bases else "object"
    if base in ("nn.Module", "torch.nn.Module", "Module", "object"):
        return None
    prefix, _, last = base.rpartition(".")
    return _constructor(last, file, root, depth + 1) if not prefix else constructor(f"nn.{last}")


def _of_method(method: ast.FunctionDef) -> Constructor | None:
    given = method.args
    if method.decorator_list or given.vararg or None in given.kw_defaults:
        return None
    names = [argument.arg for argument in (*given.posonlyargs, *given.args)][1:]
    return Constructor(tuple(names), max(len(names) - len(given.defaults), 0))


def _imported_from(name: str, file: Path, root: Path) -> Path | None:
    """The module that a module imports a name from, under that name."""
    stars = []
    for module, there, here in imports(_read(file)):
        if there == here == name:
            return _file_of(module, file, root)
        stars += [_file_of(module, file, root)] if there == "*" else []
    return next((star for star in stars if star != file and name in _names(star, root)), None)


def _names(file: Path, root: Path | None, seen: frozenset[Path] = frozenset()) -> frozenset[str]:
    """Names bound at the top of a module; `import *` is followed inside the package whose folder is `root`."""
    if file in seen or not file.is_file():
        return frozenset()
    text = _read(file)
    names = {first or second for first, second in _DEFINED.findall(f"\n{text}")}
    for module, there, here in imports(text):
        names.add(here)
        if there == "*" and root:
            names |= _names(_file_of(module, file, root), root, seen | {file})
    return frozenset(names - {"", "*"})


def _file_of(module: str, importer: Path, root: Path) -> Path:
    dots = len(module) - len(module.lstrip("."))
    base = importer.parents[dots - 1] if dots else root.parent
    path = base.joinpath(*filter(None, module.lstrip(".").split(".")))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
