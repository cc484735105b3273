"""Importing Ultralytics offline, registered and quiet; what keeps it from that; what its exceptions say in one line.

Importing this module imports neither torch nor Ultralytics. Nothing here touches an installed file.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib import import_module
from types import ModuleType, TracebackType

from ..errors import BuildError, DeclarationError, needs
from ..installed.package import NAME, Package, installed_package
from ..wording import clean, one_line

COLOUR = re.compile(r"\x1b\[[\d;]*m")


def is_own_process() -> bool:
    """Whether this process is a command of ours alone, in which nobody changes a class of Ultralytics'."""
    command = sys.modules.get(f"{__package__.partition('.')[0]}.cli.main")
    return command is not None and getattr(sys.modules["__main__"], "main", None) is command.main


@contextmanager
def importing() -> Iterator[None]:
    """Imports that take seconds: in a process of our own, the garbage collector never looks through what they make.

    They make a great many objects that live until the end; looking through them takes a fifth of a command.
    """
    if "torch" in sys.modules or not gc.isenabled() or not is_own_process():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def import_offline() -> ModuleType:
    """Import Ultralytics, registered, without its look at the network and without pip; returns `ultralytics.nn.tasks`.

    Ultralytics tries to reach the network once, on import. In a process where this function imports it, it stays
    offline for good: no telemetry, no automatic installation. Where it was imported before, nothing changes.

    Raises:
        BuildError: the environment can't import it; the message says why and what to do.
        DeclarationError: a declared class can't be imported.
    """
    try:
        with importing(), _offline(), quiet():
            from ..nn.parsing import register

            register()
    except DeclarationError:
        raise
    except Exception as error:
        raise BuildError(environment_problem() or f"ultralytics can't be imported: {in_one_line(error)}") from error
    return sys.modules["ultralytics.nn.tasks"]


@contextmanager
def _offline() -> Iterator[None]:
    """What Ultralytics reads from the environment while it is imported: no look at the network, no pip."""
    overrides = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    before = {name: os.environ.get(name) for name in overrides}
    os.environ.update(overrides)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Ultralytics' logger and all Python warnings; what is printed goes to standard error.

    Standard output is the command's own, and a block of the user's may print whenever it runs.
    """
    logger = logging.getLogger("ultralytics")
    known, output = [*logger.handlers], sys.stdout

    def nothing(record: logging.LogRecord) -> bool:
        return False

    # A filter, for level and handlers are set anew when Ultralytics is imported.
    logger.addFilter(nothing)
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeFilter(nothing)
        if "ipykernel" in sys.modules:  # which shows standard error on red, and Ultralytics means standard output
            for handler in logger.handlers:
                if handler not in known and isinstance(handler, logging.StreamHandler):
                    handler.setStream(output)


def environment_problem() -> str | None:
    """What keeps torch, torchvision or Ultralytics from being imported, and its remedy, in one line; or None."""
    versions = {}
    for name in ("torch", "torchvision", "ultralytics"):
        try:
            with _offline(), quiet():
                versions[name] = import_module(name).__version__
                if name == NAME:
                    import_module(f"{name}.nn.tasks")  # newer releases import it when it is asked for
        except ModuleNotFoundError as error:
            return _missing(name, str(error.name))
        except Exception as error:
            if name == "torchvision" and "torchvision::nms" in str(error):
                return (
                    f"torchvision does not match torch {versions['torch']} ({error}): "
                    "install both from the same index in one command, pip install --force-reinstall torch torchvision"
                )
            fork = _fork(name)
            remedy = f"it is a fork, so mend it in {fork.root}" if fork else "reinstall it"
            return f"{name} can't be imported ({in_one_line(error)}): {remedy}"
    return None


def _missing(name: str, module: str) -> str:
    """A module that a package needs and does not find."""
    fork = _fork(name)
    if fork is None or module == name:
        return str(needs(name) if module == name else needs(module, what=name))
    from ..installed.pitfalls import missing_modules  # here, for only an error needs it

    missing = [one for one in missing_modules(fork.root) if one.name == module.partition(".")[0]]
    if missing:
        return f"{missing[0].problem}: {missing[0].remedy}"
    return f"{fork.root}, a fork, imports {clean(module)}, which is not there: mend its imports"


def _fork(name: str) -> Package | None:
    """The Ultralytics that is imported, where it is a fork and the package that is asked for."""
    package = installed_package() if name == NAME else None
    return package if package and package.is_fork else None


@cache
def module_named(name: str) -> ModuleType:
    """A module that a list of ours names, imported without a look at the network."""
    if name.partition(".")[0] in ("lska_surgeon", "ultralytics"):
        with quiet():
            import_offline()
    return import_module(name)


def in_one_line(error: BaseException) -> str:
    """An exception of Ultralytics' in one line, with the layer at which it was when that happened."""
    where, block = _layer_of(error.__traceback__)
    text = one_line(error)
    if isinstance(error, KeyError):
        missing = error.args[0]
        text = f"ultralytics has no module {missing}" if missing == block else f"the model has no {missing!r}"
    elif not isinstance(error, FileNotFoundError):
        text = f"{type(error).__name__}: {text}"
    return where + text


def first_paragraph(error: BaseException) -> str:
    """The first paragraph of an exception's message, in one line and without colours: what is wrong."""
    return one_line(COLOUR.sub("", str(error).strip().split("\n\n")[0]))


def _layer_of(traceback: TracebackType | None) -> tuple[str, str]:
    """Where in the model an error came from, "layer 3 (C2f): ", and the block's name; both empty if from nowhere."""
    index, block = None, ""
    while traceback is not None:
        name, values = traceback.tb_frame.f_code.co_name, traceback.tb_frame.f_locals
        if name == "parse_model" and "layers" in values and "i" in values:
            index, module = values["i"], values["m"]
            block = getattr(module, "__name__", None) or clean(str(module), 40)  # a row may name anything
        elif name == "_predict_once" and hasattr(values.get("m"), "type"):
            index, block = values["m"].i, values["m"].type.rpartition(".")[2]
        traceback = traceback.tb_next
    return ("" if index is None else f"layer {index} ({block}): "), block
