"""What a Python file has that a row can name, each with a declaration to start from; it is parsed, and never run.

A layer is a class that extends `nn.Module`, a layer of torch's or a stock block, through other classes of the file,
too. It can stand in a row if its `forward` takes one value. What it is built from follows from its constructor: names
of parameters, and which of them it makes convolutions, norms and linear layers of.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..core.blocks import ADD, ATTENTION, SOURCE_WIDTH, STOCK, CustomModule, names_attention
from ..core.graph import Layer, role_of
from ..errors import DeclarationError
from ..files import no_file, read_within
from ..installed.imports import forgotten_imports, import_problems
from ..wording import clean, few
from .find import LIKES, name_problem, split_target
from .guess import WIDTH, WIDTH_OUT, like_by_name

#: Ultralytics' own largest module has a tenth of it; Python's parser takes a hundred times as much memory.
_MOST_BYTES = 2**20
_MOST_LISTED = 8
_OUTPUT = "Detect"
_AXES_OF_MAPS = 4
_CHANNEL_AXES = ("c", "ch", "channels", "dim")
_STRIDE_BY_NAME = {"up": 0.5, "down": 2.0}
#: What first arguments are called that are no widths.
_NO_WIDTH = re.compile(
    r"k|ks|k_?sizes?|kernels?|kernel_?sizes?|n|nc|n_?heads?|num_?\w+|heads?|g|gn?|groups?|r|reductions?|ratios?|s|strides?"
    r"|sizes?|resolution|\w+_(?:size|sizes|resolution|shape|ratio|rate|layer|func|fn|type|mode|cfg)|e|eps|factor|scales?"
    r"|scale_factor|upscale\w*|\w*lambda\w*|p|p(?:ad|adding)|drop\w*|inplace|bias|fn|func|module|norm|act|activation|axis"
    r"|dimension|d|dilation|levels?|layers?|length|args|cfg|config|patch\w*|window\w*|alpha|beta|gamma|mode|name|weights?",
    re.I,
)
#: Layers that are built from the width of what they read, and the name that it has there.
_OF_A_WIDTH = re.compile(r"(?:\w*Conv\w*|Linear|\w*BatchNorm\w*|LayerNorm\w*|InstanceNorm\w*|\w*BN)", re.I)
_WIDTH_KEYWORDS = ("in_channels", "in_features", "num_features", "normalized_shape", "num_channels", "embed_dim")
REPEATS = re.compile(r"n|num_?blocks?|depth|repeats?|num_?repeats?|num_?layers?", re.I)
#: Values that arguments may have, by what their names speak of, and where they speak of nothing.
UNCLEAR: tuple[Any, ...] = (8, 1, 2, 0.0, [20, 20])
_LIKELY: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (r"length|inputs", (2,)),
    (r"kernel|^k", (3, 1)),
    (r"size|resolution|shape|hw", ([20, 20], 20)),
    (r"head", (8, 4, 1)),
    (r"ratio|reduc|factor|group|div", (4, 8, 2)),
    (r"", UNCLEAR),
)


@dataclass(frozen=True)
class Scan:
    """What a Python file has that a row can name.

    Attributes:
        blocks: a declaration by the name that rows are to call it.
        parts: of those that look like helpers, the classes of the file that are made of them.
        wants: of those whose class wants more than is known, the names of those arguments.
        left_out: the classes that can't stand in a row, and why.
        notes: what the user should know.
    """

    blocks: Mapping[str, CustomModule]
    parts: Mapping[str, tuple[str, ...]]
    wants: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]


class Parameter(NamedTuple):
    """One parameter of a constructor; whether it has a default."""

    name: str
    has_default: bool


def scan(path: Path) -> Scan:
    """A declaration for each layer of a file that can stand in a row.

    Args:
        path: the file; the declarations name it relative to the working folder.

    Raises:
        DeclarationError: it can't be read, is no Python, or has no layers.
    """
    tree = _parsed(path)
    file = _Classes(tree, path)
    if not file.layers:
        raise DeclarationError(f"{path} defines no layers: a layer is a class that extends nn.Module or a stock block")
    misfits = {name: reason for name in file.layers if (reason := file.misfit(name))}
    fit = [name for name in file.layers if name not in misfits]
    users = {name: file.users_of(name) for name in fit}
    fit.sort(key=lambda name: bool(users[name]))
    called = {name: _row_name(name) for name in fit}
    found = {name: file.declaration(name) for name in fit}
    notes = [*import_problems(tree, path), *forgotten_imports(tree), *file.forgotten_widths()]
    notes += filter(None, map(file.only_by_name, fit))
    notes += [
        f"{name} is declared as {row}, for its own name can't be: {str(name_problem(name)).partition(':')[0]}"
        for name, row in called.items()
        if row != name and not users[name]
    ]
    for reason in dict.fromkeys(misfits.values()):
        names = [name for name, one in misfits.items() if one == reason]
        notes.append(f"{reason}: {few(names, _MOST_LISTED)}")
    return Scan(
        {called[name]: replace(block, name=called[name]) for name, (block, _) in found.items()},
        {called[name]: used for name, used in users.items() if used},
        {called[name]: wants for name, (_, wants) in found.items() if wants},
        misfits,
        tuple(notes),
    )


def forgotten_width(path: Path, name: str) -> str | None:
    """Which part of a class of a file keeps a width of its own; None for none, and where the file can't be read."""
    try:
        notes = _Classes(_parsed(path), path).forgotten_widths()
    except DeclarationError:
        return None
    return next((note for note in notes if note.startswith(f"{name} ")), None)


def places_of(module: CustomModule, folder: Path) -> int | None:
    """How many arguments the class of a declaration takes by their places; None where its file does not tell.

    Args:
        module: the declaration.
        folder: what its paths are relative to.
    """
    place, name = split_target(module.target)
    path = folder / (place if place.endswith(".py") else f"{place.replace('.', '/')}.py")
    if not path.is_file():
        return None
    try:
        return _Classes(_parsed(path), path).places(name)
    except DeclarationError:  # whoever builds it says why
        return None


def _parsed(path: Path) -> ast.Module:
    found = no_file(path)
    if found:
        raise DeclarationError(f"{path} is {found}: give a Python file")
    try:
        return ast.parse(read_within(path, _MOST_BYTES))
    except OSError as error:
        raise DeclarationError(f"can't read {path}: {error.strerror}") from error
    except (RecursionError, MemoryError) as error:  # Python's parser has the second for its own stack
        raise DeclarationError(f"{path} is not Python that can be read: it is nested too deep") from error
    except (SyntaxError, ValueError) as error:
        number = getattr(error, "lineno", None)  # none where the text is no text
        line = f", line {number}" if number else ""
        raise DeclarationError(f"{path}{line} is not Python: {clean(str(getattr(error, 'msg', error)))}") from error


def _row_name(name: str) -> str:
    """What rows are to call a class: its name, unless that is taken."""
    mine = f"My{name[:1].upper()}{name[1:]}"
    return mine if name_problem(name) and not name_problem(mine) else name


def likely_values(parameter: str) -> tuple[Any, ...]:
    """Values that an argument of that name may have, the likeliest first."""
    return next(values for pattern, values in _LIKELY if re.search(pattern, parameter, re.IGNORECASE))


def example_of(parameters: Sequence[str]) -> str:
    """What arguments of these names may look like, as a declaration has them."""
    return f"args = {[likely_values(name)[0] for name in parameters]}"


class _Classes:
    """The classes of a file."""

    def __init__(self, tree: ast.Module, path: Path) -> None:
        self.path = path
        self.classes = {node.name: node for node in _top(tree.body) if isinstance(node, ast.ClassDef)}
        self.layers = [name for name in self.classes if self._is_layer(name)]
        nodes = {name: self.classes[name] for name in self.layers}
        self.extends = {name: {_last_name(base) for base in node.bases} for name, node in nodes.items()}
        self.uses = {
            name: {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} for name, node in nodes.items()
        }

    def _chain(self, name: str) -> Iterator[ast.expr | ast.ClassDef]:
        """A class, and what it extends: the classes of the file, and the bases from elsewhere."""
        seen: set[str] = set()
        waiting: list[ast.expr | ast.ClassDef] = [self.classes[name]]
        while waiting:
            one = waiting.pop(0)
            yield one
            if isinstance(one, ast.ClassDef) and one.name not in seen:
                seen.add(one.name)
                bases = [base.value if isinstance(base, ast.Subscript) else base for base in one.bases]
                inside = [self.classes.get(base.id) if isinstance(base, ast.Name) else None for base in bases]
                waiting += [own if own and own.name not in seen else base for own, base in zip(inside, bases)]

    def _is_layer(self, name: str) -> bool:
        bases = [base for base in self._chain(name) if isinstance(base, ast.expr)]
        if any(isinstance(base, ast.Attribute) and _last_name(base.value) == "nn" for base in bases):
            return True
        names = [_last_name(base) for base in bases]
        if any(base in ("Module", "Sequential", "BaseModule") or base in LIKES for base in names):
            return True
        return bool(names) and names != ["object"] and "Function" not in names and bool(self._method(name, "forward"))

    def _method(self, name: str, method: str) -> ast.FunctionDef | None:
        """A method of a class, its own or that of a class of the file that it extends."""
        for one in self._chain(name):
            parts = one.body if isinstance(one, ast.ClassDef) else []
            for part in parts:
                if isinstance(part, ast.FunctionDef) and part.name == method:
                    return part
        return None

    def misfit(self, name: str) -> str | None:
        """Why a class can't stand in a row, by its `forward`; None where it can."""
        forward = self._method(name, "forward")
        if forward is None:
            return None
        names, defaults = [*forward.args.posonlyargs, *forward.args.args][1:], len(forward.args.defaults)
        least = len(names) - defaults + sum(default is None for default in forward.args.kw_defaults)
        if least > 1 or not (names or forward.args.vararg):
            return "a row gives one value, and forward of these takes another number"
        axes = _axes(forward, names[0].arg) if names else ()
        if axes and len(axes) != _AXES_OF_MAPS:
            return f"a row gives a map of 4 axes, and forward of these takes another number ({', '.join(axes)})"
        if axes and axes[-1].lower() in _CHANNEL_AXES and axes[1].lower() not in _CHANNEL_AXES:
            return (
                f"a row gives a map with its channels second, and forward of these takes them last ({', '.join(axes)})"
            )
        return None

    def only_by_name(self, name: str) -> str | None:
        """A constructor that has to be given arguments by their names, which a row does not have."""
        method = self._method(name, "__init__")
        given = zip(method.args.kwonlyargs, method.args.kw_defaults) if method else ()
        needed = [one.arg for one, default in given if default is None]
        if method is None or not needed:
            return None
        return (
            f"{name} takes {', '.join(needed)} by name alone, and a row gives arguments by their places: take the * "
            f"out of line {method.lineno}"
        )

    def users_of(self, name: str) -> tuple[str, ...]:
        """The other layers that are made of this one, unless it is made of them in turn."""
        return tuple(
            one
            for one in self.layers
            if one != name and name in self.uses[one] and name not in self.extends[one] and one not in self.uses[name]
        )

    def declaration(self, name: str) -> tuple[CustomModule, tuple[str, ...]]:
        """What a class is like, and the arguments that it wants beside."""
        target = f"{self.path.as_posix()}:{name}"
        block = CustomModule(name, target, ATTENTION)
        stock = [_last_name(base) for base in self._chain(name) if isinstance(base, ast.expr)]
        like = next((base for base in stock if base in LIKES), None)
        if like:
            return replace(block, like=like), ()
        given, forward = self._parameters(name), self._method(name, "forward")
        names = [parameter.name for parameter in given]
        named = like_by_name(name)
        if {"nc", "ch"} <= set(names):
            return replace(block, like=named if named and STOCK[named].is_output else _OUTPUT), ()
        if forward and _takes_several(forward):
            return self._fusion(replace(block, like=_fusion_like(name, forward)), given)
        stride = _STRIDE_BY_NAME.get(role_of(Layer(0, "head", -1, 1, name, ()), 1))
        if len(names) > 1 and self._is_width(name, 0) and WIDTH_OUT.fullmatch(names[1]):
            if names_attention(name) or given[1].has_default:
                wants = _required(given[2:])
                keeps = replace(block, channels_first=True, args=() if given[1].has_default else (SOURCE_WIDTH,))
                return (replace(keeps, args=()), (names[1], *wants)) if wants and keeps.args else (keeps, wants)
            repeats = bool(names[2:3]) and bool(REPEATS.fullmatch(names[2]))
            like = named or ("C2f" if repeats else "Conv")
            says_it = {"s", "stride"} & set(names)
            stride = None if says_it or STOCK[like].role != "conv" else stride
            return replace(block, like=like, stride=stride), _required(given[2 + repeats :])
        first = bool(given) and self._is_width(name, 0)
        width = None
        parts = _sliced_parts(forward) if forward else 0
        if parts:
            stride, width = 2.0, f"{parts}*c"
        return replace(block, channels_first=first, stride=stride, width=width), _required(given[first:])

    def _fusion(self, block: CustomModule, given: Sequence[Parameter]) -> tuple[CustomModule, tuple[str, ...]]:
        if not given or not self._is_width(block.name, 0):
            return block, _required(given)
        another = len(given) > 1 and bool(WIDTH.fullmatch(given[1].name) or WIDTH_OUT.fullmatch(given[1].name))
        if self._reads_list(block.name, given[0].name):
            listed = replace(block, channels_first=True)
            if another and not given[1].has_default and not _required(given[2:]):
                return replace(listed, args=(SOURCE_WIDTH,)), ()
            return listed, _required(given[1:])
        count = 2 if another else 1
        if _required(given[count:]):
            return block, _required(given)
        return replace(block, args=(SOURCE_WIDTH,) * count), ()

    def _parameters(self, name: str) -> list[Parameter]:
        """Of the constructor, self left out; none where the class does not define it."""
        method = self._method(name, "__init__")
        if method is None:
            return []
        names = [*method.args.posonlyargs, *method.args.args][1:]
        without = len(names) - len(method.args.defaults)
        return [Parameter(one.arg, at >= without) for at, one in enumerate(names)]

    def places(self, name: str) -> int | None:
        """How many arguments a constructor takes by their places; None for any number, and where it is not here."""
        method = self._method(name, "__init__") if name in self.classes else None
        return None if method is None or method.args.vararg else len(self._parameters(name))

    def _is_width(self, name: str, at: int) -> bool:
        """Whether a parameter is the width of what the class reads: by its name, its use, or for want of another."""
        parameter = self._parameters(name)[at]
        if WIDTH.fullmatch(parameter.name):
            return True
        if _NO_WIDTH.fullmatch(parameter.name):
            return False
        return not parameter.has_default or self._makes_layers(name, parameter.name)

    def _makes_layers(self, name: str, parameter: str) -> bool:
        """Whether the constructor makes a layer that reads maps of that width."""
        method = self._method(name, "__init__")
        for call in ast.walk(method) if method else ():
            if not isinstance(call, ast.Call):
                continue
            keywords = [keyword.value for keyword in call.keywords if keyword.arg in _WIDTH_KEYWORDS]
            first = call.args[:1] if _OF_A_WIDTH.fullmatch(_last_name(call.func)) else []
            if any(_is_name(value, parameter) for value in (*first, *keywords)):
                return True
        return False

    def _reads_list(self, name: str, parameter: str) -> bool:
        """Whether the constructor takes a list under that name, as far as that can be told; else a fusion does."""
        method = self._method(name, "__init__")
        assert method is not None
        if self._makes_layers(name, parameter):
            return False
        return not any(
            isinstance(one, ast.BinOp) and (_is_name(one.left, parameter) or _is_name(one.right, parameter))
            for one in ast.walk(method)
        )

    def forgotten_widths(self) -> list[str]:
        """A layer that is built inside another without the width that it would take: it keeps its default there."""
        found = []
        for name in self.layers:
            method = self._method(name, "__init__")
            given = self._parameters(name)
            if method is None or not given or not self._is_width(name, 0) or method not in self.classes[name].body:
                continue
            for call in ast.walk(method):
                part = _last_name(call.func) if isinstance(call, ast.Call) else ""
                if not isinstance(call, ast.Call) or part not in self.layers or part == name:
                    continue
                first = next(iter(self._parameters(part)), None)
                if first and first.has_default and WIDTH.fullmatch(first.name) and not (call.args or call.keywords):
                    default = f"{first.name}={_default_of(self._method(part, '__init__'), first.name)}"
                    found.append(
                        f"{name} builds {part}() with its default {default}, so it runs on that width alone: "
                        f"write {part}({given[0].name}) in line {call.lineno}"
                    )
        return found


def _required(given: Sequence[Parameter]) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in given if not parameter.has_default)


def _default_of(method: ast.FunctionDef | None, parameter: str) -> str:
    assert method is not None
    names = [argument.arg for argument in (*method.args.posonlyargs, *method.args.args)]
    defaults = dict(zip(names[::-1], method.args.defaults[::-1]))
    return clean(ast.unparse(defaults[parameter]))


def _top(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements at the top of a module, and in its branches; not those of a script."""
    for node in body:
        yield node
        if isinstance(node, ast.Try):
            parts = [part for handler in node.handlers for part in handler.body]
            yield from _top([*node.body, *parts, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.If) and "__name__" not in ast.unparse(node.test):
            yield from _top([*node.body, *node.orelse])


def _axes(forward: ast.FunctionDef, value: str) -> tuple[str, ...]:
    """What `forward` calls the axes of what it is given, before it changes that: B, C, H, W = x.shape."""
    for statement in forward.body:
        if not isinstance(statement, ast.Assign):
            continue
        target, shape = statement.targets[0], statement.value
        shape = shape.func if isinstance(shape, ast.Call) and not shape.args else shape
        is_shape = isinstance(shape, ast.Attribute) and shape.attr in ("shape", "size") and _is_name(shape.value, value)
        if is_shape and isinstance(target, ast.Tuple):
            names = [part.id for part in target.elts if isinstance(part, ast.Name)]
            return tuple(names) if len(names) == len(target.elts) else ()
        if any(_is_name(part, value) for one in statement.targets for part in ast.walk(one)):
            return ()
    return ()


def _fusion_like(name: str, forward: ast.FunctionDef) -> str:
    joins = any(isinstance(inner, ast.Call) and _last_name(inner.func) == "cat" for inner in ast.walk(forward))
    return "Concat" if re.search("cat", name, re.IGNORECASE) or joins else ADD


def _takes_several(forward: ast.FunctionDef) -> bool:
    """Whether `forward` takes a list of maps: its one argument is indexed by a number, iterated, or joined."""
    if len(forward.args.args) != 2:
        return False
    name = forward.args.args[1].arg
    for inner in ast.walk(forward):
        if isinstance(inner, ast.Subscript) and _is_name(inner.value, name) and isinstance(inner.slice, ast.Constant):
            return True
        if isinstance(inner, (ast.For, ast.comprehension)) and any(
            _is_name(part, name) for part in ast.walk(inner.iter)
        ):
            return True
        if isinstance(inner, ast.Assign) and _is_name(inner.value, name) and isinstance(inner.targets[0], ast.Tuple):
            return True
        if _joins(inner) and any(_is_name(argument, name) for argument in getattr(inner, "args", ())[:1]):
            return True
    return False


def _sliced_parts(forward: ast.FunctionDef) -> int:
    """How many parts of every second pixel `forward` joins, where it gives that and nothing else; else 0."""
    last = forward.body[-1] if forward.body else None
    call = last.value if isinstance(last, ast.Return) else None
    if not isinstance(call, ast.Call) or not _joins(call) or not call.args or _last_name(call.func) != "cat":
        return 0
    parts = call.args[0].elts if isinstance(call.args[0], (ast.List, ast.Tuple)) else []
    return len(parts) if parts and all(map(_is_every_second, parts)) else 0


def _is_every_second(node: ast.expr) -> bool:
    """Whether it is a map's every second row and column, `x[..., ::2, 1::2]`."""
    places = node.slice.elts if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) else []
    steps = [
        place.step.value for place in places if isinstance(place, ast.Slice) and isinstance(place.step, ast.Constant)
    ]
    return steps == [2, 2]


def _joins(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _last_name(node.func) in ("cat", "stack")


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
