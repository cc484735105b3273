"""Surgery on a built Ultralytics model, in place: layers move and new ones join; it reads and writes no file.

A model is `model.model` (the layers, an nn.Sequential; each knows its index `i` and its sources `f`), `model.save`
(indices whose output is kept) and `model.yaml` (the rows that it was built from). All of them follow one Rewrite, so
that they can't disagree. The kept layers are the same objects: no tensor is copied, none is lost, and what a checkpoint
made by an older release has in it (legacy heads, fused blocks, extra attributes) stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from . import host
from .blocks import read_attention
from .errors import BuildError
from .graph import Graph, Layer, as_from
from .nn import attach, build_operator, named_operators
from .surgery import Rewrite

#: Seed of the new operators' depth-wise convolutions, so that a graft is the same file every time.
SEED = 0


def graph_of(yaml: Mapping[str, Any], name: str) -> Graph:
    """The graph of a model's stored YAML.

    Raises:
        BuildError: it has no rows under backbone and head, or they are not rows.
        GraphError: a source does not exist or looks forward.
    """
    layers: list[Layer] = []
    for section in ("backbone", "head"):
        for row in yaml.get(section) or ():
            frm = as_from(row[0]) if isinstance(row, (list, tuple)) and len(row) == 4 else None
            if frm is None:
                raise BuildError(f"{name}: its stored YAML has a row that is not [from, repeats, module, args]: {row}")
            layers.append(Layer(len(layers), section, frm, int(row[1]), str(row[2]), tuple(row[3])))
    settings = {key: value for key, value in yaml.items() if key not in ("backbone", "head")}
    return Graph(tuple(layers), settings, name)


def yaml_of(graph: Graph, yaml: Mapping[str, Any]) -> dict[str, Any]:
    """A stored YAML with the rows of `graph` in the place of its own."""
    rows: dict[str, list[Any]] = {"backbone": [], "head": []}
    for layer in graph:
        frm = list(layer.frm) if isinstance(layer.frm, tuple) else layer.frm
        rows[layer.section].append([frm, layer.repeats, layer.block, deepcopy(list(layer.args))])
    return {**yaml, **rows}


def transplant_(model: nn.Module, rewrite: Rewrite, *, identity: bool = True) -> list[str]:
    """Apply a rewrite to a built model, in place.

    Args:
        model: an Ultralytics task model whose layers are those of `rewrite.before`.
        rewrite: what to do.
        identity: start the new operators as the exact identity; otherwise at the paper's random init.

    Returns:
        The state-dict names of the new tensors, in order.

    Raises:
        BuildError: the model's layers are not those of the rewrite.
    """
    layers = list(model.model)
    if len(layers) != len(rewrite.before):
        raise BuildError(f"the model has {len(layers)} layers and its stored YAML {len(rewrite.before)} rows")
    yaml = yaml_of(rewrite.after, model.yaml)
    old_names = set(model.state_dict())
    reference = next(model.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        widths = _widths(yaml)
        new = [_layer(rewrite, row, layers, widths) for row in rewrite.after]
    for row, layer in zip(rewrite.after, new):
        frm = list(row.frm) if isinstance(row.frm, tuple) else row.frm
        layer.i, layer.f = row.index, frm
        if row.index in rewrite.edits:
            _settle(layer, reference, identity)
    model.model = nn.Sequential(*new)
    model.model.training = reference_mode = bool(model.training)
    for index in rewrite.edits:
        new[index].train(reference_mode)
    model.save = saved_indices(rewrite.after)
    model.yaml = yaml
    back = {f"model.{old}.": f"model.{new}." for old, new in rewrite.index_map.items()}
    kept = {_renamed(name, back) for name in old_names}
    return [name for name in model.state_dict() if name not in kept]


def excise_(model: nn.Module, rewrite: Rewrite) -> None:
    """Apply a removal (`surgery.remove`) to a built model, in place: operator rows go, hosts become plain again.

    Raises:
        BuildError: a host that has no plain form (C2f_LSKA_Attention has other blocks inside than C2f).
    """
    layers = list(model.model)
    new = []
    for row, origin in zip(rewrite.after, rewrite.origin):
        assert origin is not None
        layer = layers[origin]
        if rewrite.before[origin].block != row.block:
            _make_plain(layer)
        frm = list(row.frm) if isinstance(row.frm, tuple) else row.frm
        layer.i, layer.f = row.index, frm
        new.append(layer)
    training = model.model.training
    model.model = nn.Sequential(*new)
    model.model.training = training
    model.save = saved_indices(rewrite.after)
    model.yaml = yaml_of(rewrite.after, model.yaml)


def saved_indices(graph: Graph) -> list[int]:
    """`model.save` as `parse_model` makes it: every source that is not simply the layer before."""
    return sorted(tap % layer.index for layer in graph for tap in layer.taps if tap != -1)


def operators_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every operator in a model, by its state-dict prefix."""
    return {name: operator for name, operator in named_operators(model)}


def _layer(rewrite: Rewrite, row: Layer, layers: Sequence[nn.Module], widths: Sequence[int]) -> nn.Module:
    origin = rewrite.origin[row.index]
    if origin is None:
        attention = read_attention(row.block, row.args)
        assert attention is not None
        operator = build_operator(attention.kernel, widths[row.index])
        operator.type = f"{type(operator).__module__}.{type(operator).__qualname__}"
        return operator
    layer = layers[origin]
    if row.index in rewrite.edits:
        attach(layer, rewrite.edits[row.index].kernel, row.block)
        layer.type = f"{type(layer).__module__}.{row.block}"
    return layer


def _settle(layer: nn.Module, reference: nn.Parameter, identity: bool) -> None:
    """Give new operators the precision, place and trainability of the model, and their starting point."""
    for _, operator in named_operators(layer):
        if identity:
            operator.init_identity_()
        operator.to(device=reference.device, dtype=reference.dtype)
        operator.requires_grad_(reference.requires_grad)
    layer.np = sum(parameter.numel() for parameter in layer.parameters())


def _widths(yaml: Mapping[str, Any]) -> list[int]:
    """The width of each inserted row, as Ultralytics' own parser finds it; nothing is allocated."""
    tasks = host.import_offline()
    with host.quiet(), torch.device("meta"):
        layers, _ = tasks.parse_model(deepcopy(dict(yaml)), ch=yaml.get("ch", yaml.get("channels", 3)), verbose=False)
    found = [next((operator for _, operator in named_operators(layer)), None) for layer in layers]
    return [next(operator.parameters()).shape[0] if operator is not None else 0 for operator in found]


def _make_plain(layer: nn.Module) -> None:
    for part in [layer, *layer.modules()]:
        plain = getattr(type(part), "plain_block", None)
        if plain is None:
            continue
        if type(part).__name__ == "C2f_LSKA_Attention":
            raise BuildError("C2f_LSKA_Attention has attention blocks where C2f has bottlenecks: it has no plain form")
        part._modules.pop("lska", None)
        part.__class__ = plain()


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    head, index, rest = name.split(".", 2) if name.count(".") >= 2 else (name, "", "")
    return prefixes.get(f"{head}.{index}.", f"{head}.{index}.") + rest if index else name
