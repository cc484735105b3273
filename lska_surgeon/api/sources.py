"""What a verb may be given in place of a path: a checkpoint that was read, or a network that is loaded already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

from ..declarations.find import active_blocks
from ..modelfile.sources import find_source
from ..yolo.build import refuse_sizes
from .arguments import PathLike

if TYPE_CHECKING:
    from ..checkpoints.contents import Checkpoint

    #: A path, a Checkpoint, a `YOLO` object, or the module in it.
    Trained = Union[PathLike, Checkpoint, Any]


def look_at(source: Any, kind: Literal["yaml", "checkpoint", "either"] = "either", *, built: bool = False) -> None:
    """Refuse a source that leads nowhere before torch is imported; of what is in memory there is nothing to say.

    Args:
        source: a path, a stock name, or what is in memory.
        kind: what it may be.
        built: whether Ultralytics will build it, where it is a YAML.

    Raises:
        SurgeonError: there is no such file, or, where it will be built, a row is too large for that.
    """
    if isinstance(source, (str, os.PathLike)) and not find_source(os.fspath(source), kind).is_checkpoint and built:
        refuse_sizes(os.fspath(source), active_blocks())


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
