"""Insertions by the name of their base, as tests plan many of them."""

from __future__ import annotations

from lska_surgeon.core.blocks import STOCK, BlockTable
from lska_surgeon.core.surgery import Placement
from lska_surgeon.modelfile import insert
from lska_surgeon.modelfile.model import load


def plan_insert(
    base: str,
    placement: Placement,
    *,
    scale: str | None = None,
    resolve: bool = False,
    output: str | None = None,
    blocks: BlockTable = STOCK,
) -> insert.Insertion:
    """Work out an insertion; `base` and `scale` as `insert` takes them."""
    return insert.plan_insert(load(base, scale, blocks=blocks), placement, resolve=resolve, output=output)
