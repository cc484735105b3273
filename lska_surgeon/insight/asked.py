"""What may be asked of a look into networks, told before torch is imported."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import PositionError, SurgeonError

#: Sides of an image, pixels; the smallest leaves a cell at stride 32, what a network keeps of larger ones is too much.
SMALLEST_SIDE, LARGEST_SIDE = 32, 4096


def check_asked(*, levels: Collection[str], layers: Collection[int], imgsz: int, most: int, gates: bool) -> None:
    """Refuse what makes no look.

    Raises:
        SurgeonError: a side or a number of images that is none.
        PositionError: places are named, and gates are looked at wherever they are.
    """
    if not SMALLEST_SIDE <= imgsz <= LARGEST_SIDE:
        raise SurgeonError(f"imgsz {imgsz} is no side of an image: give {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    if most < 1:
        raise SurgeonError(f"most {most} is no number of images: give 1 or more")
    if gates and (levels or layers):
        raise PositionError("--gates shows every operator, wherever it is: leave --level and --layer out")
