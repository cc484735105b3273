"""Which names the installed Ultralytics and torch have, and what their classes are built from, by their source text."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .package import NAME, root_of

if TYPE_CHECKING:  # for only what is not stock is looked at so closely
    from .facts import ClassFacts, Constructor
    from .python_files import Found, PythonFile, PythonFiles

Answer = TypeVar("Answer")


class TasksFile:
    """`nn/tasks.py` of an Ultralytics: what the names mean by which rows name blocks.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def files(self) -> PythonFiles:
        """Those of its package."""
        from .python_files import PythonFiles  # here, for where nothing has changed nothing is read

        return PythonFiles(self.path.parents[1])

    @cached_property
    def file(self) -> PythonFile:
        """The file itself."""
        return self.files.at(self.path)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that a row may say without a prefix, those of what is no block too."""
        return self.file.names()

    @cached_property
    def modules(self) -> frozenset[str]:
        """Names of what `ultralytics.nn.modules` hands on."""
        return self._modules.names() if self._modules else frozenset()

    @property
    def _modules(self) -> PythonFile | None:
        return self.module(f"{self.files.root.name}.nn.modules")

    def module(self, name: str) -> PythonFile | None:
        """A file of the package by its dotted name; None for one outside."""
        return self.files.module(self.file.path, 0, name)

    def has(self, name: str) -> bool:
        """Whether a row may name a block so, for the parser finds that name."""
        return self.file.find(name) is not None

    def class_of(self, name: str) -> Found | None:
        """Where the class is that a row names so; one that the parser does not find may be among the modules."""
        places = [place for place in (self.file, self._modules) if place and place.find(name)]
        return places[0].followed(name) if places else None


def installed_tasks() -> TasksFile | None:
    """That of the Ultralytics that is installed; None where there is none."""
    root = root_of(NAME)
    return tasks_in(root / "nn" / "tasks.py") if root else None


def tasks_in(path: Path) -> TasksFile | None:
    """That in a file; None where there is no file."""
    with suppress(OSError):
        found = os.stat(path)
        if os.access(path, os.R_OK) and stat.S_ISREG(found.st_mode):
            return _tasks_at(path, found.st_size, found.st_mtime_ns)
    return None


@cache
def _tasks_at(path: Path, size: int, changed: int) -> TasksFile:
    return TasksFile(path)


def of_installed(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Keep a function's answers for as long as it is the same Ultralytics that is installed."""

    @cache
    def answer(tasks: TasksFile | None, *args: Any) -> Answer:
        return function(*args)

    @wraps(function)
    def called(*args: Any) -> Answer:
        return answer(installed_tasks(), *args)

    return called


def constructor(block: str) -> Constructor | None:
    """How the class is built that a row names; None where that is not known, or anything goes (`*args`)."""
    facts = class_facts(block) if is_installed(block) else None
    return facts.constructor if facts else None


@of_installed
def class_facts(block: str) -> ClassFacts | None:
    """What the class says of itself that a row names; None where it is no class of Ultralytics' or torch's."""
    from .facts import facts_of

    prefix, _, name = block.rpartition(".")
    layers, tasks = _torch_file("nn/modules/__init__.py") if prefix else None, installed_tasks()
    if prefix:
        return facts_of(layers.find(name)) if layers else None
    return facts_of(tasks.class_of(name)) if tasks else None


def is_installed(block: str) -> bool:
    """Whether Ultralytics or torch has the class that a row names, whether or not the parser knows it."""
    prefix, _, name = block.rpartition(".")
    if prefix:
        return prefix == "nn" and name in (torch_layers() or ())
    return name in (parsed_names() or ()) or name in stock_modules()


def torch_activations() -> frozenset[str] | None:
    """Names of torch's activations; None when torch is not installed."""
    layers, activations = torch_layers(), _torch_file("nn/modules/activation.py")
    return None if layers is None else layers & (activations.names() if activations else frozenset())


def torch_layers() -> frozenset[str] | None:
    """Names that torch's layers have; None when torch is not installed."""
    layers = _torch_file("nn/modules/__init__.py")
    return layers.names() if layers else None


@cache
def torch_stamp() -> str:
    """By what another torch is told from this one; empty where there is none."""
    root = root_of("torch")
    with suppress(OSError):
        found = (root / "version.py").stat() if root else None
        return f"torch {found.st_size} {found.st_mtime_ns}" if found else ""
    return ""


@cache
def _torch_file(name: str) -> PythonFile | None:
    from .python_files import PythonFiles  # here, for few rows name one of torch's

    root = root_of("torch")
    return PythonFiles(root).at(root / name) if root and (root / name).is_file() else None


def parsed_names() -> frozenset[str] | None:
    """Names that Ultralytics' parser finds; None when ultralytics is not installed."""
    tasks = installed_tasks()
    return tasks.names if tasks else None


def stock_modules() -> frozenset[str]:
    """Names of the classes that `ultralytics.nn.modules` hands on."""
    tasks = installed_tasks()
    return tasks.modules if tasks else frozenset()
