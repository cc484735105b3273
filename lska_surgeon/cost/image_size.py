"""The size and the number of the images that a model is counted or timed for; it counts nothing."""

from __future__ import annotations

from ..errors import SurgeonError

#: Of a square, in pixels, where nobody says another one.
DEFAULT_SIZE = 640
#: The longest side of an image, in pixels; what a network keeps of a larger one fits into no memory.
LARGEST_SIDE = 16384
#: The most images in an input; a GPU takes some hundreds.
LARGEST_BATCH = 65536
#: The most threads of a CPU; each takes memory before it does anything.
LARGEST_THREADS = 4096


def batch_of(batch: int) -> int:
    """How many images an input has.

    Raises:
        SurgeonError: it is no whole number of 1 to `LARGEST_BATCH`.
    """
    if not isinstance(batch, int) or not 1 <= batch <= LARGEST_BATCH:
        raise SurgeonError(f"batch {batch!r} is no number of images: give 1 to {LARGEST_BATCH}")
    return batch


def size_of(imgsz: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width in pixels, of a square where one number is given.

    Raises:
        SurgeonError: a side is no whole number of 1 to `LARGEST_SIDE` pixels.
    """
    sides = (imgsz, imgsz) if isinstance(imgsz, int) else tuple(imgsz)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= LARGEST_SIDE for side in sides):
        raise SurgeonError(
            f"imgsz {imgsz!r} is no size: give one number of pixels or (height, width), 1 to {LARGEST_SIDE}"
        )
    return sides[0], sides[1]
