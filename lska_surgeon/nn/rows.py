"""Rows that are no operator and no host: one that joins two maps by a gate, and whole backbones of timm.

By the first, what is new in a network starts beside what was there, and grows into it. The second gives all maps of a
model; an Index behind it takes one. Ultralytics has such a row for torchvision's models, `TorchVision`, and none for
timm's. Nothing is fetched here: a model starts untrained. Its tensors keep the names that timm gives them, behind `m.`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BuildError, needs
from ..wording import did_you_mean, first_line

#: What timm hangs on a network for whoever asks, and the network itself does not need.
_NOTES = ("feature_info", "pretrained_cfg", "default_cfg", "pretrained_model_args", "_traits")


class Bypass(nn.Module):
    """old + gate * (new - old) of two maps of one shape, with one gate per channel, which starts closed, at 0.

    So it gives the old map, bit for bit, wherever both are finite. The gate's gradient is new - old times that of the
    output, which is not 0 from the first step on; the rows behind the new map learn from the second.

    Args:
        channels: widths of the two maps.

    Raises:
        BuildError: they are not two of one width.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        if len(channels) != 2 or len(set(channels)) != 1:
            raise BuildError(f"it joins two maps of one width, and reads {', '.join(map(str, channels))} channels")
        self.gate = nn.Parameter(torch.zeros(channels[0]))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        old, new = maps
        return old + self.gate.view(1, -1, 1, 1) * (new - old)


class TimmFeatures(nn.Module):
    """All maps that one of timm's models gives, (N, C, H, W): `TimmFeatures("resnet18")`.

    Args:
        model: the name of an architecture, as `timm.list_models()` has it, without a tag of trained weights.

    Raises:
        BuildError: timm has no such model, or it gives no maps.
        MissingPackageError: timm is not installed.
    """

    def __init__(self, model: str) -> None:
        super().__init__()
        self.m = _network(model)
        self.channels_last = str(getattr(self.m, "output_fmt", "")).endswith("NHWC")
        if hasattr(self.m, "output_fmt"):
            self.m.output_fmt = "NHWC" if self.channels_last else "NCHW"

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.m(x)
        return [one.permute(0, 3, 1, 2) for one in maps] if self.channels_last else list(maps)


def _network(model: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise needs("timm", what=f"timm:{model}") from error
    names = timm.list_models()
    if model not in names:  # a name such as hf-hub:... would be fetched
        raise BuildError(f"timm has no model {model!r}{did_you_mean(str(model), names)}")
    try:
        network = timm.create_model(model, pretrained=False, features_only=True)
    except Exception as error:  # as many kinds as there are models: most without a pyramid refuse in their own words
        raise BuildError(f"timm:{model} gives no maps: {first_line(error)}") from error
    if hasattr(network, "hooks"):
        raise BuildError(f"timm:{model} gives its maps by hooks, which no checkpoint can keep")
    for note in _NOTES:
        vars(network).pop(note, None)
    return network
