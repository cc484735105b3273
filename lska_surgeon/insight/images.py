"""Images to look through a network with: those of a folder, or noise; it knows no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..files import MOST_IMAGE_BYTES, read_within
from .folder import ImageError

#: Channels that a network may read images of a folder with: in grey, in colour.
READABLE = (1, 3)
_SEED = 0


@dataclass(frozen=True, eq=False)
class Image:
    """One image as a network sees it.

    Attributes:
        name: the file's name, or "noise 3".
        tensor: shape (1, C, H, W), values 0 to 1, RGB where C is 3.
    """

    name: str
    tensor: Tensor = field(repr=False)


def images_from(paths: list[Path], side: int, most: int, channels: int = 3) -> list[Image]:
    """The first `most` images, each resized to a square of `side` pixels, so that they can be averaged.

    A network of one channel sees them in grey, as Ultralytics reads images for it.

    Args:
        paths: the files.
        side: pixels.
        most: how many at most.
        channels: one of `READABLE`.

    Raises:
        ImageError: a file can't be read as an image.
    """
    import cv2
    import numpy

    flag = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    images = []
    for path in paths[:most]:
        try:
            pixels = cv2.imdecode(numpy.frombuffer(read_within(path, MOST_IMAGE_BYTES), numpy.uint8), flag)
        except OSError as error:
            raise ImageError(f"can't read the image {path}: {error.strerror or error}") from error
        except cv2.error:  # of an empty file
            pixels = None
        if pixels is None:
            raise ImageError(f"{path} can't be read as an image: take it out of the folder")
        square = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)
        planes = square[..., ::-1].transpose(2, 0, 1) if channels == 3 else square[None]
        images.append(Image(path.name, torch.from_numpy(numpy.ascontiguousarray(planes)).float().div(255)[None]))
    return images


def noise(channels: int, side: int, count: int) -> list[Image]:
    """Images of seeded noise, the same on every machine."""
    generator = torch.Generator().manual_seed(_SEED)
    return [
        Image(f"noise {number}", torch.rand(1, channels, side, side, generator=generator)) for number in range(count)
    ]
