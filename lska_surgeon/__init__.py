"""Model surgery for YOLO: put Large Separable Kernel Attention into Ultralytics models; importing this imports nothing.

The verbs are those of the command line, and are imported when they are asked for.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

#: Public name -> the module of `api` that has it.
_HOME: "dict[str, str]" = {"blocks": "blocks"}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f".api.{_HOME[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
