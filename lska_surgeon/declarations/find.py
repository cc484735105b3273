"""Finding the declarations that hold for a call, and whether what they name may be imported; it imports none of it.

Tried in this order: the file that the user names; the one in $LSKA_SURGEON_BLOCKS, which a command sets for processes
that it starts; the nearest upwards from the working folder; the nearest upwards from the file worked on.

A verb or command looks once, and hands on what it found as a value. What Ultralytics calls (its parser, which we wrap,
and the unpickler) can be handed nothing; so while a verb builds, what it found stands in a context variable, which ends
with the call. Where no verb is at work, the nearest hold.

Importing runs code. So the last is read and never imported, for a declaration may lie beside a model that was
downloaded; nor is one that belongs to another user, for any of them may write into `/tmp`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ..core.blocks import STOCK, BlockTable, CustomModule, Declarations
from ..errors import DeclarationError
from .read import FILE_NAME, PROJECT_FILE, declares_blocks, read_declarations, split_target

#: Carries the path of the declarations to processes that are started from here.
VARIABLE = "LSKA_SURGEON_BLOCKS"
_ACTIVE: ContextVar[Declarations | None] = ContextVar("declarations of the verb that is at work", default=None)
#: Beside it, who put that there: what a process tells its children, it is not told itself.
_TELLER = "LSKA_SURGEON_BLOCKS_TOLD_BY"
_said: set[tuple[Path, str]] = set()


def find_declarations(blocks: str | Path | None = None, near: Sequence[str | Path] = ()) -> Declarations:
    """The declarations that hold for a call.

    Args:
        blocks: the file that the user names; None to look for one.
        near: the files worked on; names of stock models, and what is not there, are passed over.

    Raises:
        DeclarationError: the file can't be read, or says something that is not allowed.
    """
    named = blocks or inherited()
    if named:
        try:
            return read_declarations(Path(named), trusted=True)
        except DeclarationError as error:
            raise error if blocks else DeclarationError(f"${VARIABLE}: {error}") from error
    found = _upwards(Path.cwd())
    if found is not None:
        return read_declarations(found, trusted=_is_ours(found))
    for path in map(Path, near):
        found = _upwards(path.resolve().parent) if path.exists() else None
        if found is not None:
            return read_declarations(found, trusted=False)
    return Declarations()


def inherited() -> str | None:
    """The path that whoever started this process left in the environment; not what `telling_children` put there."""
    return None if os.environ.get(_TELLER) == str(os.getpid()) else os.environ.get(VARIABLE)


@contextmanager
def telling_children(blocks: BlockTable) -> Iterator[None]:
    """Let processes that libraries start from here, as Ultralytics does for several GPUs, have a table's modules."""
    declarations = blocks.declarations
    told = {} if declarations.path is None or not declarations.trusted else {VARIABLE: str(declarations.path)}
    if not told or inherited() == told[VARIABLE]:
        yield
        return
    before = {name: os.environ.get(name) for name in (VARIABLE, _TELLER)}
    os.environ.update(told, **{_TELLER: str(os.getpid())})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def find_blocks(blocks: str | Path | None = None, near: Sequence[str | Path] = ()) -> BlockTable:
    """The table of blocks that holds for a call; arguments and errors as for `find_declarations`."""
    return STOCK.with_blocks(find_declarations(blocks, near))


@contextmanager
def building_with(blocks: BlockTable) -> Iterator[None]:
    """Let Ultralytics build with the custom modules of a table, for as long as this lasts and in this thread alone."""
    token = _ACTIVE.set(blocks.declarations)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def is_building() -> bool:
    """Whether a verb, or a command, is at work in this thread."""
    return _ACTIVE.get() is not None


def active_declarations() -> Declarations:
    """The declarations that hold for what is built now: those of the verb that is at work, else the nearest."""
    given = _ACTIVE.get()
    return find_declarations() if given is None else given


def active_blocks() -> BlockTable:
    """The table of blocks that holds for what is built now."""
    return STOCK.with_blocks(active_declarations())


def untrusted(declarations: Declarations) -> str:
    """Why nothing of a declaration was imported, and what to do."""
    return (
        f"{declarations.path}, which is not the working folder's own, so nothing of it was imported: "
        f"add --blocks {declarations.path} if you trust it, or set {VARIABLE} to that file"
    )


def for_children() -> dict[str, str]:
    """What the environment of a process has to say, so that the declarations of this one hold there.

    Raises:
        DeclarationError: they were found, but not vouched for; the process might take them for its own.
    """
    declarations = active_declarations()
    if declarations.path is None:
        return {}
    if not declarations.trusted:
        raise DeclarationError(f"blocks are declared in {untrusted(declarations)}")
    return {VARIABLE: str(declarations.path)}


def announce(blocks: Sequence[CustomModule], path: Path) -> None:
    """Say once which modules of the user's are imported, unless whoever started this process has said it."""
    modules = dict.fromkeys(split_target(block.target)[0] for block in blocks)
    new = [module for module in modules if (path, module) not in _said]
    if new and inherited() != str(path):
        _said.update((path, module) for module in new)
        import logging  # here, for quick commands import nothing of the user's

        logging.getLogger("lska_surgeon").warning("Note: importing %s, as %s declares", ", ".join(new), path)


def _upwards(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        own, project = place / FILE_NAME, place / PROJECT_FILE
        if own.is_file():
            return own
        if project.is_file() and declares_blocks(project):
            return project
    return None


def _is_ours(path: Path) -> bool:
    """Whether the file belongs to the user who runs this, or to the system's administrator."""
    if not hasattr(os, "getuid"):
        return True
    return path.stat().st_uid in (os.getuid(), 0)
