"""Looking into checkpoints: which layers, which images, and what was seen, as one result that shows itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.contents import Checkpoint
from ..core.blocks import BlockTable
from ..core.shapes import channels_in
from ..cost.shapes_only import stride_of, trained_model
from ..errors import CheckpointError, PositionError, telling
from ..files import as_path, told_apart
from ..grafting.images import READABLE, Image, images_from, images_in
from ..nn import named_operators
from ..reports import Report, Result, Table
from ..wording import counted, few
from .measure import SHARES, OperatorChange, ReceptiveField, operator_changes, receptive_fields

_NOISE = 8
_SEED = 0
_HEADER = ("model", "at", "layer", *(f"{share:.0%} in" for share in SHARES))
_GATES_HEADER = ("model", "operator", "layer", "change", "least channel", "largest channel", "")


@dataclass(frozen=True, eq=False, repr=False)
class Insight(Result):
    """What was seen in one or more networks.

    Attributes:
        imgsz: side of the images, pixels.
        images: the images that were looked through, by any of the networks.
        fields: the effective receptive fields, network after network.
        changes: network -> its operators; empty unless the gates were asked for.
        notes: what one has to know to read it.
    """

    imgsz: int
    images: tuple[Image, ...]
    fields: tuple[ReceptiveField, ...]
    changes: dict[str, tuple[OperatorChange, ...]]
    notes: tuple[str, ...] = ()

    def report(self) -> Report:
        """The tables; in data the figures, without the maps."""
        models = dict.fromkeys([*(field.model for field in self.fields), *self.changes])
        summary = f"{', '.join(models)}, seen through {counted(len(self.images), 'image')} of {self.imgsz}x{self.imgsz}"
        changes = [(model, change) for model, changes in self.changes.items() for change in changes]
        fields = Table(_HEADER, [_field_cells(field) for field in self.fields], range(2, len(_HEADER)))
        gates = Table(_GATES_HEADER, [_change_cells(*change) for change in changes], range(2, 6))
        data = {
            "schema": self.schema,
            "imgsz": self.imgsz,
            "images": [image.name for image in self.images],
            "fields": [_field(field) for field in self.fields],
            "operators": [_change(*change) for change in changes],
            "notes": list(self.notes),
        }
        return Report(summary, [table for table in (fields, gates) if table.rows], self.notes, data)

    def write(self, path: str | Path, force: bool = False) -> Path:
        """Write the heat maps as an image: PNG, SVG or PDF, by the ending.

        Raises:
            TargetError: another ending, or the file can't be written.
        """
        from ..drawing.plots import draw_fields, draw_gates

        target = as_path(path)
        if self.fields:
            draw_fields(self.fields, target, force=force)
        else:
            draw_gates(self.changes, self.images, target, force=force)
        return target

    def _repr_html_(self) -> str:
        from ..drawing.plots import inline

        return f"{inline(self.write)}\n{super()._repr_html_()}"


def look(
    checkpoints: Sequence[Checkpoint],
    *,
    blocks: BlockTable,
    levels: Sequence[str] = (),
    layers: Sequence[int] = (),
    images: Path | None = None,
    imgsz: int = 640,
    most: int = 50,
    gates: bool = False,
) -> Insight:
    """Look into networks.

    Args:
        checkpoints: the networks; files of one name are called by their folders too, as far as these differ.
        blocks: the table that says what the rows' blocks are.
        levels: pyramid levels of the output layer's inputs, "p3"; none, and no layers either, for all of them.
        layers: indices of layers.
        images: folder of images; None for noise.
        imgsz: side of the square that images are resized to, pixels.
        most: how many images at most.
        gates: look at the operators in place of receptive fields.

    Raises:
        PositionError: no such level or layer, no operator to look at, or `imgsz` is no multiple of a stride.
        ImageError: no images.
        CheckpointError: a file holds tensors without a model or weights that are not finite, or a network does not run.
    """
    paths = images_in(images) if images else []
    names = told_apart([checkpoint.path for checkpoint in checkpoints])
    asked: list[dict[str, int]] = []
    for name, checkpoint in zip(names, checkpoints):
        _refuse_unfit(name, checkpoint, imgsz, gates)
        asked.append({} if gates else _layers(checkpoint, name, blocks, levels, layers))
    fields: list[ReceptiveField] = []
    changes: dict[str, tuple[OperatorChange, ...]] = {}
    shown: dict[str, Image] = {}
    notes = [] if paths else [f"looked through {_NOISE} images of noise: --images FOLDER takes yours"]
    for name, checkpoint, at in zip(names, checkpoints, asked):
        model = checkpoint.float_model()
        channels = channels_in(model.yaml) or 3
        readable = bool(paths) and channels in READABLE
        mine = images_from(paths, imgsz, most, channels) if readable else noise(channels, imgsz, _NOISE)
        if paths and not readable:
            notes.append(f"{name} reads {channels} channels, which no image has: looked through noise instead")
        shown = {**{image.name: image for image in mine}, **shown}
        with telling(CheckpointError, f"{checkpoint.path} can't be run on an image of {imgsz}x{imgsz}"):
            if gates:
                changes[name] = tuple(operator_changes(model, mine))
            else:
                fields += receptive_fields(model, name, at, mine)
    still = {model: [one.name for one in operators if one.still] for model, operators in changes.items()}
    notes += [
        f"{model}: training has left {few(names)} at the identity; lska-surgeon ungraft takes operators out"
        for model, names in still.items()
        if names
    ]
    return Insight(imgsz, tuple(shown.values()), tuple(fields), changes, tuple(notes))


def noise(channels: int, size: int | tuple[int, int], count: int) -> list[Image]:
    """Images of seeded noise, the same on every machine."""
    generator = torch.Generator().manual_seed(_SEED)
    sides = (size, size) if isinstance(size, int) else size
    return [Image(f"noise {number}", torch.rand(1, channels, *sides, generator=generator)) for number in range(count)]


def _refuse_unfit(name: str, checkpoint: Checkpoint, imgsz: int, gates: bool) -> None:
    """Refuse a network that can't be looked into."""
    model = checkpoint.needed_model()
    if gates and not any(True for _ in named_operators(model)):
        raise PositionError(f"{checkpoint.path} has no operator to look at: graft one in first")
    lost = checkpoint.not_finite()
    if lost:
        raise CheckpointError(
            f"{checkpoint.path} has {counted(len(lost), 'tensor')} not finite ({lost[0]}), so nothing comes through "
            "it: take a checkpoint from before the training diverged"
        )
    stride = stride_of(model)
    if imgsz % stride:
        more = imgsz + stride - imgsz % stride
        raise PositionError(f"--imgsz {imgsz} is no multiple of {name}'s stride {stride}: take one, such as {more}")


def _layers(
    checkpoint: Checkpoint, name: str, blocks: BlockTable, levels: Sequence[str], layers: Sequence[int]
) -> dict[str, int]:
    """What is asked for -> index."""
    rows: Any = checkpoint.needed_model().model
    last = len(rows) - 1
    sources = rows[last].f
    inputs = [sources] if isinstance(sources, int) else list(sources)
    inputs = [index if index >= 0 else last + index for index in inputs]
    shapes = trained_model(checkpoint, blocks).shapes
    known = {level: index for index in inputs if (level := shapes[index].level)}
    by_level = known if len(known) == len(inputs) else {f"layer {index}": index for index in inputs}
    missing = [level for level in levels if level.lower() not in by_level]
    if missing:
        raise PositionError(f"{name} has no level {missing[0]}: its output layer reads {', '.join(by_level)}")
    wrong = [index for index in layers if not 0 <= index < last]
    if wrong:
        raise PositionError(f"no layer {wrong[0]} to look behind: {name} has 0-{last - 1} before its output layer")
    asked = {level.lower(): by_level[level.lower()] for level in levels}
    asked.update({f"layer {index}": index for index in layers})
    return asked or by_level


def _field_cells(field: ReceptiveField) -> Sequence[str]:
    squares = map(field.square, SHARES)
    shares = (f"{square.area:.1%} ({square.side} px)" if square else "all of it" for square in squares)
    return field.model, field.at, str(field.layer), *shares


def _field(field: ReceptiveField) -> dict[str, Any]:
    squares = {f"{share:g}": field.square(share) for share in SHARES}
    return {
        **{name: getattr(field, name) for name in ("model", "at", "layer", "images", "skipped")},
        "squares": {
            share: {"side": square.side, "area": round(square.area, 6)} if square else None
            for share, square in squares.items()
        },
    }


def _change_cells(model: str, change: OperatorChange) -> Sequence[str]:
    figures = (f"{value:.4f}" for value in (change.change, change.channels.min(), change.channels.max()))
    return model, f"{change.op} {change.name}", str(change.layer), *figures, "the identity" * change.still


def _change(model: str, change: OperatorChange) -> dict[str, Any]:
    return {
        "model": model,
        **{name: getattr(change, name) for name in ("name", "layer", "op", "change")},
        "channels": [round(float(value), 6) for value in change.channels],
        "identity": change.still,
    }
