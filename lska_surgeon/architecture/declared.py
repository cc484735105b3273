"""Blocks that the user declares: what the graph may know of a class that no release has; it reads no file, runs none.

One set of declarations holds for a process, as one set of block names does in Ultralytics: `using` puts it in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: What a block may be like beside a stock block: it keeps its source's width, or joins several sources of one width.
ATTENTION, ADD = "attention", "add"
#: Those whose arguments the parser passes on as they are; a declaration may ask for the input's width before them.
VERBATIM = (ATTENTION, ADD, "Concat")
FUSIONS = ("Concat", ADD)


@dataclass(frozen=True)
class DeclaredBlock:
    """One block of the user's own.

    Attributes:
        name: what rows call it.
        target: where the class is: "module:Class", or "path/to/file.py:Class" relative to the declaration.
        like: "attention", "add", or the stock block whose row it has: widths, repeats and arguments as there.
        channels_first: the input's width (for a fusion, the list of widths) comes before the row's arguments.
        stride: stride out over stride in, where the declaration says it; 0.5 doubles the map.
    """

    name: str
    target: str
    like: str
    channels_first: bool = False
    stride: float | None = None

    @property
    def keeps_shape(self) -> bool:
        """Whether it gives what it gets, so that it may be inserted anywhere."""
        return self.like == ATTENTION and self.stride in (None, 1)


@dataclass(frozen=True)
class Declarations:
    """All blocks that one file declares.

    Attributes:
        blocks: by name.
        path: the file, absolute; None for no file at all.
        trusted: its classes may be imported: the file is the user's own, or was named by the user.
    """

    blocks: Mapping[str, DeclaredBlock] = field(default_factory=dict)
    path: Path | None = None
    trusted: bool = False

    def __bool__(self) -> bool:
        return bool(self.blocks)


NOTHING = Declarations()
_in_force = NOTHING
_holders = 0


def in_force() -> Declarations:
    """The declarations of this process."""
    return _in_force


def put_in_force(declarations: Declarations) -> Declarations:
    """Let these declarations hold from now on; returns those that held before."""
    global _in_force
    before, _in_force = _in_force, declarations
    return before


@contextmanager
def using(declarations: Declarations) -> Iterator[Declarations]:
    """Let these declarations hold for a while."""
    global _holders
    before = put_in_force(declarations)
    _holders += 1
    try:
        yield declarations
    finally:
        _holders -= 1
        put_in_force(before)


def are_held() -> bool:
    """Whether somebody lets declarations, or none at all, hold for a while."""
    return _holders > 0


def declared(block: str) -> DeclaredBlock | None:
    """The declaration of a block; None where there is none."""
    return _in_force.blocks.get(block)


def like(block: str) -> str:
    """The stock block, "attention" or "add", that a declared block is like; any other block is like itself."""
    found = declared(block)
    return found.like if found else block


def keeps_shape(block: str) -> bool:
    """True for a declared block that gives the shape that it gets."""
    found = declared(block)
    return found is not None and found.keeps_shape
