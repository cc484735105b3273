"""What a stage freezes, by the names that Ultralytics' `freeze` takes; it trains nothing.

A part is frozen as `model.NAME.`, a piece of its tensors' names, so that only whole modules can be frozen. Two kinds of
tensor have to train: those of the operators, and those that a training could not carry over from the trained weights,
for they start at random (the classifier, where the data have other classes).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor, nn

from ..nn.operators import Operator, named_operators
from ..wording import number_in, plural

#: What Ultralytics never trains: the bins of the box distribution, which are no weights.
_CONSTANT = ".dfl."
_SHOWN = 4


def frozen_parts(model: nn.Module, fresh: Collection[str] = ()) -> list[int | str]:
    """What `freeze` has to list so that the operators alone train: layers, and inside of host blocks their parts.

    Args:
        model: an Ultralytics model; its layers are `model.model`.
        fresh: state-dict names of tensors that have to train as well.
    """
    names = (name.partition(".")[2] for name in fresh)  # without the `model.` that Ultralytics puts in front
    holders = {name.rpartition(".")[0] for name in names}
    return [name if (index := number_in(name)) is None else index for name in _frozen(model.model, holders)]


def not_carried(model: nn.Module, weights: nn.Module) -> list[str]:
    """State-dict names of the parameters of a model that do not come from the trained weights that it was given.

    A parameter comes from them where it is equal, or where each of its rows is one of theirs: newer releases of
    Ultralytics put a classifier's rows in the order of the data's class names.
    """
    source = weights.state_dict()
    parameters = (item for item in model.named_parameters() if _CONSTANT not in item[0])
    return [name for name, tensor in parameters if not _comes_from(tensor, source.get(name))]


def starts_anew(names: Sequence[str], trained: bool = True) -> str:
    """The line that names what was not carried over.

    Args:
        names: state-dict names, at least one.
        trained: false where the user's own `freeze` may keep them as they start.
    """
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(".".join(name.split(".")[:2]), []).append(name)
    shown = ", ".join(f"{prefix} ({len(found)}: {found[0]})" for prefix, found in list(layers.items())[:_SHOWN])
    more = f" and {len(layers) - _SHOWN} more layers" if len(layers) > _SHOWN else ""
    then = "they train in every stage" if trained else "freeze= may keep them so"
    return (
        f"lska-surgeon: {len(names)} tensor{plural(names)} could not be carried over into the model that these data "
        f"ask for and start{'' if len(names) > 1 else 's'} anew; {then}: {shown}{more}"
    )


def what_trains(model: nn.Module) -> str:
    """The line that says how much of a model is not frozen."""
    tensors = [tensor for name, tensor in model.named_parameters() if _CONSTANT not in name]
    free = [tensor for tensor in tensors if tensor.requires_grad]
    counts = [sum(tensor.numel() for tensor in some) for some in (free, tensors)]
    return (
        f"lska-surgeon: {counts[0]:,} of {counts[1]:,} parameters train ({len(free)} of {len(tensors)} tensors); "
        "the others are frozen"
    )


def _comes_from(tensor: Tensor, source: Tensor | None) -> bool:
    if source is None or source.shape[1:] != tensor.shape[1:]:
        return False
    tensor, source = tensor.detach().float().cpu(), source.detach().float().cpu()
    same: bool = torch.equal(tensor, source)
    if same or not source.dim():
        return same
    rows = {row.numpy().tobytes() for row in source}
    return len(rows) > 1 and all(row.numpy().tobytes() in rows for row in tensor)


def _frozen(module: nn.Module, holders: Collection[str], prefix: str = "") -> Iterator[str]:
    """The largest parts of a module that hold something to freeze, and nothing that has to train."""
    for name, child in module.named_children():
        name = f"{prefix}.{name}" if prefix else name
        if isinstance(child, Operator) or _trains_whole(child, name, holders):
            continue
        if any(True for _ in named_operators(child)) or any(holder.startswith(f"{name}.") for holder in holders):
            yield from _frozen(child, holders, name)
        elif any(True for _ in child.parameters()):
            yield name


def _trains_whole(module: nn.Module, name: str, holders: Collection[str]) -> bool:
    """True for what has a parameter of its own that starts anew, and for what has a norm right behind such a part: the
    norm's statistics are those of the old outputs, and Ultralytics can't hold the statistics of a norm by its name."""
    parts = {f"{name}.{part}" for part, _ in module.named_children()}
    normed = any(isinstance(child, nn.BatchNorm2d) for child in module.children())
    return name in holders or (normed and bool(parts & set(holders)))
