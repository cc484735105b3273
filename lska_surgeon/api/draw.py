"""The verb `draw`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Union

from ..declarations.find import active_blocks
from ..drawing import drawing
from .arguments import PathLike
from .own_blocks import with_own_blocks

if TYPE_CHECKING:
    #: A path, a stock name, a Checkpoint, or what `insert` returns.
    Drawable = Union[str, "os.PathLike[str]", Any]


@with_own_blocks
def draw(
    model: Drawable,
    variant: Drawable | None = None,
    *,
    positions: bool = False,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    output: str | os.PathLike[str] | None = None,
    trust: bool = False,
    blocks: PathLike | None = None,
) -> drawing.Drawing:
    """Draw a network, every position that `insert` takes in it, or what sets a variant apart from it.

    Nothing is written before `write`; a notebook shows the image.

    >>> import lska_surgeon as ls
    >>> image = ls.draw("yolov8s.yaml", positions=True)
    >>> print(image)
    yolov8s-positions.svg: yolov8s.yaml, scale s, 640 × 640; 23 rows and 29 connections

    Args:
        model: path of a model YAML or of a .pt, a stock Ultralytics name with its scale, a Checkpoint, or an
            insertion that `insert` has worked out.
        variant: the same; drawn beside `model`, what came in colour and what was rewired dashed.
        positions: mark every position that `insert` takes by name.
        imgsz: size of the image in pixels, one number for a square or (height, width).
        scale: scale of model YAMLs, where their names do not say it.
        output: the file to be, .svg, .md (Mermaid), .dot, .png or .pdf; None for one named after what is drawn, "-"
            for none.
        trust: load a .pt even if it names code that is not on the allow-list; it may then run anything.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        DocumentError, CheckpointError: a file is not there, or is neither.
        GraphError: its rows make no network, or it has no such scale.
        TargetError: `output` ends in no format of images.
    """
    return drawing.draw(
        [model] if variant is None else [model, variant],
        positions=positions,
        imgsz=imgsz,
        scale=scale,
        output=output,
        trust=trust,
        blocks=active_blocks(),
    )
