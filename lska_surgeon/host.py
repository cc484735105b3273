"""The door to Ultralytics: register, build, run its command, keep it quiet; it knows no positions and no edits.

Importing this module imports neither torch nor Ultralytics. Nothing here touches an installed file.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from .errors import INSTALL, BuildError, SurgeonError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "build",
    "channels_in",
    "conflicts",
    "environment_problem",
    "import_offline",
    "in_one_line",
    "layers_of",
    "quiet",
    "refuse_code",
    "register",
    "registered_names",
    "run_yolo",
]

_SECTIONS = ("backbone", "head")
_TASKS = "ultralytics.nn.tasks"
#: Output layer -> the task model that holds it; a subclass of an output layer counts as that one.
_TASK_MODELS = {
    "YOLOESegment": "YOLOESegModel",
    "YOLOEDetect": "YOLOEModel",
    "WorldDetect": "WorldModel",
    "SemanticSegment": "SemanticSegmentationModel",
    "Segment": "SegmentationModel",
    "Pose": "PoseModel",
    "OBB": "OBBModel",
    "Depth": "DepthModel",
    "Classify": "ClassificationModel",
    "RTDETRDecoder": "RTDETRDetectionModel",
    "Detect": "DetectionModel",
}


def register() -> None:
    """Make the block names known to Ultralytics in this process; a second call changes nothing.

    A name that `ultralytics.nn.tasks` has already (a class that somebody pasted into the installed package) stays as
    it is; `conflicts` lists those.
    """
    tasks = importlib.import_module(_TASKS)
    from .nn import parsing

    parsing.install(tasks)
    _allow_restricted_loading()


def registered_names() -> tuple[str, ...]:
    """The block names that mean our classes, sorted; empty while nothing is registered."""
    tasks = sys.modules.get(_TASKS)
    if tasks is None or "lska_surgeon.nn" not in sys.modules:
        return ()
    from .nn import parsing

    return tuple(sorted(parsing.owned_names(tasks)))


def conflicts() -> dict[str, str]:
    """Block names of ours that somebody else had defined in `ultralytics.nn.tasks` -> where theirs comes from."""
    from .nn import parsing

    names = vars(importlib.import_module(_TASKS))
    foreign = {
        name: names[name] for name in sorted(parsing.BLOCKS) if names.get(name) not in (parsing.BLOCKS[name], None)
    }
    owners = {name: theirs if hasattr(theirs, "__qualname__") else type(theirs) for name, theirs in foreign.items()}
    return {name: f"{owner.__module__}.{owner.__qualname__}" for name, owner in owners.items()}


def build(source: str | Path | dict[str, Any], *, scale: str | None = None, verbose: bool = False) -> nn.Module:
    """Build a model from a YAML file or its content, as the task model that its output layer belongs to.

    Args:
        source: a path, a name that Ultralytics finds by itself ("yolov8s.yaml"), or a model dict (not changed).
        scale: scale letter; None takes the one of the file name, or of the dict.
        verbose: let Ultralytics log its table of layers.

    Returns:
        The model, randomly initialised (also where its YAML asks for downloaded weights), in training mode.

    Raises:
        BuildError: the file is missing, the scale does not exist, the YAML would run more than layers, or Ultralytics
            refuses; the message names the layer.
        GraphError: a row is too large to be built, or a source does not exist.
        KernelError: a row asks for an operator that does not exist.
    """
    from .refusal import refuse_sizes, refuse_sources

    shown = "the model" if isinstance(source, dict) else str(source)
    if "://" in shown:
        raise BuildError(f"{shown} is not a local file: download it first")
    if not isinstance(source, dict):
        refuse_sizes(source, scale)
    with _quiet_unless(verbose):
        tasks = import_offline()
        try:
            content = deepcopy(source) if isinstance(source, dict) else tasks.yaml_model_load(source)
            _set_scale(content, scale)
            _forbid_downloads(content)
            refuse_code(content, shown)
            with _same_default_activation(tasks):
                model: nn.Module = _task_model(tasks, content)(content, verbose=verbose)
        except SurgeonError:
            raise
        except Exception as error:
            if not isinstance(source, dict):
                refuse_sources(source)
            raise BuildError(f"{shown} does not build: {in_one_line(error)}") from error
    return model


def refuse_code(yaml: Mapping[str, Any], name: str) -> None:
    """Refuse a model dictionary that would run more than layers when it is built; see `unsafe_architecture`.

    A TorchVision row is none of these here, for its weights are left out.

    Args:
        yaml: the model dictionary.
        name: what to call it in the error.

    Raises:
        BuildError: it would.
    """
    from .allowlist import unsafe_architecture

    found = unsafe_architecture({**yaml, **{section: _without_torchvision(yaml[section]) for section in _SECTIONS}})
    if found:
        raise BuildError(f"{name} would run more than layers: {', '.join(found)}; nothing of it was run")


def layers_of(yaml: Mapping[str, Any], name: str, device: str = "meta") -> nn.Sequential:
    """The layers alone that Ultralytics builds from a model dictionary, which is not changed.

    Args:
        yaml: the model dictionary.
        name: what to call it in an error.
        device: where the tensors live; on "meta" they are shapes without numbers, at no cost.

    Raises:
        BuildError: Ultralytics refuses; the message names the layer.
        KernelError: a row asks for an operator that does not exist.
    """
    tasks = import_offline()
    content = deepcopy(dict(yaml))
    try:
        with quiet(), _same_default_activation(tasks), importlib.import_module("torch").device(device):
            _forbid_downloads(content)
            layers: nn.Sequential = tasks.parse_model(content, ch=channels_in(yaml), verbose=False)[0]
    except SurgeonError:
        raise
    except Exception as error:
        raise BuildError(f"{name} does not build: {in_one_line(error)}") from error
    return layers


def channels_in(yaml: Mapping[str, Any]) -> int:
    """Channels of the picture that a model reads."""
    return int(yaml.get("ch") or yaml.get("channels") or 3)


def import_offline() -> ModuleType:
    """Import Ultralytics, registered, without its look at the network and without pip; returns `ultralytics.nn.tasks`.

    Ultralytics tries to reach the network once, on import. In a process where this function imports it, it stays
    offline for good: no telemetry, no automatic installation. Where it was imported before, nothing changes.

    Raises:
        BuildError: the environment can't import it; the message says why and what to do.
    """
    try:
        with _offline(), quiet():
            register()
    except Exception as error:
        raise BuildError(environment_problem() or f"ultralytics can't be imported: {in_one_line(error)}") from error
    return sys.modules[_TASKS]


@contextmanager
def _offline() -> Iterator[None]:
    """What Ultralytics reads from the environment while it is imported: no look at the network, no pip."""
    overrides = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    before = {name: os.environ.get(name) for name in overrides}
    os.environ.update(overrides)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_yolo(args: list[str]) -> int:
    """Run Ultralytics' own command (`yolo ARGS`) with the names registered; returns its exit code.

    Mistakes in `args` are Ultralytics' to report, by its own exceptions.
    """
    lists = [sys.argv]
    saved = [list(sys.argv)]
    sys.argv[:] = ["yolo", *args]
    try:
        register()
        cfg = importlib.import_module("ultralytics.cfg")
        for module in (cfg, importlib.import_module("ultralytics.utils")):
            # Ultralytics keeps the argument list of its import; that is ours, unless it was imported long before.
            if not any(module.ARGV is known for known in lists):
                lists.append(module.ARGV)
                saved.append(list(module.ARGV))
                module.ARGV[:] = sys.argv
        cfg.entrypoint()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            raise
        return stop.code or 0
    finally:
        for arguments, content in zip(lists, saved):
            arguments[:] = content
    return 0


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Ultralytics' logger and all Python warnings."""
    logger = logging.getLogger("ultralytics")

    def nothing(record: logging.LogRecord) -> bool:
        return False

    # A filter, for level and handlers are set anew when Ultralytics is imported.
    logger.addFilter(nothing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeFilter(nothing)


def environment_problem() -> str | None:
    """What keeps torch, torchvision or Ultralytics from being imported, and its remedy, in one line; or None."""
    versions = {}
    for name in ("torch", "torchvision", "ultralytics"):
        try:
            with _offline(), quiet():
                versions[name] = importlib.import_module(name).__version__
        except ModuleNotFoundError as error:
            if error.name == name:
                return f"{name} is not installed: {INSTALL}"
            return f"{name} misses the module {error.name}: {INSTALL}"
        except Exception as error:
            if name == "torchvision" and "torchvision::nms" in str(error):
                return (
                    f"torchvision does not match torch {versions['torch']} ({error}): "
                    "install both from the same index in one command, pip install --force-reinstall torch torchvision"
                )
            return f"{name} can't be imported ({in_one_line(error)}): reinstall it"
    return None


def _allow_restricted_loading() -> None:
    """Let checkpoints with our classes pass torch's weights_only loading, which Ultralytics' restricted mode uses."""
    import torch

    from .nn import BLOCK_CLASSES

    if hasattr(torch.serialization, "add_safe_globals"):  # torch >= 2.4
        torch.serialization.add_safe_globals(list(BLOCK_CLASSES))


def _set_scale(content: dict[str, Any], scale: str | None) -> None:
    if scale:
        content["scale"] = scale
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


def _without_torchvision(rows: Any) -> list[Any]:
    return [row for row in rows if row[2] != "TorchVision"]


def _task_model(tasks: ModuleType, content: dict[str, Any]) -> Any:
    name = content["head"][-1][2]
    output_layer = getattr(tasks, name, None)
    ancestors = getattr(output_layer, "__mro__", ())
    found = next((_TASK_MODELS[cls.__name__] for cls in ancestors if cls.__name__ in _TASK_MODELS), "DetectionModel")
    return getattr(tasks, found)


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


def in_one_line(error: BaseException) -> str:
    """The error, with the layer at which Ultralytics was when it happened."""
    where, block = _layer_of(error.__traceback__)
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        missing = error.args[0]
        text = f"ultralytics has no module {missing}" if missing == block else f"the model has no {missing!r}"
    elif not isinstance(error, FileNotFoundError):
        text = f"{type(error).__name__}: {text}"
    return where + text


def _layer_of(traceback: TracebackType | None) -> tuple[str, str]:
    """Where in the model an error came from, "layer 3 (C2f): ", and the block's name; both empty if from nowhere."""
    index, block = None, ""
    while traceback is not None:
        name, values = traceback.tb_frame.f_code.co_name, traceback.tb_frame.f_locals
        if name == "parse_model" and "layers" in values and "i" in values:
            index, module = values["i"], values["m"]
            block = module if isinstance(module, str) else module.__name__
        elif name == "_predict_once" and hasattr(values.get("m"), "type"):
            index, block = values["m"].i, values["m"].type.rpartition(".")[2]
        traceback = traceback.tb_next
    return ("" if index is None else f"layer {index} ({block}): "), block
