"""Whether a row of a block that the user declares can be one of the block that it is like; it builds nothing."""

from __future__ import annotations

from .declared import ATTENTION, FUSIONS, declared
from .graph import Layer
from .shapes import OUTPUTS, WIDTH_SCALED


def declared_row_problem(layer: Layer, last: int | None = None) -> str | None:
    """Why a row can't be built as what its block is declared like; None where it can, and for any other block.

    Args:
        layer: the row.
        last: index of the network's last row; None where that is not known.
    """
    block = declared(layer.block)
    if block is None:
        return None
    reads, is_like = ", ".join(map(str, layer.taps)) or "nothing", f"{layer.block} is declared like {block.like}"
    if block.like in FUSIONS and len(layer.taps) < 2:
        return f"{is_like}, which joins sources, and reads {reads}: give a list of two or more"
    if (block.like == ATTENTION or block.like in WIDTH_SCALED) and len(layer.taps) > 1:
        return f"{is_like} and reads {reads}: give one source"
    if block.like in WIDTH_SCALED and not _is_width(layer):
        found = f"[{', '.join(map(str, layer.args))}]"
        return f"{is_like}, whose arguments begin with a width, and has {found}: write such as [256]"
    if block.like in OUTPUTS and last not in (None, layer.index):
        return f"{is_like}, an output layer, which is the last row: declare it like what it does here"
    return None


def _is_width(layer: Layer) -> bool:
    """A number, or a word that the parser evaluates."""
    first = layer.args[0] if layer.args else None
    return isinstance(first, (int, float, str)) and not isinstance(first, bool)
