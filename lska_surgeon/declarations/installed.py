"""Which names the installed Ultralytics and torch have, and what their classes are built from, by their source text."""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_IMPORT = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE)
_DEFINED = re.compile(r"^(?:class|def)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")
_DEEPEST = 20  # imports and base classes that are followed
#: From a definition at the top of a module to the next one there, or to its end.
_TO_THE_NEXT = r"\b.*?(?=^(?:class|def|async)\b|^@|\Z)"


@dataclass(frozen=True)
class Constructor:
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


@cache
def parser_text() -> str | None:
    """The source of Ultralytics' `parse_model`; None where there is none."""
    root = _package("ultralytics")
    tasks = root / "nn" / "tasks.py" if root else None
    found = tasks and tasks.is_file() and re.search(rf"^def parse_model{_TO_THE_NEXT}", _read(tasks), re.M | re.S)
    return found.group() if found else None


@cache
def torch_activations() -> frozenset[str] | None:
    """Names of torch's activations; None when torch is not installed."""
    root = _package("torch")
    layers = torch_layers()
    if root is None or layers is None:
        return None
    return layers & {first for first, _ in _DEFINED.findall(_read(root / "nn" / "modules" / "activation.py"))}


@cache
def parsed_names() -> frozenset[str] | None:
    """Names that Ultralytics' parser finds; None when ultralytics is not installed."""
    root = _package("ultralytics")
    tasks = root / "nn" / "tasks.py" if root else None
    return _names(tasks, root) if root and tasks and tasks.is_file() else None


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
    bodies = re.findall(rf"^class[ \t]+{re.escape(name)}{_TO_THE_NEXT}", text, re.M | re.S)
    if depth > _DEEPEST:
        return None
    if not bodies:
        imported = _imported_from(name, file, root)
        return _constructor(name, imported, root, depth + 1) if imported else None
    try:
        node = ast.parse(bodies[-1]).body[0]
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
    for module, imported in _IMPORT.findall(_read(file)):
        words = _COMMENT.sub("", imported).strip("() \t\n")
        if name in {part.strip() for part in words.split(",")}:
            return _file_of(module, file, root)
        stars += [_file_of(module, file, root)] if words == "*" else []
    return next((star for star in stars if star != file and name in _names(star, root)), None)


def _names(file: Path, root: Path | None, seen: frozenset[Path] = frozenset()) -> frozenset[str]:
    """Names bound at the top of a module; `import *` is followed inside the package whose folder is `root`."""
    if file in seen or not file.is_file():
        return frozenset()
    text = _read(file)
    names = {first or second for first, second in _DEFINED.findall(text)}
    for module, imported in _IMPORT.findall(text):
        words = _COMMENT.sub("", imported).strip("() \t\n")
        if words == "*" and root:
            names |= _names(_file_of(module, file, root), root, seen | {file})
        names |= {part.split(" as ")[-1].strip() for part in words.split(",")}
    return frozenset(names - {"", "*"})


def _file_of(module: str, importer: Path, root: Path) -> Path:
    dots = len(module) - len(module.lstrip("."))
    base = importer.parents[dots - 1] if dots else root.parent
    path = base.joinpath(*filter(None, module.lstrip(".").split(".")))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
