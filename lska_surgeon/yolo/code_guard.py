"""What building a model YAML would run besides layers; it knows no files."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
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

#: What is an `nn.Module` of Ultralytics' and no layer: whole networks, and what loads one from wherever it is told to.
_NO_LAYERS = frozenset(
    f"ultralytics.{name}"
    for name in (
        *("nn.tasks.BaseModel", "nn.tasks.Ensemble", "nn.autobackend.AutoBackend", "nn.text_model.TextModel"),
        *("engine.model.Model", "nn.distill_model.DistillationModel"),
    )
)

#: Of an `activation`; the longest that torch has, with all its arguments, is a tenth of it.
_MOST_CHARACTERS = 1000
_NAME = r"[\w.]*"  # of a class, an attribute, an interpolation


def unsafe_architecture(yaml: Mapping[str, Any], blocks: BlockTable = STOCK) -> tuple[str, ...]:
    """What building this model YAML would run besides layers; empty when there is nothing.

    Ultralytics evaluates `activation` as Python, and looks a row's module up among all that its `tasks` module has
    imported: a row may name a function that installs packages. A fork's parser may evaluate the texts of its rows as
    well. A block that may fetch weights is a layer, for whoever builds it sees to it that it fetches none.

    Layers are the `nn.Module` classes of torch, of the Ultralytics that is imported, wherever in it they are defined,
    and of what else the user's environment has put into `tasks`.

    Args:
        yaml: the model dictionary.
        blocks: the table that says which custom modules there are.
    """
    from ..nn.parsing import evaluates_rows  # here, for importing it imports Ultralytics

    unsafe = []
    activation = yaml.get("activation")
    if activation is not None and not _is_activation(activation, blocks):
        unsafe.append(f"activation: {clean(str(activation), 60)}")
    for section in ("backbone", "head"):
        rows = yaml.get(section) or ()
        for row in rows if isinstance(rows, Iterable) else ():
            block = row[2] if isinstance(row, (list, tuple)) and len(row) > 2 else None
            if isinstance(block, str) and not _is_layer(block):
                unsafe.append(f"{section} row {clean(block, 60)}")
            elif isinstance(row, (list, tuple)) and evaluates_rows():
                unsafe += [f"{section} row {clean(text, 60)}" for text in _expressions(row, blocks)]
    return tuple(dict.fromkeys(unsafe))


def is_layer_class(cls: Any) -> bool:
    """Whether a class is a layer: an `nn.Module` that loads nothing and is no whole network of Ultralytics'."""
    names = {f"{one.__module__}.{one.__qualname__}" for one in getattr(cls, "__mro__", ())}
    return _is_module(cls) and not names & _NO_LAYERS


def imported_layer(module: str, name: str) -> Any:
    """The layer of Ultralytics' of that own name, in a module that is imported with its blocks; None for anything else.

    Nothing is imported for a name that a file says.
    """
    module_named("ultralytics.nn.tasks")
    cls = getattr(sys.modules.get(module), name, None) if module.startswith("ultralytics.") else None
    is_own = isinstance(cls, type) and (cls.__module__, cls.__qualname__) == (module, name)
    return cls if is_own and is_layer_class(cls) else None


def _expressions(row: Iterable[Any], blocks: BlockTable) -> Iterator[str]:
    """Texts in a row that are more to Python than a name or a literal."""
    for value in row:
        if isinstance(value, (list, tuple)):
            yield from _expressions(value, blocks)
        elif isinstance(value, str) and not (re.fullmatch(_NAME, value) or _is_activation(value, blocks)):
            try:
                ast.literal_eval(value.strip())
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                yield value


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
        return known and "fetches" not in STOCK[name].traits and _is_layer(name)
    return prefix in ("nn", "torch.nn") and _is_torch_module(getattr(nn, name, None))


def _is_layer(block: str) -> bool:
    """True for a layer, and for a name that nobody knows: building that fails by itself."""
    if block.startswith("torchvision.ops."):
        return _is_module(getattr(module_named("torchvision.ops"), block[len("torchvision.ops.") :], None))
    if "nn." in block:
        return _is_torch_module(getattr(nn, block[3:], None))
    cls = vars(module_named("ultralytics.nn.tasks")).get(block)
    return cls is None or is_layer_class(cls)


def _is_torch_module(cls: Any) -> bool:
    return _is_module(cls) and cls.__module__ in MODULES


def _is_module(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, nn.Module)
