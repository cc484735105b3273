"""How many arguments a block's row takes, and which: what the installed parser reads of them, and the block's class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..declarations.guess import WIDTH, WIDTH_OUT
from ..installed.names import Constructor, constructor, is_installed
from ..installed.parse_model import UnreadableParser, installed_parser
from ..installed.probing import Probe, probes

#: What is wrong with the number of a row's arguments; SHIFTED where it builds, with a value that the parser adds in the
#: place of one that is missing.
FEW, MANY, SHIFTED = "few", "many", "shifted"
_REFUSED, _NOT_KNOWN = "refused", "not known"
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
    fine: list[int] = []
    for given in range(_MOST):
        fault = _fault(block, given, letter)
        if fault is None:
            fine.append(given)
        elif fine and fault == MANY:
            break
    if not fine:
        return None
    shown = fine[0] if fine[-1] == _MOST - 1 else fine[-1]
    wanted = constructor(block)
    probe = next(probe for probe in built_from(block, shown, letter) if _fault_of(probe, wanted) is None)
    names = [_IN_WORDS.get(name, name) for name in _names(probe, wanted, shown)]
    return Taken((SOURCES_WIDTH, *names[1:]) if begins_with_source(block) else tuple(names), fine[0])


def fault_in(block: str, given: int, letter: str | None) -> str | None:
    """What is wrong with so many arguments, at a scale; None for nothing, or where that is not known."""
    found = _fault(block, min(given, _MOST), letter)
    taken = None if found in (None, _NOT_KNOWN) else taken_by(block, letter)
    if found == _REFUSED and taken:
        return FEW if given < taken.required else None
    return found if taken else None


def is_fine(block: str, args: Sequence[Any], letter: str | None) -> bool:
    """Whether the parser builds a row, or may do so, for what its arguments are: texts, lists, True."""
    return _fault_of_all(_probes(block, args, letter), constructor(block)) in (None, _NOT_KNOWN)


def built_from(block: str, given: int, letter: str | None) -> tuple[Probe, ...]:
    """What the parser makes of rows of a block with so many arguments; empty where it refuses them, or is not known."""
    return _built(block, given, letter) or ()


@cache
def begins_with_source(block: str) -> bool:
    """Whether a row's first argument is what the class believes to be the width of its source, whatever that has."""
    wanted = constructor(block)
    if wanted is None or not wanted.required or "." in block or not WIDTH.fullmatch(wanted.parameters[0]):
        return False
    ways = built_from(block, wanted.required, None)
    return bool(ways) and all(way.words[:1] == ("0",) for way in ways)


@cache
def has_own_width(block: str) -> bool:
    """Whether a block's class takes a width of its own as well."""
    wanted = constructor(block)
    return wanted is not None and any(map(WIDTH_OUT.fullmatch, wanted.parameters[:2]))


@cache
def _fault(block: str, given: int, letter: str | None) -> str | None:
    return _fault_of_all(_built(block, given, letter), constructor(block)) if is_installed(block) else _NOT_KNOWN


def _built(block: str, given: int, letter: str | None) -> tuple[Probe, ...] | None:
    at_any = _built_at(block, given, None)
    return _built_at(block, given, letter) if letter and any(probe.row.by_scale for probe in at_any or ()) else at_any


@cache
def _built_at(block: str, given: int, letter: str | None) -> tuple[Probe, ...] | None:
    return _probes(block, (0,) * given, letter)


def _probes(block: str, args: Sequence[Any], letter: str | None) -> tuple[Probe, ...] | None:
    """What the parser makes of rows with such arguments; None where that is not known."""
    parser = installed_parser()
    try:
        return probes(parser, block, args, letter) if parser else None
    except (UnreadableParser, RecursionError):
        return None


def _fault_of_all(found: Sequence[Probe] | None, wanted: Constructor | None) -> str | None:
    """What is wrong with all of them."""
    if found is None:
        return _NOT_KNOWN
    faults = [_fault_of(probe, wanted) for probe in found] or [_REFUSED]
    return None if None in faults else faults[0]


def _fault_of(probe: Probe, wanted: Constructor | None) -> str | None:
    if wanted is None or probe.row.doubtful:
        return None
    arguments = probe.row.arguments
    if len(arguments) > len(wanted.parameters):
        return MANY
    if len(arguments) < wanted.required:
        return FEW
    astray = [
        word
        for word, origin, parameter in zip(probe.words, probe.origins, wanted.parameters)
        if origin is None and word.strip("[]") in {*wanted.parameters} - {parameter}
    ]
    if any(word.startswith("[") for word in astray):
        return FEW  # the widths of its sources, for a number
    return SHIFTED if astray else None


def _names(probe: Probe, wanted: Constructor | None, given: int) -> list[str]:
    """What the class calls each of the row's arguments, or the parser where it keeps one."""
    called = {probe.origin(value): name for name, value in reversed([*probe.row.variables.items()])}
    called.update(zip(probe.origins, wanted.parameters if wanted else ()))
    return [called.get(index, UNNAMED) for index in range(given)]
