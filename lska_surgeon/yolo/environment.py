"""Importing Ultralytics offline, registered and quiet, and what keeps it from being imported; it builds nothing.

Importing this module imports neither torch nor Ultralytics. Nothing here touches an installed file.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from functools import cache
from importlib import import_module
from types import ModuleType

from ..errors import BuildError, DeclarationError, needs
from .exceptions import in_one_line

#: Entered around the imports that take seconds; a process of our own may put its own way of importing here.
importing: Callable[[], AbstractContextManager[None]] = nullcontext


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
            from ..nn.registration import register

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
        except ModuleNotFoundError as error:
            return str(needs(name) if error.name == name else needs(str(error.name), what=name))
        except Exception as error:
            if name == "torchvision" and "torchvision::nms" in str(error):
                return (
                    f"torchvision does not match torch {versions['torch']} ({error}): "
                    "install both from the same index in one command, pip install --force-reinstall torch torchvision"
                )
            return f"{name} can't be imported ({in_one_line(error)}): reinstall it"
    return None


@cache
def module_named(name: str) -> ModuleType:
    """A module that a list of ours names, imported without a look at the network."""
    if name.partition(".")[0] in ("lska_surgeon", "ultralytics"):
        with quiet():
            import_offline()
    return import_module(name)
