"""The image of what an insertion did, from the insertion itself: no file needs to be there."""

from __future__ import annotations

from ..modelfile.insert import Insertion
from .comparison import Comparison
from .content import Content
from .drawing import Drawing


def drawing_of(plan: Insertion, imgsz: tuple[int, int] = (640, 640), classes: int | None = None) -> Drawing:
    """The variant beside its base: what came in colour, what was rewired dashed.

    Args:
        plan: the insertion, written or not.
        imgsz: height and width of the image whose maps are told, pixels.
        classes: how many it is trained for; None for what the model says.
    """
    before, after = (Content(model, imgsz, classes) for model in (plan.base, plan.variant))
    return Drawing(Comparison(before, after).figure())
