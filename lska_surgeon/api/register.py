"""The verb `register`."""

from __future__ import annotations

import os

from ..declarations.find import VARIABLE, active_blocks
from ..errors import BuildError
from .arguments import PathLike
from .own_blocks import with_own_blocks


@with_own_blocks
def register(*, blocks: PathLike | None = None) -> None:
    """Make the LSKA blocks known to Ultralytics in this process, so that `YOLO("variant.yaml")` builds them.

    A second call changes nothing, and every other verb that needs it does it by itself. A declaration that is named
    holds from then on for this process and those that it starts, as if $LSKA_SURGEON_BLOCKS named it.

    Args:
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        BuildError: the environment can't import torch or Ultralytics; the message says why and what to do.
    """
    try:
        from ..nn.parsing import register as in_this_process
    except ImportError as error:
        from ..yolo.environment import environment_problem

        raise BuildError(environment_problem() or str(error)) from error
    in_this_process()
    if blocks is not None:
        os.environ[VARIABLE] = str(active_blocks().declarations.path)
