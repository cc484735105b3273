"""A layer that the blocks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PartialConv(nn.Module):
    """A convolution of a quarter of the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.part = max(width // 4, 1)
        self.conv = nn.Conv2d(self.part, self.part, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x[:, : self.part]), x[:, self.part :]], 1)
