"""Images to look through a network with, those of a folder or noise, and what may be asked of them; no network.

Importing this imports no torch, so that what is wrong with a folder or a size is said first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, SurgeonError
from ..files import MOST_IMAGE_BYTES, read_within

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
#: Sides of an image, pixels; the smallest leaves a pixel at stride 32, what a network keeps of larger ones is too much.
SMALLEST_SIDE, LARGEST_SIDE = 32, 4096
#: Channels that a network may read images of a folder with: in grey, in colour.
READABLE = (1, 3)
_PADDING = 114  # as Ultralytics pads
_SEED = 0


class ImageError(SurgeonError):
    """Images that are not there, or are none."""


@dataclass(frozen=True, eq=False)
class Image:
    """One image as a network sees it.

    Attributes:
        name: the file's name, or "noise 3".
        tensor: shape (1, C, H, W), values 0 to 1, RGB where C is 3.
    """

    name: str
    tensor: Tensor = field(repr=False)


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


def images_in(folder: Path, option: str = "--images") -> list[Path]:
    """The files in a folder that are images by their ending, sorted; a single file will do.

    Args:
        folder: the folder.
        option: what names it, for a message.

    Raises:
        ImageError: there is no such folder, or no image in it.
    """
    if folder.is_file() and folder.suffix.lower() in SUFFIXES:
        return [folder]
    if not folder.is_dir():
        raise ImageError(f"no folder {folder}: give a folder of images with {option}")
    try:
        images = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise ImageError(f"can't read {folder}: {error.strerror or error}") from error
    if not images:
        raise ImageError(f"no image in {folder}: it needs files such as {', '.join(SUFFIXES[:4])}")
    return images


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

    return [
        _image(path, cv2.resize(_pixels(path, channels), (side, side), interpolation=cv2.INTER_CUBIC))
        for path in paths[:most]
    ]


def letterboxed(paths: list[Path], size: tuple[int, int], most: int, channels: int = 3) -> list[Image]:
    """The first `most` images, each scaled into a size and padded in grey, as Ultralytics predicts.

    Args:
        paths: the files.
        size: height and width, pixels.
        most: how many at most.
        channels: one of `READABLE`.

    Raises:
        ImageError: a file can't be read as an image.
    """
    import cv2
    import numpy

    images = []
    for path in paths[:most]:
        pixels = _pixels(path, channels)
        scale = min(side / there for side, there in zip(size, pixels.shape))
        height, width = (max(round(side * scale), 1) for side in pixels.shape[:2])
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        canvas = numpy.full((*size, *pixels.shape[2:]), _PADDING, numpy.uint8)
        scaled = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        canvas[top : top + height, left : left + width] = scaled
        images.append(_image(path, canvas))
    return images


def _pixels(path: Path, channels: int) -> numpy.ndarray:
    """An image's pixels, blue first, or in grey."""
    import cv2
    import numpy

    flag = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    try:
        pixels = cv2.imdecode(numpy.frombuffer(read_within(path, MOST_IMAGE_BYTES), numpy.uint8), flag)
    except OSError as error:
        raise ImageError(f"can't read the image {path}: {error.strerror or error}") from error
    except cv2.error:  # of an empty file
        pixels = None
    if pixels is None:
        raise ImageError(f"{path} can't be read as an image: take it out of the folder")
    return pixels


def _image(path: Path, pixels: numpy.ndarray) -> Image:
    import numpy
    import torch

    planes = pixels[..., ::-1].transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]
    return Image(path.name, torch.from_numpy(numpy.ascontiguousarray(planes)).float().div(255)[None])


def noise(channels: int, size: int | tuple[int, int], count: int) -> list[Image]:
    """Images of seeded noise, the same on every machine."""
    import torch

    generator = torch.Generator().manual_seed(_SEED)
    sides = (size, size) if isinstance(size, int) else size
    return [Image(f"noise {number}", torch.rand(1, channels, *sides, generator=generator)) for number in range(count)]
