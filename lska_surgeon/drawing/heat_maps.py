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
_PIXELS = 160  # along a side of a heat map that stands alone


def heat_png(values: Any) -> bytes:
    """A heat map alone, as PNG, in the colours of `draw_fields`; large ones are pooled by their maximum.

    Args:
        values: shape (H, W), 0 to 1.
    """
    step = max(1, -(-max(values.shape) // _PIXELS))
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
    cells = {
        (models.index(field.model), places.index(field.at)): (field.readable(), f"{_title(field.model)}\n{field.at}")
        for field in fields
    }
    _draw(cells, {}, COLOUR_MAP, 1.0, "contribution (log, relative)", path, force)


def draw_gates(
    changes: Mapping[str, Sequence[Any]], images: Sequence[Any], path: Path, *, force: bool = False, most: int = 4
) -> None:
    """A row for each image: the image, then what each operator does to it, on one scale.

    Args:
        changes: network -> its operators, with `layer`, `op` and `maps`.
        images: those of all networks, with `name` and `tensor`, shape (1, C, H, W).
        path: PNG, SVG or PDF.
        force: replace a file that is there.
        most: how many images of each network's.
    """
    operators = [(model, operator) for model, here in changes.items() for operator in here]
    seen = {name for _, operator in operators for name in [*operator.maps][:most]}
    shown = [image for image in images if image.name in seen]
    pixels = [image.tensor[0].numpy() for image in shown]
    cells = {
        (row, column): (operator.maps[image.name], f"{_title(model)}\n{operator.op}, layer {operator.layer}")
        for row, image in enumerate(shown)
        for column, (model, operator) in enumerate(operators, 1)
        if image.name in operator.maps  # a network that can't read images looks through noise
    }
    photographs = {
        (row, 0): (one.transpose(1, 2, 0) if len(one) == 3 else one.mean(0), _title(image.name))
        for row, (one, image) in enumerate(zip(pixels, shown))
    }
    top = max((float(values.max()) for values, _ in cells.values()), default=0.0) or 1.0
    _draw(cells, photographs, "magma", top, "|out - in| / mean |in|", path, force)


def _title(name: str) -> str:
    """A name in lines as wide as a heat map."""
    return textwrap.fill(legible(name), _LETTERS)


#: (row, column) -> pixels and title.
_Cells = Mapping[tuple[int, int], tuple[Any, str]]


def _draw(maps: _Cells, photographs: _Cells, colours: str, top: float, label: str, path: Path, force: bool) -> None:
    """Heat maps from 0 to `top` with one colour bar, and photographs beside them."""
    rows, columns = (1 + max(place[side] for place in (*maps, *photographs)) for side in (0, 1))
    with plotting() as figure:
        drawn = figure.Figure(figsize=(_SIDE * columns + 1, _SIDE * rows + 0.5), layout="constrained")
        axes = drawn.subplots(rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        image = None
        for place, (pixels, title) in (*photographs.items(), *maps.items()):
            look = {"vmax": 1} if place in photographs else {"vmax": top, "cmap": colours, "interpolation": "nearest"}
            image = axes[place].imshow(pixels, vmin=0, **look)
            axes[place].set_title(title, fontsize=8)
        drawn.colorbar(image, ax=axes, shrink=0.8, label=label)
        save(drawn, path, force=force)
