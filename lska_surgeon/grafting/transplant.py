"""Surgery on a built Ultralytics model: layers move and new ones join; it reads and writes no file.

A model is `model.model` (the layers, an nn.Sequential; each knows its index `i` and its sources `f`), `model.save`
(indices whose output is kept) and `model.yaml` (the rows that it was built from). All of them follow one Rewrite, so
that they can't disagree. The kept layers are the same objects: no tensor is copied, none is lost, and what a checkpoint
made by an older release has in it (legacy heads, fused blocks, extra attributes) stays as it is. Only what is new is
built: whether the installed Ultralytics can build the kept layers from their rows makes no difference.

An output layer belongs to a task model, which measures its strides and sets its biases. So a new one comes with a new
task model, built whole, and the kept layers move into that. Into rows that are built anew, parts of layers are copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..core.graph import IMAGE, Graph, Layer, built_scaling, yaml_of
from ..core.operators import read_attention
from ..core.shapes import channels_in
from ..core.surgery import Rewrite
from ..errors import BuildError
from ..nn import Gated, attach, build_operator, named_operators
from ..nn.blocks import HOST_CLASSES, AttentionHost
from ..wording import number_in
from ..yolo.build import build, task_of
from .columns import Moves, with_columns

#: Seed of the new operators' random weights, so that a graft is the same file every time.
SEED = 0


@dataclass(frozen=True)
class Carry:
    """What goes into rows that are built anew; every other row that stands for a layer is that layer, moved.

    Attributes:
        stands: layer -> the row in its place, whether something of it is carried or not.
        tensors: state-dict name in the product -> that in the original.
        columns: state-dict name in the product -> which columns of the original's tensor go where in it.
        branches: part of the output layer -> the part of the original's that it stands for, as `22.cv2.0`.
        levels: which of the maps that the original's output layer reads -> which of those that the product's reads.
        why: row -> what keeps the rest of the layer out of it.
    """

    stands: Mapping[int, int]
    tensors: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Moves] = field(default_factory=dict)
    branches: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[int, int] = field(default_factory=dict)
    why: Mapping[int, str] = field(default_factory=dict)


def transplant_(
    model: nn.Module,
    rewrite: Rewrite,
    widths: Sequence[int | None],
    yaml: Mapping[str, Any],
    carry: Carry | None = None,
    *,
    identity: bool | None = True,
    seed: int = SEED,
    trust: bool = False,
) -> tuple[nn.Module, list[str]]:
    """Apply a rewrite to a built model, in place.

    Args:
        model: an Ultralytics task model whose layers are those of `rewrite.before`.
        rewrite: what to do.
        widths: the channels that each of its layers gives, from `note_widths`.
        yaml: the model dictionary to be.
        carry: what goes into rows that are built anew.
        identity: start the new operators as the exact identity; with False at their random init, gates open; None
            leaves them as they are built, gates closed.
        seed: of the random weights of what is new; those of an operator depend on it and on where that stands alone.
        trust: build what runs more than layers.

    Returns:
        The model, another one where its output layer is new, and the state-dict names of the new tensors, in order.

    Raises:
        BuildError: the model's layers are not those of the rewrite, or what is new does not build.
    """
    layers = list(model.model)
    if len(layers) != len(rewrite.before):
        raise BuildError(f"the model has {len(layers)} layers and its stored YAML {len(rewrite.before)} rows")
    originals = model.state_dict()
    reference = next(model.parameters())
    norm = next((part for part in model.modules() if type(part) is nn.BatchNorm2d), None)
    filled = rows_filled(carry)
    new = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = _built(rewrite, yaml, filled, trust)
        make = partial(_operator_row, rewrite, widths, yaml) if built is None else lambda row: built.model[row.index]
        for row, place in zip(rewrite.after, _places(rewrite)):
            torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed}: {place}".encode()).digest()[:7], "big"))
            new.append(_layer(rewrite, row, layers, make, row.index in filled))
    training = bool(model.training)
    for row, layer in zip(rewrite.after, new):
        is_moved = any(layer is old for old in layers)
        if row.index in rewrite.edits or not is_moved:
            _settle_(layer, reference, norm, identity, is_moved)
            layer.train(training)
    if built is not None and new[-1] is not layers[-1]:
        model = _in_place_of(model, built)
    _set_layers(model, new, rewrite.after, dict(yaml))
    kept = {moved_name(name, moved_rows(rewrite, carry)) for name in originals}
    if carry is not None:
        _fill_(model, originals, carry)
        kept.update(carry.tensors)
    return model, [name for name in model.state_dict() if name not in kept]


def rows_filled(carry: Carry | None) -> set[int]:
    """The rows that are built anew, and into which something is copied."""
    return set() if carry is None else {layer_of(name) for name in carry.tensors}


def moved_rows(rewrite: Rewrite, carry: Carry | None) -> dict[int, int]:
    """Layer -> row, for those that move as they are."""
    filled = rows_filled(carry)
    return {old: new for old, new in rewrite.index_map.items() if new not in filled}


def _fill_(model: nn.Module, originals: Mapping[str, Tensor], carry: Carry) -> None:
    there = model.state_dict()
    with torch.no_grad():
        for name, old in carry.tensors.items():
            moves, tensor = carry.columns.get(name), originals[old].to(there[name])
            there[name].copy_(tensor if moves is None else with_columns(there[name], tensor, moves))


def excise_(model: nn.Module, rewrite: Rewrite) -> None:
    """Apply a removal (`surgery.remove`) to a built model, in place: operator rows go, hosts become plain again.

    Raises:
        BuildError: a host that has no plain form, for it has attention blocks where that has bottlenecks.
    """
    layers = list(model.model)
    new = []
    for row, origin in zip(rewrite.after, rewrite.origin):
        assert origin is not None
        layer = layers[origin]
        if rewrite.before[origin].block != row.block:
            _make_plain(layer)
            layer.type = _type(next(part for part in layer.modules() if type(part).__name__ == row.block))
            layer.np = sum(parameter.numel() for parameter in layer.parameters())
        new.append(layer)
    _set_layers(model, new, rewrite.after, yaml_of(rewrite.after, model.yaml))


def _places(rewrite: Rewrite) -> Iterator[str]:
    """What the seed of each row depends on: the layer that it stands in or behind. So `neck:p3` draws as `neck`."""
    count: dict[int, int] = {}
    for row in rewrite.after:
        origin = rewrite.origin[row.index]
        if origin is not None:
            yield f"in {origin}"
            continue
        layer = _layer_behind(rewrite, row)
        count[layer] = count.get(layer, 0) + 1
        yield f"behind {layer}, {count[layer]}"


def _layer_behind(rewrite: Rewrite, row: Layer) -> int:
    """The layer of `before` that an inserted row reads, through further inserted rows; `IMAGE` for the image."""
    source = row.sources[0]
    while source != IMAGE:
        origin = rewrite.origin[source]
        if origin is not None:
            return origin
        source = rewrite.after[source].sources[0]
    return IMAGE


def _built(rewrite: Rewrite, yaml: Mapping[str, Any], filled: set[int], trust: bool) -> nn.Module | None:
    """The network to be as Ultralytics builds it; None where operators alone are new, which need no other layer."""
    if filled or not all(rewrite.after[row].kind.is_operator for row in rewrite.inserted):
        return build(dict(yaml), called=rewrite.after.name, trust=trust)
    return None


def _operator_row(rewrite: Rewrite, widths: Sequence[int | None], yaml: Mapping[str, Any], row: Layer) -> nn.Module:
    attention = read_attention(row)
    assert attention is not None
    width, scaling = width_of_row(rewrite, row, widths, yaml), built_scaling(yaml)
    operators = [build_operator(attention.kernel, width) for _ in range(max(scaling.repeats(row.repeats), 1))]
    built = nn.Sequential(*operators) if len(operators) > 1 else operators[0]
    built.type = _type(operators[0])
    return built


def _layer(
    rewrite: Rewrite, row: Layer, layers: Sequence[nn.Module], make: Callable[[Layer], nn.Module], filled: bool
) -> nn.Module:
    origin = rewrite.origin[row.index]
    if origin is None or filled:
        return make(row)
    layer = layers[origin]
    if row.index in rewrite.edits:
        attach(layer, rewrite.edits[row.index].kernel, row.block)
        layer.type = f"{HOST_CLASSES[row.block].__module__}.{HOST_CLASSES[row.block].__qualname__}"
    return layer


def _settle_(
    layer: nn.Module, reference: Tensor, usual: nn.Module | None, identity: bool | None, is_moved: bool
) -> None:
    """Give a new layer the precision, place and trainability of the others, their setting of norms, and a start.

    Of one that moved, the operators alone are new.
    """
    operators = [operator for _, operator in named_operators(layer)]
    for operator in operators:
        if identity:
            operator.init_identity_()
        elif identity is False and isinstance(operator, Gated):
            operator.init_default_()
    for part in operators if is_moved else [layer]:
        part.to(device=reference.device, dtype=reference.dtype)
        part.requires_grad_(reference.requires_grad)
        for norm in part.modules():
            if type(norm) is nn.BatchNorm2d and usual is not None:
                norm.eps, norm.momentum = usual.eps, usual.momentum
    layer.np = sum(parameter.numel() for parameter in layer.parameters())


def _in_place_of(model: nn.Module, built: nn.Module) -> nn.Module:
    """A newly built task model, with what a training hangs on the one that it replaces."""
    built.task = task_of(built.yaml)
    built.names = deepcopy(getattr(model, "names", built.names))
    if hasattr(model, "args"):
        built.args = with_task(model.args, built.task)
    return built.train(bool(model.training))


def with_task(arguments: Any, task: str) -> Any:
    """The arguments of a training, a dictionary or a namespace, for another task."""
    arguments = deepcopy(arguments)
    (arguments if isinstance(arguments, dict) else vars(arguments))["task"] = task
    return arguments


def _set_layers(model: nn.Module, layers: Sequence[nn.Module], graph: Graph, yaml: dict[str, Any]) -> None:
    training = model.model.training
    for row, layer in zip(graph, layers):
        layer.i, layer.f = row.index, list(row.frm) if isinstance(row.frm, tuple) else row.frm
    model.model = nn.Sequential(*layers)
    model.model.training = training
    # As `parse_model` makes it: every source that is not simply the layer before.
    model.save = sorted(raw % layer.index for layer in graph for raw in layer.raw_sources if raw != -1)
    model.yaml = yaml


def _make_plain(layer: nn.Module) -> None:
    for part in [layer, *layer.modules()]:
        plain = getattr(type(part), "plain_block", None)
        if plain is None:
            continue
        if isinstance(part, AttentionHost):
            name = type(part).__name__
            raise BuildError(f"{name} has attention blocks where {plain().__name__} has bottlenecks: it stays as it is")
        part._modules.pop("lska", None)
        part.__class__ = plain()


def _type(part: nn.Module) -> str:
    """The name of a part's class, as `parse_model` writes it."""
    return f"{type(part).__module__}.{type(part).__qualname__}"


def note_widths(model: nn.Module) -> list[int | None]:
    """Have a model note, in its next run, how many channels each layer's map has; it asks no YAML and no parser.

    Returns:
        The channels, filled in by that run; None where a layer gives something else than one map, and where the run
        did not get: an output layer may fail on some images, which the certificate tells.
    """
    layers = list(model.model)
    widths: list[int | None] = [None] * len(layers)
    hooks: dict[int, Any] = {}

    def note(index: int, layer: nn.Module, inputs: Any, output: Any) -> None:
        widths[index] = int(output.shape[1]) if isinstance(output, Tensor) and output.dim() == 4 else None
        hooks[index].remove()

    for index, layer in enumerate(layers):
        hooks[index] = layer.register_forward_hook(partial(note, index))
    return widths


def width_of_row(rewrite: Rewrite, row: Layer, widths: Sequence[int | None], yaml: Mapping[str, Any]) -> int:
    """The width of an inserted operator row: that of its source, through further inserted rows.

    Raises:
        BuildError: the source gives something else than one map.
    """
    layer = _layer_behind(rewrite, row)
    if layer == IMAGE:
        return channels_in(yaml) or 3
    width = widths[layer]
    if width is None:
        raise BuildError(
            f"{rewrite.before.name}: layer {layer} ({rewrite.before[layer].block}) gives no single feature map, and "
            "an operator works on one: choose another position"
        )
    return width


def layer_of(name: str) -> int:
    """The layer that a name of a tensor or a module belongs to, 13 of `model.13.m.0`; -1 for none."""
    root, _, rest = name.partition(".")
    index = number_in(rest.partition(".")[0]) if root == "model" else None
    return -1 if index is None else index


def moved_name(name: str, places: Mapping[int, int]) -> str | None:
    """A state-dict name under the new index; None when its layer is gone."""
    index = layer_of(name)
    if index < 0:
        return name
    tail = name.partition(".")[2].partition(".")
    return f"model.{places[index]}{tail[1]}{tail[2]}" if index in places else None
