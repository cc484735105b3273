"""An interpreter of a package's Python, by its source text: nothing of it is run.

A class is a token, known by where it is defined, and a call of one a `Built`; other functions of the package are
interpreted too. What can't be known is `UNKNOWN` and spreads. A test that is unknown counts as false, and is noted; but
for a guard that only refuses. Errors are raised as Python raises them, so that the package's own `try` works.
"""

from __future__ import annotations

import ast
import builtins
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .names import TasksFile
from .python_files import Found, PythonFile
from .values import (
    LISTS,
    NO_ERRORS,
    UNKNOWN,
    WIDTHS,
    BreakLoop,
    Built,
    ContinueLoop,
    FunctionSource,
    GlobalNames,
    ReturnValue,
    Token,
    TurnNotes,
    UnreadableParser,
    Variables,
    is_list_of_widths,
    is_opaque,
    is_unknown,
)

#: More statements than any parser takes for any network.
MOST_STEPS = 3_000_000
_LONGEST = 100_000  # of a list or a text that is made by multiplication
_DEEPEST = 40  # functions that call each other
#: Layers that patched parsers count a whole backbone for.
_PACKED = 5

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda base, power: base**power if abs(power) < 64 and abs(base) < 2**16 else UNKNOWN,
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
    ast.Invert: operator.invert,
}
#: Functions of Python's that touch nothing but their arguments.
_PURE = {
    name: getattr(builtins, name)
    for name in (
        "abs all any bool dict enumerate filter float frozenset int iter len list map max min next range reversed "
        "round set sorted str sum tuple type zip"
    ).split()
}
#: What `eval` may meet: names and literals, and reckoning with them.
_SAID = (
    *(ast.Name, ast.Attribute, ast.Constant, ast.List, ast.Tuple, ast.UnaryOp, ast.unaryop, ast.expr_context),
    *(ast.BinOp, ast.operator, ast.Subscript, ast.Slice),
)
_METHODS = {
    list: "append copy count extend index insert pop remove reverse",
    dict: "copy get items keys pop setdefault update values",
    str: "endswith format isdigit join lower removeprefix replace split startswith strip upper",
    tuple: "count index",
    set: "add union update",
    frozenset: "union",
    GlobalNames: "get",
}


class Meanings:
    """What the names of a package's files mean, and what they were found to mean before.

    Args:
        tasks: the file of its parser.
    """

    def __init__(self, tasks: TasksFile) -> None:
        self.tasks = tasks
        self._known: dict[PythonFile, dict[str, Any]] = {}
        #: Sets of what is no variable: the file, the names, and the set.
        self.sets: dict[ast.Set, tuple[PythonFile, set[str], frozenset[Any]]] = {}

    def of(self, source: PythonFile, name: str, evaluate: Callable[[ast.expr, PythonFile], Any]) -> Any:
        """What a name means in a file: a token, or what it was assigned; None where nothing binds it."""
        known = self._known.setdefault(source, {})
        if name not in known:
            known[name] = UNKNOWN  # of what is made of itself
            known[name] = self._meaning(source.find(name), evaluate)
        return known[name]

    def _meaning(self, found: Found | None, evaluate: Callable[[ast.expr, PythonFile], Any]) -> Any:
        if found is None:
            return None
        if found.source is None:
            return Token(found.name)
        if not found.name:
            return Token(found.source.dotted)
        if found.source.is_defined(found.name):
            return Token(found.name, found.source.dotted)
        value = getattr(found.node, "value", None)
        return UNKNOWN if value is None else evaluate(value, found.source)

    def definition(self, token: Token) -> Found | None:
        """Where the package defines a class or function; None for one outside."""
        source = self.tasks.module(token.home) if token.home else None
        return Found(source, token.name) if source else None


class Interpreter:
    """What statements of a package come to, as far as that can be told without running them.

    Args:
        meanings: what the package's names mean.
    """

    def __init__(self, meanings: Meanings) -> None:
        self.meanings, self.steps, self.depth = meanings, 0, 0
        self.ways: dict[type, Callable[[Any, Variables], Any] | None] = {}
        self.turn = TurnNotes()
        #: The variable that is a row's block: what a call of it gives is built.
        self.block_name = ""

    # Statements.

    def block(self, body: Sequence[ast.stmt], env: Variables) -> None:
        for node in body:
            self.step()
            statement = self.how(node)
            if statement is None:
                raise self.unreadable(node, type(node).__name__)
            statement(node, env)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise UnreadableParser("it takes too long")

    def unreadable(self, node: ast.stmt | ast.expr, why: str) -> UnreadableParser:
        return UnreadableParser(f"line {node.lineno}: {why}")

    def _nothing(self, node: ast.stmt, env: Variables) -> None:
        """A statement that says nothing of rows."""

    _Pass = _Assert = _Global = _Nonlocal = _Delete = _nothing

    def _Expr(self, node: ast.Expr, env: Variables) -> None:
        self.value(node.value, env)

    def _Break(self, node: ast.Break, env: Variables) -> None:
        raise BreakLoop

    def _Continue(self, node: ast.Continue, env: Variables) -> None:
        raise ContinueLoop

    def _Return(self, node: ast.Return, env: Variables) -> None:
        raise ReturnValue(self.value(node.value, env) if node.value else None)

    def _Raise(self, node: ast.Raise, env: Variables) -> None:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        kind = getattr(builtins, raised.id, None) if isinstance(raised, ast.Name) else None
        is_error = isinstance(kind, type) and issubclass(kind, Exception)
        raise (kind if is_error else ValueError)(ast.unparse(node))  # type: ignore[misc]

    def _Import(self, node: ast.Import, env: Variables) -> None:
        for one in node.names:
            name = one.name if one.asname else one.name.partition(".")[0]
            env[one.asname or name] = Token(name)

    def _ImportFrom(self, node: ast.ImportFrom, env: Variables) -> None:
        module = self.meanings.tasks.files.module(env.source.path, node.level, node.module or "")
        for one in node.names:
            there = self.meaning(module, one.name) if module else Token(f"{node.module}.{one.name}")
            env[one.asname or one.name] = UNKNOWN if there is None else there

    def _FunctionDef(self, node: ast.FunctionDef, env: Variables) -> None:
        env[node.name] = FunctionSource(node, env)

    def _ClassDef(self, node: ast.ClassDef, env: Variables) -> None:
        env[node.name] = UNKNOWN

    def _Assign(self, node: ast.Assign, env: Variables) -> None:
        value = self.as_told(self.value(node.value, env))
        for target in node.targets:
            self.bind(target, value, env)
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name):
                    self.turn.variables[name.id] = env[name.id]

    def _AnnAssign(self, node: ast.AnnAssign, env: Variables) -> None:
        if node.value is not None:
            self.bind(node.target, self.as_told(self.value(node.value, env)), env)

    def _AugAssign(self, node: ast.AugAssign, env: Variables) -> None:
        before = self.value(node.target, env)
        self.bind(node.target, _combined(node.op, before, self.as_told(self.value(node.value, env))), env)

    def as_told(self, value: Any) -> Any:
        """A value, where nobody knows better."""
        return value

    def bind(self, target: ast.expr, value: Any, env: Variables) -> None:
        if isinstance(target, ast.Name):
            env[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value, env)
        elif isinstance(target, ast.Subscript):
            owner, at = self.value(target.value, env), self.value(target.slice, env)
            if isinstance(owner, (list, dict)) and not is_unknown(at):
                owner[at] = value
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, env)
            if isinstance(owner, Built):  # one of a class says nothing of rows
                owner.attributes[target.attr] = value

    def _unpack(self, targets: Sequence[ast.expr], value: Any, env: Variables) -> None:
        star = next((at for at, one in enumerate(targets) if isinstance(one, ast.Starred)), None)
        if is_opaque(value):
            values = [UNKNOWN] * len(targets)
            star = None
        else:
            values = list(value)
        if star is not None:
            end = len(values) - (len(targets) - star - 1)
            values = [*values[:star], values[star:end], *values[end:]]
        if len(values) != len(targets):
            raise ValueError(f"{len(values)} values for {len(targets)} names")
        for part, one in zip(targets, values):
            self.bind(part.value if isinstance(part, ast.Starred) else part, one, env)

    def _If(self, node: ast.If, env: Variables) -> None:
        test = self.value(node.test, env)
        if is_unknown(test) and not node.orelse and all(isinstance(one, (ast.Raise, ast.Assert)) for one in node.body):
            return  # a guard that only refuses
        self.block(node.body if self.is_true(test) else node.orelse, env)

    def _While(self, node: ast.While, env: Variables) -> None:
        while self.is_true(self.value(node.test, env)):
            self.step()
            try:
                self.block(node.body, env)
            except BreakLoop:
                break
            except ContinueLoop:
                pass

    def _With(self, node: ast.With, env: Variables) -> None:
        quiet: list[Any] = []
        for item in node.items:
            manager = item.context_expr
            if isinstance(manager, ast.Call) and ast.unparse(manager.func).endswith("suppress"):
                quiet += [_caught(one) for one in manager.args]
        try:
            self.block(node.body, env)
        except NO_ERRORS:
            raise
        except Exception as error:
            if not any(isinstance(error, kinds) for kinds in quiet):
                raise

    def _Try(self, node: ast.Try, env: Variables) -> None:
        try:
            self.block(node.body, env)
        except NO_ERRORS:
            raise
        except Exception as error:
            handler = next((one for one in node.handlers if isinstance(error, _caught(one.type))), None)
            if handler is None:
                raise
            if handler.name:
                env[handler.name] = str(error)
            self.block(handler.body, env)
        else:
            self.block(node.orelse, env)
        finally:
            self.block(node.finalbody, env)

    def _For(self, node: ast.For, env: Variables) -> None:
        items = self.items(node.iter, env)
        named = [env.get(name) for name in _gone_over(node.iter)]
        lists = [(value, len(value)) for value in named if isinstance(value, list)]
        for item in items:
            self.step()
            self.bind(node.target, item, env)
            try:
                self.block(node.body, env)
            except BreakLoop:
                break
            except ContinueLoop:
                pass
            if any(len(value) != count for value, count in lists):
                raise self.unreadable(node, "a list is changed while it is gone over")
        else:
            self.block(node.orelse, env)

    # Expressions.

    def value(self, node: ast.expr, env: Variables) -> Any:
        evaluate = self.how(node)
        return UNKNOWN if evaluate is None else evaluate(node, env)

    def how(self, node: ast.AST) -> Callable[[Any, Variables], Any] | None:
        """What interprets such a node; None for what is not understood."""
        kind = type(node)
        if kind not in self.ways:
            self.ways[kind] = getattr(self, f"_{kind.__name__}", None)
        return self.ways[kind]

    def items(self, node: ast.expr, env: Variables) -> Any:
        """What an expression holds, one by one; nothing, where that can't be told."""
        value = self.as_told(self.value(node, env))
        self.turn.doubtful = self.turn.doubtful or is_unknown(value)
        return () if is_opaque(value) else value

    def is_true(self, value: Any) -> bool:
        if is_unknown(value):
            self.turn.doubtful = True
            return False
        return bool(value)

    def _Constant(self, node: ast.Constant, env: Variables) -> Any:
        return node.value

    def _Name(self, node: ast.Name, env: Variables) -> Any:
        self.turn.by_scale = self.turn.by_scale or node.id == "scale"
        if node.id in env:
            return env[node.id]
        meant = self.meaning(env.source, node.id)
        return _PURE.get(node.id, UNKNOWN) if meant is None else meant

    def meaning(self, source: PythonFile, name: str) -> Any:
        """What a name at the top of a file means; None where nothing binds it."""
        return self.meanings.of(source, name, lambda node, there: self.value(node, Variables(there)))

    def _NamedExpr(self, node: ast.NamedExpr, env: Variables) -> Any:
        value = self.value(node.value, env)
        self.bind(node.target, value, env)
        return value

    def _Attribute(self, node: ast.Attribute, env: Variables) -> Any:
        owner, name = self.value(node.value, env), node.attr
        if isinstance(owner, Token):
            return self._of_token(owner, name)
        if isinstance(owner, Built):
            if name in owner.attributes:
                return owner.attributes[name]
            return WIDTHS if name in LISTS else UNKNOWN
        if is_list_of_widths(owner):
            return owner
        for kind, methods in _METHODS.items():
            if isinstance(owner, kind) and name in methods.split():
                return getattr(owner, name)
        return UNKNOWN

    def _of_token(self, owner: Token, name: str) -> Any:
        if name == "__name__":
            return owner.name.rpartition(".")[2]
        if owner.home:
            return self.constant(owner, name)
        module = self.meanings.tasks.module(owner.name)
        if module is None:
            return Token(f"{owner.name}.{name}")
        there = self.meaning(module, name)
        inner = self.meanings.tasks.module(f"{owner.name}.{name}") if there is None else None
        return Token(f"{owner.name}.{name}") if inner else UNKNOWN if there is None else there

    def constant(self, owner: Token, name: str, depth: int = 0) -> Any:
        """What a class says at its top, or one that it extends."""
        found = self.meanings.definition(owner)
        node = found.node if found else None
        if found is None or found.source is None or not isinstance(node, ast.ClassDef) or depth > _DEEPEST:
            return UNKNOWN
        frame = Variables(found.source)
        for part in node.body:
            targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
            is_it = any(isinstance(one, ast.Name) and one.id == name for one in targets)
            if is_it and isinstance(part, (ast.Assign, ast.AnnAssign)) and part.value is not None:
                return self.value(part.value, frame)
        bases = (self.value(base, frame) for base in node.bases)
        values = (self.constant(base, name, depth + 1) for base in bases if isinstance(base, Token))
        return next((value for value in values if not is_unknown(value)), UNKNOWN)

    def _Subscript(self, node: ast.Subscript, env: Variables) -> Any:
        owner, at = self.value(node.value, env), self.value(node.slice, env)
        if is_list_of_widths(owner) and isinstance(at, slice):
            return owner
        is_place = isinstance(owner, (list, tuple))
        return UNKNOWN if is_opaque(owner) or (is_opaque(at) if is_place else is_unknown(at)) else owner[at]

    def _Slice(self, node: ast.Slice, env: Variables) -> Any:
        parts = [self.value(part, env) if part else None for part in (node.lower, node.upper, node.step)]
        return UNKNOWN if any(map(is_opaque, parts)) else slice(*parts)

    def _List(self, node: ast.List | ast.Tuple | ast.Set, env: Variables) -> list[Any]:
        return self.several(node.elts, env)

    def _Tuple(self, node: ast.Tuple, env: Variables) -> tuple[Any, ...]:
        return tuple(self.several(node.elts, env))

    def _Set(self, node: ast.Set, env: Variables) -> Any:
        """One of blocks, which people have inside of the loop, is made once."""
        kept = self.meanings.sets.get(node)
        if kept is not None and kept[0] is env.source and env.keys().isdisjoint(kept[1]):
            return kept[2]
        found = frozenset(one for one in self.several(node.elts, env) if not is_unknown(one))
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        if env.keys().isdisjoint(names):
            self.meanings.sets[node] = env.source, names, found
        return found

    def _Dict(self, node: ast.Dict, env: Variables) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, part in zip(node.keys, node.values):
            value = self.value(part, env)
            if key is not None:
                found[self.value(key, env)] = value
            elif isinstance(value, dict):
                found.update(value)
        return found

    def several(self, nodes: Sequence[ast.expr], env: Variables) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found.extend(self.items(node.value, env))
            else:
                found.append(self.value(node, env))
        return found

    def _IfExp(self, node: ast.IfExp, env: Variables) -> Any:
        return self.value(node.body if self.is_true(self.value(node.test, env)) else node.orelse, env)

    def _BoolOp(self, node: ast.BoolOp, env: Variables) -> Any:
        """As Python does it, but that a side which decides alone does so beside one that is not known, too."""
        last, open_ = None, False
        for part in node.values:
            last = self.value(part, env)
            open_ = open_ or is_unknown(last)
            if not is_unknown(last) and bool(last) is isinstance(node.op, ast.Or):
                return last
        return UNKNOWN if open_ else last

    def _UnaryOp(self, node: ast.UnaryOp, env: Variables) -> Any:
        value = self.value(node.operand, env)
        return UNKNOWN if is_unknown(value) or type(node.op) not in _UNARY else _UNARY[type(node.op)](value)

    def _BinOp(self, node: ast.BinOp, env: Variables) -> Any:
        return _combined(node.op, self.value(node.left, env), self.value(node.right, env))

    def _Compare(self, node: ast.Compare, env: Variables) -> Any:
        left = self.value(node.left, env)
        for how, part in zip(node.ops, node.comparators):
            right = self.value(part, env)
            if is_unknown(left) or is_unknown(right):
                return UNKNOWN
            if is_opaque(right) and not isinstance(how, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
                return UNKNOWN  # a constant of another module
            if not _COMPARE[type(how)](left, right):
                return False
            left = right
        return True

    def _JoinedStr(self, node: ast.JoinedStr, env: Variables) -> Any:
        parts = []
        for part in node.values:
            value = self.value(part.value, env) if isinstance(part, ast.FormattedValue) else part
            if isinstance(part, ast.FormattedValue) and (part.format_spec or not isinstance(value, (str, int))):
                return UNKNOWN
            parts.append(str(value.value if isinstance(value, ast.Constant) else value))
        return "".join(parts)

    def _Lambda(self, node: ast.Lambda, env: Variables) -> FunctionSource:
        return FunctionSource(node, env)

    def _ListComp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, env: Variables) -> Any:
        return self._gathered(node.generators, env, lambda inner: self.value(node.elt, inner))

    def _gathered(
        self, generators: Sequence[ast.comprehension], env: Variables, give: Callable[[Variables], Any]
    ) -> Any:
        inner = Variables(env.source, env)
        found: list[Any] = []

        def go(depth: int) -> bool:
            self.step()
            if depth == len(generators):
                found.append(give(inner))
                return True
            items = self.as_told(self.value(generators[depth].iter, inner))
            if is_opaque(items):
                return False
            for item in items:
                self.bind(generators[depth].target, item, inner)
                kept = all(self.is_true(self.value(test, inner)) for test in generators[depth].ifs)
                if kept and not go(depth + 1):
                    return False
            return True

        return found if go(0) else UNKNOWN

    _GeneratorExp = _ListComp

    def _SetComp(self, node: ast.SetComp, env: Variables) -> Any:
        found = self._ListComp(node, env)
        return found if is_unknown(found) else set(found)

    def _DictComp(self, node: ast.DictComp, env: Variables) -> Any:
        found = self._gathered(
            node.generators, env, lambda inner: (self.value(node.key, inner), self.value(node.value, inner))
        )
        return found if is_unknown(found) else dict(found)

    def _Call(self, node: ast.Call, env: Variables) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) and node.func.id not in env else None
        if name == "globals":
            return GlobalNames(lambda name: self.meaning(env.source, name))
        if name in ("locals", "vars") and not node.args:
            return env
        args = self.several(node.args, env)
        keywords = {part.arg: self.value(part.value, env) for part in node.keywords if part.arg}
        for part in node.keywords:
            more = None if part.arg else self.value(part.value, env)
            keywords.update(more if isinstance(more, dict) else {})
        special = getattr(self, f"call_{name}", None)
        if special is not None:
            return special(env, *args)
        function = self.value(node.func, env)
        if function == Token("ast.literal_eval"):
            return ast.literal_eval(args[0])
        if isinstance(function, FunctionSource):
            return self.call(function, args, keywords)
        if isinstance(function, Token):
            return self._built(node, function, args, keywords, is_variable=name is None)
        if is_list_of_widths(function):
            return function
        if is_opaque(function):
            return UNKNOWN
        return self._python(node, function, args, keywords)

    def _built(
        self, node: ast.Call, function: Token, args: list[Any], keywords: dict[str, Any], is_variable: bool
    ) -> Any:
        """What a call of a class or of a function gives."""
        built = Built(function, tuple(args), keywords)
        if isinstance(node.func, ast.Name) and node.func.id == self.block_name:
            self.turn.built.append(built)
            return built
        found = self.meanings.definition(function)
        definition = found.node if found else None
        if found is not None and found.source is not None and isinstance(definition, ast.FunctionDef):
            if is_variable and isinstance(node.func, ast.Name):
                return built  # a row's own
            if function.name == "make_divisible":
                return _made_divisible(*args)
            return self._result(FunctionSource(definition, Variables(found.source)), args, keywords)
        if function.name.startswith("math."):
            known = getattr(math, function.name.partition(".")[2], None)
            return UNKNOWN if known is None or any(map(is_opaque, args)) else known(*args)
        return built if _is_class(function) or function.name.startswith("timm.") else UNKNOWN

    def _result(self, function: FunctionSource, args: list[Any], keywords: dict[str, Any]) -> Any:
        """What a function of the package gives; not known where that is not understood, or where it fails."""
        try:
            return self.call(function, args, keywords)
        except NO_ERRORS as error:
            if isinstance(error, UnreadableParser) and self.steps > MOST_STEPS:
                raise
        except Exception:
            pass
        return UNKNOWN

    def call(self, function: FunctionSource, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        env, given = Variables(function.outer.source, function.outer), function.node.args
        names = [one.arg for one in (*given.posonlyargs, *given.args)]
        for name, default in zip(names[len(names) - len(given.defaults) :], given.defaults):
            env[name] = self.value(default, env)
        for one, value in zip(given.kwonlyargs, given.kw_defaults):
            env[one.arg] = UNKNOWN if value is None else self.value(value, env)
        env.update(zip(names, args))
        env.update(keywords)
        if given.vararg:
            env[given.vararg.arg] = tuple(args[len(names) :])
        if isinstance(function.node, ast.Lambda):
            return self.value(function.node.body, env)
        self.depth += 1
        try:
            if self.depth > _DEEPEST:
                raise UnreadableParser("its functions call each other without end")
            self.block(function.node.body, env)
        except ReturnValue as returned:
            return returned.value
        finally:
            self.depth -= 1
        return None

    def _python(self, node: ast.Call, function: Any, args: list[Any], keywords: dict[str, Any]) -> Any:
        """What a function of Python's own gives."""
        owner = getattr(function, "__self__", None)
        if isinstance(owner, list) and function.__name__ == "extend" and is_unknown(args[0]):
            told = self.as_told(args[0])
            several = is_list_of_widths(args[0])
            missing = [UNKNOWN] * max(1, (_PACKED if several else 1) - len(owner))
            self.turn.doubtful = self.turn.doubtful or not several
            return owner.extend(missing if is_unknown(told) else told)
        if isinstance(owner, (list, set)) and function.__name__ in ("append", "add", "insert"):
            if function.__name__ == "append" and isinstance(args[0], Built):
                self.turn.layer = args[0]
            if function.__name__ == "insert" and is_opaque(args[0]):
                raise self.unreadable(node, "a list gets what can't be told")
            return function(*args)
        if any(is_opaque(one) for one in args if function not in (type, str)):
            if isinstance(owner, (GlobalNames, dict)) and not is_unknown(args[0]):
                return function(*args)
            if isinstance(owner, (list, set)) and function.__name__ not in ("count", "index"):
                raise self.unreadable(node, "a list gets what can't be told")
            if function in (list, tuple) and is_list_of_widths(args[0]):
                return args[0]
            return UNKNOWN
        if function in (sum, max, min) and any(is_unknown(one) for arg in args for one in _inside(arg)):
            return UNKNOWN
        if function is range and any(isinstance(one, int) and abs(one) > _LONGEST for one in args):
            raise self.unreadable(node, "a range is too long")
        if any(isinstance(one, FunctionSource) for one in (*args, *keywords.values())):
            return UNKNOWN
        return function(*args, **keywords)

    # Functions that are known by their name.

    def call_eval(self, env: Variables, text: Any, *more: Any) -> Any:
        """What a text means, which may be one of the row's."""
        if not isinstance(text, str):
            return UNKNOWN if is_opaque(text) else text
        said = ast.parse(text.strip(), mode="eval").body
        if not all(isinstance(part, _SAID) for part in ast.walk(said)):
            return UNKNOWN
        for name in (part.id for part in ast.walk(said) if isinstance(part, ast.Name)):
            if name not in env and not hasattr(builtins, name) and self.meaning(env.source, name) is None:
                raise NameError(name)
        return self.value(said, env)

    def call_isinstance(self, env: Variables, value: Any, kinds: Any) -> Any:
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if is_list_of_widths(value):
            return list in kinds
        if is_unknown(value) or not all(isinstance(kind, type) for kind in kinds):
            return UNKNOWN
        if isinstance(value, (Token, Built)):
            return type in kinds and isinstance(value, Token)
        return isinstance(value, kinds)

    def call_issubclass(self, env: Variables, value: Any, kinds: Any) -> Any:
        return UNKNOWN

    def call_hasattr(self, env: Variables, value: Any, name: Any) -> Any:
        if isinstance(value, Token) and name == "__name__":
            return True
        return True if isinstance(value, Built) and name in value.attributes else UNKNOWN

    def call_getattr(self, env: Variables, owner: Any, name: Any, *default: Any) -> Any:
        if isinstance(owner, Token) and isinstance(name, str):
            return self._of_token(owner, name)
        if isinstance(owner, Built) and isinstance(name, str) and name in owner.attributes:
            return owner.attributes[name]
        return default[0] if default and not is_opaque(owner) else UNKNOWN

    def call___import__(self, env: Variables, name: Any, *more: Any) -> Any:
        return Token(name) if isinstance(name, str) else UNKNOWN

    def call_print(self, env: Variables, *args: Any) -> None:
        return None

    def call_make_divisible(self, env: Variables, *args: Any) -> Any:
        return _made_divisible(*args)


def _made_divisible(value: Any, divisor: Any = 8) -> Any:
    return UNKNOWN if is_opaque(value) or is_opaque(divisor) else math.ceil(value / divisor) * divisor


def _inside(value: Any) -> Sequence[Any]:
    return [*value] if isinstance(value, (list, tuple, set)) else ()


def _caught(node: ast.expr | None) -> tuple[type[BaseException], ...]:
    """The exceptions that a handler names; all for one that names none, or one that is not Python's own."""
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    kinds = [getattr(builtins, one.id, Exception) if isinstance(one, ast.Name) else Exception for one in names]
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseException))


def _gone_over(node: ast.expr) -> list[str]:
    """The variables that a loop goes over, not those that only say how often."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in ("range", "len"):
        return [name for part in node.args for name in _gone_over(part)]
    return []


def _is_class(token: Token) -> bool:
    """By its name, which is all that is known of it."""
    return token.name.rpartition(".")[2][:1].isupper()


def _combined(how: ast.operator, left: Any, right: Any) -> Any:
    if is_opaque(left) or is_opaque(right) or type(how) not in _BINARY:
        return UNKNOWN
    if isinstance(how, ast.Mult) and any(isinstance(one, (list, str, tuple)) for one in (left, right)):
        count = next((one for one in (left, right) if isinstance(one, int)), 0)
        length = max(len(one) for one in (left, right) if isinstance(one, (list, str, tuple)))
        if count * length > _LONGEST:
            return UNKNOWN
    return _BINARY[type(how)](left, right)
