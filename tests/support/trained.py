"""Checkpoints such as a training leaves, and an independent look at what a graft made of one; for tests alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import torch
import ultralytics
from torch import Tensor, nn
from ultralytics.utils.torch_utils import strip_optimizer

from lska_surgeon.nn import Operator
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.environment import import_offline, quiet

#: Task -> what the names of its stock models end in.
TASKS = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}
#: What a training hangs on its file besides the model.
TRAIN_ARGS = {"imgsz": 64, "batch": 2, "epochs": 3, "lr0": 0.01, "data": "things.yaml", "mode": "train"}


def yaml_of(stock: str, **changes: Any) -> dict[str, Any]:
    """A stock model YAML as Ultralytics reads it, for three classes unless told otherwise."""
    return {**import_offline().yaml_model_load(f"{stock}.yaml"), "nc": 3, **changes}


def trained_model(yaml: Mapping[str, Any], task: str = "detect") -> nn.Module:
    """A model in float32 with weights and running statistics that no layer starts with."""
    torch.manual_seed(1)
    model = build(dict(yaml))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            module.num_batches_tracked.fill_(7)
    model.names = {index: f"thing {index}" for index in range(int(model.yaml["nc"]))}
    model.args = {"task": task, **TRAIN_ARGS}
    model.task = task
    return model


@cache
def _trained(family: str, task: str) -> nn.Module:
    yaml = yaml_of(f"{family}n{TASKS[task]}")
    yaml["scales"] = {"n": [0.33, 0.125, 1024]}  # half as wide as the stock model, for speed
    return trained_model(yaml, task)


def trained(family: str = "yolov8", task: str = "detect") -> nn.Module:
    """Such a model of a stock family at its smallest scale; the caller's own copy."""
    return deepcopy(_trained(family, task))


def in_training(model: nn.Module) -> dict[str, Any]:
    """What `BaseTrainer.save_model` stores after an epoch: `model` empty, `ema` filled, the optimizer's state."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return {
        "epoch": 1,
        "best_fitness": 0.25,
        "model": None,
        "ema": deepcopy(model).half().eval(),
        "updates": 40,
        "optimizer": optimizer.state_dict(),
        "scaler": {},
        "train_args": {"task": model.task, **TRAIN_ARGS},
        "train_metrics": {"fitness": 0.25},
        "train_results": {"epoch": [1, 2]},
        "date": "2024-05-06T07:08:09",
        "version": ultralytics.__version__,
        "git": {"root": None},
        "license": "AGPL-3.0",
        "docs": "https://docs.ultralytics.com",
    }


def save(path: Path, data: Any, **options: Any) -> Path:
    torch.serialization.save(data, path, **options)
    return path


def finished(path: Path, model: nn.Module) -> Path:
    """The file at the end of a training: half precision, frozen, stripped by Ultralytics itself."""
    save(path, {**in_training(model), "optimizer": None, "scaler": None})
    with quiet():
        strip_optimizer(path)
    return path


def load(path: Path) -> dict[str, Any]:
    """What is in a file, read by plain torch."""
    data: dict[str, Any] = torch.serialization.load(path, map_location="cpu", weights_only=False)
    return data


def loaded(path: Path) -> Any:
    """Ultralytics' `YOLO` of a file."""
    with quiet():
        return ultralytics.YOLO(str(path))


def outputs(model: nn.Module, mode: str = "eval", size: tuple[int, int] = (64, 64)) -> list[Tensor]:
    """Every tensor that comes out of a copy of a model in float32, for one fixed image."""
    model = deepcopy(model).float().train(mode == "train")
    channels = int(model.yaml.get("ch") or model.yaml.get("channels") or 3)
    images = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = list(tensors_in(model(images)))
    assert found
    assert all(tensor.isfinite().all() for tensor in found)
    return found


def equal(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) > 0 and all(torch.equal(a, b) for a, b in zip(left, right))


def same_predictions(left: nn.Module, right: nn.Module) -> bool:
    """Equal outputs, bit for bit, in both modes."""
    return all(equal(outputs(left, mode), outputs(right, mode)) for mode in ("eval", "train"))


def new_index(model: nn.Module) -> dict[int, int]:
    """Old index -> new index of every layer that is no operator, found by counting."""
    kept = [index for index, layer in enumerate(model.model) if not isinstance(layer, Operator)]
    return dict(enumerate(kept))


def described(model: nn.Module) -> list[tuple[Any, ...]]:
    """What Ultralytics notes on each layer: its place, its sources, its class and its parameters.

    Older releases note the last on the class, where it says nothing.
    """
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in model.model]
    return [(layer.i, layer.f, layer.type, vars(layer).get("np", count)) for layer, count in zip(model.model, counts)]


def assert_carried(before: nn.Module, after: nn.Module, index: Mapping[int, int] | None = None) -> list[str]:
    """Every tensor of `before` is in `after` once, under its new index, bit for bit; returns the names that are new."""
    index = new_index(after) if index is None else index
    there = after.state_dict()
    carried = set()
    for name, tensor in before.state_dict().items():
        _, layer, rest = name.split(".", 2)
        moved = f"model.{index[int(layer)]}.{rest}"
        assert there[moved].dtype == tensor.dtype
        assert torch.equal(_bits(there[moved]), _bits(tensor)), moved
        carried.add(moved)
    assert len(carried) == len(before.state_dict())
    return [name for name in there if name not in carried]


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1).contiguous().view(torch.uint8)


def tensors_in(found: Any) -> Iterator[Tensor]:
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, (dict, list, tuple)):
        for value in found.values() if isinstance(found, dict) else found:
            yield from tensors_in(value)
