"""Declarations as TOML text; it writes no file."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..architecture.blocks import VERBATIM, CustomModule

_SAYS = dict(zip(VERBATIM, ("keeps its source's width", "joins maps of one width", "joins maps, widths added up")))


def toml_of(blocks: Iterable[CustomModule], prefix: str = "") -> str:
    """Tables to paste, each with what its guess means; empty for no blocks. Each name has to be declarable."""
    return "\n".join(_table(block, prefix) for block in blocks)


def _table(block: CustomModule, prefix: str) -> str:
    says = _SAYS.get(block.like, f"built and scaled as {block.like} is")
    lines = [
        f"[{prefix}blocks.{block.name}]",
        f"class = {json.dumps(block.target)}",
        f"like = {json.dumps(block.like)} # {says}",
    ]
    if block.channels_first:
        lines.append(
            'channels = "first" # the input\'s width comes before the arguments; drop it if the class wants none'
        )
    if block.stride is not None:
        lines.append(f"stride = {block.stride:g} # {'doubles' if block.stride < 1 else 'halves'} the map")
    return "\n".join(lines) + "\n"
