"""What to say of trained weights whose rows moved: Ultralytics matches tensors by their row's number; it moves none."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..architecture.graph import graph_of
from ..checkpoints.find import means_yaml
from ..declarations.find import active_blocks
from ..errors import SurgeonError
from .matching import find_target
from .transplant import moved_name


def rows_moved(model: nn.Module, weights: nn.Module, names: tuple[str, str]) -> str | None:
    """One line on what became of trained weights in a network of other rows; None where the rows are the same.

    Args:
        model: the network, the weights loaded into it by Ultralytics.
        weights: where they come from.
        names: the files of both, as Ultralytics was given them.
    """
    if _rows(model) == _rows(weights) or not means_yaml(names[0]):
        return None
    into, trained = model.state_dict(), weights.state_dict()
    loaded = [name for name, tensor in trained.items() if _equal(into.get(name), tensor)]
    said = f"lska-surgeon: {names[1]} has other rows than {names[0]}, and Ultralytics matches tensors by row number:"
    places = _places(weights, names)
    if places is None:
        return f"{said} {len(loaded)} of {len(trained)} tensors were taken over"
    own = [name for name in loaded if moved_name(name, places) == name]
    wrong = f", {len(loaded) - len(own)} in another layer of the same shape" if len(loaded) > len(own) else ""
    model_file, checkpoint = (shlex.quote(name) for name in names)
    return (
        f"{said} {len(own)} of {len(trained)} tensors are where they belong{wrong}, the rest is lost; "
        f"to keep all of them: lska-surgeon train {model_file} --graft {checkpoint}, "
        f"or lska-surgeon graft {checkpoint} --into {model_file}, and train the file that this writes"
    )


def _rows(model: nn.Module) -> list[str]:
    layers: nn.Sequential = model.model
    return [type(layer).__name__ for layer in layers]


def _places(weights: nn.Module, names: tuple[str, str]) -> Mapping[int, int] | None:
    """Row of the weights -> row of the network, where that is a variant of theirs."""
    try:
        target = find_target(
            names[0], graph_of(weights.yaml, names[1], active_blocks()), weights.yaml, list(weights.model)
        )
    except SurgeonError:
        return None
    return None if target.lost else target.rewrite.index_map


def _equal(one: Tensor | None, other: Tensor) -> bool:
    return one is not None and one.shape == other.shape and torch.equal(one.float().cpu(), other.float().cpu())
