"""`lska_surgeon.blocks`: the blocks that are known, and declarations of those that are not."""

from __future__ import annotations

from pathlib import Path

from ..checks.inventory import Inventory, inventory
from ..declarations.find import using_declarations


def blocks(source: str | None = None, *, blocks: str | Path | None = None) -> Inventory:
    """The blocks that are known here; of a file, those that are not, each with a declaration to start from.

    Args:
        source: a model YAML, or a Python file with classes, which is parsed and not run; None for no file.
        blocks: a declaration file; None takes the nearest.

    Raises:
        SurgeonError: a file can't be read.
    """
    with using_declarations(blocks, [source] if source else []):
        return inventory(source)
