"""Which names the installed Ultralytics and torch have, read from their source text; it imports none of it."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

_IMPORT = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE)
_DEFINED = re.compile(r"^(?:class|def)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")


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


def _names(file: Path, root: Path | None, seen: frozenset[Path] = frozenset()) -> frozenset[str]:
    """Names bound at the top of a module; `import *` is followed inside the package whose folder is `root`."""
    if file in seen or not file.is_file():
        return frozenset()
    text = file.read_text(encoding="utf-8", errors="replace")
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
