"""How many channels each layer of a loaded network gives, measured by running it; it asks no YAML and no parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..core.graph import IMAGE, Layer
from ..core.shapes import channels_in
from ..core.surgery import Rewrite
from ..errors import BuildError
from ..yolo.environment import quiet


def widths_of(model: nn.Module, image: Tensor) -> tuple[int | None, ...]:
    """Run a model once and see what every layer gives; the model stays as it is.

    Args:
        model: a float32 model in eval mode, as `Checkpoint.float_model` gives it.
        image: shape (N, C, H, W), values 0 to 1.

    Returns:
        The channels of each layer's map; None where it gives something else than one map, or where the run did not get.
    """
    found: dict[int, int | None] = {}

    def note(index: int, layer: nn.Module, inputs: Any, output: Any) -> None:
        found[index] = int(output.shape[1]) if isinstance(output, Tensor) and output.dim() == 4 else None

    layers = list(model.model)
    hooks = [layer.register_forward_hook(partial(note, index)) for index, layer in enumerate(layers)]
    # An output layer may fail on such an image: the certificate tells that, and the layers before it have run.
    with quiet(), torch.no_grad(), suppress(Exception):
        model(image.clone())
    for hook in hooks:
        hook.remove()
    return tuple(found.get(index) for index in range(len(layers)))


def width_of_row(rewrite: Rewrite, row: Layer, widths: Sequence[int | None], yaml: Mapping[str, Any]) -> int:
    """The width of an inserted operator row: that of its source, through further inserted rows.

    Raises:
        BuildError: the source gives something else than one map.
    """
    source = row.sources[0]
    while source != IMAGE and rewrite.origin[source] is None:
        source = rewrite.after[source].sources[0]
    if source == IMAGE:
        return channels_in(yaml) or 3
    origin = rewrite.origin[source]
    width = widths[origin] if origin is not None else None
    if width is None:
        raise BuildError(
            f"{rewrite.before.name}: layer {origin} ({rewrite.after[source].block}) gives no single feature map, and "
            "an operator works on one: choose another position"
        )
    return width
