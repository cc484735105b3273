"""The verb `draw`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ..cost.image_size import LARGEST_SIDE
from ..declarations.find import active_blocks
from ..drawing.content import Content
from ..drawing.drawing import RASTER, Drawing, format_of
from ..drawing.figure import Figure
from ..drawing.matplotlib_plots import check_matplotlib
from ..errors import SurgeonError
from ..files import check_target
from ..modelfile.insert import Insertion
from ..modelfile.model import Model, load
from ..modelfile.sources import CHECKPOINT_SUFFIXES, STDIN, is_checkpoint
from .arguments import PathLike
from .own_blocks import with_own_blocks
from .sources import look_at

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
) -> Drawing:
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
    size = _size(imgsz)
    if positions and variant is not None:
        raise SurgeonError("positions are those of one model: draw them without a variant")
    drawn_models = [model] if variant is None else [model, variant]
    target = _target(drawn_models[-1], positions, output)
    for one in drawn_models:  # before a checkpoint is opened, which imports torch
        if one != STDIN:
            look_at(one)
    contents = [Content(_model_of(one, scale, trust), size) for one in drawn_models]
    figure = contents[0].figure(positions) if variant is None else _compared(*contents)
    notes = dict.fromkeys(note for one in contents for note in (*one.model.notes, *one.notes))
    return Drawing(figure, target, tuple(notes))


def _compared(before: Content, after: Content) -> Figure:
    from ..drawing.comparison import Comparison  # here, for one model needs none of it

    return Comparison(before, after).figure()


def default_target(model: Drawable, positions: bool = False, form: str = "svg") -> Path:
    """The file that a drawing goes to where none is named: one in this folder, named after what is drawn."""
    path = Path(_name(model))
    stem = path.stem if path.suffix.lower() in (".yaml", ".yml", *CHECKPOINT_SUFFIXES) else path.name
    return Path(f"{stem}{'-positions' if positions else ''}.{form}")


def check_output(target: Path | None, force: bool) -> None:
    """Refuse a target before any work.

    Raises:
        TargetError: it is no image's, or must not, or can't, be written.
        MissingPackageError: it takes matplotlib, which is not installed.
    """
    if target is not None:
        form = format_of(target)
        check_target(target, force=force)
        if form in RASTER:
            check_matplotlib(f"a .{form}")


def _target(model: Drawable, positions: bool, output: str | os.PathLike[str] | None) -> Path | None:
    if output is None:
        return default_target(model, positions)
    if os.fspath(output) == "-":
        return None
    format_of(Path(output))
    return Path(output)


def _name(model: Drawable) -> str:
    if isinstance(model, (str, os.PathLike)):
        return Path(model).name
    found = getattr(model, "output", None) or getattr(model, "path", None) or "model"
    return Path(found).name


def _model_of(model: Drawable, scale: str | None, trust: bool) -> Model:
    if isinstance(model, (str, os.PathLike)) and not is_checkpoint(os.fspath(model)):
        return load(os.fspath(model), scale, blocks=active_blocks())
    if isinstance(model, Insertion):
        return model.variant
    if scale:
        raise SurgeonError(f"scale {scale!r} is for a model YAML: a network that is built already has its scale")
    return _trained_model(model, trust)


def _trained_model(model: Drawable, trust: bool) -> Model:
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import Checkpoint, read_checkpoint
    from ..cost.trained import trained_model

    checkpoint = read_checkpoint(model, trust=trust) if isinstance(model, (str, os.PathLike)) else model
    if isinstance(checkpoint, Checkpoint):
        return trained_model(checkpoint, active_blocks())
    raise SurgeonError(f"{type(model).__name__} can't be drawn: give a path, a Checkpoint, or what insert returns")


def _size(imgsz: int | tuple[int, int]) -> tuple[int, int]:
    sides = (imgsz, imgsz) if isinstance(imgsz, int) else tuple(imgsz)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= LARGEST_SIDE for side in sides):
        raise SurgeonError(
            f"imgsz {imgsz!r} is no size: give one number of pixels or (height, width), 1 to {LARGEST_SIDE}"
        )
    return sides[0], sides[1]
