"""The verb `blocks`."""

from __future__ import annotations

from ..checks.blocks import Inventory, inventory
from ..declarations.find import find_blocks
from .arguments import PathLike, as_name


def blocks(source: PathLike | None = None, *, blocks: PathLike | None = None) -> Inventory:
    """The blocks that are known here; of a file, those that are not, each with a declaration to start from.

    >>> import lska_surgeon as ls
    >>> sorted(ls.blocks("yolov8s.yaml").guessed)
    []

    Args:
        source: a model YAML, or a Python file with classes, which is parsed and not run; None for no file.
        blocks: a declaration file; None takes the nearest.

    Raises:
        SurgeonError: a file can't be read.
    """
    name = as_name(source)
    return inventory(name, find_blocks(as_name(blocks), [name] if name else []))
