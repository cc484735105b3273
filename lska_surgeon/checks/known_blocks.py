"""Which block names this environment's Ultralytics can build, read from its source text; it imports none of it."""

from __future__ import annotations

import difflib
import importlib.util
import re
from functools import cache
from pathlib import Path

from ..architecture.attention import BLOCK_OPS, HANDWRITTEN_HOSTS, HOSTS
from ..architecture.declared import declared
from ..architecture.other_operators import OTHER_BLOCKS

_IMPORT = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE)
_DEFINED = re.compile(r"^(?:class|def)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=", re.MULTILINE)
_DOUBLED = re.compile(r"(.)\1+")
_COMMENT = re.compile(r"#[^\n]*")
_OURS = frozenset(BLOCK_OPS) | frozenset(HOSTS) | frozenset(HANDWRITTEN_HOSTS)

#: Known, and never what a misspelt name was meant to be.
_NEVER_MEANT = frozenset([*OTHER_BLOCKS, "CBAM"])


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
    if declared(block) or block in _NEVER_MEANT:
        return False
    prefix, _, name = block.rpartition(".")
    if prefix and prefix != "nn":
        return False
    known = known_torch_layers() if prefix else known_blocks()
    return known is not None and name not in known


@cache
def nearest(block: str) -> str | None:
    """The known name most like an unknown one, or None when none is near."""
    name = block.rpartition(".")[2]
    torch_layers = {known.lower(): f"nn.{known}" for known in known_torch_layers() or () if known[0].isupper()}
    blocks = {known.lower(): known for known in sorted(known_blocks() or ()) if known[0].isupper() or "Detect" in known}
    candidates = torch_layers if block.startswith("nn.") else blocks
    if name.lower() in torch_layers:
        return torch_layers[name.lower()]
    slips = sorted(known for known in candidates.values() if is_slip(name, known))
    near = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.6)
    return slips[0] if slips else candidates[near[0]] if near else None


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
