"""Blocks as the tutorials have them: two attentions, a C2f of partial convolutions, a weighted fusion."""

from __future__ import annotations

import torch
from nets.partial import PartialConv
from torch import Tensor, nn
from ultralytics.nn.modules import C2f


class EMA(nn.Module):
    """Efficient multi-scale attention, in groups; takes the input's width first."""

    def __init__(self, channels: int, factor: int = 8) -> None:
        super().__init__()
        self.groups = factor
        width = channels // factor
        self.norm = nn.GroupNorm(width, width)
        self.conv1x1 = nn.Conv2d(width, width, 1)
        self.conv3x3 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        group = x.reshape(b * self.groups, -1, h, w)
        tall, wide = group.mean(3, keepdim=True), group.mean(2, keepdim=True)
        near = self.norm(group * self.conv1x1(tall).sigmoid() * self.conv1x1(wide).sigmoid())
        weights = self.conv3x3(group).mean((2, 3), keepdim=True).softmax(1) * near
        return (group * weights.sum(1, keepdim=True).sigmoid()).reshape(b, c, h, w)


class SimAM(nn.Module):
    """Attention without parameters or widths."""

    def __init__(self, slope: float = 1e-4) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        square = (x - x.mean((2, 3), keepdim=True)).pow(2)
        return x * (square / (4 * (square.mean((2, 3), keepdim=True) + self.slope)) + 0.5).sigmoid()


class FasterBlock(nn.Module):
    """A partial convolution and two 1 x 1 ones, with a shortcut; a class that no row names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = PartialConv(width)
        self.mlp = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.mix(x))


class C2fFaster(C2f):
    """C2f of `FasterBlock`s."""

    def __init__(self, c1: int, c2: int, n: int = 1, shortcut: bool = False, g: int = 1, e: float = 0.5) -> None:
        super().__init__(c1, c2, n, shortcut, g, e)
        self.m = nn.ModuleList(FasterBlock(self.c) for _ in range(n))


class BiFPN(nn.Module):
    """A weighted sum of maps of one width."""

    def __init__(self, inputs: int = 2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))

    def forward(self, x: list[Tensor]) -> Tensor:
        weight = self.weight.relu()
        return sum(w * one for w, one in zip(weight / (weight.sum() + 1e-4), x))
