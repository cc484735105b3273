"""Building a network with Ultralytics, from a YAML or its content, at no cost to the process; it knows no positions."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..core.blocks import STOCK
from ..core.graph import NO_HEAD
from ..core.shapes import channels_in
from ..core.yolov5 import yolov5_problem
from ..declarations.find import active_blocks
from ..errors import BuildError, SurgeonError
from .environment import import_offline, quiet
from .exceptions import in_one_line

if TYPE_CHECKING:
    from torch import nn


def build(
    source: str | Path | dict[str, Any],
    *,
    scale: str | None = None,
    named: str | None = None,
    called: str | None = None,
    verbose: bool = False,
) -> nn.Module:
    """Build a model from a YAML file or its content, as the task model that its output layer belongs to.

    Args:
        source: a path, a name that Ultralytics finds by itself ("yolov8s.yaml"), or a model dict (not changed).
        scale: scale; None takes the one of the file name, or of the dict.
        named: the letter of the name that the file was asked for by, where that is not its own; as for Ultralytics, it
            says nothing of a model without `scales`.
        called: what errors call it; None for the path.
        verbose: let Ultralytics log its table of layers.

    Returns:
        The model, randomly initialised (also where its YAML asks for downloaded weights), in training mode.

    Raises:
        BuildError: the file is missing, the scale does not exist, the YAML would run more than layers, or Ultralytics
            refuses; the message names the layer.
        GraphError: a row is too large to be built, or a source does not exist.
        KernelError: a row asks for an operator that does not exist.
    """
    from .precheck import refuse_sizes, refuse_sources

    shown = called or ("the model" if isinstance(source, dict) else str(source))
    if "://" in shown:
        raise BuildError(f"{shown} is not a local file: download it first")
    if not isinstance(source, dict):
        refuse_sizes(source, scale or named)
    with _quiet_unless(verbose):
        tasks = import_offline()
        try:
            content = deepcopy(source) if isinstance(source, dict) else tasks.yaml_model_load(source)
            if not content.get("head"):
                raise BuildError(f"{shown} {NO_HEAD}")
            _refuse_yolov5(content, shown)
            _set_scale(content, scale, named)
            _forbid_downloads(content)
            with open_parser(shown):
                model: nn.Module = _task_model(tasks, content)(content, verbose=verbose)
        except SurgeonError:
            raise
        except Exception as error:
            if not isinstance(source, dict):
                refuse_sources(source)
            raise BuildError(f"{shown} does not build: {in_one_line(error)}") from error
    return model


@contextmanager
def open_parser(name: str, *, trust: bool = False) -> Iterator[ModuleType]:
    """The one door to Ultralytics' parser: its `tasks`, which parses nothing that runs more than layers, or never ends.

    It holds for all that comes to the parser while the door is open, by whatever way: a YAML, what a checkpoint stores,
    what a trainer builds anew. Whoever opens it sees to it that nothing is downloaded, for a row may ask for weights.

    Args:
        name: what to call the model in the error.
        trust: parse whatever comes.

    Raises:
        BuildError: a model dictionary would run more than layers; see `refuse_code`.
        GraphError: a row of it is far too large to be built.
    """
    tasks = import_offline()
    from ..nn.parsing import SCREEN

    before = SCREEN.set(None if trust else partial(_screen, name=name))
    try:
        with _same_default_activation(tasks):
            yield tasks
    finally:
        SCREEN.reset(before)


def _screen(yaml: Mapping[str, Any], name: str) -> None:
    from .precheck import refuse_sizes_in

    refuse_code(yaml, name)
    refuse_sizes_in(yaml, name)


def refuse_code(yaml: Mapping[str, Any], name: str) -> None:
    """Refuse a model dictionary that would run more than layers when it is built; see `unsafe_architecture`.

    The parser's door does so by itself; this is for whoever keeps a dictionary without building it.

    Args:
        yaml: the model dictionary.
        name: what to call it in the error.

    Raises:
        BuildError: it would.
    """
    from .code_guard import unsafe_architecture

    found = unsafe_architecture(yaml, offline=True)
    if found:
        raise BuildError(f"{name} would run more than layers: {', '.join(found)}; nothing of it was run")


def layers_of(yaml: Mapping[str, Any], name: str, device: str = "meta", *, trust: bool = False) -> nn.Sequential:
    """The layers alone that Ultralytics builds from a model dictionary, which is not changed.

    Args:
        yaml: the model dictionary.
        name: what to call it in an error.
        device: where the tensors live; on "meta" they are shapes without numbers, at no cost.
        trust: build also what runs more than layers, for a file that is trusted.

    Raises:
        BuildError: the dictionary would run more than layers, or Ultralytics refuses; the message names the layer.
        GraphError: a row is far too large to be built.
        KernelError: a row asks for an operator that does not exist.
    """
    content = deepcopy(dict(yaml))
    try:
        with quiet(), open_parser(name, trust=trust) as tasks, importlib.import_module("torch").device(device):
            _forbid_downloads(content)
            layers: nn.Sequential = tasks.parse_model(content, ch=channels_in(yaml), verbose=False)[0]
    except SurgeonError:
        raise
    except Exception as error:
        raise BuildError(f"{name} does not build: {in_one_line(error)}") from error
    return layers


def _refuse_yolov5(content: Mapping[str, Any], shown: str) -> None:
    """Its rows build up to the output layer, whose error then says nothing of what the file is."""
    problem = yolov5_problem(str(content["head"][-1][2]), content["head"][-1][3])
    if problem:
        raise BuildError(f"{shown}: {problem}")


def _set_scale(content: dict[str, Any], scale: str | None, named: str | None) -> None:
    if scale or named:
        content["scale"] = scale or named
    scales, chosen = content.get("scales"), content.get("scale")
    if chosen and scales and chosen not in scales:
        raise BuildError(f"no scale {chosen!r}: the model has {', '.join(map(str, scales))}")
    if scale and not scales:
        raise BuildError(f"no scale {scale!r}: the model has no scales; build it without one")


def _forbid_downloads(content: dict[str, Any]) -> None:
    """TorchVision rows, `[width, name, weights, ...]`, fetch trained weights unless told not to."""
    for row in (*content["backbone"], *content["head"]):
        if row[2] == "TorchVision":
            row[3][2:3] = [None]


def _task_model(tasks: ModuleType, content: dict[str, Any]) -> Any:
    name = content["head"][-1][2]
    output_layer = getattr(tasks, active_blocks()[name].plain, None)
    ancestors = getattr(output_layer, "__mro__", ())
    models = filter(None, (STOCK[cls.__name__].model for cls in ancestors))
    return getattr(tasks, next(models, "DetectionModel"))


@contextmanager
def _same_default_activation(tasks: ModuleType) -> Iterator[None]:
    """Ultralytics sets a YAML's `activation` for the whole process, so that it stays for every model built later."""
    before = tasks.Conv.default_act
    try:
        yield
    finally:
        tasks.Conv.default_act = before


@contextmanager
def _quiet_unless(verbose: bool) -> Iterator[None]:
    if verbose:
        yield
    else:
        with quiet():
            yield
