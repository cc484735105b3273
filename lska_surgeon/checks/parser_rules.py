"""What the installed `parse_model` makes of a row's arguments, followed in its source text; nothing of it is run.

The loop over the rows is followed statement by statement, for one block: `m` is its name, and `args` a list of which
only the length and the origin of each value are known. A condition on those is decided; any other may turn out either
way, so that both are followed. What can't be followed gives no answer.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import zip_longest
from typing import Any, Union

from ..declarations.installed import parser_text

_MOST_WAYS = 64
_SCALE = "scale"
_LIST_METHODS = ("append", "insert", "extend")


@dataclass(frozen=True)
class Value:
    """One value of the parser's.

    Attributes:
        name: what the parser calls it; None for what has no name.
        given: the row's argument that it is, or is made of, counted from 0; None where it is the parser's own.
        is_list: whether it is a list.
    """

    name: str | None = None
    given: int | None = None
    is_list: bool = False


@dataclass(frozen=True)
class Built:
    """What a block's class is called with.

    Attributes:
        arguments: in order; empty where the parser does not get that far.
        is_short: whether the parser reads an argument that the row does not have.
        named: the row's arguments that the parser itself has a name for.
        by_scale: whether the parser looks at the scale on its way.
    """

    arguments: tuple[Value, ...] = ()
    is_short: bool = False
    named: Mapping[int, str] = field(default_factory=dict)
    by_scale: bool = False


_Known = Union[Value, list[Any], int, None]  # a list of those; a number such as the length of one; None: not known


class _Absent(Exception):
    """The row does not have that argument."""


class _NotFollowed(Exception):
    """The source says something that is not understood here."""


def built_from(block: str, given: int, letter: str | None) -> tuple[Built, ...]:
    """What a block's class is called with, one for each way that the parser may go; empty where that is not known.

    Args:
        block: the block that a row names.
        given: how many arguments the row has.
        letter: the scale.
    """
    ways = _ways(block, given, None)
    return _ways(block, given, letter) if letter and any(way.by_scale for way in ways) else ways


@cache
def _ways(block: str, given: int, letter: str | None) -> tuple[Built, ...]:
    parser = _parser()
    if parser is None:
        return ()
    try:
        return tuple(parser.ways(block, given, letter))
    except (_NotFollowed, RecursionError):
        return ()


@cache
def _parser() -> _Parser | None:
    text = parser_text()
    try:
        node = ast.parse(text or "").body
        return _Parser(node[0]) if node and isinstance(node[0], ast.FunctionDef) else None
    except (SyntaxError, ValueError, _NotFollowed):
        return None


class _Parser:
    def __init__(self, function: ast.FunctionDef) -> None:
        loops = [node for node in ast.walk(function) if isinstance(node, ast.For) and _is_over_rows(node)]
        if len(loops) != 1:
            raise _NotFollowed
        self.loop = loops[0]
        target = self.loop.target
        columns = target.elts[-1] if isinstance(target, ast.Tuple) else None
        if not isinstance(columns, ast.Tuple) or not all(isinstance(column, ast.Name) for column in columns.elts):
            raise _NotFollowed
        names = [ast.unparse(column) for column in columns.elts]
        if len(names) != 4:
            raise _NotFollowed
        self.block_name, self.args_name = names[2:]
        self.function = function

    @cached_property
    def sets(self) -> dict[str, Any]:
        """The parser's sets of blocks, by name."""
        found: dict[str, Any] = {}
        for node in self.function.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                with suppress(_NotFollowed, _Absent):
                    found[node.targets[0].id] = _Way(self, found).of(node.value)
        return {name: value for name, value in found.items() if isinstance(value, list)}

    @cached_property
    def calls(self) -> dict[ast.stmt, ast.Call]:
        """The statements in the loop that call a row's class, and those calls."""
        found: dict[ast.stmt, ast.Call] = {}
        for statement in ast.walk(self.loop):
            if isinstance(statement, ast.stmt):
                for inner in ast.walk(statement):
                    if isinstance(inner, ast.Call) and _is_name(inner.func, self.block_name):
                        found.setdefault(statement, inner)
        return found

    def ways(self, block: str, given: int, letter: str | None) -> Iterator[Built]:
        start = _Way(self, {**self.sets, self.block_name: Value(block), _SCALE: Value(f"'{letter or ''}'")})
        start.names[self.args_name] = [Value(given=index) for index in range(given)]
        ways = [start]
        for statement in self.loop.body:
            ways = [after for way in ways for after in way.through(statement)]
            if len(ways) > _MOST_WAYS:
                raise _NotFollowed
        for way in ways:
            if way.built is None:
                raise _NotFollowed
            yield way.built


class _Way:
    """One way through the loop's body: what each name stands for, and what was built in the end."""

    def __init__(self, parser: _Parser, names: Mapping[str, Any], by_scale: bool = False) -> None:
        self.parser = parser
        self.names: dict[str, Any] = {name: list(v) if isinstance(v, list) else v for name, v in names.items()}
        self.by_scale = by_scale
        self.built: Built | None = None

    # Statements.

    def through(self, node: ast.stmt) -> list[_Way]:
        """This way behind a statement: two where a condition may turn out either way, none where the parser raises."""
        if self.built is not None:
            return [self]
        if isinstance(node, ast.Raise):
            return []
        try:
            if isinstance(node, ast.If):
                return self._branches(node)
            self._run(node)
        except _Absent:
            self.built = Built(is_short=True, by_scale=self.by_scale)
        return [self]

    def _branches(self, node: ast.If) -> list[_Way]:
        test = self._truth(node.test)
        if test is not None:
            return self._block(node.body if test else node.orelse)
        other = _Way(self.parser, self.names, self.by_scale)
        return [*other._block(node.body), *self._block(node.orelse)]

    def _block(self, body: Sequence[ast.stmt]) -> list[_Way]:
        ways = [self]
        for statement in body:
            ways = [after for way in ways for after in way.through(statement)]
        return ways

    def _run(self, node: ast.stmt) -> None:
        call = self.parser.calls.get(node)
        if call is not None:
            if call.keywords:
                raise _NotFollowed
            arguments = tuple(self._each(call.args))
            known = ((name, value) for name, value in self.names.items() if isinstance(value, Value))
            named = {value.given: name for name, value in reversed([*known]) if value.given is not None}
            found = tuple(v if isinstance(v, Value) else Value() for v in arguments)
            self.built = Built(found, named=named, by_scale=self.by_scale)
        elif isinstance(node, ast.Assign):
            value = self.of(node.value)
            for target in node.targets:
                self._refuse_own(target, node.value)
                self._assign(target, value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._call(node.value)
        elif not isinstance(node, (ast.Expr, ast.Pass, ast.Import, ast.ImportFrom)) and self._may_change_args(node):
            raise _NotFollowed

    def _assign(self, target: ast.expr, value: _Known) -> None:
        if isinstance(target, ast.Name):
            if target.id == self.parser.block_name:
                return  # its class, in place of its name
            if target.id == self.parser.args_name and not isinstance(value, list):
                raise _NotFollowed
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple):
            values = value if isinstance(value, list) and len(value) == len(target.elts) else [None] * len(target.elts)
            for part, each in zip(target.elts, values):
                self._assign(part, each)
        elif isinstance(target, ast.Subscript) and _is_name(target.value, self.parser.args_name):
            self._put(target.slice, value)

    def _refuse_own(self, target: ast.expr, value: ast.expr) -> None:
        """What the parser changes of the row's arguments is the row's, and no value that it has added itself."""
        if isinstance(target, ast.Subscript) and _is_name(target.value, self.parser.args_name):
            old, same = self.of(target), ast.unparse(target)
            reads = any(isinstance(part, ast.Subscript) and ast.unparse(part) == same for part in ast.walk(value))
            if reads and isinstance(old, Value) and old.given is None:
                raise _Absent

    def _put(self, place: ast.expr, value: _Known) -> None:
        args = self.names[self.parser.args_name]
        if isinstance(place, ast.Slice):
            if not isinstance(value, list):
                raise _NotFollowed
            where = self._slice(place)
            args[where] = [
                replace(new, given=old.given) for new, old in zip_longest(value, args[where], fillvalue=Value())
            ]
            return
        index = self.of(place)
        if not isinstance(index, int):
            raise _NotFollowed
        if index >= len(args):
            raise _Absent
        args[index] = replace(args[index], name=None)  # still made of what the row gives there

    def _call(self, node: ast.Call) -> None:
        method = node.func
        if not isinstance(method, ast.Attribute) or not _is_name(method.value, self.parser.args_name):
            return
        values = self._each(node.args)
        if method.attr not in _LIST_METHODS or (method.attr == "extend" and not isinstance(values[0], list)):
            raise _NotFollowed
        getattr(self.names[self.parser.args_name], method.attr)(*values)

    def _may_change_args(self, node: ast.stmt) -> bool:
        """Whether a statement that is not followed may change how many arguments there are, or builds the block."""
        name = self.parser.args_name
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id == name and not isinstance(inner.ctx, ast.Load):
                return True
            if isinstance(inner, ast.Attribute) and _is_name(inner.value, name):
                return True
            if isinstance(inner, (ast.Break, ast.Continue, ast.Return, ast.Slice)):
                return True
        return False

    # Expressions.

    def of(self, node: ast.expr) -> _Known:
        """What an expression stands for."""
        if isinstance(node, ast.Constant):
            return node.value if type(node.value) is int else Value(repr(node.value))
        if isinstance(node, ast.Name):
            self.by_scale = self.by_scale or node.id == _SCALE
            found: _Known = self.names.get(node.id, Value(node.id))
            if isinstance(found, Value) and found.name is None and found.given is None:
                return Value(node.id)
            return found
        if isinstance(node, ast.Attribute):
            return Value(_class_name(node))
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return self._each(node.elts)
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            return Value(_list_name(node), is_list=True)
        if isinstance(node, ast.Subscript):
            return self._item(node)
        if isinstance(node, ast.IfExp):
            return self._either(node)
        if isinstance(node, ast.Call):
            return self._result(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return -node.operand.value if isinstance(node.operand.value, int) else Value()
        if isinstance(node, ast.BinOp):
            left, right = self.of(node.left), self.of(node.right)
            return [*left, *right] if isinstance(left, list) and isinstance(right, list) else _made_of([left, right])
        return Value()

    def _each(self, nodes: Sequence[ast.expr]) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.of(node.value)
                if not isinstance(inner, list):
                    raise _NotFollowed
                found += inner
            else:
                found.append(self.of(node))
        return found

    def _item(self, node: ast.Subscript) -> _Known:
        whole = self.of(node.value)
        if not isinstance(whole, list):
            return Value(is_list=False)
        if isinstance(node.slice, ast.Slice):
            return whole[self._slice(node.slice)]
        index = self.of(node.slice)
        if not isinstance(index, int):
            return Value()
        if not -len(whole) <= index < len(whole):
            if _is_name(node.value, self.parser.args_name):
                raise _Absent
            raise _NotFollowed
        item: _Known = whole[index]
        return item

    def _slice(self, node: ast.Slice) -> slice:
        bounds = [None if bound is None else self.of(bound) for bound in (node.lower, node.upper, node.step)]
        if not all(bound is None or isinstance(bound, int) for bound in bounds):
            raise _NotFollowed
        return slice(*bounds)

    def _either(self, node: ast.IfExp) -> _Known:
        test = self._truth(node.test)
        if test is not None:
            return self.of(node.body if test else node.orelse)
        try:
            value = self.of(node.body)
        except _Absent:
            return self.of(node.orelse)
        try:
            return value if value == self.of(node.orelse) else _made_of([value])
        except _Absent:
            return value

    def _result(self, node: ast.Call) -> _Known:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        values = self._each(node.args)
        if name == "len" and isinstance(values[0], list):
            return len(values[0])
        if name in ("frozenset", "set", "list", "tuple") and len(values) == 1 and isinstance(values[0], list):
            return list(values[0])
        return _made_of(values)

    def _truth(self, node: ast.expr) -> bool | None:
        """How a condition turns out; None where it may be either way."""
        if isinstance(node, ast.BoolOp):
            return self._together(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._truth(node.operand)
            return None if inner is None else not inner
        if not isinstance(node, ast.Compare) or len(node.ops) != 1:
            self.of(node)  # what it reads has to be there
            return None
        left, right, op = self.of(node.left), self.of(node.comparators[0]), node.ops[0]
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(right, list) or not self._is_told(node.left):
                return None
            return (left in right) == isinstance(op, ast.In)
        if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            if self._is_told(node.left) or (isinstance(left, int) and isinstance(right, int)):
                return (left == right) == isinstance(op, (ast.Is, ast.Eq))
            return None
        if isinstance(left, int) and isinstance(right, int):
            return _COMPARED[type(op)](left, right)
        return None

    def _together(self, node: ast.BoolOp) -> bool | None:
        decides = isinstance(node.op, ast.Or)
        unknown = False
        for part in node.values:
            try:
                truth = self._truth(part)
            except _Absent:
                if not unknown:
                    raise
                truth = None  # not looked at, if what is not known turns out so
            if truth is decides:
                return None if unknown and not decides else decides
            unknown = unknown or truth is None
        return None if unknown else not decides

    def _is_told(self, node: ast.expr) -> bool:
        """Whether it is the block or the scale, which are known."""
        return isinstance(node, ast.Name) and node.id in (self.parser.block_name, _SCALE)


_COMPARED: Mapping[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Lt: int.__lt__,
    ast.LtE: int.__le__,
    ast.Gt: int.__gt__,
    ast.GtE: int.__ge__,
}


def _made_of(values: Sequence[_Known]) -> Value:
    """What is worked out of several values: of the row's argument, if one is among them."""
    parts = [part for value in values for part in (value if isinstance(value, list) else [value])]
    return Value(given=next((part.given for part in parts if isinstance(part, Value) and part.given is not None), None))


def _class_name(node: ast.Attribute) -> str:
    """A class as rows name it: `torch.nn.BatchNorm2d` is `nn.BatchNorm2d`."""
    return ast.unparse(node).removeprefix("torch.")


def _list_name(node: ast.ListComp | ast.GeneratorExp) -> str | None:
    """`[ch[x] for x in f]` is called after `ch`."""
    element = node.elt
    return element.value.id if isinstance(element, ast.Subscript) and isinstance(element.value, ast.Name) else None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_over_rows(node: ast.For) -> bool:
    return all(section in ast.unparse(node.iter) for section in ("'backbone'", "'head'"))
