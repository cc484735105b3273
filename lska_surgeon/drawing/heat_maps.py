"""Receptive fields and gates as heat maps, side by side on one scale; it measures nothing."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .plots import UNDATED, legible, plotting, save

COLOUR_MAP = "viridis"
_SIDE = 2.1  # inches
_LETTERS = 26  # above a heat map
_CELLS = 160  # along a side of a heat map that stands alone


def heat_png(values: Any) -> bytes:
    """A heat map alone, as PNG, in the colours of `draw_fields`; large ones are pooled by their maximum.

    Args:
        values: shape (H, W), 0 to 1.
    """
    step = max(1, -(-max(values.shape) // _CELLS))
    height, width = (side // step for side in values.shape)
    pooled = values[: height * step, : width * step].reshape(height, step, width, step).max((1, 3))
    content = io.BytesIO()
    with plotting():
        from matplotlib.image import imsave

        imsave(content, pooled, vmin=0, vmax=1, cmap=COLOUR_MAP, format="png", metadata=UNDATED[".png"])
    return content.getvalue()


def draw_fields(fields: Sequence[Any], path: Path, *, force: bool = False) -> None:
    """Effective receptive fields: a row a network, a column a layer; the same colours mean the same everywhere.

    Args:
        fields: with `model`, `at` and `readable()`, shape (H, W), the largest of them 1.
        path: PNG, SVG or PDF.
        force: replace a file that is there.
    """
    models = list(dict.fromkeys(field.model for field in fields))
    places = list(dict.fromkeys(field.at for field in fields))
    with plotting() as figure:
        drawn = figure.Figure(figsize=(_SIDE * len(places) + 1, _SIDE * len(models) + 0.5), layout="constrained")
        axes = drawn.subplots(len(models), len(places), squeeze=False)
        image = None
        for row in axes:
            for axis in row:
                axis.set_axis_off()
        for field in fields:
            axis = axes[models.index(field.model)][places.index(field.at)]
            image = axis.imshow(field.readable(), cmap=COLOUR_MAP, vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(f"{_title(field.model)}\n{field.at}", fontsize=8)
        drawn.colorbar(image, ax=axes, shrink=0.8, label="contribution (log, relative)")
        save(drawn, path, force=force)


def _title(name: str) -> str:
    """A name in lines as wide as a heat map."""
    return textwrap.fill(legible(name), _LETTERS)


def draw_gates(
    changes: Mapping[str, Sequence[Any]], images: Sequence[Any], path: Path, *, force: bool = False, most: int = 4
) -> None:
    """A strip for each image: the image, then what each operator does to it, on one scale.

    Args:
        changes: network -> its operators, with `layer`, `op` and `maps`.
        images: those of all networks, with `name` and `tensor`, shape (1, C, H, W).
        path: PNG, SVG or PDF.
        force: replace a file that is there.
        most: how many images of each network's.
    """
    seen = {name for found in changes.values() for one in found for name in [*one.maps][:most]}
    shown = [image for image in images if image.name in seen]
    columns = [(model, one) for model, found in changes.items() for one in found]
    top = (
        max((float(one.maps[p.name].max()) for _, one in columns for p in shown if p.name in one.maps), default=0.0)
        or 1.0
    )
    with plotting() as figure:
        size = (_SIDE * (len(columns) + 1), _SIDE * len(shown) + 0.4)
        drawn = figure.Figure(figsize=size, layout="constrained")
        axes = drawn.subplots(len(shown), len(columns) + 1, squeeze=False)
        mapped = None
        for row, image in zip(axes, shown):
            for axis in row:
                axis.set_axis_off()
            pixels = image.tensor[0].numpy()
            row[0].imshow(pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels.mean(0), vmin=0, vmax=1)
            row[0].set_title(_title(image.name), fontsize=8)
            for axis, (model, one) in zip(row[1:], columns):
                if image.name not in one.maps:  # a network that can't read images looks through noise
                    continue
                mapped = axis.imshow(one.maps[image.name], cmap="magma", vmin=0, vmax=top, interpolation="nearest")
                axis.set_title(f"{_title(model)}\n{one.op}, layer {one.layer}", fontsize=8)
        drawn.colorbar(mapped, ax=axes, shrink=0.8, label="|out - in| / mean |in|")
        save(drawn, path, force=force)
