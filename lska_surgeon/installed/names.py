"""Which names the installed Ultralytics and torch have, and what their classes are built from, by their source text."""

from __future__ import annotations

import re
from functools import cache

from .facts import ClassFacts, Constructor, facts_of
from .package import root_of
from .parse_model import ParserSource, installed_parser
from .python_files import PythonFile, PythonFiles

_SCALE = re.compile(r"\n[ \t]*((?:\w+[ \t]*,[ \t]*)+\w+)[ \t]*=[ \t]*scales\[")


def constructor(block: str) -> Constructor | None:
    """How the class is built that a row names; None where that is not known, or anything goes (`*args`)."""
    facts = class_facts(block) if is_installed(block) else None
    return facts.constructor if facts else None


def class_facts(block: str) -> ClassFacts | None:
    """What the class says of itself that a row names; None where it is no class of Ultralytics' or torch's."""
    prefix, _, name = block.rpartition(".")
    parser = None if prefix else installed_parser()
    return _facts_in_torch(name) if prefix else _facts(parser, name) if parser else None


@cache
def _facts(parser: ParserSource, name: str) -> ClassFacts | None:
    return facts_of(parser.class_of(name))


@cache
def _facts_in_torch(name: str) -> ClassFacts | None:
    layers = _torch_file("nn/modules/__init__.py")
    return facts_of(layers.find(name)) if layers else None


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
def _torch_file(name: str) -> PythonFile | None:
    root = root_of("torch")
    return PythonFiles(root).at(root / name) if root and (root / name).is_file() else None


def parsed_names() -> frozenset[str] | None:
    """Names that Ultralytics' parser finds; None when ultralytics is not installed."""
    parser = installed_parser()
    return parser.names if parser else None


def stock_modules() -> frozenset[str]:
    """Names of the classes that `ultralytics.nn.modules` hands on."""
    parser = installed_parser()
    return parser.modules if parser else frozenset()


def scale_numbers() -> tuple[str, ...]:
    """What Ultralytics' parser calls the numbers of a scale, in order; that of every release where it does not say."""
    parser = installed_parser()
    found = _SCALE.search(parser.tasks.text) if parser else None
    return tuple(name.strip() for name in found[1].split(",")) if found else ("depth", "width", "max_channels")
