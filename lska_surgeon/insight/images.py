"""Images of noise to look through a network with, and what may be asked of images; no network.

Importing this imports no torch, so that what is wrong with a size is said first.
"""

from __future__ import annotations

from collections.abc import Collection

from ..errors import ArgumentError
from ..grafting.images import Image

#: Sides of an image, pixels; the smallest leaves a pixel at stride 32, what a network keeps of larger ones is too much.
SMALLEST_SIDE, LARGEST_SIDE = 32, 4096
_SEED = 0


def check_asked(*, levels: Collection[str], layers: Collection[int], imgsz: int, most: int, gates: bool) -> None:
    """Refuse what can't be looked at.

    Raises:
        ArgumentError: a side or a number of images is out of range, or places of gates are named.
    """
    if not SMALLEST_SIDE <= imgsz <= LARGEST_SIDE:
        raise ArgumentError(f"imgsz {imgsz} is out of range: give a side of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    if most < 1:
        raise ArgumentError(f"most {most} is out of range: give 1 or more images")
    if gates and (levels or layers):
        raise ArgumentError("--gates shows every operator, wherever it is: leave --level and --layer out")


def noise(channels: int, size: int | tuple[int, int], count: int) -> list[Image]:
    """Images of seeded noise, the same on every machine."""
    import torch

    generator = torch.Generator().manual_seed(_SEED)
    sides = (size, size) if isinstance(size, int) else size
    return [Image(f"noise {number}", torch.rand(1, channels, *sides, generator=generator)) for number in range(count)]
