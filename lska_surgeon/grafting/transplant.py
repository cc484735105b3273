"""Surgery on a built Ultralytics model, in place: layers move and new ones join; it reads and writes no file.

A model is `model.model` (the layers, an nn.Sequential; each knows its index `i` and its sources `f`), `model.save`
(indices whose output is kept) and `model.yaml` (the rows that it was built from). All of them follow one Rewrite, so
that they can't disagree. The kept layers are the same objects: no tensor is copied, none is lost, and what a checkpoint
made by an older release has in it (legacy heads, fused blocks, extra attributes) stays as it is. Only what is new is
built: whether the installed Ultralytics can build the kept layers from their rows makes no difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..core.attention import read_attention
from ..core.graph import IMAGE, Graph, Layer, scaling_of, yaml_of
from ..core.shapes import channels_in
from ..core.surgery import Rewrite
from ..errors import BuildError
from ..nn import Gated, attach, build_operator, named_operators
from ..nn.blocks import HOST_CLASSES
from ..wording import number_in
from ..yolo.build import layers_of
from ..yolo.environment import quiet

#: Seed of the new operators' random weights, so that a graft is the same file every time.
SEED = 0


def transplant_(
    model: nn.Module,
    rewrite: Rewrite,
    widths: Sequence[int | None],
    yaml: Mapping[str, Any],
    *,
    identity: bool | None = True,
    seed: int = SEED,
) -> list[str]:
    """Apply a rewrite to a built model, in place.

    Args:
        model: an Ultralytics task model whose layers are those of `rewrite.before`.
        rewrite: what to do.
        widths: the channels that each of its layers gives, from `widths_of`.
        yaml: the model dictionary to be.
        identity: start the new operators as the exact identity; with False at their random init, gates open; None
            leaves them as they are built, gates closed.
        seed: of the random weights of what is new; those of an operator depend on it and on where that stands alone.

    Returns:
        The state-dict names of the new tensors, in order.

    Raises:
        BuildError: the model's layers are not those of the rewrite, or what is new does not build.
    """
    layers = list(model.model)
    if len(layers) != len(rewrite.before):
        raise BuildError(f"the model has {len(layers)} layers and its stored YAML {len(rewrite.before)} rows")
    old_names = list(model.state_dict())
    model_wide = _ModelWide(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = _Fresh(rewrite, widths, yaml)
        seeds = _seeds(rewrite, seed)
        new = []
        for row in rewrite.after:
            torch.manual_seed(seeds[row.index])
            new.append(_layer(rewrite, row, layers, fresh))
    for row, layer in zip(rewrite.after, new):
        layer.i, layer.f = row.index, list(row.frm) if isinstance(row.frm, tuple) else row.frm
        if all(layer is not old for old in layers) or row.index in rewrite.edits:
            model_wide.settle_(layer, identity)
    _set_layers(model, new, rewrite.after, dict(yaml))
    places = rewrite.index_map
    kept = {moved_name(name, places) for name in old_names}
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
            layer.type = _plain_type(layer, row.block)
            layer.np = sum(parameter.numel() for parameter in layer.parameters())
        frm = list(row.frm) if isinstance(row.frm, tuple) else row.frm
        layer.i, layer.f = row.index, frm
        new.append(layer)
    _set_layers(model, new, rewrite.after, yaml_of(rewrite.after, model.yaml))


def _seeds(rewrite: Rewrite, seed: int) -> list[int]:
    """A seed for what is new in each row, by the layer that it stands in or behind: `neck:p3` draws as `neck` does."""
    found: list[int] = []
    there: dict[str, int] = {}
    for row in rewrite.after:
        origin = rewrite.origin[row.index]
        place = f"in {origin}"
        if origin is None:
            source = row.sources[0]
            while source != IMAGE and rewrite.origin[source] is None:
                source = rewrite.after[source].sources[0]
            behind = f"behind {source if source == IMAGE else rewrite.origin[source]}"
            there[behind] = there.get(behind, 0) + 1
            place = f"{behind}, {there[behind]}"
        found.append(int.from_bytes(hashlib.sha256(f"{seed}: {place}".encode()).digest()[:7], "big"))
    return found


def saved_indices(graph: Graph) -> list[int]:
    """`model.save` as `parse_model` makes it: every source that is not simply the layer before."""
    return sorted(raw % layer.index for layer in graph for raw in layer.raw_sources if raw != -1)


class _Fresh:
    """New layers for the inserted rows: operators one by one, any other block as Ultralytics' own parser makes it."""

    def __init__(self, rewrite: Rewrite, widths: Sequence[int | None], yaml: Mapping[str, Any]) -> None:
        self.rewrite, self.widths, self.yaml = rewrite, widths, yaml
        plain = all(rewrite.after[row].kind.is_operator for row in rewrite.inserted)
        self.parsed = None if plain and not _replaced(rewrite) else layers_of(yaml, rewrite.after.name, "cpu")
        self.scaling = scaling_of(yaml, yaml.get("scale") or None)

    def __call__(self, row: Layer) -> nn.Module:
        if self.parsed is not None:
            return self.parsed[row.index]
        attention = read_attention(row)
        assert attention is not None
        width = width_of_row(self.rewrite, row, self.widths, self.yaml)
        operators = [build_operator(attention.kernel, width) for _ in range(max(self.scaling.repeats(row.repeats), 1))]
        built = nn.Sequential(*operators) if len(operators) > 1 else operators[0]
        built.type = f"{type(operators[0]).__module__}.{type(operators[0]).__qualname__}"
        return built


def _replaced(rewrite: Rewrite) -> bool:
    """True when a kept layer gets another class that is no host of ours."""
    kept = ((row, rewrite.origin[row.index]) for row in rewrite.after if row.index not in rewrite.edits)
    return any(origin is not None and rewrite.before[origin].block != row.block for row, origin in kept)


def _layer(rewrite: Rewrite, row: Layer, layers: Sequence[nn.Module], fresh: _Fresh) -> nn.Module:
    origin = rewrite.origin[row.index]
    if origin is None:
        return fresh(row)
    layer = layers[origin]
    if row.index in rewrite.edits:
        attach(layer, rewrite.edits[row.index].kernel, row.block)
        layer.type = f"{HOST_CLASSES[row.block].__module__}.{HOST_CLASSES[row.block].__qualname__}"
    elif row.block != rewrite.before[origin].block:
        replacement = fresh(row)
        replacement.load_state_dict(layer.state_dict())
        if hasattr(layer, "stride"):  # of an output layer: measured once, when its model was built
            replacement.stride = layer.stride
        return replacement
    return layer


class _ModelWide:
    """What all layers of a model have in common: precision, place, mode, trainability, and how its norms are set."""

    def __init__(self, model: nn.Module) -> None:
        self.reference = next(model.parameters())
        self.training = bool(model.training)
        self.norm = next((part for part in model.modules() if type(part) is nn.BatchNorm2d), None)

    def settle_(self, layer: nn.Module, identity: bool | None) -> None:
        """Give a new layer all of that, and its operators their start."""
        operators = [operator for _, operator in named_operators(layer)]
        for operator in operators:
            if identity:
                operator.init_identity_()
            elif identity is False and isinstance(operator, Gated):
                operator.init_default_()
        for part in operators or [layer]:
            part.to(device=self.reference.device, dtype=self.reference.dtype)
            part.requires_grad_(self.reference.requires_grad)
            for norm in part.modules():
                if type(norm) is nn.BatchNorm2d and self.norm is not None:
                    norm.eps, norm.momentum = self.norm.eps, self.norm.momentum
        layer.train(self.training)
        layer.np = sum(parameter.numel() for parameter in layer.parameters())


def _set_layers(model: nn.Module, layers: Sequence[nn.Module], graph: Graph, yaml: dict[str, Any]) -> None:
    training = model.model.training
    model.model = nn.Sequential(*layers)
    model.model.training = training
    model.save = saved_indices(graph)
    model.yaml = yaml


def _make_plain(layer: nn.Module) -> None:
    for part in [layer, *layer.modules()]:
        plain = getattr(type(part), "plain_block", None)
        if plain is None:
            continue
        if type(part).__name__ == "C2f_LSKA_Attention":
            raise BuildError("C2f_LSKA_Attention has attention blocks where C2f has bottlenecks: it has no plain form")
        part._modules.pop("lska", None)
        part.__class__ = plain()


def _plain_type(layer: nn.Module, block: str) -> str:
    """The name of the class that a row builds, as `parse_model` writes it."""
    cls = next(type(part) for part in layer.modules() if type(part).__name__ == block)
    return f"{cls.__module__}.{cls.__qualname__}"


def moved_name(name: str, places: Mapping[int, int]) -> str | None:
    """A state-dict name under the new index; None when its layer is gone."""
    root, _, rest = name.partition(".")
    number, dot, tail = rest.partition(".")
    index = number_in(number)
    if root != "model" or index is None:
        return name
    return f"model.{places[index]}{dot}{tail}" if index in places else None


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
