"""Classes of a fork as files of one's own: what of its source text they need, and what of that a release has too.

A class that a fork put into `ultralytics` is copied with all that it needs of the fork's own, each statement as it is
and in its order. What the release has under the same name in the same module is imported from the
release; a class of the release's that is made of the fork's own classes, though, is the fork's, whatever it is called.
The files are parsed, and nothing of them is run.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Union

from ..core.blocks import STOCK
from ..files import read_within
from ..installed.pitfalls import OFTEN, REQUIRED

_PACKAGE = "ultralytics"
_TASKS = f"{_PACKAGE}.nn.tasks"
_PARSER = "parser"  # what the copy of the fork's parser is called
_MOST_BYTES = 2**22  # of a file; the largest of a fork's that is known has a twentieth of it
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_BUILTIN = frozenset(dir(builtins))


class _Outside(NamedTuple):
    """A name that comes from another package, and the statement that imports it."""

    statement: str
    package: str


class _Inside(NamedTuple):
    """A name that a file of the package binds itself."""

    file: _File
    name: str


_Meaning = Union[_Outside, _Inside, None]


class _Files:
    """The files of one package, parsed as they are asked for."""

    def __init__(self, root: Path) -> None:
        self.root, self._read = root, dict[Path, "_File | None"]()

    def module(self, dotted: str) -> _File | None:
        """A module of the package by its dotted name; None for one that is not there, or that Python can't read."""
        parts = dotted.split(".")
        if parts[0] != _PACKAGE:
            return None
        place = self.root.joinpath(*parts[1:])
        for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if path.is_file() and (len(parts) > 1 or path.name == "__init__.py"):
                if path not in self._read:
                    self._read[path] = _parsed(path, dotted, self)
                return self._read[path]
        return None


def _parsed(path: Path, dotted: str, files: _Files) -> _File | None:
    try:
        text = read_within(path, _MOST_BYTES).decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
        return _File(path, dotted, text, ast.parse(text).body, files)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@dataclass(eq=False)
class _File:
    """One file: its statements, and which of them bind a name."""

    path: Path
    dotted: str
    text: str
    body: Sequence[ast.stmt]
    files: _Files

    @cached_property
    def bindings(self) -> Mapping[str, Sequence[int]]:
        """Each name that it binds at its top -> the statements that do so, in order."""
        found: dict[str, list[int]] = {}
        for at, statement in enumerate(self.body):
            for name in _bound(statement):
                if at not in found.setdefault(name, []):
                    found[name].append(at)
        return found

    @cached_property
    def stars(self) -> frozenset[int]:
        """The statements that import all names of a module."""
        starred = (
            at for at, one in enumerate(self.body) if isinstance(one, ast.ImportFrom) and one.names[0].name == "*"
        )
        return frozenset(starred)

    @cached_property
    def lines(self) -> Sequence[str]:
        return self.text.split("\n")

    def imported(self, node: ast.ImportFrom) -> str:
        """The dotted name of the module that a statement imports from."""
        if not node.level:
            return node.module or ""
        parts = self.dotted.split(".")
        depth = node.level - (self.path.name == "__init__.py")
        return ".".join([*parts[: len(parts) - depth], *filter(None, [node.module])])

    def means(self, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> _Meaning:
        """What a name means here, at the end of the file; None where nothing binds it."""
        if (self.dotted, name) in seen:
            return None
        seen |= {(self.dotted, name)}
        for at in sorted({*self.bindings.get(name, ()), *self.stars}, reverse=True):
            statement = self.body[at]
            if at in self.stars and isinstance(statement, ast.ImportFrom):
                module = self.files.module(self.imported(statement))
                meaning = module.means(name, seen) if module and module.gives(name) else None
            else:
                meaning = self._meaning(statement, name, seen)
            if meaning is not None:
                return meaning
        return None

    def _meaning(self, statement: ast.stmt, name: str, seen: frozenset[tuple[str, str]]) -> _Meaning:
        if not isinstance(statement, _IMPORTS):
            return _Inside(self, name)
        one = [alias for alias in statement.names if _called(alias) == name][-1]
        if isinstance(statement, ast.Import):
            return _Outside(f"import {_alias(one)}", one.name.partition(".")[0])
        dotted = self.imported(statement)
        if dotted == self.dotted:
            return None  # a file that imports of itself has it from before
        module = self.files.module(dotted)
        found = module.means(one.name, seen) if module else None
        return found or _Outside(f"from {dotted} import {_alias(one)}", dotted.partition(".")[0])

    def gives(self, name: str) -> bool:
        """Whether `import *` of this file gives a name that it has."""
        listed = [self.body[at] for at in self.bindings.get("__all__", ())]
        values = [getattr(statement, "value", None) for statement in listed]
        if not values or not isinstance(values[-1], (ast.List, ast.Tuple)):
            return not name.startswith("_")
        return name in {part.value for part in values[-1].elts if isinstance(part, ast.Constant)}

    def statements(self, name: str) -> list[ast.stmt]:
        """The statements that bind a name here, those that import it left out."""
        return [self.body[at] for at in self.bindings.get(name, ()) if not isinstance(self.body[at], _IMPORTS)]

    def source(self, statement: ast.stmt) -> str:
        """The text of a statement, its decorators included; what it imports by dots, by the full name."""
        first = min(node.lineno for node in (statement, *getattr(statement, "decorator_list", ())))
        text = "\n".join(self.lines[first - 1 : statement.end_lineno])
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and node.level:
                here = re.escape("." * node.level + (node.module or ""))
                text = re.sub(rf"\bfrom[ \t]+{here}(?=[ \t]+import\b)", f"from {self.imported(node)}", text)
        return text


def _bound(statement: ast.stmt) -> list[str]:
    """The names that a statement binds."""
    if isinstance(statement, _DEFINITIONS):
        return [statement.name]
    if isinstance(statement, _IMPORTS):
        return [_called(alias) for alias in statement.names]
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    if isinstance(statement, (ast.If, ast.Try, ast.With)):
        inside = [part for part in ast.iter_child_nodes(statement) if isinstance(part, (ast.stmt, ast.ExceptHandler))]
        return [name for part in inside for one in _unfolded(part) for name in _bound(one)]
    return []


def _unfolded(part: ast.AST) -> Iterable[ast.stmt]:
    return part.body if isinstance(part, ast.ExceptHandler) else [part] if isinstance(part, ast.stmt) else []


def _called(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _alias(alias: ast.alias) -> str:
    return alias.name + (f" as {alias.asname}" if alias.asname and alias.asname != alias.name else "")


def _used(statements: Iterable[ast.stmt]) -> set[str]:
    """The names that statements use, their own included."""
    return {
        node.id
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


class _Same(ast.NodeTransformer):
    """What is left of a definition without documentation and annotations, which differ from release to release."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._without_text(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_text(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.Assign([node.target], node.value, lineno=0) if node.value else ast.Pass()

    def _without_text(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)


def _skeleton(statement: ast.stmt) -> str:
    """Of a class, what it is made of and what it computes; of anything else, all of it."""
    if isinstance(statement, ast.ClassDef):
        methods = [part for part in statement.body if getattr(part, "name", "") in ("__init__", "forward")]
        statement = ast.ClassDef(statement.name, statement.bases, [], methods or [ast.Pass()], [])
    return ast.dump(_Same().visit(ast.parse(ast.unparse(statement))))


def _parts(statements: Sequence[ast.stmt]) -> set[str]:
    """What constructors give their objects."""
    bodies = [part for one in statements for part in ast.walk(one) if getattr(part, "name", "") == "__init__"]
    return {
        part.attr
        for body in bodies
        for part in ast.walk(body)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    }


def _extends(longer: Sequence[str], shorter: Sequence[str]) -> bool:
    return [*longer[: len(shorter)]] == [*shorter]


def _signature(statements: Sequence[ast.stmt]) -> list[str]:
    """What classes extend, and what their constructors take."""
    found = []
    for node in statements:
        found += [ast.unparse(base) for base in getattr(node, "bases", ())]
        for part in getattr(node, "body", ()) if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(part, ast.FunctionDef) and (part is node or part.name == "__init__"):
                found += [argument.arg for argument in part.args.args]
    return found


@dataclass
class _Copy:
    """What of one file is copied."""

    names: dict[str, None] = field(default_factory=dict)
    imports: dict[str, None] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)


class Copies:
    """The files that classes of a fork make up.

    Args:
        fork: its `ultralytics`.
        release: that of the release.
        folder: what the folder of the files is called, as Python names a package.

    Attributes:
        packages: what the files import beside torch and Ultralytics, and how pip calls it.
    """

    def __init__(self, fork: Path, release: Path, folder: str) -> None:
        self.fork, self.release, self.folder = _Files(fork), _Files(release), folder
        self.packages: dict[str, str] = {}
        self._copies: dict[str, _Copy] = {}
        self._parser: _Copy | None = None
        self._names: dict[str, str] = {}
        self._released: dict[tuple[str, str], bool] = {}

    def class_of(self, module: str, name: str) -> tuple[_File, str] | None:
        """Where the class is that a module of the fork has by a name; None for none of the fork's."""
        file = self.fork.module(module)
        meaning = file.means(name) if file else None
        return (meaning.file, meaning.name) if isinstance(meaning, _Inside) else None

    def is_released(self, module: str, name: str) -> bool:
        """Whether what a module of the fork has by a name is what the release has there."""
        found = self.class_of(module, name)
        return found is None or self._is_released(*found)

    def target(self, module: str, name: str) -> str:
        """What a declaration says of such a class, which is copied with all that it needs."""
        found = self.class_of(module, name)
        assert found is not None
        self._copy(*found)
        return f"{self.folder}/{self._called(found[0])}.py:{found[1]}"

    def extended(self, module: str, name: str, attribute: str) -> str:
        """The same for a class of the release with one attribute that is otherwise; `attribute` is an assignment."""
        found = self.class_of(module, name)
        assert found is not None
        copy = self._copies.setdefault(found[0].dotted, _Copy())
        copy.imports[f"from {found[0].dotted} import {name} as Released{name}"] = None
        copy.more[name] = f"class {name}(Released{name}):\n    {attribute}"
        return f"{self.folder}/{self._called(found[0])}.py:{name}"

    def uses(self, module: str, name: str, of_release: bool = False) -> set[str]:
        """The names that such a class uses, and the attributes that it has or sets; so of the release's own."""
        file = (self.release if of_release else self.fork).module(module)
        meaning = file.means(name) if file else None
        found = meaning.file.statements(meaning.name)[-1:] if isinstance(meaning, _Inside) else []
        attributes = {part.attr for one in found for part in ast.walk(one) if isinstance(part, ast.Attribute)}
        return {*attributes, *_used(found)}

    def node(self, module: str, name: str) -> ast.ClassDef | None:
        """The statement that defines such a class, by whatever names it goes."""
        found = self.class_of(module, name)
        last = found[0].statements(found[1])[-1] if found else None
        if found and isinstance(last, ast.Assign) and isinstance(last.value, ast.Name) and last.value.id != name:
            return self.node(found[0].dotted, last.value.id)
        return last if isinstance(last, ast.ClassDef) else None

    def bases(self, module: str, name: str) -> Iterator[str]:
        """The names of all classes that a class extends, as far as the fork's files tell."""
        found = self.class_of(module, name)
        node = self.node(module, name)
        for base in node.bases if node else ():
            last = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
            yield last
            if found and last != name:
                yield from self.bases(found[0].dotted, last)

    def texts(self) -> dict[str, str]:
        """The files by their path from the declaration's folder on."""
        first = '"""Modules of a fork of Ultralytics; written by lska-surgeon."""\n'
        files = {
            f"{self.folder}/{self._called(self._file(dotted))}.py": self._text(dotted, copy)
            for dotted, copy in self._copies.items()
        }
        if self._parser:
            files[self.parser] = self._text(_TASKS, self._parser)
        return {f"{self.folder}/__init__.py": first, **files} if files else {}

    @property
    def parser(self) -> str:
        """The file with the fork's parser, where that is added; it is to be read, and imports by full names."""
        return f"{self.folder}/{_PARSER}.py"

    def add_parser(self, names: Iterable[str]) -> None:
        """Copy the fork's parser.

        Args:
            names: the blocks that rows may name.
        """
        tasks = self._file(_TASKS)
        copy, waiting = _Copy(), ["parse_model"]
        while waiting:
            one = waiting.pop()
            if one in copy.names:
                continue
            copy.names[one] = None
            for used in sorted({*_used(tasks.statements(one)), *names}):
                meaning = tasks.means(used)
                if isinstance(meaning, _Outside):
                    copy.imports[meaning.statement] = None
                elif isinstance(meaning, _Inside):
                    last = meaning.file.statements(meaning.name)[-1]
                    if meaning.file is tasks and not isinstance(last, ast.ClassDef):
                        waiting.append(meaning.name)
                    else:
                        copy.imports[f"from {meaning.file.dotted} import {_as(meaning.name, used)}"] = None
        self._parser = copy

    def home(self, module: str, name: str) -> str:
        """What a declaration says of a class of the release's."""
        file = self.release.module(module)
        meaning = file.means(name) if file else None
        assert isinstance(meaning, _Inside)
        return f"{meaning.file.dotted}:{meaning.name}"

    def _file(self, dotted: str) -> _File:
        file = self.fork.module(dotted)
        assert file is not None
        return file

    def _is_released(self, file: _File, name: str) -> bool:
        key = file.dotted, name
        if key not in self._released:
            self._released[key] = True  # of what is made of itself
            self._released[key] = self._looks_released(file, name)
        return self._released[key]

    def _looks_released(self, file: _File, name: str) -> bool:
        theirs = self.release.module(file.dotted)
        there = theirs.means(name) if theirs else None
        ours = file.statements(name)[-1:]
        if not isinstance(there, _Inside) or not file.dotted.startswith(f"{_PACKAGE}.nn."):
            return there is not None
        original = there.file.statements(there.name)[-1:]
        if [type(one) for one in ours] != [type(one) for one in original]:
            return False
        alike = [*map(_skeleton, ours)] == [*map(_skeleton, original)]
        is_alone = len(file.statements(name)) == 1
        is_named = STOCK[name].is_known or _extends(_signature(original), _signature(ours))
        is_older = is_alone and is_named and (STOCK[name].is_output or _parts(ours) <= _parts(original))
        if not alike and not is_older:
            return False
        meanings = (file.means(used) for used in _used(ours) if used != name)
        return all(
            self._is_released(*meaning)
            for meaning in meanings
            if isinstance(meaning, _Inside) and self._is_class(meaning)
        )

    def _is_class(self, meaning: _Inside) -> bool:
        return meaning.file.dotted.startswith(f"{_PACKAGE}.nn.") and isinstance(
            meaning.file.statements(meaning.name)[-1], ast.ClassDef
        )

    def _copy(self, file: _File, name: str) -> None:
        copy = self._copies.setdefault(file.dotted, _Copy())
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one in copy.names:
                continue
            copy.names[one] = None
            for used in sorted(_used(file.statements(one)) - {*copy.names}):
                meaning = file.means(used)
                if isinstance(meaning, _Outside):
                    self._import(copy, meaning)
                elif isinstance(meaning, _Inside) and self._is_released(*meaning):
                    copy.imports[f"from {meaning.file.dotted} import {_as(meaning.name, used)}"] = None
                elif isinstance(meaning, _Inside) and meaning.file is file:
                    waiting.append(meaning.name)
                elif isinstance(meaning, _Inside):
                    copy.imports[f"from .{self._called(meaning.file)} import {_as(meaning.name, used)}"] = None
                    self._copy(*meaning)
                elif used not in _BUILTIN:
                    for star in _stars_outside(file):
                        self._import(copy, star)

    def _import(self, copy: _Copy, meaning: _Outside) -> None:
        copy.imports[meaning.statement] = None
        known = (_PACKAGE, "torch", "torchvision", "numpy", *getattr(sys, "stdlib_module_names", ()))
        if meaning.package not in known:
            self.packages[meaning.package] = {**REQUIRED, **OFTEN}.get(meaning.package, meaning.package)

    def _called(self, file: _File) -> str:
        """What a copy is called: as its file, and where two are called so, with the folder in front."""
        if file.dotted not in self._names:
            parts = [re.sub(r"\W", "_", part, flags=re.ASCII) for part in file.dotted.split(".")]
            alike = [path for path in self.fork.root.rglob("*.py") if path.stem.lower() == file.path.stem.lower()]
            name = "_".join(parts[-2:]) if len(alike) > 1 and len(parts) > 2 else parts[-1]
            name = f"of_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name
            same = sum(one.lower() == name.lower() for one in (*self._names.values(), _PARSER))
            self._names[file.dotted] = f"{name}_{same + 1}" if same else name
        return self._names[file.dotted]

    def _text(self, dotted: str, copy: _Copy) -> str:
        file = self._file(dotted)
        kept = {at for name in copy.names for at in file.bindings[name] if file.body[at] in file.statements(name)}
        says = f'"""Of {dotted.replace(".", "/")}.py of a fork of Ultralytics, what its models need."""'
        imports = sorted(copy.imports, key=lambda line: (line.startswith("from ."), _PACKAGE in line, line))
        future = [one for one in file.body if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
        head = [says, *map(file.source, future), "\n".join(imports)]
        parts = ["\n\n".join(filter(None, head)), *(file.source(file.body[at]) for at in sorted(kept))]
        return "\n\n\n".join([*parts, *copy.more.values()]) + "\n"


def _as(name: str, here: str) -> str:
    return name if name == here else f"{name} as {here}"


def _stars_outside(file: _File) -> Iterator[_Outside]:
    for statement in file.body:
        if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*" and not statement.level:
            dotted = statement.module or ""
            if dotted.partition(".")[0] != _PACKAGE:
                yield _Outside(f"from {dotted} import *", dotted.partition(".")[0])
