"""Running a module for the first time, on sizes that nobody chose: what fails on a small map may want a larger one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch
from torch import nn

#: Pixels of an image for a whole network, and of a map for one module of it.
IMAGE_SIDES, MAP_SIDES = (64, 160, 320), (32, 64)
T = TypeVar("T")


def on_the_smallest(
    run: Callable[[int], T], sides: Sequence[int] = IMAGE_SIDES, ran: Callable[[T], bool] = lambda result: True
) -> T:
    """What a run gives on the smallest of some sides that it takes; only what fails on the largest, too, has failed.

    Args:
        run: is called with a side; it may raise anything.
        sides: in pixels, the smallest first.
        ran: whether a result is that of a run, where a failure is told without an error.
    """
    for side in sides[:-1]:
        with suppress(Exception):
            result = run(side)
            if ran(result):
                return result
    return run(sides[-1])


@contextmanager
def evaluated(module: nn.Module) -> Iterator[None]:
    """Let a module evaluate, without gradients, and give each part of it its mode back."""
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in training.items():
            part.training = mode
