"""Ultralytics' trainers as a graft needs them, in whatever process they run; they know no command line and no stages.

Multi-GPU training runs in fresh processes, which import a trainer's module (or unpickle its class) before they build a
model. A trainer from here brings the block names along, for this package registers them on import. It downloads
nothing and runs nothing that its data bring along, whatever process it is in; it warms the operators up as it does
norms, keeps the statistics of frozen norms, which old releases let move, and lets a stage freeze no tensor that the
trained weights had nothing for.
"""

from __future__ import annotations

import ast
import functools
import logging
import os
import pickle
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest import mock

import numpy
import torch
from torch import Tensor, nn
from ultralytics import utils
from ultralytics.data import dataset
from ultralytics.data import utils as data_utils
from ultralytics.data.utils import DATASETS_DIR
from ultralytics.engine import trainer, validator
from ultralytics.models import yolo
from ultralytics.utils import LOGGER, RANK, checks, downloads

from ..core.graph import graph_of
from ..declarations.find import active_blocks
from ..errors import NO_DATA, SurgeonError, TrainingError
from ..modelfile.sources import means_yaml
from ..nn.operators import Gated, LSKAAttention, Operator, Plain, named_operators
from ..wording import clean, number_in, plural
from ..yolo.build import forbid_downloads
from ..yolo.environment import first_paragraph
from .into import find_target
from .transplant import moved_name, moved_rows

#: What the labels' cache of a data set is made of, besides plain values; NumPy's releases have two names for its core.
_NUMBERS = {"numpy.dtype", "numpy.ndarray"} | {
    f"numpy.{core}.{name}"
    for core in ("core", "_core")
    for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
}


@contextmanager
def sealed() -> Iterator[None]:
    """Let Ultralytics, in this process and in those that it starts, neither download, install nor run a thing.

    It then takes the way that it has for a machine without network: a font is left out, the check of mixed precision
    is skipped. A data YAML whose images are not here is an error, whatever its `download` says, and a cache of labels
    that is more than numbers counts as none, so that the labels are read.
    """
    changes: list[tuple[Any, str, Any]] = [
        (downloads, "safe_download", _refuse(downloads.safe_download)),
        (torch.hub, "download_url_to_file", _refuse(torch.hub.download_url_to_file)),
        (data_utils, "safe_download", _refuse(data_utils.safe_download)),
        (downloads, "is_url", _offline(downloads.is_url)),
        (checks, "ONLINE", False),
        (checks, "AUTOINSTALL", False),
        *((module, "check_det_dataset", _here(module.check_det_dataset)) for module in _readers_of_data()),
        (dataset, "load_dataset_cache_file", _numbers_in),
    ]
    with ExitStack() as stack:
        for module, name, value in changes:
            stack.enter_context(mock.patch.object(module, name, value))
        stack.enter_context(mock.patch.dict(os.environ, {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}))
        yield


def _readers_of_data() -> list[Any]:
    """The modules of Ultralytics that look for data, of which older exporters are none."""
    from ultralytics.engine import exporter  # here, for it takes longer than what trains

    return [module for module in (trainer, validator, exporter) if hasattr(module, "check_det_dataset")]


def _refuse(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def safe_download(url: Any, *args: Any, **kwargs: Any) -> Any:
        if "://" not in str(url) and os.path.isfile(url):
            return original(url, *args, **kwargs)  # an archive that is here is only unpacked
        raise ConnectionError(f"{url} is not here, and nothing is downloaded")

    return safe_download


def _offline(original: Callable[..., bool]) -> Callable[..., bool]:
    @functools.wraps(original)
    def is_url(url: Any, check: bool = False) -> bool:
        return not check and original(url)

    return is_url


def _here(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def check_det_dataset(data: Any, *_: Any, **kwargs: Any) -> Any:
        return original(data, **{**kwargs, "autodownload": False})

    return check_det_dataset


def _numbers_in(path: str | Path) -> Any:
    """What Ultralytics' `load_dataset_cache_file` gives, which would run whatever the file says: it is a pickle.

    Raises:
        AssertionError: it is not that; every release then reads the labels.
    """
    with Path(path).open("rb") as file:
        try:
            assert numpy.lib.format.read_magic(file) == (1, 0)
            numpy.lib.format.read_array_header_1_0(file)
            return _Numbers(file).load().item()
        except Exception as error:  # whatever bytes that are no pickle make of an unpickler
            raise AssertionError(f"{path} is no cache of labels") from error


class _Numbers(pickle.Unpickler):
    """Reads plain values and NumPy's."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _NUMBERS:
            raise pickle.UnpicklingError(f"{module}.{name} is no number")
        return super().find_class(module, name)


#: What Ultralytics never trains: the bins of the box distribution, which are no weights.
_CONSTANT = ".dfl."
_MOST_LISTED = 4


def frozen_parts(model: nn.Module, fresh: Collection[str] = ()) -> list[int | str]:
    """What `freeze` has to list so that the operators alone train: layers, and inside of host blocks their parts.

    Args:
        model: an Ultralytics model; its layers are `model.model`.
        fresh: state-dict names of tensors that have to train as well.
    """
    names = (name.partition(".")[2] for name in fresh)  # without the `model.` that Ultralytics puts in front
    holders = {name.rpartition(".")[0] for name in names}
    return [name if (index := number_in(name)) is None else index for name in _frozen(model.model, holders)]


def not_carried(model: nn.Module, weights: nn.Module) -> list[str]:
    """State-dict names of the parameters of a model that do not come from the trained weights that it was given.

    A parameter comes from them where it is equal, or where each of its rows is one of theirs: newer releases of
    Ultralytics put a classifier's rows in the order of the data's class names.
    """
    source = weights.state_dict()
    parameters = (item for item in model.named_parameters() if _CONSTANT not in item[0])
    return [name for name, tensor in parameters if not _comes_from(tensor, source.get(name))]


def starts_anew(names: Sequence[str], trained: bool = True) -> str:
    """The line that names what was not carried over.

    Args:
        names: state-dict names, at least one.
        trained: false where the user's own `freeze` may keep them as they start.
    """
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(".".join(name.split(".")[:2]), []).append(name)
    listed = ", ".join(f"{layer} ({len(those)}: {those[0]})" for layer, those in list(layers.items())[:_MOST_LISTED])
    more = f" and {len(layers) - _MOST_LISTED} more layers" if len(layers) > _MOST_LISTED else ""
    then = "they train in every stage" if trained else "freeze= may keep them so"
    return (
        f"lska-surgeon: {len(names)} tensor{plural(names)} could not be carried over into the model that these data "
        f"ask for and start{'' if len(names) > 1 else 's'} anew; {then}: {listed}{more}"
    )


def what_trains(model: nn.Module) -> str:
    """The line that says how much of a model is not frozen."""
    tensors = [tensor for name, tensor in model.named_parameters() if _CONSTANT not in name]
    free = [tensor for tensor in tensors if tensor.requires_grad]
    counts = [sum(tensor.numel() for tensor in some) for some in (free, tensors)]
    return (
        f"lska-surgeon: {counts[0]:,} of {counts[1]:,} parameters train ({len(free)} of {len(tensors)} tensors); "
        "the others are frozen"
    )


def _comes_from(tensor: Tensor, source: Tensor | None) -> bool:
    if source is None or source.shape[1:] != tensor.shape[1:]:
        return False
    tensor, source = tensor.detach().float().cpu(), source.detach().float().cpu()
    same: bool = torch.equal(tensor, source)
    if same or not source.dim():
        return same
    rows = {row.numpy().tobytes() for row in source}
    return len(rows) > 1 and all(row.numpy().tobytes() in rows for row in tensor)


def _frozen(module: nn.Module, holders: Collection[str], prefix: str = "") -> Iterator[str]:
    """The largest parts of a module that hold something to freeze, and nothing that has to train."""
    for name, child in module.named_children():
        name = f"{prefix}.{name}" if prefix else name
        if isinstance(child, Operator) or _trains_whole(child, name, holders):
            continue
        if any(True for _ in named_operators(child)) or any(holder.startswith(f"{name}.") for holder in holders):
            yield from _frozen(child, holders, name)
        elif any(True for _ in child.parameters()):
            yield name


def _trains_whole(module: nn.Module, name: str, holders: Collection[str]) -> bool:
    """True for what has a parameter of its own that starts anew, and for what has a norm right behind such a part: the
    norm's statistics are those of the old outputs, and Ultralytics can't hold the statistics of a norm by its name."""
    parts = {f"{name}.{part}" for part, _ in module.named_children()}
    normed = any(isinstance(child, nn.BatchNorm2d) for child in module.children())
    return name in holders or (normed and bool(parts & set(holders)))


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
    reason = f"lska-surgeon: {names[1]} has other rows than {names[0]}, and Ultralytics matches tensors by row number:"
    places = _places(weights, names)
    if places is None:
        return f"{reason} {len(loaded)} of {len(trained)} tensors were taken over"
    own = [name for name in loaded if moved_name(name, places) == name]
    wrong = f", {len(loaded) - len(own)} in another layer of the same shape" if len(loaded) > len(own) else ""
    model_file, checkpoint = (shlex.quote(name) for name in names)
    return (
        f"{reason} {len(own)} of {len(trained)} tensors are where they belong{wrong}, the rest is lost; "
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
            names[0], graph_of(weights.yaml, names[1], active_blocks()), weights.yaml, deepcopy(weights).float().cpu()
        )
    except SurgeonError:
        return None
    return None if target.lost else moved_rows(target.rewrite, target.carry)


def _equal(one: Tensor | None, other: Tensor) -> bool:
    return one is not None and one.shape == other.shape and torch.equal(one.float().cpu(), other.float().cpu())


def _names_no_frozen_tensor(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Freezing layer ")


class SurgeonTrainer:
    """What the five share; in front of an Ultralytics trainer.

    Raises:
        TrainingError: Ultralytics refuses the device, or would fetch the data.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            with sealed():
                super().__init__(*args, **kwargs)
        except ValueError as error:
            raise TrainingError(f"ultralytics: {first_paragraph(error)}") from error
        refuse_expression(self.args.imgsz)  # type: ignore[attr-defined]
        if not hasattr(self, "_model_train"):  # the method in which newer releases do it themselves
            self.add_callback("on_train_batch_start", hold_statistics)  # type: ignore[attr-defined]

    def check_resume(self, *given: Any) -> None:
        """Ultralytics', which goes on in whatever folder the checkpoint names: here in its own, or in a new one."""
        super().check_resume(*given)  # type: ignore[misc]
        if not self.resume:  # type: ignore[attr-defined]
            return
        args = self.args  # type: ignore[attr-defined]
        folder = (given[0] if given else {}).get("save_dir") or run_of(Path(args.model))
        if folder is not None:
            args.save_dir = str(folder)
        else:
            vars(args).pop("save_dir", None)  # old releases ask only whether it is there
            args.project, args.name, args.exist_ok = None, None, False

    def get_dataset(self, *read: Any) -> Any:  # releases before 8.2 have read the data YAML by then
        refuse_fetching(self.args.data, self.args.task)  # type: ignore[attr-defined]
        return super().get_dataset(*read)  # type: ignore[misc]

    def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> nn.Module:
        """The model that the data ask for, with the weights that fit; a warning names the rest, which trains."""
        if weights is not None and isinstance(cfg, dict):  # a checkpoint's own YAML: its weights are there
            cfg = deepcopy(cfg)
            forbid_downloads(cfg)
        model: nn.Module = super().get_model(cfg=cfg, weights=weights, verbose=verbose)  # type: ignore[misc]
        fresh = not_carried(model, weights) if weights is not None else []
        if fresh:
            args = self.args  # type: ignore[attr-defined]
            by_stage = args.freeze == frozen_parts(model)
            if by_stage:
                args.freeze = frozen_parts(model, fresh)
                self._save_arguments()
            if RANK == -1:
                moved = rows_moved(model, weights, (str(args.model), str(args.pretrained))) if weights else None
                LOGGER.warning(moved or starts_anew(fresh, trained=by_stage or args.freeze is None))
        return model

    def _save_arguments(self) -> None:
        """Let the run's `args.yaml` say what its checkpoints say."""
        path = Path(self.save_dir, "args.yaml")  # type: ignore[attr-defined]
        save = utils.YAML.save if hasattr(utils, "YAML") else utils.yaml_save  # by release
        if path.is_file():
            save(path, vars(self.args))  # type: ignore[attr-defined]

    def _setup_train(self, *args: Any, **kwargs: Any) -> None:
        """Ultralytics', which says of each tensor by itself that it is frozen; one line says what trains."""
        LOGGER.addFilter(_names_no_frozen_tensor)
        try:
            super()._setup_train(*args, **kwargs)  # type: ignore[misc]
        finally:
            LOGGER.removeFilter(_names_no_frozen_tensor)
        if self.args.freeze:  # type: ignore[attr-defined]
            LOGGER.info(what_trains(self.model))  # type: ignore[attr-defined]

    def train(self) -> Any:
        with sealed():
            return super().train()  # type: ignore[misc]

    def optimizer_step(self) -> Any:
        with gates_among_norms(self.model, self.optimizer):  # type: ignore[attr-defined]
            return super().optimizer_step()  # type: ignore[misc]


class SurgeonDetectionTrainer(SurgeonTrainer, yolo.detect.DetectionTrainer):
    """For detect."""


class SurgeonSegmentationTrainer(SurgeonTrainer, yolo.segment.SegmentationTrainer):
    """For segment."""


class SurgeonPoseTrainer(SurgeonTrainer, yolo.pose.PoseTrainer):
    """For pose."""


class SurgeonClassificationTrainer(SurgeonTrainer, yolo.classify.ClassificationTrainer):
    """For classify."""


#: Task -> its trainer.
TRAINERS: dict[str, type[SurgeonTrainer]] = {
    "detect": SurgeonDetectionTrainer,
    "segment": SurgeonSegmentationTrainer,
    "pose": SurgeonPoseTrainer,
    "classify": SurgeonClassificationTrainer,
}
if hasattr(yolo, "obb"):  # releases before 8.1 know no turned boxes

    class SurgeonOBBTrainer(SurgeonTrainer, yolo.obb.OBBTrainer):
        """For obb."""

    TRAINERS["obb"] = SurgeonOBBTrainer


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint lies in; None where it lies in none."""
    weights = checkpoint.absolute().parent
    return weights.parent if weights.name == "weights" else None


def refuse_fetching(data: Any, task: str) -> None:
    """Refuse data that Ultralytics would fetch, or would run a script of its own to fetch.

    Raises:
        TrainingError: they are no file or folder that is here.
    """
    if not isinstance(data, str):
        raise TrainingError(NO_DATA)
    here = task != "classify" or any(path.is_dir() for path in (Path(data), Path(DATASETS_DIR, data)))
    if "://" in data or data.endswith(".ndjson") or not here:
        raise TrainingError(
            f"data={clean(data)} is not here, and nothing is downloaded for you: fetch it first, and give its path"
        )


def refuse_expression(size: Any) -> None:
    """Refuse an image size in words that is more than numbers, for old releases evaluate it.

    Raises:
        TrainingError: it is.
    """
    try:
        if isinstance(size, str):
            ast.literal_eval(size)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise TrainingError(f"imgsz={clean(size)} is not a number of pixels: give one, such as imgsz=640") from error


@contextmanager
def gates_among_norms(model: nn.Module, optimizer: Any) -> Iterator[None]:
    """Step the biases that make operators the identity as the norms' weights are stepped: without decay, and in the
    warm-up from a learning rate of 0.

    All other biases start at `warmup_bias_lr`, 0.1, which throws a graft off its start. The groups are put back, so
    that a checkpoint holds the optimizer as Ultralytics made it, and plain Ultralytics can resume it.
    """
    gates = {id(gate_bias(operator)) for _, operator in named_operators(model)}
    norm = next((module.weight for module in model.modules() if isinstance(module, nn.BatchNorm2d)), None)
    groups = [group for group in optimizer.param_groups if norm is not None]
    before = [group["params"] for group in groups]
    moved = [parameter for parameters in before for parameter in parameters if id(parameter) in gates]
    try:
        for group, parameters in zip(groups, before):
            rest = [parameter for parameter in parameters if id(parameter) not in gates]
            group["params"] = rest + moved if any(parameter is norm for parameter in rest) else rest
        yield
    finally:
        for group, parameters in zip(groups, before):
            group["params"] = parameters


def gate_bias(operator: Operator) -> nn.Parameter | None:
    """The bias, or the gate, that decides at the identity what an operator does to its input; None without one."""
    if isinstance(operator, Plain):
        return operator.gate if isinstance(operator, Gated) else None
    last: nn.Conv2d = operator.proj_2 if isinstance(operator, LSKAAttention) else operator.conv1
    return last.bias


def hold_statistics(trainer: Any) -> None:
    """Put every norm of a frozen layer into eval mode, so that its running mean and variance stay."""
    frozen = trainer.args.freeze
    names = range(frozen) if isinstance(frozen, int) else frozen or ()
    prefixes = [f"model.{name}." for name in names]
    for name, module in trainer.model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and any(prefix in name for prefix in prefixes):
            module.eval()
