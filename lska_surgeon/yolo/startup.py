"""What runs at the start of every interpreter where autoload is on; it imports nothing, and knows one module's name.

`install` puts a finder in front of all others. The finder answers for `ultralytics.nn.tasks` alone: it lets the other
finders find it, and has the block names registered right after the module has run. Nothing happens before that.
"""

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Optional

TASKS = "ultralytics.nn.tasks"


def install() -> None:
    """Put the finder in place, once per process."""
    if not any(isinstance(finder, RegisteringFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, RegisteringFinder())


class RegisteringFinder:
    """Finds `ultralytics.nn.tasks` through the other finders, and gives it a loader that registers afterwards."""

    def __init__(self) -> None:
        # Threads that are being answered: another finder may ask all of `sys.meta_path` in turn, this one included.
        self._asking: set[int] = set()

    def find_spec(
        self, fullname: str, path: "Optional[Sequence[str]]" = None, target: "Optional[ModuleType]" = None
    ) -> "Optional[ModuleSpec]":
        """The spec that the other finders give, with its loader wrapped; None for any other module."""
        thread = get_ident()
        if fullname != TASKS or thread in self._asking:
            return None
        self._asking.add(thread)
        try:
            spec = _ask_finders(fullname, path, target)
        finally:
            self._asking.discard(thread)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = RegisteringLoader(spec.loader)  # type: ignore[assignment]
        return spec


class RegisteringLoader:
    """Another loader, with registration after it has run the module; all else is that loader's."""

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def exec_module(self, module: "Any") -> None:
        """Run the module, leave no trace of this loader on it, and register."""
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _register()


def _ask_finders(
    fullname: str, path: "Optional[Sequence[str]]", target: "Optional[ModuleType]"
) -> "Optional[ModuleSpec]":
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        spec: Optional[ModuleSpec] = find_spec(fullname, path, target) if find_spec else None
        if spec is not None:
            return spec
    return None


def _register() -> None:
    """Register; a failure is logged and no more, for whoever imports Ultralytics may not even know of this package."""
    try:
        import lska_surgeon.nn as blocks

        # Absent while `lska_surgeon.nn` itself imports Ultralytics; it registers when it is done.
        register = getattr(blocks, "register", None)
        if register is not None:
            register()
    except Exception as error:
        import logging

        logging.getLogger("ultralytics").warning("lska_surgeon autoload could not register its blocks: %s", error)
