"""An attention module as people write them: it weighs each pixel by what its neighbours are."""

import torch
from torch import nn


class EdgeGate(nn.Module):
    """Multiplies a map by a gate that sees the difference to its 3 x 3 mean."""

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.mean = nn.AvgPool2d(kernel_size, stride=1, padding=kernel_size // 2)
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.gate(x - self.mean(x)))
