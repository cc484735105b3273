"""`curves`: cost against kernel size, on one's own network."""

from __future__ import annotations

from collections.abc import Sequence

from ..cost.curves import DESIGNS, SIZES, curve_points
from ..declarations.find import active_blocks
from ..drawing.curves import Curves
from ..modelfile.model import load
from .arguments import PathLike
from .own_blocks import with_own_blocks


@with_own_blocks
def curves(
    model: str,
    at: str | Sequence[str],
    *,
    op: str | Sequence[str] = DESIGNS,
    k: int | Sequence[int] = SIZES,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    blocks: PathLike | None = None,
) -> Curves:
    """Parameters and GFLOPs that operators add, against their kernel size, exactly, from the closed forms.

    The figure of Lau, Po, Rehman, arXiv 2309.01439, for one's own network.

    Args:
        model: a path, or a stock name with its scale.
        at: positions, as `insert` takes them, without kernel sizes.
        op: one or more operators; the paper's four designs.
        k: one or more kernel sizes; the paper's six.
        imgsz: side of the image, pixels, or (height, width).
        scale: scale, where the model's name does not say it.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        The points; `print` shows a table, `write("curves.svg")` draws the figure.

    Raises:
        SurgeonError: no such model, position, operator or kernel size.

    Example:
        >>> import lska_surgeon as ls
        >>> [(one.k, one.params) for one in ls.curves("yolov8n.yaml", "neck", op="lska", k=[7, 35]).points]
        [(7, 112192), (35, 123712)]
    """
    opened = load(model, scale, blocks=active_blocks())
    ats = (at,) if isinstance(at, str) else tuple(at)
    ops = (op,) if isinstance(op, str) else tuple(dict.fromkeys(op))
    sizes = (k,) if isinstance(k, int) else tuple(dict.fromkeys(k))
    size = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
    return Curves(opened.name, ats, size, curve_points(opened, ats, size, ops, sizes), opened.notes)
