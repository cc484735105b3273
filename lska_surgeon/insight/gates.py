"""How far each operator of a network is from the identity, per channel and as a map; it draws nothing.

The measure is the same for every operator: the mean of |out - x| over that of |x|, where x is what the operator reads.
It is exactly 0 for an operator that is the identity. For operators of the form x * gate it is the mean |gate - 1|,
weighted by |x|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..grafting.transplant import layer_of
from ..nn import named_operators
from ..yolo.environment import quiet
from .images import Image

#: An operator that moves its input by less than this part is counted as the identity.
STILL = 1e-3


@dataclass(frozen=True, eq=False)
class OperatorChange:
    """What one operator does to what it reads.

    Attributes:
        name: its name in the network, "model.13" or "model.2.m.0.lska".
        layer: index of the layer that it is, or that it is in.
        op: the operator, "lska".
        change: mean |out - x| over mean |x|, over all channels and images.
        channels: the same per channel, shape (C,).
        maps: image's name -> the same as a map over the image, shape (h, w): mean over channels of |out - x|, as a
            part of the mean |x| of the whole image.
    """

    name: str
    layer: int
    op: str
    change: float
    channels: Any = field(repr=False)
    maps: dict[str, Any] = field(repr=False)

    @property
    def still(self) -> bool:
        """Whether it is still the identity, as far as anybody would notice; then it may as well be taken out."""
        return self.change < STILL


def operator_changes(model: nn.Module, images: Sequence[Image]) -> list[OperatorChange]:
    """Run images through a network and watch its operators.

    Args:
        model: an Ultralytics model in float32 and eval mode.
        images: shape (1, C, H, W) each.

    Raises:
        CheckpointError: what an operator reads or gives is not finite.
    """
    operators = list(named_operators(model))
    moved: dict[str, Any] = {name: 0.0 for name, _ in operators}
    read: dict[str, Any] = {name: 0.0 for name, _ in operators}
    maps: dict[str, dict[str, Any]] = {name: {} for name, _ in operators}
    current = ""

    def watch(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            x = args[0]
            difference, size = (output - x).abs().double(), x.abs().double()
            moved[name] = moved[name] + difference.mean((0, 2, 3)).numpy()
            read[name] = read[name] + size.mean((0, 2, 3)).numpy()
            maps[name][current] = (difference.mean((0, 1)) / size.mean().clamp_min(1e-12)).numpy()

        return hook

    hooks = [operator.register_forward_hook(watch(name)) for name, operator in operators]
    try:
        with quiet(), torch.inference_mode():
            for image in images:
                current = image.name
                model(image.tensor)
    finally:
        for hook in hooks:
            hook.remove()
    lost = [name for name, _ in operators if not numpy.isfinite(moved[name] + read[name]).all()]
    if lost:
        raise CheckpointError(f"{lost[0]} reads or gives what is not finite, so its gate can't be measured")
    return [
        OperatorChange(
            name,
            layer_of(name),
            operator.kernel.op,
            float(moved[name].sum() / max(read[name].sum(), 1e-12)),
            moved[name] / numpy.maximum(read[name], 1e-12),
            maps[name],
        )
        for name, operator in operators
    ]
