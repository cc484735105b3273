"""What Ultralytics' `parse_model` makes of each row of a model, read from its source text: nothing of it is run.

`parse_model` of the `ultralytics/nn/tasks.py` that is installed is interpreted statement by statement, on a model
dictionary or on one row. A class is a token, and a call of one a `Built`; what can't be known, such as the answer of
another function of the package, is `UNKNOWN` and spreads. A test that is unknown counts as false, and marks the row as
doubtful.
"""

from __future__ import annotations

import ast
import builtins
import copy
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .names import definitions, imports, modules, names_in, tasks_file

#: More statements than any parser takes for any network.
_MOST_STEPS = 3_000_000


_ASSIGNED = re.compile(r"^(\w+)[ \t]*(?::[^=\n]+)?=(?![ \t]*[A-Z]\w*[ \t]*$)", re.MULTILINE)


class UnreadableParser(Exception):
    """The source has no `parse_model`, or one that is written in a way that is not understood here."""


class _Unknown:
    def __repr__(self) -> str:
        return "?"


UNKNOWN: Any = _Unknown()


@dataclass(frozen=True)
class Token:
    """A class, function or module, by its dotted name."""

    name: str

    def __str__(self) -> str:
        return f"<class '{self.name}'>"


@dataclass(eq=False)
class Built:
    """What a call of a class gives."""

    block: Token
    args: tuple[Any, ...]


@dataclass(frozen=True)
class ParsedRow:
    """One row, as `parse_model` makes it.

    Attributes:
        block: the name of the class.
        width: channels out, or a list of them; `UNKNOWN` where the source does not say it.
        modules: how many of them stand one behind another.
        arguments: what the constructor is given.
        doubtful: whether a test on the way could not be told.
        by_scale: whether the scale was looked at on the way.
        variables: what `parse_model` assigned to names of its own on the way.
    """

    block: str
    width: Any
    modules: int
    arguments: tuple[Any, ...]
    doubtful: bool
    by_scale: bool
    variables: Mapping[str, Any]


@dataclass
class _Turn:
    """What is noted of one turn of the loop over the rows."""

    built: list[Built] = field(default_factory=list)
    doubtful: bool = False
    by_scale: bool = False
    variables: dict[str, Any] = field(default_factory=dict)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


@dataclass
class _Return(Exception):
    value: Any = field(default=None)


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
    # Tokens are made anew wherever their name stands.
    ast.Is: lambda one, other: one == other if isinstance(one, Token) else one is other,
    ast.IsNot: lambda one, other: one != other if isinstance(one, Token) else one is not other,
}
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
#: Functions of Python's that touch nothing but their arguments.
_PURE = {
    name: getattr(builtins, name)
    for name in (
        "abs all any bool dict enumerate filter float frozenset int iter len list map max min next range reversed "
        "round set sorted str sum tuple type zip"
    ).split()
}
#: What `eval` may meet: names and literals, no operation.
_SAID = (ast.Name, ast.Attribute, ast.Constant, ast.List, ast.Tuple, ast.UnaryOp, ast.unaryop, ast.expr_context)
_METHODS = {
    list: "append copy count extend index insert pop remove reverse",
    dict: "copy get items keys pop setdefault update values",
    str: "endswith join lower replace split startswith strip upper",
    set: "add union update",
}


class ParserSource:
    """`parse_model` of one installed package.

    Args:
        tasks: `ultralytics/nn/tasks.py`.

    Raises:
        UnreadableParser: there is no `parse_model` in it.
    """

    def __init__(self, tasks: Path) -> None:
        text = tasks.read_text(encoding="utf-8", errors="replace")
        found = definitions("def", "parse_model", text)
        if not found:
            raise UnreadableParser(f"{tasks} has no parse_model")
        #: Lines in front of it.
        self.above = text.count("\n", 0, found[-1][0])
        try:
            function = ast.parse(found[-1][1]).body[0]
        except (SyntaxError, ValueError) as error:
            raise UnreadableParser(f"{tasks}: {error}") from error
        assert isinstance(function, ast.FunctionDef)
        self.function = function
        self.parameters = [argument.arg for argument in function.args.args]
        if len(self.parameters) < 2:
            raise UnreadableParser(f"{tasks} has a parse_model that takes no channels")
        # What a name at the top was assigned is not known, but for a second name of a class.
        self.globals = {name: Token(name) for name in names_in(tasks) - {*_ASSIGNED.findall(text)}}
        for module, there, here in imports(text):
            outside = module.partition(".")[0] in ("torch", "torchvision")
            self.globals[here] = Token(f"{module}.{there}" if outside else there)
        self.globals |= {here: Token(module) for module, here in modules(text)}

    def rows(self, model: Mapping[str, Any], channels: int = 3) -> list[ParsedRow]:
        """Every row of a model dictionary, which is not changed.

        Args:
            model: the dictionary, with `scale` where it has scales.
            channels: of the image.

        Raises:
            UnreadableParser: the parser is written in a way that is not understood here.
            Exception: whatever `parse_model` itself would raise on these rows.
        """
        return Reading(self, model, channels).rows


@cache
def installed_parser() -> ParserSource | None:
    """That of the Ultralytics that is installed; None where there is none that can be read."""
    tasks = tasks_file()
    with suppress(UnreadableParser):
        return ParserSource(tasks) if tasks else None
    return None


class Reading:
    """One call of `parse_model`, up to the end of its loop over the rows.

    Args:
        source: the parser.
        model: the dictionary, which is not changed.
        channels: of the image.

    Raises:
        UnreadableParser: the parser is written in a way that is not understood here.
        Exception: whatever `parse_model` itself would raise.
    """

    def __init__(self, source: ParserSource, model: Mapping[str, Any], channels: int = 3) -> None:
        self.source, self.globals, self.steps = source, source.globals, 0
        self.rows: list[ParsedRow] = []
        self.loop: ast.For | None = None
        self.block_name = ""
        self.turn = _Turn()
        self.env: dict[str, Any] = dict.fromkeys(source.parameters, False)
        self.env.update(zip(source.parameters, (copy.deepcopy(model), channels)))
        self.widths = source.parameters[1]
        with suppress(_Return):
            self.block(source.function.body, self.env)
        if self.loop is None:
            raise UnreadableParser("it has no loop over the rows of both sections")

    def row(self, frm: Any, repeats: int, block: str, args: Sequence[Any], widths: Sequence[int]) -> ParsedRow:
        """A further row, behind layers of these widths.

        Raises:
            UnreadableParser: the parser is written in a way that is not understood here.
            Exception: whatever `parse_model` itself would raise on this row.
        """
        ours = {name: [*value] if isinstance(value, list) else value for name, value in self.env.items()}
        ours[self.widths], self.steps = [*widths], 0
        if block not in self.globals:  # as it is where the package is told of it, too
            self.globals = {**self.globals, block: Token(block)}
        return self._row((len(widths), [_copied(frm), repeats, block, [*map(_copied, args)]]), ours)

    # Statements.

    def block(self, body: Sequence[ast.stmt], env: dict[str, Any]) -> None:
        for node in body:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                raise UnreadableParser("it takes too long")
            kind = type(node).__name__
            statement = getattr(self, f"_{kind}", None)
            if statement is None:
                raise self.unreadable(node, kind)
            statement(node, env)

    def unreadable(self, node: ast.stmt | ast.expr, why: str) -> UnreadableParser:
        return UnreadableParser(f"line {self.source.above + node.lineno}: {why}")

    def _nothing(self, node: ast.stmt, env: dict[str, Any]) -> None:
        """A statement that says nothing of rows."""

    _Pass = _Assert = _Global = _Delete = _nothing

    def _Expr(self, node: ast.Expr, env: dict[str, Any]) -> None:
        self.value(node.value, env)

    def _Break(self, node: ast.Break, env: dict[str, Any]) -> None:
        raise _Break

    def _Continue(self, node: ast.Continue, env: dict[str, Any]) -> None:
        raise _Continue

    def _Return(self, node: ast.Return, env: dict[str, Any]) -> None:
        raise _Return(self.value(node.value, env) if node.value else None)

    def _Raise(self, node: ast.Raise, env: dict[str, Any]) -> None:
        raise ValueError(ast.unparse(node))

    _Import = _ImportFrom = _nothing  # its names are among the globals

    def _Assign(self, node: ast.Assign, env: dict[str, Any]) -> None:
        value = self.value(node.value, env)
        for target in node.targets:
            self.bind(target, value, env)
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name):
                    self.turn.variables[name.id] = env[name.id]

    def _AnnAssign(self, node: ast.AnnAssign, env: dict[str, Any]) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value, env), env)

    def _AugAssign(self, node: ast.AugAssign, env: dict[str, Any]) -> None:
        before = self.value(node.target, env)
        self.bind(node.target, _combined(node.op, before, self.value(node.value, env)), env)

    def bind(self, target: ast.expr, value: Any, env: dict[str, Any]) -> None:
        if isinstance(target, ast.Name):
            env[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            values = [UNKNOWN] * len(target.elts) if value is UNKNOWN else list(value)
            if len(values) != len(target.elts):
                raise ValueError(f"{len(values)} values for {len(target.elts)} names")
            for part, one in zip(target.elts, values):
                self.bind(part, one, env)
        elif isinstance(target, ast.Subscript):
            owner, at = self.value(target.value, env), self.value(target.slice, env)
            if owner is not UNKNOWN and at is not UNKNOWN:
                owner[at] = value
        # An attribute of a class or of what is built says nothing of rows.

    def _If(self, node: ast.If, env: dict[str, Any]) -> None:
        test = self.value(node.test, env)
        if test is UNKNOWN and not node.orelse and all(isinstance(one, (ast.Raise, ast.Assert)) for one in node.body):
            return  # a guard that only refuses
        self.block(node.body if self.is_true(test) else node.orelse, env)

    def _With(self, node: ast.With, env: dict[str, Any]) -> None:
        quiet = any("suppress" in ast.unparse(item.context_expr) for item in node.items)
        try:
            self.block(node.body, env)
        except (_Break, _Continue, _Return, UnreadableParser):
            raise
        except Exception:
            if not quiet:
                raise

    def _Try(self, node: ast.Try, env: dict[str, Any]) -> None:
        try:
            self.block(node.body, env)
        except (_Break, _Continue, _Return, UnreadableParser):
            raise
        except Exception:
            if not node.handlers:
                raise
            self.block(node.handlers[0].body, env)
        else:
            self.block(node.orelse, env)
        finally:
            self.block(node.finalbody, env)

    def _For(self, node: ast.For, env: dict[str, Any]) -> None:
        items = self.items(node.iter, env)
        if self.loop is None and _is_over_rows(node):
            self.loop, self.block_name = node, _block_name(node)
            self.rows += [self._row(item, env) for item in items]
            raise _Return  # what comes behind says nothing of rows
        named = [env.get(part.id) for part in ast.walk(node.iter) if isinstance(part, ast.Name)]
        lists = [(value, len(value)) for value in named if isinstance(value, list)]
        for item in items:
            self.bind(node.target, item, env)
            try:
                self.block(node.body, env)
            except _Break:
                break
            except _Continue:
                pass
            if any(len(value) != count for value, count in lists):
                raise self.unreadable(node, "a list is changed while it is gone over")

    def _row(self, item: Any, env: dict[str, Any]) -> ParsedRow:
        """One turn of the loop over the rows."""
        assert self.loop is not None
        turn = self.turn = _Turn()
        self.bind(self.loop.target, item, env)
        try:
            self.block(self.loop.body, env)
        except _Continue:
            pass
        except (_Break, _Return):
            raise UnreadableParser("it leaves its loop over the rows") from None
        except UnreadableParser:
            raise
        except Exception as error:
            if turn.doubtful:
                raise UnreadableParser("a test that can't be told decides whether it refuses a row") from error
            raise
        if not turn.built:
            raise UnreadableParser("a turn of its loop builds nothing")
        first = turn.built[0]
        width = env[self.widths][-1]
        return ParsedRow(
            first.block.name, width, len(turn.built), first.args, turn.doubtful, turn.by_scale, turn.variables
        )

    # Expressions.

    def value(self, node: ast.expr, env: dict[str, Any]) -> Any:
        evaluate = getattr(self, f"_{type(node).__name__}", None)
        return UNKNOWN if evaluate is None else evaluate(node, env)

    def items(self, node: ast.expr, env: dict[str, Any]) -> Any:
        """What an expression holds, one by one; nothing, where that can't be told."""
        value = self.value(node, env)
        self.turn.doubtful = self.turn.doubtful or value is UNKNOWN
        return () if _is_opaque(value) else value

    def is_true(self, value: Any) -> bool:
        if value is UNKNOWN or isinstance(value, Token):
            self.turn.doubtful = True
            return False
        return bool(value)

    def _Constant(self, node: ast.Constant, env: dict[str, Any]) -> Any:
        return node.value

    def _Name(self, node: ast.Name, env: dict[str, Any]) -> Any:
        self.turn.by_scale = self.turn.by_scale or node.id == "scale"
        if node.id in env:
            return env[node.id]
        return self.globals.get(node.id) or _PURE.get(node.id, UNKNOWN)

    def _NamedExpr(self, node: ast.NamedExpr, env: dict[str, Any]) -> Any:
        value = self.value(node.value, env)
        self.bind(node.target, value, env)
        return value

    def _Attribute(self, node: ast.Attribute, env: dict[str, Any]) -> Any:
        owner = self.value(node.value, env)
        if isinstance(owner, Token):
            return owner.name.rpartition(".")[2] if node.attr == "__name__" else Token(f"{owner.name}.{node.attr}")
        for kind, methods in _METHODS.items():
            if isinstance(owner, kind) and node.attr in methods.split():
                return getattr(owner, node.attr)
        return UNKNOWN

    def _Subscript(self, node: ast.Subscript, env: dict[str, Any]) -> Any:
        owner, at = self.value(node.value, env), self.value(node.slice, env)
        is_place = isinstance(owner, (list, tuple))
        return UNKNOWN if _is_opaque(owner) or (_is_opaque(at) if is_place else at is UNKNOWN) else owner[at]

    def _Slice(self, node: ast.Slice, env: dict[str, Any]) -> slice:
        return slice(*(self.value(part, env) if part else None for part in (node.lower, node.upper, node.step)))

    def _List(self, node: ast.List | ast.Tuple | ast.Set, env: dict[str, Any]) -> list[Any]:
        return self.several(node.elts, env)

    def _Tuple(self, node: ast.Tuple, env: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self.several(node.elts, env))

    def _Set(self, node: ast.Set, env: dict[str, Any]) -> set[Any]:
        return {one for one in self.several(node.elts, env) if one is not UNKNOWN}

    def _Dict(self, node: ast.Dict, env: dict[str, Any]) -> dict[Any, Any]:
        return {self.value(k, env): self.value(v, env) for k, v in zip(node.keys, node.values) if k is not None}

    def several(self, nodes: Sequence[ast.expr], env: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found.extend(self.items(node.value, env))
            else:
                found.append(self.value(node, env))
        return found

    def _IfExp(self, node: ast.IfExp, env: dict[str, Any]) -> Any:
        return self.value(node.body if self.is_true(self.value(node.test, env)) else node.orelse, env)

    def _BoolOp(self, node: ast.BoolOp, env: dict[str, Any]) -> Any:
        """As Python does it, but that a side which decides alone does so beside one that is not known, too."""
        last, open_ = None, False
        for part in node.values:
            last = self.value(part, env)
            open_ = open_ or last is UNKNOWN
            if last is not UNKNOWN and bool(last) is isinstance(node.op, ast.Or):
                return last
        return UNKNOWN if open_ else last

    def _UnaryOp(self, node: ast.UnaryOp, env: dict[str, Any]) -> Any:
        value = self.value(node.operand, env)
        return UNKNOWN if value is UNKNOWN or type(node.op) not in _UNARY else _UNARY[type(node.op)](value)

    def _BinOp(self, node: ast.BinOp, env: dict[str, Any]) -> Any:
        return _combined(node.op, self.value(node.left, env), self.value(node.right, env))

    def _Compare(self, node: ast.Compare, env: dict[str, Any]) -> Any:
        left = self.value(node.left, env)
        for how, part in zip(node.ops, node.comparators):
            right = self.value(part, env)
            if UNKNOWN in (left, right) if not isinstance(right, (list, set, frozenset, dict)) else left is UNKNOWN:
                return UNKNOWN
            if _is_opaque(right) and not isinstance(how, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
                return UNKNOWN  # a constant of another module
            if not _COMPARE[type(how)](left, right):
                return False
            left = right
        return True

    def _JoinedStr(self, node: ast.JoinedStr, env: dict[str, Any]) -> Any:
        return UNKNOWN

    def _ListComp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, env: dict[str, Any]) -> Any:
        inner = dict(env)
        found: list[Any] = []

        def go(depth: int) -> bool:
            if depth == len(node.generators):
                found.append(self.value(node.elt, inner))
                return True
            generator = node.generators[depth]
            items = self.value(generator.iter, inner)
            if _is_opaque(items):
                return False
            for item in items:
                self.bind(generator.target, item, inner)
                kept = all(self.is_true(self.value(test, inner)) for test in generator.ifs)
                if kept and not go(depth + 1):
                    return False
            return True

        return found if go(0) else UNKNOWN

    _GeneratorExp = _ListComp

    def _SetComp(self, node: ast.SetComp, env: dict[str, Any]) -> Any:
        found = self._ListComp(node, env)
        return found if found is UNKNOWN else set(found)

    def _Call(self, node: ast.Call, env: dict[str, Any]) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) and node.func.id not in env else None
        if name == "globals":
            return self.globals
        if name == "locals":
            return env
        args = self.several(node.args, env)
        if name == "eval":  # which may be a text of the row's
            said = ast.parse(str(args[0]).strip(), mode="eval").body
            return self.value(said, env) if all(isinstance(part, _SAID) for part in ast.walk(said)) else UNKNOWN
        if name == "isinstance":
            return _is_instance(*args)
        if name == "issubclass":
            return UNKNOWN
        if name == "getattr" and isinstance(args[0], Token):
            return Token(f"{args[0].name}.{args[1]}")
        if name == "__import__":
            return Token(args[0])
        if name == "make_divisible":
            return UNKNOWN if UNKNOWN in args else math.ceil(args[0] / args[1]) * args[1]
        function = self.value(node.func, env)
        if function == Token("ast.literal_eval"):
            return ast.literal_eval(args[0])
        if isinstance(function, Token):
            built = Built(function, tuple(args))
            if isinstance(node.func, ast.Name) and node.func.id == self.block_name:
                self.turn.built.append(built)
            elif not _is_class(function):
                return UNKNOWN
            return built
        if _is_opaque(function) or any(_is_opaque(one) for one in args if function not in (type, str)):
            if not isinstance(getattr(function, "__self__", None), list):
                return UNKNOWN
            place = {"append": 0, "insert": 1}.get(function.__name__)  # where a list may be given anything
            if any(_is_opaque(one) for at, one in enumerate(args) if at != place):
                raise self.unreadable(node, "a list gets what can't be told")
        return function(*args)


def _copied(value: Any) -> Any:
    return [*map(_copied, value)] if isinstance(value, list) else value


def _is_over_rows(node: ast.For) -> bool:
    return all(section in ast.unparse(node.iter) for section in ("'backbone'", "'head'"))


def _block_name(loop: ast.For) -> str:
    """What the loop over the rows calls a row's third column, the block."""
    columns = loop.target.elts[-1] if isinstance(loop.target, ast.Tuple) else loop.target
    if not isinstance(columns, ast.Tuple) or len(columns.elts) != 4 or not isinstance(columns.elts[2], ast.Name):
        raise UnreadableParser("its loop does not name the four columns of a row")
    return columns.elts[2].id


def _is_class(token: Token) -> bool:
    """By its name, which is all that is known of it."""
    return token.name.rpartition(".")[2][:1].isupper()


def _is_opaque(value: Any) -> bool:
    return value is UNKNOWN or isinstance(value, (Built, Token))


def _is_instance(value: Any, kinds: Any) -> Any:
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if value is UNKNOWN or not all(isinstance(kind, type) for kind in kinds):
        return UNKNOWN
    return type in kinds if isinstance(value, Token) else isinstance(value, kinds)


def _combined(how: ast.operator, left: Any, right: Any) -> Any:
    if _is_opaque(left) or _is_opaque(right) or type(how) not in _BINARY:
        return UNKNOWN
    return _BINARY[type(how)](left, right)
