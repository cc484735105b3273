"""An up- and a down-sampling."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from ultralytics.nn.modules import Conv


class DySample(nn.Module):
    """Doubles the map, with a learned shift of each point."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x + self.offset(x), scale_factor=2.0, mode="nearest")


class SPDDown(nn.Module):
    """Space to depth, and a convolution: halves the map."""

    def __init__(self, c1: int, c2: int, k: int = 3) -> None:
        super().__init__()
        self.conv = Conv(4 * c1, c2, k)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pixel_unshuffle(x, 2))
