"""Stock models and their variants, built in Ultralytics: really run once, or only parsed, for names and shapes.

Nobody needs the values, so no weight is ever made random: that takes most of the time of a build.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lska_surgeon.core.graph import Scaling, scaling_of
from lska_surgeon.core.operators import OP_BLOCKS
from lska_surgeon.core.positions import NAMES, named_sites
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.cost.shapes_only import ShapesOnly
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.insert import Insertion
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.nn import Operator
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.environment import import_offline, quiet
from support.insertions import plan_insert

MODELS = sorted(stock_models())
#: About ten of them, each with parts that the others have not; all of them are for the contracts.
SOME = [
    name
    for name in (
        *("yolov3-spp.yaml", "yolov5-p6.yaml", "yolov8.yaml", "yolov8-cls.yaml", "yolov8-worldv2.yaml", "yolov9e.yaml"),
        *("yolov9t-seg.yaml", "yolov10n.yaml", "yolo11-obb.yaml", "yolo12.yaml", "yoloe-11-seg.yaml", "rtdetr-l.yaml"),
    )
    if name in MODELS
]
torch.set_num_threads(1)  # networks and images are small: to wake other threads takes longer than the work
Map = tuple[int, int]


@cache
def document_of(model: str) -> Document:
    return Document.read(stock_models()[model])


@cache
def scalings_of(model: str) -> tuple[Scaling, ...]:
    """Every scale of a stock model; where it has none, the one there is."""
    settings = document_of(model).settings
    return tuple(scaling_of(settings, letter) for letter in settings.get("scales") or [None])


@cache
def sweep(model: str) -> tuple[Scaling, ...]:
    """The scales worth trying: n, m and x, or the last where another model differs in its output layer alone."""
    return scalings_of(model)[::2] if has_its_own_body(model) else scalings_of(model)[-1:]


@cache
def has_its_own_body(model: str) -> bool:
    """False for a model that differs from one before it in the list in its output layer alone."""
    body = document_of(model).layers[:-1]
    return all(document_of(other).layers[:-1] != body for other in MODELS[: MODELS.index(model)])


#: Every body once, and each kind of output layer: those that are built, which takes longer than to read and to write.
BUILT = [model for model in MODELS if model in SOME or has_its_own_body(model)]


@cache
def positions_of(model: str) -> dict[str, tuple[int, ...]]:
    """The named positions that a stock model has, with the layers that they name."""
    document = document_of(model)
    named = named_sites(document.graph, shapes_of(document.graph, scalings_of(model)[0]))
    return {name: tuple(site.layer for site in sites) for name, sites in named.items()}


def in_full(model: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`--at` values that put operators at every named position, each place once and each position with a kernel size
    of its own; the second half goes inside of layers."""
    sizes = dict(zip(NAMES, (7, 11, 23, 35, 41, 53)))
    taken: set[int] = set()
    behind, inside = [], []
    for name, layers in positions_of(model).items():
        if name in ("residual", "sppf-inner"):
            inside.append(f"{name}@{sizes[name]}")
            continue
        fresh = layers if name == "head" else [layer for layer in layers if layer not in taken]
        taken.update(layers if name != "head" else ())
        behind += [f"{name}:{','.join(map(str, fresh))}@{sizes[name]}"] if fresh else []
    return tuple(behind), tuple(inside)


# Parsing: what Ultralytics' own loader and parser make of a file.


def parse(path: Path, scale: str | None = None) -> nn.Sequential:
    """The layers of a model YAML, at the scale that its name says, or at `scale`."""
    tasks = import_offline()
    with quiet(), _weights(lambda tensor: tensor):  # memory that nobody touches costs nothing
        content = tasks.yaml_model_load(path)
        content["scale"] = scale or content["scale"]
        for row in content["backbone"] + content["head"]:
            if row[2] == "TorchVision":
                row[3][2:3] = [None]  # its weights would be downloaded
        layers: nn.Sequential = tasks.parse_model(content, ch=3, verbose=False)[0]
    return layers


def tensor_shapes(layers: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in layers.state_dict().items()}


def parameters(layers: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layers.parameters())


def maps_of(layers: nn.Sequential, size: int = 64) -> list[Map | None]:
    """(channels, height) of what each layer but the last gives for one image; None where it is no single map."""
    text = torch.zeros(1, 80, 512)
    given: list[Any] = []
    x: Any = torch.zeros(1, 3, size, size)
    with ShapesOnly():
        for layer in layers.eval()[:-1]:
            if layer.f != -1:
                x = given[layer.f] if isinstance(layer.f, int) else [x if raw == -1 else given[raw] for raw in layer.f]
            block = type(layer).__name__
            if block != "ImagePoolingAttn":  # gives text features, not a map
                x = layer(x, text) if block == "C2fAttn" else layer(x)
            given.append(x)
    return [_map(x) for x in given]


# Variants with operators everywhere.


def in_family(model: str, name: str) -> str:
    """A file name by which Ultralytics builds the family of a stock model: YOLO-World, YOLOE or neither."""
    name = f"yoloe-{name}" if model.startswith("yoloe") else name
    return name.replace(".yaml", "-world.yaml") if "-world" in model else name


def full_plan(model: str, scaling: Scaling, output: str | None = None, resolve: bool = False) -> Insertion:
    """A variant with one operator at every place that has a name; each model and scale has another operator."""
    ops = list(OP_BLOCKS)
    op = ops[(MODELS.index(model) + scalings_of(model).index(scaling)) % len(ops)]
    behind, inside = in_full(model)
    base = str(stock_models()[model])
    return plan_insert(base, Placement(behind + inside, op), scale=scaling.letter, resolve=resolve, output=output)


def parse_text(text: str, folder: Path, name: str) -> nn.Sequential:
    """The layers of a model YAML under a file name."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return parse(path)


@dataclass(frozen=True)
class Parsed:
    """What the parser made of a variant: its tensors, its parameters, and how many of these are said to be new."""

    tensors: dict[str, tuple[int, ...]]
    params: int
    added: int | None


@cache
def full_variant(model: str, scaling: Scaling, folder: Path) -> Parsed:
    """`full_plan` under the name that it gets by itself."""
    plan = full_plan(model, scaling)
    assert plan.output is not None
    layers = parse_text(plan.text, folder, plan.output.name)
    training = sum(site.operators.merged(1, 1)[0] for site in plan.sites if site.operators)  # until `fuse()` merges it
    return Parsed(tensor_shapes(layers), parameters(layers), plan.params_added and plan.params_added + training)


# Building: the whole model, run once.


@dataclass(frozen=True)
class Built:
    """A base or a variant, built and run on one image.

    Attributes:
        maps: (channels, height) of what each layer but the last and the operators gives; None where it is no map.
        size: height of the image.
        params: the model's parameters.
        added: what the closed form says that the operators add.
    """

    maps: tuple[Map | None, ...]
    size: int
    params: int
    added: int


@cache
def built(model: str, at: tuple[str, ...], folder: Path) -> Built:
    """A stock model at its first scale, with LSKA at positions or as it is, built and run on a small image."""
    letter = scalings_of(model)[0].letter
    if not at:
        return _run(str(stock_models()[model]), letter, 0)
    plan = plan_insert(str(stock_models()[model]), Placement(at), scale=letter)
    assert plan.output is not None
    assert plan.params_added is not None
    path = folder / plan.output.name
    path.write_text(plan.text, encoding="utf-8")
    return _run(str(path), None, plan.params_added)


def _run(path: str, scale: str | None, added: int) -> Built:
    with ShapesOnly(), _weights(Tensor.zero_):
        model = build(path, scale=scale).eval()
    maps: list[Map | None] = []
    for layer in model.model[:-1]:
        if isinstance(layer, Operator):
            continue
        layer.register_forward_hook(lambda module, inputs, output: maps.append(_map(output)))
    # Old RT-DETR decoders pick 300 queries, more than a 64 x 64 image has cells.
    size = 160 if type(model.model[-1]).__name__ == "RTDETRDecoder" else 64
    with torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    return Built(tuple(maps), size, parameters(model), added)


def _map(output: Any) -> Map | None:
    return (output.shape[1], output.shape[2]) if isinstance(output, Tensor) and output.dim() == 4 else None


@contextmanager
def _weights(start: Any) -> Iterator[None]:
    """Start weights with `start(tensor)` instead of random numbers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("kaiming_uniform_", "xavier_uniform_", "uniform_", "normal_", "trunc_normal_"):
            patch.setattr(nn.init, name, lambda tensor, *args, **kwargs: start(tensor.data))
        yield
