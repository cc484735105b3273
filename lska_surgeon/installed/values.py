"""What the interpreter of Python's source reckons with: what stands for classes, for what they build, and for doubt."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .python_files import PythonFile


class UnreadableParser(Exception):
    """The source has no `parse_model`, or one that is written in a way that is not understood here."""


@dataclass(frozen=True)
class NotKnown:
    """What can't be told.

    Attributes:
        several: it is a list of widths, which a backbone tells of itself.
    """

    several: bool = False

    def __repr__(self) -> str:
        return "?"


UNKNOWN: Any = NotKnown()
WIDTHS: Any = NotKnown(True)


@dataclass(frozen=True)
class Token:
    """A class, function or module.

    Attributes:
        name: its name where it is defined; outside of the package, and of a module, the dotted one.
        home: the module that defines it; empty outside of the package, and for a module.
    """

    name: str
    home: str = ""

    def __str__(self) -> str:
        return f"<class '{self.home and f'{self.home}.'}{self.name}'>"


@dataclass(eq=False)
class Built:
    """What a call of a class gives."""

    block: Token
    args: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class TurnNotes:
    """What is noted of one turn of the loop over the rows."""

    layer: Built | None = None
    built: list[Built] = field(default_factory=list)
    doubtful: bool = False
    by_scale: bool = False
    variables: dict[str, Any] = field(default_factory=dict)


class BreakLoop(Exception):
    pass


class ContinueLoop(Exception):
    pass


@dataclass
class ReturnValue(Exception):
    value: Any = field(default=None)


#: What is no error of the parser's own.
NO_ERRORS = (BreakLoop, ContinueLoop, ReturnValue, UnreadableParser, RecursionError)


class Variables(dict[str, Any]):
    """The variables of a function, and the file whose names it has beside them."""

    def __init__(self, source: PythonFile, *values: Any) -> None:
        super().__init__(*values)
        self.source = source


@dataclass(frozen=True)
class FunctionSource:
    """A function of the package's, or one that stands in another."""

    node: ast.FunctionDef | ast.Lambda
    outer: Variables


@dataclass(frozen=True)
class GlobalNames:
    """What `globals()` gives."""

    names: Callable[[str], Any]

    def __getitem__(self, name: Any) -> Any:
        found = self.get(name, self)
        if found is self:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return self.get(name, self) is not self

    def get(self, name: Any, default: Any = None) -> Any:
        found = self.names(name) if isinstance(name, str) else None
        return default if found is None else found


#: What whole backbones call the list of their widths.
LISTS = frozenset("channel channels dims feature_info width_list".split())


def is_unknown(value: Any) -> bool:
    return isinstance(value, NotKnown)


def is_list_of_widths(value: Any) -> bool:
    return isinstance(value, NotKnown) and value.several


def is_opaque(value: Any) -> bool:
    return isinstance(value, (NotKnown, Built, Token))
