"""The verb `load_checkpoint`, which is the command `inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..yolo.environment import import_offline
from .arguments import PathLike
from .own_blocks import with_own_blocks
from .sources import checkpoint_from, look_at

if TYPE_CHECKING:
    from ..checkpoints.contents import Checkpoint


@with_own_blocks
def load_checkpoint(path: PathLike, *, trust: bool = False, blocks: PathLike | None = None) -> Checkpoint:
    """Read a checkpoint or a state dict without running what it carries, onto the CPU.

    The result has the network (`.model`), its tensors (`.state_dict`), its YAML, class names, training arguments, and
    the record of its surgery; printed, it shows what the file holds.

    Args:
        path: the .pt file; it is never fetched when it is not there.
        trust: load a file even if it names code that is not on the allow-list; it may then run anything.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind, or holds no network.
        UnsafeCheckpointError: it names what is not on the allow-list.
    """
    look_at(path, "checkpoint")
    import_offline()  # here, for it takes seconds and no error above should wait for it
    return checkpoint_from(path, trust)
