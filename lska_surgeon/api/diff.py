"""The verb `diff`."""

from __future__ import annotations

from ..cost.difference import Difference, difference_of
from ..cost.limits import size_of
from ..declarations.find import active_blocks
from .arguments import PathLike, as_name
from .own_blocks import with_own_blocks


@with_own_blocks
def diff(
    before: PathLike,
    after: PathLike,
    *,
    imgsz: int | tuple[int, int] = 640,
    count: bool = False,
    trust: bool = False,
    blocks: PathLike | None = None,
) -> Difference:
    """Tell how one architecture differs from another.

    Rows are matched by what they are and by what they read, not by their numbers. A checkpoint has the rows of the
    model YAML that it stores; its weights are not compared.

    >>> import lska_surgeon as ls
    >>> variant = ls.insert("yolov8s.yaml", "neck", k=35).write()
    >>> found = ls.diff("yolov8s.yaml", variant)
    >>> found.added, found.costs.params
    ((13, 17, 21, 25), 452224)

    Args:
        before: path of a model YAML or of a .pt, or a stock Ultralytics name with its scale.
        after: the same.
        imgsz: size of the image in pixels, one number for a square or (height, width).
        count: build both and count them with fvcore, which needs torch; otherwise costs are worked out exactly where
            operators alone differ, and are None where more does.
        trust: load a .pt even if it names code that is not on the allow-list; it may then run anything.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        DocumentError, CheckpointError: a file is not there, or is neither a model YAML nor a checkpoint with a model.
        CostError: the models can't be counted at that size.
    """
    blocks_here = active_blocks()
    size = size_of(imgsz)
    return difference_of(str(as_name(before)), str(as_name(after)), size, count=count, trust=trust, blocks=blocks_here)
