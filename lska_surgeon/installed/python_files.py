"""The source files of a package, each with what its names mean; nothing of them is run.

A file is cut where its statements begin, and of those only the ones that are asked for are parsed. As for Python the
last binding of a name holds; `import *` binds what `__all__` says, else what has no underscore in front. A name is
followed through imports, in the package and in the folder that it lies in, to the file that defines it.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Union

_START = re.compile(r"^(?=[A-Za-z_@])", re.MULTILINE)
_WORD = re.compile(r"\w+|@")
_DEFINITION = re.compile(r"(?:@[\s\S]*?^)?(?:async[ \t]+)?(?:class|def)[ \t]+(\w+)", re.MULTILINE)
_ASSIGNMENT = re.compile(r"(\w+)[ \t]*(?::[^=\n]+)?=(?!=)")
_SEVERAL = re.compile(r"\w+(?:[ \t]*,[ \t]*\w+)+[ \t]*=(?!=)")
_IMPORTS = re.compile(r"(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+(?:\([^)]*\)|(?:[^\n\\]|\\\n)*)")
_LONGEST_CHAIN = 20  # of names for names
#: What goes on with the statement before it.
_GOES_ON = ("else", "elif", "except", "finally")
_NEVER = re.compile(r"if[ \t]+__name__\b")
_BLOCK = re.compile(r"(?:try|(?:if|with)\b[^\n]*)[ \t]*:[ \t]*(?:#[^\n]*)?\n")
#: Where what is installed lies side by side: of that, a package's own files are looked at alone.
_SHARED = ("site-packages", "dist-packages")


class _Span(NamedTuple):
    """Where a statement stands in its file's text."""

    start: int
    end: int


class _Import(NamedTuple):
    """A name of another module, or a module; `level` is the number of dots in front."""

    level: int
    module: str
    name: str | None


_Binding = Union[_Span, _Import, ast.stmt]


class Found(NamedTuple):
    """What a name means.

    Attributes:
        source: the file that binds it; None outside of the package.
        name: its name there; outside, the dotted one.
    """

    source: PythonFile | None
    name: str

    @property
    def node(self) -> ast.stmt | None:
        """The statement that binds it; None outside, and for a module."""
        return self.source.node(self.name) if self.source and self.name else None


class PythonFiles:
    """The files of one package, read as they are asked for.

    Args:
        root: the package's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.read: dict[Path, PythonFile] = {}
        #: Files that were looked for and are not there.
        self.missing: set[str] = set()
        self._modules: dict[tuple[Path, str], PythonFile | None] = {}

    def at(self, path: Path) -> PythonFile:
        """A file, which has to be there."""
        if path not in self.read:
            self.read[path] = PythonFile(path, self)
        return self.read[path]

    def module(self, importer: Path, level: int, name: str) -> PythonFile | None:
        """The module that a file imports; None for one outside."""
        if level:
            base = importer.parents[level - 1]
        elif self.root.parent.name in _SHARED and name.partition(".")[0] != self.root.name:
            return None
        else:
            base = self.root.parent
        if (base, name) not in self._modules:
            path = os.path.join(base, *filter(None, name.split(".")))
            files = (f"{path}.py", os.path.join(path, "__init__.py"))
            found = next((file for file in files if os.path.isfile(file)), None)
            self._modules[base, name] = self.at(Path(found)) if found else None
            self.missing.update(() if found else files)
        return self._modules[base, name]


class PythonFile:
    """One file.

    Attributes:
        path: the file.
        text: its text.
        files: those of its package.
        stamp: its size and its date when it was read.
    """

    def __init__(self, path: Path, files: PythonFiles) -> None:
        about = os.stat(path)
        self.path, self.files, self.stamp = path, files, [about.st_size, about.st_mtime_ns]
        self.text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
        self._stars: list[tuple[int, _Import]] = []
        self._places: dict[str, int] = {}
        self._nodes: dict[str, ast.stmt | None] = {}

    @cached_property
    def dotted(self) -> str:
        """Its name as Python imports it: `ultralytics.nn.tasks`."""
        parts = self.path.relative_to(self.files.root.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def bindings(self) -> dict[str, _Binding]:
        """Each name that it binds at its top, with the last statement that does so; those of a star are left out."""
        found: dict[str, _Binding] = {}
        for start, end in self._parts():
            named = _DEFINITION.match(self.text, start, end) or _ASSIGNMENT.match(self.text, start, end)
            if named:
                self._bind(found, named[1], _Span(start, end), start)
                continue
            imports = _IMPORTS.match(self.text, start, end)
            is_more = _SEVERAL.match(self.text, start, end) or _BLOCK.match(self.text, start, end)
            if imports or (is_more and not _NEVER.match(self.text, start, end)):
                try:
                    tree = ast.parse(imports[0] if imports else self.text[start:end])
                except (SyntaxError, ValueError):  # words of a text, or a statement with lines at the margin
                    return self._slowly()
                self._walk(tree.body, found, start)
        return found

    def _parts(self) -> Iterator[_Span]:
        """The statements at its top; a line within a text that begins at the margin may cut one, see `node`."""
        starts = [match.start() for match in _START.finditer(self.text)]
        begun, decorated = None, False
        for start in starts:
            word = _WORD.match(self.text, start)
            assert word is not None
            if begun is not None and not decorated and word[0] not in _GOES_ON:
                yield _Span(begun, start)
                begun = start
            begun = start if begun is None else begun
            decorated = word[0] == "@"
        if begun is not None:
            yield _Span(begun, len(self.text))

    def _slowly(self) -> dict[str, _Binding]:
        """The same by parsing all of it; nothing of a file that Python can't read."""
        found: dict[str, _Binding] = {}
        self._stars.clear()
        try:
            body = ast.parse(self.text).body
        except (SyntaxError, ValueError):
            return found
        lines = [0, *(match.end() for match in re.finditer("\n", self.text))]
        for node in body:
            self._walk([node], found, lines[node.lineno - 1])
        return found

    def _walk(self, body: Sequence[ast.stmt], found: dict[str, _Binding], place: int) -> None:
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                self._bind(found, node.name, node, place)
            elif isinstance(node, ast.Import):
                for one in node.names:
                    module = one.name if one.asname else one.name.partition(".")[0]
                    self._bind(found, one.asname or module, _Import(0, module, None), place)
            elif isinstance(node, ast.ImportFrom):
                for one in node.names:
                    imported = _Import(node.level, node.module or "", one.name)
                    if one.name == "*":
                        self._stars.append((place, imported))
                    else:
                        self._bind(found, one.asname or one.name, imported, place)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                        if isinstance(part, ast.Name) and node.value is not None:
                            self._bind(found, part.id, node if part is target else ast.Pass(), place)
            elif isinstance(node, ast.Try):
                # What a handler says for want of an import is not what is there.
                handled = [part for one in node.handlers for part in one.body if not isinstance(part, ast.Assign)]
                self._walk(handled, found, place)
                self._walk([*node.body, *node.orelse, *node.finalbody], found, place)
            elif isinstance(node, (ast.If, ast.With)):
                self._walk([*getattr(node, "orelse", []), *node.body], found, place)

    def _bind(self, found: dict[str, _Binding], name: str, binding: _Binding, place: int) -> None:
        found[name] = binding
        self._places[name] = place

    def is_defined(self, name: str) -> bool:
        """Whether a class or a function here has that name, rather than a value."""
        binding = self.bindings.get(name)
        if isinstance(binding, _Span):
            return bool(_DEFINITION.match(self.text, *binding))
        return isinstance(binding, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))

    def node(self, name: str) -> ast.stmt | None:
        """The statement that binds a name here; None for an import, and where nothing does."""
        if name not in self._nodes:
            binding = self.bindings.get(name)
            if isinstance(binding, _Span):
                try:
                    (binding,) = ast.parse(self.text[binding.start : binding.end]).body
                    ast.increment_lineno(binding, self.text.count("\n", 0, self._places[name]))
                except (SyntaxError, ValueError):  # it was cut within a text
                    binding = self._slowly().get(name)
            self._nodes[name] = binding if isinstance(binding, ast.stmt) else None
        return self._nodes[name]

    def find(self, name: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> Found | None:
        """What a name means here; None when nothing binds it."""
        if (self.path, name) in seen or not self._may_have(name):
            return None
        seen |= {(self.path, name)}
        binding = self.bindings.get(name)
        place = self._places[name] if binding is not None else -1
        for at, star in reversed(self._stars):
            module = self.files.module(self.path, star.level, star.module) if at > place else None
            found = module.find(name, seen) if module and module.gives(name) else None
            if found:
                return found
        if isinstance(binding, _Import):
            return self._imported(binding, seen)
        return None if binding is None else Found(self, name)

    def followed(self, name: str) -> Found | None:
        """The same; where that is no more than another name for something (`Again = Scan`), what it stands for."""
        found = self.find(name)
        for _ in range(_LONGEST_CHAIN):
            value = None if found is None or found.source is None else getattr(found.node, "value", None)
            if not isinstance(value, ast.Name):
                return found
            assert found is not None
            assert found.source is not None
            found = found.source.find(value.id)
        return None

    def _may_have(self, name: str) -> bool:
        return name in self.text or "import *" in self.text

    def _imported(self, binding: _Import, seen: frozenset[tuple[Path, str]]) -> Found:
        level, name, part = binding
        module = self.files.module(self.path, level, name)
        if part is None:
            return Found(module, "") if module else Found(None, name)
        if module is None:
            return Found(None, f"{name}.{part}" if name else part)
        found = module.find(part, seen)
        if found:
            return found
        inner = self.files.module(module.path, 1, part) if module.path.name == "__init__.py" else None
        return Found(inner, "") if inner else Found(None, f"{module.dotted}.{part}")

    def gives(self, name: str) -> bool:
        """Whether `import *` of this file gives a name that it has."""
        listed = self.listed
        return not name.startswith("_") if listed is None else name in listed

    @cached_property
    def listed(self) -> frozenset[str] | None:
        """What `__all__` says; None where it says nothing that can be read."""
        value = getattr(self.node("__all__"), "value", None)
        if not isinstance(value, (ast.List, ast.Tuple)):
            return None
        return frozenset(str(part.value) for part in value.elts if isinstance(part, ast.Constant))

    def names(self, seen: frozenset[Path] = frozenset()) -> frozenset[str]:
        """Every name that it binds, those that stars give too."""
        found = {*self.bindings}
        for _, star in self._stars:
            module = self.files.module(self.path, star.level, star.module)
            if module and module.path not in seen:
                found |= {name for name in module.names(seen | {self.path}) if module.gives(name)}
        return frozenset(found)
