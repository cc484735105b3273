"""A row that holds a whole backbone, as parsers have it that somebody patched for that; it judges nothing else.

Such a row's module gives a list of maps, and the numbers of the rows behind it count it as five layers. Files of the
kind start with it, or with a row that only hands on the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .graph import Layer

#: How many layers a patched parser counts such a row for.
LAYERS = 5


def packed_row(layers: Sequence[Layer]) -> int | None:
    """The index of the row that the numbers count as several layers; None where there is none."""
    if not any(layer.problem() for layer in layers):
        return None
    at = next((layer.index for layer in layers if not layer.kind.same), None)
    if at is None or layers[at].kind.is_known or layers[at].problem():
        return None
    shifted = [replace(layer, index=layer.index + LAYERS - 1) for layer in layers[at + 1 :]]
    return None if any(layer.problem() for layer in shifted) else at


def told(layers: Sequence[Layer], at: int) -> str:
    """What such a row is, in one sentence."""
    return (
        f"row {at} ({layers[at].block}) is a whole backbone that gives a list of maps, and the numbers count it as "
        f"{LAYERS} layers, for a parser patched for that: plain Ultralytics does not build such a file"
    )
