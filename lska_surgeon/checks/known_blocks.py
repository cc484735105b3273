"""Which block names this environment's Ultralytics can build, read from its source text; it builds nothing."""

from __future__ import annotations

import re
from functools import cache

from ..core.blocks import STOCK, Block
from ..installed.names import parsed_names, stock_modules, torch_layers

_DOUBLED = re.compile(r"(.)\1+")
_OURS = frozenset(block.name for block in STOCK if block.is_attention and block.op != "other")


@cache
def known_blocks() -> frozenset[str] | None:
    """Names that a row may say without a prefix; None when ultralytics is not installed."""
    names = parsed_names()
    return None if names is None else _OURS | names


def known_torch_layers() -> frozenset[str] | None:
    """Names that a row may say after `nn.`; None when torch is not installed."""
    return torch_layers()


def is_unknown(block: Block) -> bool:
    """True when this environment can't build a row of that block; False also where that can't be told."""
    if block.custom or block.is_operator:
        return False
    prefix, _, name = block.name.rpartition(".")
    if prefix and prefix != "nn":
        return False
    known = known_torch_layers() if prefix else known_blocks()
    return known is not None and name not in known


def is_stock_but_not_parsed(block: str) -> bool:
    """True for a block that Ultralytics ships and its parser does not know, such as CBAM."""
    known = known_blocks()
    return known is not None and block not in known and block in stock_modules()


@cache
def nearest(block: str) -> str | None:
    """The known block that an unknown name is one or two letters off, or None when none is that near."""
    name = block.rpartition(".")[2]
    layers = {known.lower(): f"nn.{known}" for known in torch_layers() or () if known[0].isupper()}
    blocks = {known.lower(): known for known in sorted(known_blocks() or ()) if _is_block(known)}
    candidates = layers if block.startswith("nn.") else blocks
    if name.lower() in layers:
        return layers[name.lower()]
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
    if name in _OURS or STOCK[name].is_known:
        return True
    return name in stock_modules() and name[0].isupper() and not name.isupper()


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
