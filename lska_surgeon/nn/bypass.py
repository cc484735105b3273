"""A row that joins two maps by a gate: what is new in a network starts beside what was there, and grows into it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import BuildError


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
