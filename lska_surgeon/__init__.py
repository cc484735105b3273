"""Model surgery for YOLO: put Large Separable Kernel Attention into Ultralytics models; importing this imports nothing.

The verbs are those of the command line, and are imported when they are asked for.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .api.ablate import ablate
    from .api.adopt import adopt
    from .api.blocks import blocks
    from .api.check import check
    from .api.curves import curves
    from .api.diff import diff
    from .api.doctor import doctor
    from .api.draw import draw
    from .api.erf import erf
    from .api.errors import SurgeonError
    from .api.flops import flops
    from .api.graft import graft
    from .api.insert import insert
    from .api.inspect import load_checkpoint
    from .api.latency import latency
    from .api.positions import positions
    from .api.register import register
    from .api.remove import remove
    from .api.report import report
    from .api.results import results
    from .api.templates import templates
    from .api.train import train
    from .api.ungraft import ungraft
    from .api.variants import variants

__version__ = "0.1.0"

#: Public name -> the module of `api` that has it.
_HOME: "dict[str, str]" = {
    "SurgeonError": "errors",
    "ablate": "ablate",
    "adopt": "adopt",
    "blocks": "blocks",
    "check": "check",
    "curves": "curves",
    "diff": "diff",
    "doctor": "doctor",
    "draw": "draw",
    "erf": "erf",
    "flops": "flops",
    "graft": "graft",
    "insert": "insert",
    "latency": "latency",
    "load_checkpoint": "inspect",
    "positions": "positions",
    "register": "register",
    "remove": "remove",
    "report": "report",
    "results": "results",
    "templates": "templates",
    "train": "train",
    "ungraft": "ungraft",
    "variants": "variants",
}
__all__ = [
    "SurgeonError",
    "__version__",
    "ablate",
    "adopt",
    "blocks",
    "check",
    "curves",
    "diff",
    "doctor",
    "draw",
    "erf",
    "flops",
    "graft",
    "insert",
    "latency",
    "load_checkpoint",
    "positions",
    "register",
    "remove",
    "report",
    "results",
    "templates",
    "train",
    "ungraft",
    "variants",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f".api.{_HOME[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
