"""What a row does in the network, guessed from its block's name where that is all there is; it knows no alignment."""

from __future__ import annotations

from .graph import Layer

#: Kinds of rows that attention may be; "other" is a block that is not known.
ATTENTION = ("operator", "other", "psa")


def role_of(layer: Layer, output: int) -> str:
    """One of output, fuse, up, psa, pool, block, down, conv, operator, other.

    Args:
        layer: the row.
        output: the output layer's index.
    """
    if layer.index == output:
        return "output"
    role, custom = layer.kind.role, layer.kind.custom
    if len(layer.raw_sources) > 1:
        return "fuse"
    if custom is not None and custom.stride not in (None, 1):
        return "up" if custom.stride < 1 else "down"
    if role == "conv" and layer.args[2:3] == (2,):
        return "down"
    return "other" if role == "output" else role
