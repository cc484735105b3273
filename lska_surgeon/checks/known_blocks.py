"""Which block names this environment's Ultralytics can build, read from its source text; it imports none of it."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

from ..architecture.attention import BLOCK_OPS, HANDWRITTEN_HOSTS, HOSTS
from ..architecture.declared import declared
from ..architecture.other_operators import OTHER_BLOCKS
from ..architecture.shapes import is_known

_IMPORT = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE)
_DEFINED = re.compile(r"^(?:class|def)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=", re.MULTILINE)
_DOUBLED = re.compile(r"(.)\1+")
_COMMENT = re.compile(r"#[^\n]*")
_OURS = frozenset(BLOCK_OPS) | frozenset(HOSTS) | frozenset(HANDWRITTEN_HOSTS)


@cache
def known_blocks() -> frozenset[str] | None:
    """Names that a row may say without a prefix; None when ultralytics is not installed."""
    root = _package("ultralytics")
    tasks = root / "nn" / "tasks.py" if root else None
    return _OURS | _names(tasks, root) if root and tasks and tasks.is_file() else None


@cache
def known_torch_layers() -> frozenset[str] | None:
    """Names that a row may say after `nn.`; None when torch is not installed."""
    root = _package("torch")
    layers = root / "nn" / "modules" / "__init__.py" if root else None
    return _names(layers, None) if layers and layers.is_file() else None


def is_unknown(block: str) -> bool:
    """True when this environment can't build a row of that name; False also where that can't be told."""
    if declared(block) or block in OTHER_BLOCKS:
        return False
    prefix, _, name = block.rpartition(".")
    if prefix and prefix != "nn":
        return False
    known = known_torch_layers() if prefix else known_blocks()
    return known is not None and name not in known


def is_stock_but_not_parsed(block: str) -> bool:
    """True for a block that Ultralytics ships and its parser does not know, such as CBAM."""
    known = known_blocks()
    return known is not None and block not in known and block in _stock_modules()


@cache
def nearest(block: str) -> str | None:
    """The known block that an unknown name is one or two letters off, or None when none is that near."""
    name = block.rpartition(".")[2]
    torch_layers = {known.lower(): f"nn.{known}" for known in known_torch_layers() or () if known[0].isupper()}
    blocks = {known.lower(): known for known in sorted(known_blocks() or ()) if _is_block(known)}
    candidates = torch_layers if block.startswith("nn.") else blocks
    if name.lower() in torch_layers:
        return torch_layers[name.lower()]
    slips = sorted(known for known in candidates.values() if is_slip(name, known))
    if slips:
        return slips[0]
    allowed = 0 if len(name) < 5 else 1 if len(name) < 8 else 2  # letters
    near = [(letters_off(name.lower(), known, allowed), candidates[known]) for known in candidates]
    return min(((off, known) for off, known in near if off <= allowed), default=(0, None))[1]


def letters_off(name: str, other: str, most: int) -> int:
    """How many letters are to be put in, left out or replaced (Levenshtein); `most` + 1 for any more than that."""
    if abs(len(name) - len(other)) > most:
        return most + 1
    above = list(range(len(other) + 1))
    for row, letter in enumerate(name, start=1):
        here = [row]
        for column, there in enumerate(other, start=1):
            here.append(min(above[column - 1] + (letter != there), above[column] + 1, here[-1] + 1))
        above = here
    return min(above[-1], most + 1)


def _is_block(name: str) -> bool:
    """Whether a name that the parser's module knows is that of a block: a stock one, ours, or a fork's own class."""
    if name in _OURS or is_known(name):
        return True
    return name in _stock_modules() and name[0].isupper() and not name.isupper()


@cache
def _stock_modules() -> frozenset[str]:
    """Names of the classes that `ultralytics.nn.modules` hands on."""
    root = _package("ultralytics")
    file = root / "nn" / "modules" / "__init__.py" if root else None
    return _names(file, None) if file and file.is_file() else frozenset()


def is_slip(name: str, meant: str) -> bool:
    """True when `name` is surely `meant` misspelt: other case, two letters swapped, one doubled or lost, or another one
    doubled (SPFF for SPPF).

    Any other letter replaced, or one added at an end, is how people name modules of their own (SPPM, DSConv, C2fX).
    """
    meant = meant.rpartition(".")[2]
    name = name.rpartition(".")[2]
    if name.lower() == meant.lower():
        return name != meant
    if len(meant) < 4:
        return False
    swapped = (name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1))
    if len(name) == len(meant):
        return meant in swapped or _DOUBLED.sub(r"\1", name) == _DOUBLED.sub(r"\1", meant)
    short, long = sorted((name, meant), key=len)
    if len(meant) < 6 or not long.isalpha() or len(long) - len(short) != 1:
        return False
    dropped = [i for i in range(1, len(long) - 1) if long[:i] + long[i + 1 :] == short]
    return bool(dropped) and (name is short or any(long[i] == long[i - 1] for i in dropped))


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
