"""Which blocks this environment can build; the installed Ultralytics and torch are read as source text."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from ..core.blocks import STOCK, Block, blocks_here, is_parsed
from ..core.parser_rules import OTHERS
from ..installed.names import (
    class_facts,
    installed_tasks,
    of_installed,
    parsed_names,
    stock_modules,
    torch_layers,
    torch_stamp,
)
from ..installed.package import installed_package

#: Likeness (see `difflib`) from which on an unknown name is nearly a known one: one letter of eight.
_NEAR = 0.87
_DOUBLED = re.compile(r"(.)\1+")


def known_blocks() -> frozenset[str] | None:
    """Names that a row may say without a prefix; None when ultralytics is not installed."""
    names = parsed_names()
    return None if names is None else _ours() | names


@cache
def _ours() -> frozenset[str]:
    return frozenset(block.name for block in STOCK if block.is_attention and block.op != "other")


def is_unknown(block: Block) -> bool:
    """True when this environment can't build a row of that block; False also where that is not known."""
    prefix, _, name = block.name.rpartition(".")
    if block.custom or block.is_operator or prefix not in ("", "nn") or (prefix and block.is_known):
        return False
    if not prefix:
        return not (block.is_attention or "ours" in block.traits) and _is_parsed(name) is False
    known = torch_layers()
    return known is not None and name not in known


@of_installed
def _is_parsed(name: str) -> bool | None:
    return is_parsed(name)


def kept(question: str, ask: Callable[[], Any], of_torch: bool, *kinds: type) -> Any:
    """The answer to a question on the installed Ultralytics, of one of some kinds, asked where nobody has before.

    Args:
        question: the question.
        ask: gives the answer.
        of_torch: whether torch's files say it, too.
        kinds: of what kind it is.
    """
    from ..core.installed_parser import of_kind, parser_here  # here, for few rows need it

    parser = parser_here()
    if parser is None:
        return ask()
    return parser.kept(f"{question} of {torch_stamp()}" if of_torch else question, ask, of_kind(*kinds))


@of_installed
def is_stock_but_not_parsed(block: str) -> bool:
    """True for a block that Ultralytics ships and its parser does not know, such as CBAM."""

    def ask() -> bool:
        known = known_blocks()
        return known is not None and block not in known and block in stock_modules()

    found: bool = kept(f"shipped {block}", ask, False, bool)
    return found


@of_installed
def nearest(block: str) -> str | None:
    """The known block whose name an unknown one is nearly, or None when none is that near."""
    found: str | None = kept(f"nearest {block}", lambda: _nearest(block), True, str, type(None))
    return found


def _nearest(block: str) -> str | None:
    name = block.rpartition(".")[2]
    layers, blocks = _layers(), _blocks()
    candidates = layers if block.startswith("nn.") else blocks
    if name.lower() in layers:
        return layers[name.lower()]
    slips = (known for known in sorted(candidates.values()) if is_slip(name, known) and _is_block(known))
    slip = next(slips, None)
    if slip:
        return slip
    from difflib import get_close_matches  # here, for only an error needs it

    near = get_close_matches(name.lower(), candidates, n=3, cutoff=_NEAR)
    return next((candidates[one] for one in near if _is_block(candidates[one])), None)


@of_installed
def _layers() -> dict[str, str]:
    """Torch's, by their names in small letters."""
    return {known.lower(): f"nn.{known}" for known in torch_layers() or () if known[0].isupper()}


@of_installed
def _blocks() -> dict[str, str]:
    """What may be blocks, by their names in small letters."""
    return {known.lower(): known for known in sorted(known_blocks() or ()) if _may_be_block(known)}


def _is_stock(name: str) -> bool:
    row = STOCK.rows.get(name)
    return name in _ours() or (row is not None and row.is_known) or name.startswith("nn.")


def _may_be_block(name: str) -> bool:
    """Whether a name that the parser's module knows may be that of a block, as it is written."""
    return _is_stock(name) or (name[0].isupper() and not name.isupper())


def _is_block(name: str) -> bool:
    """Whether it is: a stock one, ours, or a class of the package's, such as a fork's own; no whole model."""
    facts, tasks = (None, None) if _is_stock(name) else (class_facts(name), installed_tasks())
    is_layer = facts is not None and facts.is_layer is not False
    return _is_stock(name) or (is_layer and tasks is not None and facts is not None and facts.file != tasks.file.path)


def blocks_of_fork() -> list[tuple[Block, str, str]]:
    """The blocks of a fork that have no stock row, each with whose it is and the file that has it; none of a release.

    A release has classes, too, that its parser has no rule for.
    """
    package, table, tasks = installed_package(), blocks_here(), installed_tasks()
    if package is None or not package.is_fork or tasks is None:
        return []
    names = sorted(name for name in tasks.names if name not in STOCK.rows or STOCK[name].is_ours)
    found = [(table[name], tasks.class_of(name)) for name in names]
    modules = tasks.path.with_name("modules")
    return [
        (
            block,
            "stock" if block.name in OTHERS.split() and there.source.path.parent == modules else "fork",
            str(there.source.path.relative_to(tasks.files.root.parent)),
        )
        for block, there in found
        if there and there.source and (block.packed or (_may_be_block(block.name) and _is_block(block.name)))
    ]


def is_slip(name: str, meant: str) -> bool:
    """True when `name` is surely `meant` misspelt: other case, two letters swapped, one doubled or lost, or another one
    doubled (SPFF for SPPF).

    Any other letter replaced, or one added at an end, is how people name modules of their own (SPPM, DSConv, C2fX).
    """
    meant, name = meant.rpartition(".")[2], name.rpartition(".")[2]
    if name.lower() == meant.lower():
        return name != meant
    if len(meant) < 4:
        return False
    if len(name) == len(meant):
        swapped = (name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1))
        return meant in swapped or _DOUBLED.sub(r"\1", name) == _DOUBLED.sub(r"\1", meant)
    short, long = sorted((name, meant), key=len)
    if len(meant) < 6 or not long.isalpha() or len(long) - len(short) != 1:
        return False
    dropped = [i for i in range(1, len(long) - 1) if long[:i] + long[i + 1 :] == short]
    return bool(dropped) and (name is short or any(long[i] == long[i - 1] for i in dropped))
