"""What a row does in the network, guessed from its block's name where that is all there is; it knows no alignment."""

from __future__ import annotations

import re

from .attention import OPERATOR_ROWS
from .declared import declared, keeps_shape, like
from .graph import Layer
from .shapes import NOT_A_MAP

#: Kinds of rows that attention may be; "other" is a block that is not known.
ATTENTION = ("operator", "other", "psa")
# Tried in this order. The names beside Ultralytics' own are those of blocks that people put in their place.
_ROLES = (
    ("up", re.compile(r"upsample|carafe|dysample|dy_sample|eucb|transpose2?d?$|^up|up$", re.IGNORECASE)),
    ("psa", re.compile(r"psa", re.IGNORECASE)),
    ("pool", re.compile(r"spp|^rfb|aifi", re.IGNORECASE)),
    ("block", re.compile(r"c2|c3|csp|elan|vov|bottleneck|hgblock|^c1$|resnetlayer|repblock", re.IGNORECASE)),
    ("down", re.compile(r"down|aconv|focus|stem|spd|patchmerging|patchembed", re.IGNORECASE)),
)


def role_of(layer: Layer, output: int) -> str:
    """One of output, fuse, up, psa, pool, block, down, conv, operator, other.

    Args:
        layer: the row.
        output: the output layer's index.
    """
    if layer.index == output:
        return "output"
    block, own = like(layer.block), declared(layer.block)
    if len(layer.taps) > 1 or block == "Concat":
        return "fuse"
    if block in OPERATOR_ROWS or block == "CBAM" or keeps_shape(layer.block):
        return "operator"
    if own is not None and own.stride not in (None, 1):
        return "up" if own.stride < 1 else "down"
    if block in NOT_A_MAP:
        return "other"
    for answer, pattern in _ROLES:
        if pattern.search(block):
            return answer
    if "conv" in block.lower():
        return "down" if layer.args[2:3] == (2,) else "conv"
    return "other"
