"""How many arguments a block's row takes, and which: what the installed parser reads of them, and the block's class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ..declarations.installed import Constructor, constructor, is_installed
from ..declarations.scan import WIDTH, WIDTH_OUT
from .parser_rules import Built, Value, built_from

#: What is wrong with the number of a row's arguments; SHIFTED where it builds, with a value that the parser adds in the
#: place of one that is missing.
FEW, MANY, SHIFTED = "few", "many", "shifted"
_MOST = 24  # more than any block takes
SOURCES_WIDTH, UNNAMED = "width of its source", "?"
_IN_WORDS = {"c1": SOURCES_WIDTH, "c2": "width"}


@dataclass(frozen=True)
class Taken:
    """The arguments that a block's row takes.

    Attributes:
        names: what each is called; as many as there may be, or as there have to be where there may be any number.
        required: how many there have to be.
    """

    names: tuple[str, ...]
    required: int


@cache
def taken_by(block: str, letter: str | None) -> Taken | None:
    """The arguments that a block's row takes, at a scale; None where that is not known."""
    fine = [given for given in range(_MOST) if _fault(block, given, letter) is None]
    known = [given for given in fine if built_from(block, given, letter)]
    if not known:
        return None
    shown = known[0] if known[-1] == _MOST - 1 else known[-1]
    wanted = constructor(block)
    built = next(way for way in built_from(block, shown, letter) if _fault_of(way, wanted) is None)
    names = [_IN_WORDS.get(name, name) for name in _names(built, wanted, shown)]
    return Taken((SOURCES_WIDTH, *names[1:]) if begins_with_source(block) else tuple(names), known[0])


def fault_in(block: str, given: int, letter: str | None) -> str | None:
    """What is wrong with so many arguments, at a scale; None for nothing, or where that is not known."""
    found = _fault(block, min(given, _MOST), letter)
    return found if found and taken_by(block, letter) else None


@cache
def begins_with_source(block: str) -> bool:
    """Whether a row's first argument is what the class believes to be the width of its source, whatever that has."""
    wanted = constructor(block)
    if wanted is None or not wanted.required or "." in block or not WIDTH.fullmatch(wanted.parameters[0]):
        return False
    ways = built_from(block, wanted.required, None)
    return bool(ways) and all(way.arguments[:1] == (Value(given=0),) for way in ways)


@cache
def has_own_width(block: str) -> bool:
    """Whether a block's class takes a width of its own as well."""
    wanted = constructor(block)
    return wanted is not None and any(map(WIDTH_OUT.fullmatch, wanted.parameters[:2]))


@cache
def _fault(block: str, given: int, letter: str | None) -> str | None:
    if not is_installed(block):
        return None
    faults = [_fault_of(way, constructor(block)) for way in built_from(block, given, letter)]
    return None if not faults or None in faults else faults[0]


def _fault_of(built: Built, wanted: Constructor | None) -> str | None:
    if built.is_short:
        return FEW
    if wanted is None:
        return None
    if len(built.arguments) > len(wanted.parameters):
        return MANY
    if len(built.arguments) < wanted.required:
        return FEW
    astray = [
        value
        for value, parameter in zip(built.arguments, wanted.parameters)
        if value.given is None and value.name != parameter and value.name in wanted.parameters
    ]
    if any(value.is_list for value in astray):
        return FEW  # the widths of its sources, for a number
    return SHIFTED if astray else None


def _names(built: Built, wanted: Constructor | None, given: int) -> list[str]:
    """What the class calls each of the row's arguments, or the parser where it keeps one."""
    parameters = wanted.parameters if wanted else ()
    called = {value.given: name for value, name in zip(built.arguments, parameters) if value.given is not None}
    return [called.get(index) or built.named.get(index, UNNAMED) for index in range(given)]
