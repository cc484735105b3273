"""The verb `remove`."""

from __future__ import annotations

from ..declarations.find import active_blocks
from ..modelfile.remove import Removal, plan_remove
from .arguments import PathLike, as_name
from .own_blocks import with_own_blocks


@with_own_blocks
def remove(variant: PathLike, *, output: PathLike | None = None, blocks: PathLike | None = None) -> Removal:
    """Take LSKA out of a model YAML; nothing is written before `.write()`.

    A file that `insert` wrote gives its base back byte for byte.

    >>> import lska_surgeon as ls
    >>> variant = ls.insert("yolov8s.yaml", "neck").write()
    >>> print(ls.remove(variant).line)
    yolov8s.yaml: yolov8s-lska-neck-k23.yaml without 4 operator rows (13, 17, 21, 25)

    Args:
        variant: path of a model YAML.
        output: the file to be; None takes the base's name as the variant's name tells it, "-" none.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the file is not there, or is no model YAML.
        PositionError: it has no LSKA.
        TargetError: Ultralytics would build another network under the output's name.
    """
    return plan_remove(str(as_name(variant)), as_name(output), active_blocks())
