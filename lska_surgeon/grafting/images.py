"""Images to run a network on, as it would see them: those of a folder, of a list, of a data YAML.

Importing this imports no torch, so that what is wrong with a folder is said first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SurgeonError
from ..files import MOST_IMAGE_BYTES, read_within
from ..modelfile.sources import YAML_SUFFIXES
from ..wording import counted
from .input_files import named_for_training

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
#: Channels that a network may read images of a folder with: in grey, in colour.
READABLE = (1, 3)
_PADDING = 114  # as Ultralytics pads


#: Fewer say nothing of others.
FEWEST = 4


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


def images_named(path: Path) -> list[Path]:
    """All images that a path leads to: a folder with those below it, a data YAML, a list (.txt) with a path a line.

    Of a data YAML they are those to train on, as Ultralytics finds them.

    Raises:
        ImageError: it leads to none.
        CheckpointError: a data YAML can't be read.
    """
    named = named_for_training(path) if path.suffix.lower() in YAML_SUFFIXES and not path.is_dir() else [path]
    found = sorted({image for one in named for image in _below(one)})
    if not found:
        raise ImageError(f"no image in {path}: it needs files such as {', '.join(SUFFIXES[:4])}")
    return found


def images_to_fit(path: Path) -> list[Path]:
    """The same, where there are enough to learn from.

    Raises:
        ImageError: there are not.
    """
    found = images_named(path)
    if len(found) < FEWEST:
        here = counted(len(found), "image")
        raise ImageError(f"{path} has {here}, too few to fit anything on: give {FEWEST} or more")
    return found


def _below(path: Path) -> list[Path]:
    if path.is_dir():
        return [one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file()]
    return _listed(path) if path.suffix.lower() == ".txt" and path.is_file() else images_in(path)


def _listed(path: Path) -> list[Path]:
    """The images that a list names; a path that begins with `./` begins at the list's folder, as for Ultralytics."""
    try:
        lines = read_within(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise ImageError(f"can't read the list of images {path}: {reason}") from error
    found = [path.parent / line[2:] if line.startswith("./") else Path(line) for line in map(str.strip, lines) if line]
    missing = next((one for one in found if not one.is_file()), None)
    if missing is not None:
        raise ImageError(f"{path} names {missing}, and there is no such file")
    return found
