"""What is measured in a network: what its layers see, and how far its operators are from the identity; no drawing.

The effective receptive field, as the authors of RepLKNet measure it. Source: Ding et al., "Scaling Up Your Kernels to
31x31", arXiv 2203.06717, section 4; the idea is that of Luo et al., "Understanding the Effective Receptive Field",
arXiv 1701.04128.

1. The rectified sum over the channels of the centre pixel of a map is differentiated with respect to the image; of a
   layer that gives several maps (CBLinear), the sum over their centre pixels.
2. That gradient is rectified, and summed over the image's channels: the contribution of each pixel.
3. Contributions are averaged over images. An image whose gradient is not a number is passed over.
4. For the shares, log10(contribution + 1) is taken, and the smallest centred square that holds more than a share of
   the whole is looked for; its area is given as a part of the image's.

How far an operator is from the identity is the mean of |out - x| over that of |x|, where x is what it reads. It is
exactly 0 for the identity. For operators of the form x * gate it is the mean |gate - 1|, weighted by |x|.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ..errors import CheckpointError, PositionError
from ..grafting.images import Image
from ..grafting.transplant import layer_of
from ..nn import named_operators
from ..yolo.environment import quiet

#: An operator that moves its input by less than this part is counted as the identity.
STILL = 1e-3
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

    def watch(name: str, image: Image) -> Callable[[Tensor, Tensor], None]:
        def note(x: Tensor, output: Tensor) -> None:
            difference, size = (output - x).abs().double(), x.abs().double()
            moved[name] = moved[name] + difference.mean((0, 2, 3)).numpy()
            read[name] = read[name] + size.mean((0, 2, 3)).numpy()
            maps[name][image.name] = (difference.mean((0, 1)) / size.mean().clamp_min(1e-12)).numpy()

        return note

    with quiet(), torch.inference_mode():
        for image in images:
            with _watching([(operator, watch(name, image)) for name, operator in operators]):
                model(image.tensor)
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


def _contributions(model: nn.Module, layers: Mapping[str, int], image: Tensor) -> dict[str, Any]:
    """Of each layer, what every pixel contributes to the centre pixel of its map; shape (H, W)."""
    outputs: dict[int, Any] = {}
    source = image.clone().requires_grad_(True)
    rows: Any = model.model

    def keep(index: int) -> Callable[[Any, Any], None]:
        return lambda x, output: outputs.update({index: output})

    with _watching((rows[index], keep(index)) for index in {*layers.values()}):
        model(source)
    contributions = {}
    for at, index in layers.items():
        given = outputs[index] if isinstance(outputs[index], (list, tuple)) else [outputs[index]]
        maps = [part for part in given if isinstance(part, Tensor) and part.dim() == 4]
        if not maps:
            raise PositionError(f"{at} ({type(rows[index]).__name__}) gives no map to look behind")
        centres = [torch.relu(part[:, :, part.shape[2] // 2, part.shape[3] // 2]).sum() for part in maps]
        gradient = torch.autograd.grad(torch.stack(centres).sum(), source, retain_graph=True)[0]
        contributions[at] = torch.relu(gradient).sum((0, 1)).double().numpy()
    return contributions


@contextmanager
def _watching(watched: Iterable[tuple[nn.Module, Callable[[Any, Any], None]]]) -> Iterator[None]:
    """Tell of modules, whenever they run, what they read first and what they give."""

    def hook(watch: Callable[[Any, Any], None]) -> Any:
        return lambda module, inputs, output: watch(inputs[0], output)

    hooks = [module.register_forward_hook(hook(watch)) for module, watch in watched]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()
