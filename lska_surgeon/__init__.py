"""Model surgery for YOLO: put Large Separable Kernel Attention into Ultralytics models; importing this imports nothing.

The verbs are those of the command line, and are imported when they are asked for.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .api.edit import check, insert, levels, remove, replace
    from .api.environment import autoload, blocks, doctor, register, run_yolo
    from .api.experiments import ablate, report, results, templates, variants
    from .api.inspect import curves, diff, draw, erf, flops, latency, load_checkpoint, positions
    from .api.weights import adopt, export, graft, train, ungraft
    from .errors import SurgeonError

__version__ = "0.2.0"

#: Module -> the public names that it has.
_HOMES = {
    "api.edit": ("check", "insert", "levels", "remove", "replace"),
    "api.environment": ("autoload", "blocks", "doctor", "register", "run_yolo"),
    "api.experiments": ("ablate", "report", "results", "templates", "variants"),
    "api.inspect": ("curves", "diff", "draw", "erf", "flops", "latency", "load_checkpoint", "positions"),
    "api.weights": ("adopt", "export", "graft", "train", "ungraft"),
    "errors": ("SurgeonError",),
}
__all__ = [
    "SurgeonError",
    "__version__",
    "ablate",
    "adopt",
    "autoload",
    "blocks",
    "check",
    "curves",
    "diff",
    "doctor",
    "draw",
    "erf",
    "export",
    "flops",
    "graft",
    "insert",
    "latency",
    "levels",
    "load_checkpoint",
    "positions",
    "register",
    "remove",
    "replace",
    "report",
    "results",
    "run_yolo",
    "templates",
    "train",
    "ungraft",
    "variants",
]


def __getattr__(name: str) -> "Any":
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value = getattr(import_module(f".{home}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
