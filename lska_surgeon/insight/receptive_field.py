"""The effective receptive field of a network's layers, as the authors of RepLKNet measure it; it draws nothing.

Source: Ding et al., "Scaling Up Your Kernels to 31x31", arXiv 2203.06717, section 4; the idea is that of Luo et al.,
"Understanding the Effective Receptive Field", arXiv 1701.04128.

1. The rectified sum over the channels of the centre cell of a map is differentiated with respect to the image; of a
   layer that gives several maps (CBLinear), the sum over their centre cells.
2. That gradient is rectified, and summed over the image's channels: the contribution of each pixel.
3. Contributions are averaged over images. An image whose gradient is not a number is passed over.
4. For the shares, log10(contribution + 1) is taken, and the smallest centred square that holds more than a share of
   the whole is looked for; its area is given as a part of the image's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ..errors import CheckpointError, PositionError
from ..yolo.environment import quiet
from .images import Image

#: The shares of the contribution that are looked for.
SHARES = (0.2, 0.3, 0.5, 0.99)


@dataclass(frozen=True)
class Square:
    """The smallest centred square that holds a share of the contribution.

    Attributes:
        side: pixels.
        area: its area as a part of the image's, 0 to 1.
    """

    side: int
    area: float


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What one layer of one network sees.

    Attributes:
        model: the network's name.
        at: "p3", or "layer 9".
        layer: the layer's index.
        contribution: of each pixel, shape (H, W), averaged over images; not normalised.
        images: how many were averaged.
        skipped: how many gave no number.
    """

    model: str
    at: str
    layer: int
    contribution: Any = field(repr=False)
    images: int
    skipped: int

    def square(self, share: float) -> Square | None:
        """The smallest centred square that holds more than `share`; None where only the whole image does."""
        return smallest_square(self.readable(), share)

    def readable(self) -> Any:
        """log10(contribution + 1), the largest of them 1; shape (H, W)."""
        scores = numpy.log10(self.contribution + 1)
        return scores / scores.max() if scores.max() > 0 else scores


def smallest_square(scores: Any, share: float) -> Square | None:
    """The smallest square of odd side, three at least, around the centre that holds more than a share of the scores.

    Args:
        scores: shape (H, W), none negative.
        share: 0 to 1.
    """
    height, width = scores.shape
    whole = scores.sum()
    if not whole > 0:
        return None
    for half in range(1, height // 2):
        rows = slice(max(height // 2 - half, 0), height // 2 + half + 1)
        columns = slice(max(width // 2 - half, 0), width // 2 + half + 1)
        if scores[rows, columns].sum() / whole > share:
            side = 2 * half + 1
            return Square(side, side / height * side / width)
    return None


def receptive_fields(
    model: nn.Module, name: str, layers: Mapping[str, int], images: Sequence[Image]
) -> list[ReceptiveField]:
    """The fields of several layers.

    Args:
        model: an Ultralytics model in float32 and eval mode; its parameters stop asking for gradients.
        name: what to call it.
        layers: what to call each layer ("p3") -> its index.
        images: all of one size.

    Raises:
        PositionError: a layer gives no map.
        CheckpointError: no image gave a number behind a layer.
    """
    model.requires_grad_(False)
    sums: dict[str, Any] = dict.fromkeys(layers, 0.0)
    counts = dict.fromkeys(layers, 0)
    with quiet():
        for image in images:
            for at, scores in _contributions(model, layers, image.tensor).items():
                if numpy.isfinite(scores.sum()):
                    sums[at] = sums[at] + scores
                    counts[at] += 1
    empty = [at for at, count in counts.items() if not count]
    if empty:
        raise CheckpointError(f"{name} gives no finite number behind {empty[0]}, so there is no field to show")
    return [
        ReceptiveField(name, at, index, sums[at] / counts[at], counts[at], len(images) - counts[at])
        for at, index in layers.items()
    ]


def _contributions(model: nn.Module, layers: Mapping[str, int], image: Tensor) -> dict[str, Any]:
    """Of each layer, what every pixel contributes to the centre cell of its map; shape (H, W)."""
    given: dict[int, Any] = {}

    def keep(index: int) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            given[index] = output

        return hook

    source = image.clone().requires_grad_(True)
    hooks = [model.model[index].register_forward_hook(keep(index)) for index in set(layers.values())]
    try:
        model(source)
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for at, index in layers.items():
        outputs = given[index] if isinstance(given[index], (list, tuple)) else [given[index]]
        maps = [one for one in outputs if isinstance(one, Tensor) and one.dim() == 4]
        if not maps:
            raise PositionError(f"{at} ({type(model.model[index]).__name__}) gives no map to look behind")
        centre = torch.stack([torch.relu(one[:, :, one.shape[2] // 2, one.shape[3] // 2]).sum() for one in maps]).sum()
        gradient = torch.autograd.grad(centre, source, retain_graph=True)[0]
        found[at] = torch.relu(gradient).sum((0, 1)).double().numpy()
    return found
