"""What building a model YAML would run besides layers; it knows no files."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.nn import modules as torch_modules

from ..core.blocks import STOCK, BlockTable
from ..wording import clean
from .environment import module_named

#: Modules whose `nn.Module` classes a checkpoint may name.
MODULES = frozenset(
    [m.__name__ for m in vars(torch_modules).values() if getattr(m, "__name__", "").startswith("torch.nn.modules.")]
    + [f"ultralytics.nn.modules.{name}" for name in ("activation", "block", "conv", "head", "transformer", "utils")]
    + ["ultralytics.nn.tasks", "ultralytics.utils.loss", "ultralytics.utils.tal"]
    + ["lska_surgeon.nn"]
)

#: Of an `activation`; the longest that torch has, with all its arguments, is a tenth of it.
_MOST_CHARACTERS = 1000


def unsafe_architecture(
    yaml: Mapping[str, Any], blocks: BlockTable = STOCK, *, offline: bool = False
) -> tuple[str, ...]:
    """What building this model YAML would run besides layers; empty when there is nothing.

    Ultralytics evaluates `activation` as Python, and looks a row's module up among all that its `tasks` module has
    imported: a row may name a function that installs packages, or a block that downloads weights.

    Args:
        yaml: the model dictionary.
        blocks: the table that says which custom modules there are.
        offline: whoever builds it downloads nothing, so that a block which asks for weights is a layer like any other.
    """
    unsafe = []
    activation = yaml.get("activation")
    if activation is not None and not _is_activation(activation, blocks):
        unsafe.append(f"activation: {clean(str(activation), 60)}")
    for section in ("backbone", "head"):
        rows = yaml.get(section) or ()
        for row in rows if isinstance(rows, Iterable) else ():
            block = row[2] if isinstance(row, (list, tuple)) and len(row) > 2 else None
            if isinstance(block, str) and not _is_layer(block, offline):
                unsafe.append(f"{section} row {clean(block, 60)}")
    return tuple(dict.fromkeys(unsafe))


def _is_activation(text: Any, blocks: BlockTable) -> bool:
    """`nn.LeakyReLU(0.1)`, `torch.nn.SiLU()`: one module of torch's, or of the user's own, with literal arguments."""
    if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:  # what is nested deep breaks Python's parser
        return False
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return False
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            ast.literal_eval(argument)
        prefix, _, name = ast.unparse(call.func).rpartition(".")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not prefix:
        known = blocks.custom(name) is not None or name in vars(module_named("ultralytics.nn.tasks"))
        return known and _is_layer(name, offline=False)
    return prefix in ("nn", "torch.nn") and _is_torch_module(getattr(nn, name, None))


def _is_layer(block: str, offline: bool) -> bool:
    """True for a layer, and for a name that nobody knows: building that fails by itself."""
    if "fetches" in STOCK[block].traits:  # its arguments may ask for trained weights
        return offline
    if block.startswith("torchvision.ops."):
        return _is_module(getattr(module_named("torchvision.ops"), block[len("torchvision.ops.") :], None))
    if "nn." in block:
        return _is_torch_module(getattr(nn, block[3:], None))
    cls = vars(module_named("ultralytics.nn.tasks")).get(block)
    if cls is None:
        return True
    if not _is_module(cls):
        return False
    return not cls.__module__.startswith("ultralytics.") or cls.__module__.startswith("ultralytics.nn.modules.")


def _is_torch_module(cls: Any) -> bool:
    return _is_module(cls) and cls.__module__ in MODULES


def _is_module(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, nn.Module)
