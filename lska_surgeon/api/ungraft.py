"""The verb `ungraft`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..declarations.find import active_blocks
from ..files import target_path
from ..yolo.environment import import_offline
from .arguments import PathLike, as_name
from .own_blocks import with_own_blocks
from .sources import checkpoint_from, look_at, stem_of

if TYPE_CHECKING:
    from ..grafting.graft import Ungraft
    from .sources import Trained


@with_own_blocks
def ungraft(
    checkpoint: Trained,
    *,
    lossy: bool = False,
    trust: bool = False,
    output: PathLike | None = None,
    blocks: PathLike | None = None,
) -> Ungraft:
    """Take LSKA out of a grafted checkpoint and give the original's tensors back; nothing is written before `.write()`.

    Args:
        checkpoint: path of a .pt, a Checkpoint, a loaded `YOLO` object, or the module in it; none of them is changed.
        lossy: take operators out although they have learned something, so that the outputs change.
        trust: load a file even if it names code that is not on the allow-list; it may then run anything.
        output: the file to be; None takes the checkpoint's name with `-ungrafted` at its end.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        PositionError: it has no operator.
        CheckpointError: the checkpoint can't be read, or its operators have learned something and `lossy` is off; the
            message says by how much the outputs would move.
        UnsafeCheckpointError: it names what is not on the allow-list.
    """
    target = target_path(as_name(output) or name_of_ungraft(checkpoint), ".pt")
    look_at(checkpoint, "checkpoint")
    import_offline()  # here, for it takes seconds and no error above should wait for it
    from ..grafting.graft import ungraft as ungraft_read

    return replace(ungraft_read(checkpoint_from(checkpoint, trust), lossy=lossy, blocks=active_blocks()), output=target)


def name_of_ungraft(checkpoint: Trained) -> str:
    """The file that an ungraft goes to where nobody names one."""
    return f"{stem_of(checkpoint)}-ungrafted.pt"
