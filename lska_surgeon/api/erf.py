"""`erf`: what layers of trained networks see, and how far operators are from the identity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..insight.asked import check_asked
from ..insight.folder import images_in
from .arguments import PathLike
from .own_blocks import with_own_blocks
from .sources import look_at

if TYPE_CHECKING:
    from ..insight.look import Insight


@with_own_blocks
def erf(
    models: str | Path | Sequence[str | Path],
    *,
    level: str | Sequence[str] = (),
    layer: int | Sequence[int] = (),
    images: str | Path | None = None,
    imgsz: int = 640,
    most: int = 50,
    gates: bool = False,
    trust: bool = False,
    blocks: PathLike | None = None,
) -> Insight:
    """Effective receptive fields of trained networks, as the authors of RepLKNet measure them (arXiv 2203.06717).

    Args:
        models: one or more checkpoints.
        level: pyramid levels of the output layer's inputs, "p3"; none, and no layer either, for all of them.
        layer: indices of layers to look behind.
        images: a folder of images; None for noise.
        imgsz: side of the square that images are resized to, pixels: a multiple of the networks' strides.
        most: how many images at most.
        gates: look at how far each operator is from the identity in place of receptive fields.
        trust: load checkpoints even if they name code that is not on the allow-list; they may run it.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        What was seen; `print` shows tables, `write("erf.png")` draws heat maps.

    Raises:
        SurgeonError: no such checkpoint, level, layer or image, or a size that does not fit.
    """
    levels, layers = [level] if isinstance(level, str) else level, [layer] if isinstance(layer, int) else layer
    check_asked(levels=levels, layers=layers, imgsz=imgsz, most=most, gates=gates)
    paths = [Path(one) for one in ([models] if isinstance(models, (str, Path)) else models)]
    for path in paths:
        look_at(path, "checkpoint")
    if images:
        images_in(Path(images))  # here, as the checkpoints: importing torch takes seconds
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from ..insight.look import look

    return look(
        [read_checkpoint(path, trust=trust) for path in paths],
        levels=levels,
        layers=layers,
        images=Path(images) if images else None,
        imgsz=imgsz,
        most=most,
        gates=gates,
    )
