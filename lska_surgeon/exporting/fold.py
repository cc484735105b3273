"""Operators that compute nothing of their input: taken out, or put as a scale per channel, exactly; it exports nothing.

The operators of the papers compute x * conv1(context(x)). Where no weight of conv1 is anything but zero, that is x * b
with its bias b, whatever the context; where b is one as well, it is x. An `LSKAAttention` whose last projection is zero
is x, and so is a gated operator whose gates are closed. All that holds bit for bit wherever the context is finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..nn import Gated, LSKAAttention, Operator
from ..nn.operators import Gate


@dataclass(frozen=True)
class Fold:
    """One operator that was folded.

    Attributes:
        row: the row that it is, or is in.
        inside: its name in that row's layer; empty where it is the layer itself.
        operator: `lska k23`.
        gone: whether it was taken out; else a scale per channel stands in its place.
    """

    row: int
    inside: str
    operator: str
    gone: bool

    @property
    def line(self) -> str:
        """`row 9: lska k23 taken out, being the identity`."""
        where = f"row {self.row} ({self.inside})" if self.inside else f"row {self.row}"
        what = (
            "taken out, for it is the identity" if self.gone else "made a scale per channel, for its gate is constant"
        )
        return f"{where}: {self.operator} {what}"


class ChannelScale(nn.Module):
    """A factor per channel.

    Args:
        factors: one for each channel.
    """

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        self.register_buffer("factors", factors.detach().clone().view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors


def fold_(model: nn.Module) -> list[Fold]:
    """Fold every operator of a model that can be, in place; its layers stay where they are.

    Args:
        model: an Ultralytics model; its layers are `model.model`.

    Returns:
        What was folded, row after row.
    """
    folds = []
    layers: Any = model.model
    for name, holder, part in list(_operators(layers)):
        factors = constant_factors(part)
        if factors is None:
            continue
        is_identity = bool((factors == 1).all())
        new: nn.Module = nn.Identity() if is_identity else ChannelScale(factors)
        for mark in ("i", "f", "type", "np"):  # by which Ultralytics knows a layer
            if hasattr(part, mark):
                setattr(new, mark, getattr(part, mark))
        row, _, inside = name.partition(".")
        holder._modules[name.rpartition(".")[2]] = new.train(part.training)
        folds.append(Fold(int(row), inside, part.kernel.in_words, is_identity))
    return folds


def constant_factors(operator: nn.Module) -> Tensor | None:
    """What an operator multiplies each channel by, whatever its input; None where that depends on the input."""
    if isinstance(operator, Gate):
        return None if operator.conv1.weight.any() else operator.conv1.bias
    if isinstance(operator, LSKAAttention):
        last = operator.proj_2
        return None if last.weight.any() or last.bias.any() else torch.ones_like(last.bias)
    if isinstance(operator, Gated):
        return None if operator.gate.any() else torch.ones_like(operator.gate)
    return None


def _operators(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module, Any]]:
    """Name, the module that holds it, and operator, of every one; of one inside of another both, the outer first."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, Operator):
            yield path, module, child
        yield from _operators(child, f"{path}.")
