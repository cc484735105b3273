"""A block that no release of Ultralytics has, in a module that can be imported; for the tests alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WaveBlock(nn.Module):
    """Changes its input, keeps its shape, and has a weight of its own."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.mix(x))
