"""Training one cell in this process, and looking at what came of it; it knows no recipe and no other cell."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import init_seeds

from ..errors import AblationError, SurgeonError
from ..grafting.trainers import TRAINERS, SurgeonTrainer, no_downloads
from ..yolo.user_mistakes import mistake
from . import resuming
from .records import LOG, read_epochs, write_record
from .starts import Start
from .verification import other_network


def train_cell(folder: Path, record: dict[str, Any], device: str | None) -> dict[str, Any]:
    """Train a cell, from where it stopped.

    Args:
        folder: the cell's folder, absolute.
        record: its record, with its task; how much of a start was taken over is kept in it as soon as that is known,
            for who goes on after an interruption can't see it any more.
        device: as Ultralytics takes it; None for its own choice.

    Returns:
        What goes into the record: epochs, notes, device, versions, ...

    Raises:
        SurgeonError: a start, the data or the device can't be used.
    """
    from ultralytics import YOLO

    task = record["task"]
    last = resuming.put_back(folder)
    start = Start.of(folder, record["role"], task)
    with no_downloads():
        try:
            network = YOLO(str(last or start.source))
            if network.task not in TRAINERS:
                raise AblationError(f"no training for {network.task} models here, only for {', '.join(TRAINERS)}")
            network.add_callback("on_train_start", lambda trainer: _begin(trainer, start, folder, record))
            resuming.attach(network)
            network.train(
                trainer=_paired(TRAINERS[network.task], start), **_options(folder, task, record["seed"], last, device)
            )
        except Exception as error:
            told = None if isinstance(error, SurgeonError) else mistake(error)
            if told is None:
                raise
            raise AblationError(f"ultralytics: {told}") from error
    taken_over = {"transferred": record["transferred"]} if "transferred" in record else {}
    result = {**taken_over, **_outcome(folder, task, network.trainer)}
    _check(folder, folder / task["model"], result)
    (folder / resuming.STATE).unlink(missing_ok=True)
    return result


def _options(folder: Path, task: Mapping[str, Any], seed: int, last: Path | None, device: str | None) -> dict[str, Any]:
    options = {
        "plots": False,
        **task["arguments"],
        "data": task["data"],
        "seed": seed,
        "project": str(folder.parent),
        "name": folder.name,
        "exist_ok": True,
        "save": True,
    }
    if last is not None:
        options.update(resume=True, save_dir=str(folder))  # last.pt names the folder in which it was written
    if device is not None:
        options["device"] = device
    return options


def _paired(trainer: type[SurgeonTrainer], start: Start) -> type[SurgeonTrainer]:
    """A trainer whose network starts as its base does with the same seed, whatever was inserted."""

    class Paired(trainer):  # type: ignore[valid-type, misc]
        def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> nn.Module:
            if self.resume:
                resumed: nn.Module = super().get_model(cfg=cfg, weights=weights, verbose=verbose)
                return resumed
            _seed(self)
            model = start.carried(super().get_model(cfg=cfg, weights=weights, verbose=verbose), self.args.seed)
            self.args.model = str(start.checkpoint.path if start.checkpoint and not start.is_variant else start.model)
            self._save_arguments()
            return model

    return Paired


def _seed(trainer: Any) -> None:
    """Every random stream from its beginning, as Ultralytics begins it."""
    init_seeds(trainer.args.seed + 1 + RANK, deterministic=trainer.args.deterministic)


def _begin(trainer: Any, start: Start, folder: Path, record: dict[str, Any]) -> None:
    """Note how much of a start is in the network, and draw the images as any network of this seed does.

    What was built up to here has drawn random numbers, of which a larger network takes more.
    """
    if trainer.resume:
        return
    if start.checkpoint is not None:
        record["transferred"] = start.taken_over(getattr(trainer.model, "module", trainer.model))
        write_record(folder, record)
    _seed(trainer)


def _outcome(folder: Path, task: Mapping[str, Any], trainer: Any) -> dict[str, Any]:
    epochs = read_epochs(folder)
    return {
        "epochs": {"asked": int(trainer.args.epochs), "done": len(epochs)},
        "exact_resume": resuming.is_exact(trainer),
        "batch": trainer.args.batch,
        "device": _device_name(trainer.device),
        "versions": versions(),
        "timed": bool(trainer.args.time),
        "asked_batch": task["arguments"].get("batch", 16),
    }


def versions() -> dict[str, str]:
    """Releases that the numbers depend on."""
    return {name: importlib.metadata.version(name) for name in ("ultralytics", "torch", "numpy")}


def device_name(asked: str | None) -> str:
    """The device that was asked for by its name, as far as that can be told before a training."""
    try:
        device = torch.device(f"cuda:{asked}" if asked and asked.isdigit() else asked or "cpu")
        return _device_name(device if asked or not torch.cuda.is_available() else torch.device("cuda"))
    except (RuntimeError, AssertionError):
        return str(asked)


def _device_name(device: Any) -> str:
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else str(device.type)


def _check(folder: Path, model: Path, result: dict[str, Any]) -> None:
    """What one has to know of this training before its numbers are used."""
    notes: dict[str, str] = {}
    last = folder / "weights" / "last.pt"
    try:
        difference = other_network(last, model)
    except SurgeonError as error:
        difference = f"it can't be compared: {error}"
    if difference:
        notes["other network"] = f"what was trained is not {model.name}: {difference}"
    transferred = result.get("transferred")
    if transferred and not transferred["tensors"]:
        notes["nothing transferred"] = f"none of the start's {transferred['of']} tensors was in the network"
    bad = [epoch.number for epoch in read_epochs(folder) if not all(map(math.isfinite, epoch.values.values()))]
    log = (folder / LOG).read_text(encoding="utf-8", errors="replace") if (folder / LOG).is_file() else ""
    if bad or "NaN/Inf detected" in log:
        notes["NaN"] = f"losses were not finite in epoch {bad[0]}" if bad else "losses were not finite for a while"
    epochs = result["epochs"]
    if epochs["done"] < epochs["asked"] and not result["timed"]:
        notes["early stop"] = f"stopped after {epochs['done']} of {epochs['asked']} epochs"
    if result["batch"] != result["asked_batch"] and result["asked_batch"] >= 1:
        notes["smaller batch"] = f"out of memory: batch {result['asked_batch']} became {result['batch']}"
    result["notes"] = notes
