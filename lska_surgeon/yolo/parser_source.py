"""What Ultralytics' `parse_model` makes of each row of a model, read from its source text: nothing of it is run.

`parse_model` of the `ultralytics/nn/tasks.py` that is installed is interpreted statement by statement on a model
dictionary. A class is a token, and a call of one a `Built`; what can't be known, such as the answer of another function
of the package, is `UNKNOWN` and spreads. A test that is unknown counts as false, and marks the row as doubtful.
"""

from __future__ import annotations

import ast
import builtins
import copy
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: More statements than any parser takes for any network.
_MOST_STEPS = 3_000_000


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
    """

    block: str
    width: Any
    modules: int
    arguments: tuple[Any, ...]
    doubtful: bool


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
_METHODS = {
    list: "append copy count extend index insert pop remove reverse",
    dict: "copy get items keys pop setdefault update values",
    str: "endswith format join lower replace split startswith strip upper",
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
        tree = ast.parse(tasks.read_text(encoding="utf-8"))
        self.globals = {name: token for node in tree.body for name, token in _bound(node)}
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "parse_model"]
        if not found:
            raise UnreadableParser(f"{tasks} has no parse_model")
        self.function = found[-1]

    def names(self) -> list[str]:
        """The blocks that `parse_model` itself speaks of, as rows name them."""
        nodes = [node for node in ast.walk(self.function) if isinstance(node, (ast.Compare, ast.Set))]
        found = {ast.unparse(part).replace("torch.nn.", "nn.") for node in nodes for part in _parts(node)}
        return sorted(name for name in found if name.startswith("nn.") or name in self.globals)

    def rows(self, model: Mapping[str, Any], channels: int = 3) -> list[ParsedRow]:
        """Every row of a model dictionary, which is not changed.

        Args:
            model: the dictionary, with `scale` where it has scales.
            channels: of the image.

        Raises:
            UnreadableParser: the parser is written in a way that is not understood here.
            Exception: whatever `parse_model` itself would raise on these rows.
        """
        return _Run(self, copy.deepcopy(dict(model)), channels).rows


class _Run:
    """One call of `parse_model`."""

    def __init__(self, source: ParserSource, model: dict[str, Any], channels: int) -> None:
        self.globals, self.steps, self.doubtful = source.globals, 0, False
        self.rows: list[ParsedRow] = []
        arguments = source.function.args.args
        self.env: dict[str, Any] = {argument.arg: False for argument in arguments}
        self.env.update(zip((argument.arg for argument in arguments), (model, channels)))
        with suppress(_Return):
            self.block(source.function.body, self.env)

    # Statements.

    def block(self, body: Sequence[ast.stmt], env: dict[str, Any]) -> None:
        for node in body:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                raise UnreadableParser("it takes too long")
            kind = type(node).__name__
            statement = getattr(self, f"_{kind}", None)
            if statement is None:
                raise UnreadableParser(f"line {node.lineno}: {kind}")
            statement(node, env)

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

    def _Import(self, node: ast.Import, env: dict[str, Any]) -> None:
        env.update(_bound(node))

    _ImportFrom = _Import

    def _Assign(self, node: ast.Assign, env: dict[str, Any]) -> None:
        value = self.value(node.value, env)
        for target in node.targets:
            self.bind(target, value, env)

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
        of_rows = env is self.env and "backbone" in ast.unparse(node.iter)
        items = self.value(node.iter, env)
        for item in () if items is UNKNOWN else _items(items):
            self.doubtful = self.doubtful and not of_rows
            self.bind(node.target, item, env)
            try:
                self.block(node.body, env)
            except _Break:
                break
            except _Continue:
                pass
            if of_rows:
                self.rows.append(self._row(env))

    def _row(self, env: Mapping[str, Any]) -> ParsedRow:
        """What the names of the parser's loop hold at the end of a turn."""
        built = env.get("m_")
        if not isinstance(built, Built):
            raise UnreadableParser("a turn of its loop builds nothing")
        parts = [part for part in built.args if isinstance(part, Built)]
        chain = parts if built.block.name.endswith("Sequential") and parts else [built]
        return ParsedRow(chain[0].block.name, env["ch"][-1], len(chain), chain[0].args, self.doubtful)

    # Expressions.

    def value(self, node: ast.expr, env: dict[str, Any]) -> Any:
        evaluate = getattr(self, f"_{type(node).__name__}", None)
        return UNKNOWN if evaluate is None else evaluate(node, env)

    def is_true(self, value: Any) -> bool:
        if value is UNKNOWN:
            self.doubtful = True
            return False
        return bool(value)

    def _Constant(self, node: ast.Constant, env: dict[str, Any]) -> Any:
        return node.value

    def _Name(self, node: ast.Name, env: dict[str, Any]) -> Any:
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
        return UNKNOWN if _is_opaque(owner) or at is UNKNOWN else owner[at]

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
                found.extend(_items(self.value(node.value, env)))
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
        if name == "eval":
            return self.value(ast.parse(str(args[0]).strip(), mode="eval").body, env)
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
            of_row = isinstance(node.func, ast.Name) and name is None
            return Built(function, tuple(args)) if of_row or _is_class(function) else UNKNOWN
        if _is_opaque(function) or any(_is_opaque(one) for one in args if function not in (type, str)):
            owner = getattr(function, "__self__", None)
            if not isinstance(owner, list):
                return UNKNOWN
        return function(*args)


def _bound(node: ast.stmt) -> Iterator[tuple[str, Token]]:
    """The names that a statement binds, each with what it stands for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or name, Token(name)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            outside = (node.module or "").partition(".")[0] in ("torch", "torchvision")
            yield alias.asname or alias.name, Token(f"{node.module}.{alias.name}" if outside else alias.name)
    elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        yield node.name, Token(node.name)
    elif isinstance(node, ast.Try):
        for part in node.body:
            yield from _bound(part)


def _parts(node: ast.Compare | ast.Set) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Set) else node.comparators


def _is_class(token: Token) -> bool:
    """By its name, which is all that is known of it."""
    return token.name.rpartition(".")[2][:1].isupper()


def _is_opaque(value: Any) -> bool:
    return value is UNKNOWN or isinstance(value, (Built, Token))


def _items(value: Any) -> Any:
    return () if _is_opaque(value) else value


def _is_instance(value: Any, kinds: Any) -> Any:
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if value is UNKNOWN or not all(isinstance(kind, type) for kind in kinds):
        return UNKNOWN
    return type in kinds if isinstance(value, Token) else isinstance(value, kinds)


def _combined(how: ast.operator, left: Any, right: Any) -> Any:
    if _is_opaque(left) or _is_opaque(right) or type(how) not in _BINARY:
        return UNKNOWN
    return _BINARY[type(how)](left, right)


# The rules for each block, found by asking: what comes of rows with widths and arguments that tell themselves apart.

_LETTERS = "nsmlx"
_SOURCES = (104, 136, 56)  # widths of the rows before the one that is asked for, at half width
_REPEATS = 7
#: Arguments to try; most blocks take the first, and some have an opinion on a number or want a list.
_ARGUMENTS: tuple[tuple[Any, ...], ...] = (
    (4016, 4024, 4032, 4040, 4048, 4056),
    (4016, 4024, 8),
    (4016,),
    ([408, 416], 4024),
)


@dataclass(frozen=True)
class ParserRule:
    """How `parse_model` treats a block.

    Attributes:
        width: the rule for the channels out, as in the table of blocks.
        arguments: what the constructor is given: c1, c2, n (the repeats), [ch] (all widths that are read), reg_max,
            end2end, `N` and `scaled(N)` of the row's arguments; `*N` is all of them from N on, ? what is none of these.
        letters: groups of scale letters that are treated alike; empty where all are.
    """

    width: str
    arguments: tuple[str, ...]
    letters: tuple[str, ...]


def rules_of(source: ParserSource) -> dict[str, ParserRule]:
    """The rule for each block that `parse_model` speaks of; any other keeps its source's width and its arguments.

    Raises:
        UnreadableParser: a block takes no arguments that are tried here.
    """
    return {name: _rule(source, name) for name in source.names()}


def _rule(source: ParserSource, name: str) -> ParserRule:
    for frm in (-1, [2, 1, 0]):
        for args in _ARGUMENTS:
            try:
                rows = {letter: _asked(source, name, frm, args, letter) for letter in _LETTERS}
            except UnreadableParser:
                raise
            except Exception:  # as the parser refuses such a row
                continue
            groups: dict[tuple[Any, ...], str] = {}
            for letter, row in rows.items():
                key = tuple(map(repr, row.arguments))
                groups[key] = groups.get(key, "") + letter
            first = rows[_LETTERS[0]]
            letters = tuple(groups.values()) if len(groups) > 1 else ()
            return ParserRule(_width(source, name, frm, args, first.width), _template(first, frm, args), letters)
    raise UnreadableParser(f"{name} takes none of the arguments that are tried")


def _asked(source: ParserSource, name: str, frm: Any, args: Sequence[Any], letter: str) -> ParsedRow:
    """The row of a block behind three others."""
    before = [[-1, 1, "Conv", [2 * width, 3, 2]] for width in _SOURCES]
    scales = {one: [1.0, 0.5, 10**6] for one in _LETTERS}
    settings = {"nc": 80, "reg_max": "reg_max", "end2end": "end2end", "scales": scales, "scale": letter}
    row = [frm, _REPEATS, name, list(args)]
    return source.rows({**settings, "backbone": [*before, row], "head": []})[-1]


def _width(source: ParserSource, name: str, frm: Any, args: Sequence[Any], width: Any) -> str:
    ins = [_SOURCES[at] for at in ([2] if frm == -1 else frm)]
    if isinstance(args[0], int) and width == args[0] // 2:
        return "scaled"
    if len(args) > 3 and width == args[1]:  # the first residual layer of a ResNet is not four times as wide
        other = _asked(source, name, frm, [*args[:3], False, *args[4:]], _LETTERS[0]).width
        return "args[1]" if other == width else "resnet"
    for at, argument in enumerate(args):
        if width == argument:
            return f"args[{at}]"
    if len(ins) > 1 and width == sum(ins):
        return "sum"
    if width == ins[-1]:
        return "source" if len(ins) == 1 else "last"
    return "previous" if width == _SOURCES[-1] else "?"


def _template(row: ParsedRow, frm: Any, args: Sequence[Any]) -> tuple[str, ...]:
    sources = [] if frm == -1 else [_SOURCES[at] for at in frm]
    words: list[str] = []
    for value in row.arguments:
        if isinstance(value, list) and value == sources:
            words.append("[ch]")
        elif value in args:
            words.append(str(args.index(value)))
        elif frm == -1 and value == _SOURCES[-1]:
            words.append("c1")
        elif isinstance(args[0], int) and value == args[0] // 2:
            words.append("c2")
        elif value == _REPEATS:
            words.append("n")
        elif isinstance(value, str):
            words.append(value)
        else:
            scaled = [at for at, one in enumerate(args) if isinstance(one, int) and value == one // 2]
            words.append(f"scaled({scaled[0]})" if scaled else "?")
    return _with_the_rest(words, len(args))


def _with_the_rest(words: list[str], count: int) -> tuple[str, ...]:
    """The words with `*N` in the place of a run of arguments that reaches the last one."""
    last = str(count - 1)
    if last not in words:
        return tuple(words)
    start = end = words.index(last)
    while start and words[start - 1] == str(int(words[start]) - 1):
        start -= 1
    return (*words[:start], f"*{words[start]}", *words[end + 1 :])
