"""The picture of what an insertion did, from the insertion itself: no file needs to be there."""

from __future__ import annotations

from pathlib import Path

from ..model_yaml.document import Document
from ..model_yaml.find import FoundModel
from ..model_yaml.insert import Insertion
from ..model_yaml.load import OpenModel
from .comparison import Comparison
from .content import Content
from .picture import Drawing


def drawing_of(plan: Insertion, imgsz: tuple[int, int] = (640, 640), classes: int | None = None) -> Drawing:
    """The variant beside its base: what came in colour, what was rewired dashed.

    Args:
        plan: the insertion, written or not.
        imgsz: height and width of the picture whose maps are told, pixels.
        classes: how many it is trained for; None for what the model says.
    """
    name = plan.output.name if plan.output else "model"
    found = FoundModel(Path(name), name, plan.scaling.letter)
    variant = OpenModel(found, Document(plan.text, name, blocks=plan.opened.document.blocks), plan.scaling)
    before, after = (Content(model, imgsz, classes) for model in (plan.opened, variant))
    return Drawing(Comparison(before, after).figure())
