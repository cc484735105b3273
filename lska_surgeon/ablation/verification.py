"""Whether what was trained is what was asked for, row by row; it trains nothing.

`YOLO("a.pt").train(model="b.yaml")` trains a and writes b into args.yaml, without a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.contents import Checkpoint
from ..errors import CheckpointError
from ..modelfile.sources import CHECKPOINT_SUFFIXES, find_source
from ..yolo.build import layers_of
from ..yolo.environment import import_offline, quiet

#: What a training takes from its data, whatever the model's file says.
_OF_THE_DATA = ("nc", "ch", "channels", "kpt_shape")


def other_network(checkpoint: Path | Checkpoint, model: Path) -> str | None:
    """The first row at which a checkpoint's network is not that of a model, in words; None where it is the same.

    Args:
        checkpoint: what was trained, a file or what was read of it.
        model: what was asked for, a model YAML or another checkpoint.

    Raises:
        SurgeonError: one of the two can't be read or built.
    """
    found = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
    if found.model is None or not isinstance(getattr(found.model, "model", None), nn.Sequential):
        return f"{found.path.name} holds no network that is built from rows"
    yaml = _yaml_of(model)
    stored = found.yaml or {}
    yaml.update({key: stored[key] for key in _OF_THE_DATA if key in stored})
    return _difference(layers_of(yaml, model.name), found.model.model)


def _yaml_of(model: Path) -> dict[str, Any]:
    if model.suffix.lower() in CHECKPOINT_SUFFIXES:
        asked = read_checkpoint(model)
        if asked.yaml is None:
            raise CheckpointError(f"{model} holds no network that is built from rows")
        return dict(asked.yaml)
    place = find_source(str(model))
    with quiet():
        yaml: dict[str, Any] = dict(import_offline().yaml_model_load(place.path))
    if place.scale and yaml.get("scales"):
        yaml["scale"] = place.scale
    return yaml


def _difference(wanted: nn.Sequential, trained: nn.Sequential) -> str | None:
    for index, (one, other) in enumerate(zip(wanted, trained)):
        if type(one).__name__ != type(other).__name__:
            return f"row {index} is {type(other).__name__} where {type(one).__name__} was asked for"
        if _sources(one) != _sources(other):
            return f"row {index} ({type(one).__name__}) reads {_sources(other)} where {_sources(one)} was asked for"
        if _shapes(one) != _shapes(other):
            return f"row {index} ({type(one).__name__}) has other tensors than were asked for"
    if len(wanted) != len(trained):
        return f"it has {len(trained)} rows where {len(wanted)} were asked for"
    return None


def _sources(layer: nn.Module) -> list[int]:
    return [layer.f] if isinstance(layer.f, int) else list(layer.f)


def _shapes(layer: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}
