"""What a verb may be given in place of a path: a checkpoint that was read, or a network that is loaded already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ..checkpoints.find import check_checkpoint
from .arguments import PathLike

if TYPE_CHECKING:
    from ..checkpoints.contents import Checkpoint

    #: A path, a Checkpoint, a `YOLO` object, or the module in it.
    Trained = Union[PathLike, Checkpoint, Any]


def look_at(source: Trained) -> None:
    """Tell of a path that leads nowhere before anything is imported.

    Raises:
        CheckpointError: there is no such file.
    """
    if isinstance(source, (str, os.PathLike)):
        check_checkpoint(Path(source))


def checkpoint_from(source: Trained, trust: bool) -> Checkpoint:
    """The checkpoint that a source is; torch and Ultralytics are imported by now.

    Raises:
        CheckpointError: it can't be read, or is none.
    """
    from ..checkpoints.checkpoint import read_checkpoint
    from ..checkpoints.contents import Checkpoint, checkpoint_of

    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read_checkpoint(source, trust=trust)
    return checkpoint_of(source)


def stem_of(source: Trained) -> str:
    """How a file that is made of a source begins: the source's own name, without its ending."""
    if isinstance(source, (str, os.PathLike)):
        return Path(source).stem
    names = (getattr(source, name, None) for name in ("path", "ckpt_path", "model_name"))
    return Path(next((str(name) for name in names if name), "model")).stem
