"""`adopt`: a checkpoint whose classes are not here, made anew with ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnsafeCheckpointError
from .arguments import PathLike
from .own_blocks import with_own_blocks
from .sources import look_at

if TYPE_CHECKING:
    from ..grafting.adopt import Adoption


@with_own_blocks
def adopt(checkpoint: str | Path, *, blocks: PathLike | None = None) -> Adoption:
    """Make a checkpoint anew with the classes of this package, where its own are not here; its code is never run.

    Tutorials paste `LSKA`, `SPPF_LSKA`, `C2f_LSKA_Attention` and the like into the installed Ultralytics, and a file
    saved that way opens nowhere else. Where names, shapes, dilations and paddings are those of the paper's designs, the
    tensors become those of our classes, and the file trains, exports, resumes and opens anywhere.

    Args:
        checkpoint: the file.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        The new content, and what was mapped to what; `.write()` writes it.

    Raises:
        SurgeonError: no such file, nothing to adopt in it, or a class that is none of the blocks known here.
    """
    path = Path(checkpoint)
    look_at(path, "checkpoint")
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from ..grafting.adopt import adopt as adopt_checkpoint

    try:
        found = read_checkpoint(path, stand_ins=True)
    except UnsafeCheckpointError as error:  # what it is made for needs no trust, and there is none to give
        raise UnsafeCheckpointError(error.problem, error.refused) from error
    return adopt_checkpoint(found)
