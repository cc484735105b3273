"""A state dict as a checkpoint: tensors by name, put into the network that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..checkpoints.checkpoint import Checkpoint
from ..core.graph import yaml_of
from ..core.surgery import remove
from ..declarations.find import active_blocks
from ..errors import CheckpointError
from ..modelfile.document import Document
from ..modelfile.find import find_model
from ..modelfile.remove import rows_of_operators
from ..wording import number_in
from ..yolo.build import build


def layer_of(name: str) -> int:
    """The layer that a name of a tensor or a module belongs to, 13 of `model.13.m.0`; -1 for none."""
    root, _, rest = name.partition(".")
    index = number_in(rest.partition(".")[0]) if root == "model" else None
    return -1 if index is None else index


def with_model(checkpoint: Checkpoint, variant: str) -> Checkpoint:
    """A state dict as a checkpoint: its model is the variant without operators, with these tensors.

    Raises:
        CheckpointError: the tensors are not those of that network.
    """
    found = find_model(variant)
    document = Document.read(found.path, blocks=active_blocks())
    graph = document.graph
    rows = rows_of_operators(document)
    base = remove(graph, rows).after if rows or any(layer.kind.is_attention for layer in graph) else graph
    yaml = yaml_of(base, dict(document.settings))
    tensors = _as_in_a_model(checkpoint.state_dict)
    problems = []
    for letter in [found.scale, *document.scales] if document.scales else [None]:
        classes = _classes_in(tensors)
        model = build({**yaml, **({"nc": classes} if classes else {}), **({"scale": letter} if letter else {})})
        wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
        wrong = [name for name in wanted.keys() | tensors.keys() if wanted.get(name) != _shape(tensors.get(name))]
        if not wrong:
            model.load_state_dict(dict(tensors))
            model.to(next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()))
            data = {"model": model.eval(), "ema": None, "train_args": {}}
            return replace(checkpoint, kind="checkpoint", data=data, key="model")
        problems.append((len(wrong), min(wrong)))
    count, first = min(problems)
    raise CheckpointError(
        f"the tensors in {checkpoint.path} are not those of {variant} without its operators: {count} differ, {first} "
        "among them; give the variant of the network that they belong to"
    )


def _as_in_a_model(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """`YOLO("x.pt").state_dict()` puts one more `model.` before the names of the model inside."""
    wrapped = all(name.startswith("model.model.") for name in tensors)
    return {name[len("model.") :]: tensor for name, tensor in tensors.items()} if wrapped else tensors


def _classes_in(tensors: Mapping[str, Tensor]) -> int | None:
    """The number of classes, from the class branch of a detection head or the last layer of a classifier."""
    found = [tensor for name, tensor in tensors.items() if re.search(r"\.cv3\.0\.2\.bias$|\.linear\.bias$", name)]
    return int(found[0].shape[0]) if found else None


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape
