"""The verb `positions`."""

from __future__ import annotations

from ..declarations.find import active_blocks
from ..modelfile.model import load
from ..modelfile.positions import Positions
from .arguments import PathLike, as_name
from .own_blocks import with_own_blocks


@with_own_blocks
def positions(model: PathLike, *, scale: str | None = None, blocks: PathLike | None = None) -> Positions:
    """Every layer of a model, and every position that `insert` accepts there.

    >>> import lska_surgeon as ls
    >>> found = ls.positions("yolov8s.yaml")
    >>> [site.layer for site in found.named["neck"]]
    [12, 15, 18, 21]
    >>> found.shapes[15].channels, found.shapes[15].stride
    (128, 8.0)

    Args:
        model: path of a model YAML, or a stock Ultralytics name with its scale.
        scale: scale, where the model's name does not say it.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the file is not there, or is no model YAML.
        GraphError: its rows make no network, or it has no such scale.
    """
    return Positions(load(str(as_name(model)), scale, blocks=active_blocks()))
