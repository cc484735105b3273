"""A pickle read with stand-ins for all that it names, to learn what it would do; it imports nothing that a file names.

The stack, the memo and the plain values are those of Python's own unpickler; every global becomes a `Name`, and
everything that the file would create becomes a `Made` which remembers how. What a name may be used for comes from
outside, as `Use`; this module knows neither torch nor Ultralytics.

A file passes when each of these holds:

1. Every global that it names is on the list.
2. Every object is created as the list says for its global: empty, or from arguments that were checked.
3. State is set on created objects only, as the list says for them: attributes without special names (`__deepcopy__`).
4. A class or function is used, never stored: what the file leaves behind are instances and plain data.
"""

from __future__ import annotations

import _compat_pickle
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any

from ..errors import CheckpointError
from ..wording import clean

Check = Callable[[Any], bool]
#: More than twenty times what the largest stock model has, its optimizer included: 278,000 opcodes, 59,000 entries in
#: the memo, 44 levels.
MOST_OPCODES, MOST_MEMO, MOST_DEPTH = 6_000_000, 1_500_000, 1_000


class TooLarge(CheckpointError):
    """A pickle that has more of something than any checkpoint."""


def never(_: Any) -> bool:
    """For what is not done to this global at all."""
    return False


def empty(args: Any) -> bool:
    """No arguments at all: what `copyreg` writes for an object that is created first and filled later."""
    return bool(args == ())


def attributes(state: Any) -> bool:
    """A plain dictionary of attributes, none of them a special name."""
    return isinstance(state, dict) and all(isinstance(k, str) and not k.startswith("__") for k in state)


@dataclass(frozen=True)
class Use:
    """What a file may do with one global.

    Attributes:
        call: accepts the arguments of a call (REDUCE).
        new: may be created empty, without its constructor (NEWOBJ).
        build: accepts the state that is set on what was created (BUILD).
        members: attributes that `getattr` may take from it.
        value: may be stored as it is.
        storage: names the type of a tensor's bytes.
    """

    call: Check = never
    new: bool = False
    build: Check = never
    members: frozenset[str] = frozenset()
    value: bool = False
    storage: bool = False


@dataclass(frozen=True)
class Missing:
    """A global that belongs to the list, but not to the release that is installed here."""

    package: str


class Name:
    """Stands for a global."""

    def __init__(self, full: str, use: Use | Missing | None, log: Rehearsal) -> None:
        self.full, self.use, self._log = full, use, log
        self.__new__ = self._new  # type: ignore[method-assign, assignment]  # NEWOBJ calls cls.__new__(cls, *args)

    def __call__(self, *args: Any) -> Made:
        if self.full == "builtins.getattr":
            return self._getattr(args)
        if isinstance(self.use, Use) and not self.use.call(args):
            self._log.problem(f"{self.full}({_show(args)})")
        return Made(self, args, self._log)

    def __setstate__(self, state: Any) -> None:
        self._log.problem(f"attributes set on {self.full}")

    def _new(self, _: Any, *args: Any, **named: Any) -> Made:
        args = (*args, *named.values())
        if isinstance(self.use, Use) and not (self.use.new and args == ()):
            self._log.problem(f"{self.full}.__new__({_show(args)})")
        return Made(self, args, self._log)

    def _getattr(self, args: tuple[Any, ...]) -> Made:
        owner = args[0] if len(args) == 2 else None
        source = owner.source if isinstance(owner, Made) else owner
        use = source.use if isinstance(source, Name) else None
        allowed = isinstance(use, Missing) or (isinstance(use, Use) and args[1] in use.members)
        if self.use is not None and not allowed:
            self._log.problem(f"{self.full}({_show(args)})")
        return Made(self, (), self._log)


class Made:
    """Stands for an object that the file creates: by which global, from which arguments, with which content."""

    def __init__(self, source: Name | None, args: tuple[Any, ...], log: Rehearsal) -> None:
        self.source, self.args, self._log = source, args, log
        self.content: list[Any] = []

    def __call__(self, *args: Any) -> Made:
        self._log.problem(f"call of a created object, {_show((self,))}({_show(args)})")
        return Made(None, args, self._log)

    def __setstate__(self, state: Any) -> None:
        use = self.source.use if self.source else None
        if isinstance(use, Use) and not use.build(state):
            self._log.problem(f"state of {_show((self,))}: {_show((state,))}")
        self.content.append(state)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.content.append((key, value))

    def append(self, item: Any) -> None:
        self.content.append(item)

    add = append
    extend = append


class Rehearsal(pickle._Unpickler):
    """The unpickler, and what it saw.

    Args:
        stream: where the pickle begins.
        lookup: says what a file may do with a global, by its full name; None where it may do nothing.

    Attributes:
        names: the globals that the pickle names, as `lookup` answered.
        problems: wrong uses of globals, worded; the values mean nothing.
        proto: the pickle's protocol.
    """

    proto = 0

    def __init__(self, stream: IO[bytes], lookup: Callable[[str], Use | Missing | None]) -> None:
        super().__init__(_Counted(stream), encoding="utf-8")
        self.names: dict[str, Use | Missing | None] = {}
        self.problems: dict[str, None] = {}
        self._lookup = lookup

    def find_class(self, module: str, name: str) -> Any:
        if self.proto < 3:  # such files hold the names of Python 2
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        full = f"{module}.{name}"
        if full not in self.names:
            self.names[full] = self._lookup(full)
        return Name(full, self.names[full], self)

    def persistent_load(self, pid: Any) -> Any:
        """Only a tensor's bytes lie outside of the pickle: ("storage", type, key, device, length)."""
        kinds = (str, Name, str, str, int)
        if not (isinstance(pid, tuple) and len(pid) >= 5 and all(map(isinstance, pid, kinds)) and pid[0] == "storage"):
            self.problem(f"persistent id {_show((pid,))}")
        elif isinstance(pid[1].use, Use) and not pid[1].use.storage:
            self.problem(f"{pid[1].full} as the type of a tensor's bytes")
        return Made(None, (), self)

    def get_extension(self, code: int) -> Any:
        self.problem(f"copyreg extension {code}")
        self.append(Made(None, (), self))  # type: ignore[attr-defined]

    def problem(self, text: str) -> None:
        self.problems[text] = None

    def read(self) -> Any:
        """Read one pickle; may raise anything when the bytes are no pickle.

        Raises:
            TooLarge: it has more opcodes, memo entries or levels than any checkpoint.
        """
        root = self.load()
        if len(self.memo) > MOST_MEMO:  # type: ignore[attr-defined]
            raise TooLarge(f"a pickle with {len(self.memo):,} entries in its memo")  # type: ignore[attr-defined]
        for name in _stored_names(root):
            if isinstance(name.use, Use) and not name.use.value:
                self.problem(f"{name.full} as a value")
        return root


class _Counted:
    """A stream that counts the opcodes that are read from it: each is one byte, and so are some arguments."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.readline = stream.readline
        self.readinto = getattr(stream, "readinto", None)
        self._read = stream.read
        self._left = MOST_OPCODES

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise TooLarge(f"a pickle of more than {MOST_OPCODES:,} steps")
        return self._read(size)


def _stored_names(root: Any) -> list[Name]:
    """Every `Name` that the result holds, in whatever depth."""
    found, todo, seen = [], [(root, 0)], set()
    while todo:
        item, depth = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if depth > MOST_DEPTH:
            raise TooLarge(f"a pickle whose content is nested {MOST_DEPTH:,} levels deep")
        inside: Iterable[Any] = ()
        if isinstance(item, Name):
            found.append(item)
        elif isinstance(item, Made):
            inside = (*item.args, *item.content)
        elif isinstance(item, dict):
            inside = (*item.keys(), *item.values())
        elif isinstance(item, (list, tuple, set, frozenset)):
            inside = item
        todo += [(one, depth + 1) for one in inside]
    return found


def _show(args: Any) -> str:
    """Arguments as a line of text."""
    return clean(", ".join(map(_show_one, args)), 80)


def _show_one(item: Any) -> str:
    if isinstance(item, Name):
        return item.full
    if isinstance(item, Made):
        return f"<{item.source.full if item.source else 'object'}>"
    if isinstance(item, (tuple, list, set, frozenset, dict)):
        return f"{type(item).__name__} of {len(item)}"
    return ascii(item)[:80]
