"""A pickle is read with stand-ins for all that it names, to learn what it would do; nothing that it names is imported.

The stack, the memo and the plain values are those of Python's own unpickler; every global becomes a `Name`, and
everything that the file would create a `PickledObject`, which remembers how. What a name may be used for comes from
outside, as `GlobalRule`; this module knows neither torch nor Ultralytics.

A file passes when each of these holds:

1. Every global that it names is on the list.
2. Every object is created as the rule of its global says: empty, or from arguments that were checked.
3. State is set on created objects only, as their rule says: attributes without special names (`__deepcopy__`).
4. A class or function is used, never stored: what the file leaves behind are instances and plain data.

How much of anything a file may hold before it is loaded is bounded, far above the largest of the stock models, half
precision, as a training leaves them: 0.45 MB of pickle and 191,000 opcodes (yolov9e), 1,800 records, 44 levels; in the
middle of a training, with AdamW and an averaged copy, 1.3 MB, 489,000 opcodes, 6,400 records. Tensors lie outside of
the pickle, and are as large as they like.
"""

from __future__ import annotations

import _compat_pickle
import io
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from ..errors import CheckpointError
from ..wording import clean

MOST_PICKLE_BYTES = 32 * 2**20
#: An opcode is one step; what takes memory or copies something is several. About 64 bytes each.
MOST_STEPS = 12_000_000
MOST_DEPTH = 200
#: Of a content that names one part many times, when it is written out in full.
MOST_UNFOLDED = 1_000_000
#: Steps that an opcode costs, where it is not one: what makes something takes memory.
_COSTS = {
    **dict.fromkeys(b"(]}\x8ft\x85\x86\x87", 3),  # marks, lists, dictionaries, sets, tuples
    **dict.fromkeys(b"qrp\x94", 2),  # entries in the memo
    **dict.fromkeys(b"R\x81\x92io", 8),  # objects
}
_NAME_COSTS = 500  # steps; real files name 80 globals, each of which is looked up
_MOST_LISTED = 8  # arguments in a message
_PLAIN = (dict, list, tuple, set, frozenset)

Check = Callable[[Any], bool]


class TooLarge(CheckpointError):
    """A pickle that has more of something than any checkpoint; it says of what, to stand behind `holds`."""


class AuditBudget:
    """What the pickles of one file may still cost.

    Args:
        numbers: how many elements all their tensors may have: one that repeats its elements takes no bytes in the file.
    """

    def __init__(self, numbers: int) -> None:
        self.bytes, self._steps = MOST_PICKLE_BYTES, MOST_STEPS
        self._numbers = self._most_numbers = numbers

    def spend(self, steps: int) -> None:
        """Raises TooLarge when no steps are left."""
        self._steps -= steps
        if self._steps < 0:
            raise TooLarge(f"a pickle of more than {MOST_STEPS:,} steps")

    def take_numbers(self, count: int) -> None:
        """Raises TooLarge when tensors have more elements than the file has room for."""
        self._numbers -= max(count, 0)
        if self._numbers < 0:
            raise TooLarge(f"tensors of more than {self._most_numbers:,} elements, for which the file has no room")


class Bounded:
    """A stream of which no more is read than the budget has bytes, whatever length the pickle claims."""

    def __init__(self, stream: IO[bytes], budget: AuditBudget) -> None:
        self._stream, self._budget = stream, budget

    def read(self, size: int) -> bytes:
        return self._counted(self._stream.read(min(size, self._budget.bytes + 1)))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._budget.bytes + 1))

    def _counted(self, data: bytes) -> bytes:
        self._budget.bytes -= len(data)
        if self._budget.bytes < 0:
            raise TooLarge(f"a pickle of more than {MOST_PICKLE_BYTES:,} bytes")
        return data


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
class GlobalRule:
    """What a file may do with one global.

    Attributes:
        call: accepts the arguments of a call (REDUCE).
        new: may be created empty, without its constructor (NEWOBJ).
        build: accepts the state that is set on what was created (BUILD).
        members: accepts the attribute that `getattr` takes from it.
        value: may be stored as it is.
        storage: names the type of a tensor's bytes.
        numbers: how many elements the tensor has that a call makes from these arguments.
    """

    call: Check = never
    new: bool = False
    build: Check = never
    members: Check = never
    value: bool = False
    storage: bool = False
    numbers: Callable[[Any], int] | None = None


@dataclass(frozen=True)
class MissingGlobal:
    """A global that belongs to the list, but not to the release that is installed here."""

    package: str


class Name:
    """Stands for a global."""

    def __init__(self, full: str, rule: GlobalRule | MissingGlobal | None, audit: PickleAudit) -> None:
        self.full, self.rule, self._audit = full, rule, audit
        self.__new__ = self._new  # type: ignore[method-assign, assignment]  # NEWOBJ calls cls.__new__(cls, *args)

    def __call__(self, *args: Any) -> PickledObject:
        self._audit.charge(args)
        if self.full == "builtins.getattr":
            return self._getattr(args)
        if isinstance(self.rule, GlobalRule):
            if self.rule.numbers:
                self._audit.budget.take_numbers(self.rule.numbers(args))
            if not self.rule.call(args):
                self._audit.problem(f"{self.full}({_list(args)})")
        return PickledObject(self, args, self._audit)

    def __setstate__(self, state: Any) -> None:
        self._audit.problem(f"attributes set on {self.full}")

    def _new(self, _: Any, *args: Any, **named: Any) -> PickledObject:
        args = (*args, *named.values())
        self._audit.charge(args)
        if isinstance(self.rule, GlobalRule) and not (self.rule.new and args == ()):
            self._audit.problem(f"{self.full}.__new__({_list(args)})")
        return PickledObject(self, args, self._audit)

    def _getattr(self, args: tuple[Any, ...]) -> PickledObject:
        owner = args[0] if len(args) == 2 else None
        source = owner.source if isinstance(owner, PickledObject) else owner
        rule = source.rule if isinstance(source, Name) else None
        allowed = isinstance(rule, MissingGlobal) or (isinstance(rule, GlobalRule) and rule.members(args[1]))
        if self.rule is not None and not allowed:
            self._audit.problem(f"{self.full}({_list(args)})")
        return PickledObject(self, (), self._audit)


class PickledObject:
    """Stands for an object that the file creates: by which global, from which arguments, with which content."""

    __slots__ = ("_audit", "args", "content", "source")

    def __init__(self, source: Name | None, args: tuple[Any, ...], audit: PickleAudit) -> None:
        self.source, self.args, self._audit = source, args, audit
        self.content: list[Any] = []

    def __call__(self, *args: Any) -> PickledObject:
        self._audit.problem(f"call of a created object, {_list((self,))}({_list(args)})")
        return PickledObject(None, args, self._audit)

    def __setstate__(self, state: Any) -> None:
        self._audit.charge((state,), depth=1)
        rule = self.source.rule if self.source else None
        if isinstance(rule, GlobalRule) and not rule.build(state):
            self._audit.problem(f"state of {_list((self,))}: {_list((state,))}")
        self.content.append(state)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.content.append((key, value))

    def append(self, item: Any) -> None:
        self.content.append(item)

    add = append
    extend = append


class PickleAudit(pickle._Unpickler):
    """The unpickler, and what it saw.

    Args:
        stream: where the pickle begins.
        lookup: says what a file may do with a global, by its full name; None where it may do nothing.
        budget: what it may cost.

    Attributes:
        names: the globals that the pickle names, as `lookup` answered.
        problems: wrong uses of globals, worded; the values mean nothing.
        proto: the pickle's protocol.
    """

    proto = 0

    def __init__(
        self, stream: IO[bytes], lookup: Callable[[str], GlobalRule | MissingGlobal | None], budget: AuditBudget
    ) -> None:
        in_memory = isinstance(stream, io.BytesIO) and stream.getbuffer().nbytes <= budget.bytes
        super().__init__(stream if in_memory else Bounded(stream, budget), encoding="utf-8")
        self.names: dict[str, GlobalRule | MissingGlobal | None] = {}
        self.problems: dict[str, None] = {}
        self.budget = budget
        self._lookup = lookup
        self._known: dict[str, Name] = {}
        self._nested: dict[int, tuple[int, Any]] = {}  # by id: entries of a tuple of tuples in full, and the tuple

    def find_class(self, module: str, name: str) -> Any:
        if self.proto < 3:  # such files hold the names of Python 2
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        full = f"{module}.{name}"
        if full not in self._known:
            self.budget.spend(_NAME_COSTS)
            self.names[full] = self._lookup(full)
            self._known[full] = Name(full, self.names[full], self)
        return self._known[full]

    def persistent_load(self, pid: Any) -> Any:
        """Only a tensor's bytes lie outside of the pickle: ("storage", type, key, device, length)."""
        kinds = (str, Name, str, str, int)
        if not (isinstance(pid, tuple) and len(pid) >= 5 and all(map(isinstance, pid, kinds)) and pid[0] == "storage"):
            self.problem(f"persistent id {_list((pid,))}")
        elif isinstance(pid[1].rule, GlobalRule) and not pid[1].rule.storage:
            self.problem(f"{pid[1].full} as the type of a tensor's bytes")
        return PickledObject(None, (), self)

    def get_extension(self, code: int) -> Any:
        self.problem(f"copyreg extension {code}")
        self.append(PickledObject(None, (), self))  # type: ignore[attr-defined]

    def problem(self, text: str) -> None:
        self.problems[text] = None

    def read(self) -> Any:
        """Read one pickle; may raise anything when the bytes are no pickle.

        Raises:
            TooLarge: it has more of something than any checkpoint.
        """
        root = self.load()
        if max(self.memo, default=0) > MOST_STEPS:  # type: ignore[attr-defined]  # Python's own makes room for all below
            raise TooLarge(f"a pickle with more than {MOST_STEPS:,} entries in its memo")
        for part in _walk(root):
            if isinstance(part, Name) and isinstance(part.rule, GlobalRule) and not part.rule.value:
                self.problem(f"{part.full} as a value")
        return root

    def charge(self, values: Iterable[Any], depth: int = 3) -> None:
        """Pay for what a call may copy of its arguments, or hash: three levels of them, as `OrderedDict` of pairs."""
        for value in values:
            if isinstance(value, tuple):
                self.budget.spend(self._size(value))
            elif isinstance(value, (str, bytes)):
                self.budget.spend(len(value) // 64)
            elif isinstance(value, (list, dict, set, frozenset)):
                self.budget.spend(len(value))
                if depth > 1:
                    self.charge(value, depth - 1)

    def charge_keys(self, keys: Iterable[Any]) -> None:
        """Pay for the hashing of keys: a tuple's goes through all of its tuples, as often as they are named."""
        for key in keys:
            if isinstance(key, tuple):
                self.budget.spend(self._size(key))

    def measure(self, made: Any) -> None:
        """Remember how large a tuple of tuples is."""
        if isinstance(made, tuple) and any(isinstance(item, tuple) for item in made):
            size = len(made) + sum(self._size(item) for item in made if isinstance(item, tuple))
            if size > MOST_UNFOLDED:
                raise TooLarge(f"a pickle whose tuples unfold to more than {MOST_UNFOLDED:,} entries")
            self._nested[id(made)] = (size, made)

    def _size(self, item: tuple[Any, ...]) -> int:
        return self._nested[id(item)][0] if id(item) in self._nested else len(item)


#: Where the keys are that an opcode hashes, on the stack.
_KEYS = {
    b"s"[0]: slice(-2, None, 2),
    **dict.fromkeys(b"ud", slice(None, None, 2)),
    **dict.fromkeys(b"\x90\x91", slice(None)),
}
_TUPLES = b"t\x85\x86\x87"


def _charged(code: int, load: Callable[[Any], None]) -> Callable[[Any], None]:
    """What the unpickler does for an opcode, paid for first."""
    cost, keys = _COSTS.get(code, 1), _KEYS.get(code)

    def charged(reader: Any) -> None:
        reader.budget.spend(cost)
        if keys:
            reader.charge_keys(reader.stack[keys])
        load(reader)
        if code in _TUPLES:
            reader.measure(reader.stack[-1])

    return charged


PickleAudit.dispatch = {code: _charged(code, load) for code, load in pickle._Unpickler.dispatch.items()}


def _walk(root: Any) -> Iterator[Any]:
    """Everything in a result that has parts, each once, depth first; what reads it later may do so by recursion.

    Raises:
        TooLarge: it is nested too deep, contains itself, or names its parts so often that it has no end in practice.
    """
    sizes: dict[int, int] = {}  # written out in full; 0 while it is open
    path: list[Any] = [[None, iter([root]), 0]]
    while path:
        top = path[-1]
        for part in top[1]:
            inside = _parts(part)
            size = 1 if inside is None else sizes.get(id(part))
            if size is None:
                sizes[id(part)] = 0
                path.append([part, iter(inside or ()), 1])
                if len(path) > MOST_DEPTH:
                    raise TooLarge(f"a pickle whose content is nested {MOST_DEPTH:,} levels deep")
                yield part
                break
            if size == 0 and isinstance(part, _PLAIN):
                raise TooLarge("a pickle whose content contains itself")
            top[2] += size or 1
        else:
            path.pop()
            size = top[2] if isinstance(top[0], _PLAIN) else 1  # objects are read by attribute, each once
            if size > MOST_UNFOLDED:
                raise TooLarge(f"a pickle whose content unfolds to more than {MOST_UNFOLDED:,} entries")
            sizes[id(top[0])] = size
            if path:
                path[-1][2] += size


def _parts(item: Any) -> Iterable[Any] | None:
    """What the result holds in one of its parts; None for a plain value, and for what is empty."""
    if isinstance(item, Name):
        return ()
    if isinstance(item, PickledObject):
        return (*item.args, *item.content)
    if isinstance(item, dict):
        return (*item.keys(), *item.values())
    return item if isinstance(item, _PLAIN) and item else None


def _list(args: Any) -> str:
    """Arguments as a line of text."""
    return clean(", ".join(map(_word, args[:_MOST_LISTED])), 80)


def _word(item: Any) -> str:
    if isinstance(item, Name):
        return item.full
    if isinstance(item, PickledObject):
        return f"<{item.source.full if item.source else 'object'}>"
    if isinstance(item, _PLAIN):
        return f"{type(item).__name__} of {len(item)}"
    if isinstance(item, int) and item.bit_length() > 64:
        return f"a number of {item.bit_length()} bits"
    return ascii(item[:80] if isinstance(item, (str, bytes)) else item)[:80]
