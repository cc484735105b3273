"""Which files of a folder are images, told by their names, before torch is imported; it opens none."""

from __future__ import annotations

from pathlib import Path

from ..errors import SurgeonError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ImageError(SurgeonError):
    """Images that are not there, or are none."""


def images_in(folder: Path) -> list[Path]:
    """The files in a folder that are images by their ending, sorted; a single file will do.

    Raises:
        ImageError: there is no such folder, or no image in it.
    """
    if folder.is_file() and folder.suffix.lower() in SUFFIXES:
        return [folder]
    if not folder.is_dir():
        raise ImageError(f"no folder {folder}: give a folder of images with --images")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ImageError(f"no image in {folder}: it needs files such as {', '.join(SUFFIXES[:4])}")
    return found
