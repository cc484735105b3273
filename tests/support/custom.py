"""Custom modules that hold for a while, as they do while a verb is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lska_surgeon.core.blocks import STOCK, BlockTable, Declarations
from lska_surgeon.declarations.find import building_with, find_blocks


@contextmanager
def using(declarations: Declarations) -> Iterator[BlockTable]:
    """Let what is built have these custom modules."""
    blocks = STOCK.with_blocks(declarations)
    with building_with(blocks):
        yield blocks


@contextmanager
def using_file(path: Path | None = None) -> Iterator[BlockTable]:
    """Let what is built have the custom modules that a file declares; None for the nearest."""
    blocks = find_blocks(path)
    with building_with(blocks):
        yield blocks
