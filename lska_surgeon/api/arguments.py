"""What the verbs' arguments may be, brought into one form; it knows no verb."""

from __future__ import annotations

import inspect
import math
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Union

from ..errors import SurgeonError
from ..wording import clean, did_you_mean

PathLike = Union[str, "os.PathLike[str]"]
_PATHS = ("PathLike", "Path", "os.PathLike[str]", "Source")
_SEVERAL = re.compile(r"(?:Iterable|Sequence)\[(.*)\]")


def as_name(path: PathLike | None) -> str | None:
    """A path as the rest of the package takes it.

    Raises:
        SurgeonError: it is none.
    """
    if path is not None and not _is_path(path):
        raise SurgeonError(f"{_shown(path)} is no path")
    return None if path is None else os.fspath(path)


def one_of(value: str, allowed: Collection[str], what: str) -> str:
    """A word that has to be one of a few.

    Raises:
        SurgeonError: it is none of them.
    """
    if value not in allowed:
        raise SurgeonError(f"no {what} {value!r}{did_you_mean(str(value), allowed)}: there are {', '.join(allowed)}")
    return value


def check_types(verb: inspect.Signature, given: Mapping[str, Any]) -> None:
    """Refuse an argument that is not of the type that its verb's signature says.

    Types that say more than a path, text, a number or a list of these are for the verb to look at.

    Args:
        verb: its signature, with the annotations as text.
        given: the arguments, by name.

    Raises:
        SurgeonError: one is not.
    """
    for name, value in given.items():
        parameter = verb.parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        kinds = _alternatives(str(parameter.annotation))
        if not any(_fits(value, kind) for kind in kinds):
            raise SurgeonError(f"{name} is {_shown(value)}, and has to be {_in_words(kinds)}")


def _alternatives(annotation: str) -> list[str]:
    """The parts of `A | B[C | D]` that stand between its outer bars."""
    return re.findall(r"(?:[^\[\]| ]|\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\])+", annotation)


def _fits(value: Any, kind: str) -> bool:
    several = _SEVERAL.fullmatch(kind)
    if several:
        kinds = _alternatives(several[1])
        items = value if isinstance(value, (list, tuple, set, frozenset)) else ()  # others can be gone through once
        fits = all(any(_fits(item, one) for one in kinds) for item in items)
        return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)) and fits
    if kind in _PATHS:
        return _is_path(value)
    return _TYPES[kind][0](value) if kind in _TYPES else True


def _in_words(kinds: Collection[str]) -> str:
    paths = not {*kinds}.isdisjoint(_PATHS)
    return " or ".join(dict.fromkeys(_one_in_words(kind) for kind in kinds if not (paths and kind == "str")))


def _one_in_words(kind: str) -> str:
    several = _SEVERAL.fullmatch(kind)
    if several:
        return f"a list of such, each {_in_words(_alternatives(several[1]))}"
    return "a path" if kind in _PATHS else _TYPES[kind][1] if kind in _TYPES else kind


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and isinstance(os.fspath(value), str)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, numbers.Integral)) or type(value).__module__ == "numpy"  # numpy has its own bool


#: What a signature says -> whether a value is such, and what it is called.
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "text"),
    "int": (_is_whole, "a whole number"),
    "float": (_is_number, "a number"),
    "bool": (_is_flag, "True or False"),
    "None": (lambda value: value is None, "None"),
}


def _shown(value: Any) -> str:
    return clean(repr(value), 60)
