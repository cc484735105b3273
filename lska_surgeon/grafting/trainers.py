"""Ultralytics' trainers as a graft needs them, in whatever process they run; they know no command line and no stages.

Multi-GPU training runs in fresh processes, which import a trainer's module (or unpickle its class) before they build a
model. A trainer from here brings the block names along, for this package registers them on import. It downloads
nothing, warms the operators up as it does norms, keeps the statistics of frozen norms, which old releases let move, and
lets a stage freeze no tensor that the trained weights had nothing for.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics import utils
from ultralytics.data import utils as data_utils
from ultralytics.models import yolo
from ultralytics.utils import LOGGER, RANK, checks, downloads

from ..errors import TrainingError
from ..nn.operators import LSKAAttention, Operator, named_operators
from ..nn.others import Gated, Plain
from ..yolo.exceptions import first_paragraph
from .freezing import frozen_parts, not_carried, starts_anew, what_trains


@contextmanager
def no_downloads() -> Iterator[None]:
    """Let Ultralytics, in this process and in those that it starts, neither download nor install a thing.

    It then takes the way that it has for a machine without network: a font is left out, the check of mixed precision
    is skipped.
    """
    changes: list[tuple[Any, str, Any]] = [
        (downloads, "safe_download", _refuse(downloads.safe_download)),
        (torch.hub, "download_url_to_file", _refuse(torch.hub.download_url_to_file)),
        (data_utils, "safe_download", _refuse(data_utils.safe_download)),
        (downloads, "is_url", _offline(downloads.is_url)),
        (checks, "ONLINE", False),
        (checks, "AUTOINSTALL", False),
    ]
    before = [getattr(module, name) for module, name, _ in changes]
    environment = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    environment_before = {name: os.environ.get(name) for name in environment}
    for module, name, value in changes:
        setattr(module, name, value)
    os.environ.update(environment)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changes, before):
            setattr(module, name, value)
        for name, value in environment_before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def _names_no_frozen_tensor(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Freezing layer ")


class SurgeonTrainer:
    """What the five share; in front of an Ultralytics trainer.

    Raises:
        TrainingError: Ultralytics refuses the device.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            with no_downloads():
                super().__init__(*args, **kwargs)
        except ValueError as error:
            raise TrainingError(f"ultralytics: {first_paragraph(error)}") from error
        if not hasattr(self, "_model_train"):  # the method in which newer releases do it themselves
            self.add_callback("on_train_batch_start", hold_statistics)  # type: ignore[attr-defined]

    def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> nn.Module:
        """The model that the data ask for, with the trained weights where they fit; the rest is told, and trains."""
        model: nn.Module = super().get_model(cfg=cfg, weights=weights, verbose=verbose)  # type: ignore[misc]
        fresh = not_carried(model, weights) if weights is not None else []
        if fresh:
            args = self.args  # type: ignore[attr-defined]
            by_stage = args.freeze == frozen_parts(model)
            if by_stage:
                args.freeze = frozen_parts(model, fresh)
                self._save_arguments()
            if RANK == -1:
                LOGGER.warning(starts_anew(fresh, trained=by_stage or args.freeze is None))
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
        with no_downloads():
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


class SurgeonOBBTrainer(SurgeonTrainer, yolo.obb.OBBTrainer):
    """For obb."""


class SurgeonClassificationTrainer(SurgeonTrainer, yolo.classify.ClassificationTrainer):
    """For classify."""


#: Task -> its trainer.
TRAINERS: dict[str, type[SurgeonTrainer]] = {
    "detect": SurgeonDetectionTrainer,
    "segment": SurgeonSegmentationTrainer,
    "pose": SurgeonPoseTrainer,
    "obb": SurgeonOBBTrainer,
    "classify": SurgeonClassificationTrainer,
}


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
