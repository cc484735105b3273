"""Training one cell in this process, and looking at what came of it; it knows no recipe and no other cell."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import init_seeds

from ..errors import SurgeonError, without_trust
from ..grafting.input_files import with_settings
from ..grafting.train import run_trainer
from ..grafting.trainers import SurgeonTrainer
from ..recipes.recipe import ELSEWHERE
from ..wording import number_in
from . import resuming
from .records import LOG, read_epochs, write_record
from .starts import Start
from .verification import other_network

_SET_ASIDE = "damaged state"


def train_cell(folder: Path, record: dict[str, Any], device: str | None) -> dict[str, Any]:
    """Train a cell, from where it stopped.

    Args:
        folder: the cell's folder, absolute.
        record: its record, with its task; what has to be known after an interruption, too, is kept in it at once.
        device: as Ultralytics takes it; None for its own choice.

    Returns:
        What goes into the record: epochs, notes, device, versions, ...

    Raises:
        SurgeonError: a start, the data or the device can't be used.
    """
    task = record["task"]
    state, told = resuming.kept(folder)
    trainer = None
    while trainer is None:
        _note_resumption(folder, record, bool(state), told)
        try:
            trainer = _train(folder, record, state, device)
        except resuming.Unusable as error:
            state, told = resuming.instead(folder, str(error))
    taken_over = {"transferred": record["transferred"]} if "transferred" in record else {}
    result = {**taken_over, **_outcome(folder, task, trainer)}
    _check(folder, folder / task["model"], result)
    result["notes"].update(record.get("notes", {}))
    result["exact_resume"] = result["exact_resume"] and record.get("exact_resume", True)
    (folder / resuming.STATE).unlink(missing_ok=True)
    return result


def _note_resumption(folder: Path, record: dict[str, Any], resumed: bool, told: str) -> None:
    """Keep in the record what has to be known of how a training goes on, until it begins anew."""
    if told:
        record["notes"] = {_SET_ASIDE: told}
    if not resumed:
        record.pop("exact_resume", None)
    elif told:
        record["exact_resume"] = False
    if not resumed and not told:
        record.pop("notes", None)
    write_record(folder, record)


def _train(folder: Path, record: dict[str, Any], state: dict[str, Any] | None, device: str | None) -> Any:
    """Train from the start or, with a state, from there; the trainer, when it has ended.

    Raises:
        Unusable: not from this state.
        SurgeonError: as `train_cell`.
    """
    start = Start.of(folder, record["role"], record["task"])

    def prepare(network: Any) -> None:
        network.add_callback("on_train_start", lambda trainer: _begin(trainer, start, folder, record))
        resuming.attach(network, folder, state)

    options = {**_options(folder, record["task"], record["seed"], device), **resuming.settled(state)}
    return run_trainer(str(start.source), options, prepare=prepare, adapt=lambda trainer: _paired(trainer, start))


def _options(folder: Path, task: Mapping[str, Any], seed: int, device: str | None) -> dict[str, Any]:
    arguments = with_settings(task["arguments"])
    options = {
        "plots": False,
        **{key: value for key, value in arguments.items() if key not in ELSEWHERE},
        "data": task["data"],
        "seed": seed,
        "project": str(folder.parent),
        "name": folder.name,
        "exist_ok": True,
        "save": True,
    }
    if device is not None:
        options["device"] = device
    return options


def _paired(trainer: type[SurgeonTrainer], start: Start) -> type[SurgeonTrainer]:
    """A trainer whose network starts as its base does with the same seed, whatever was inserted."""

    class Paired(trainer):  # type: ignore[valid-type, misc]
        def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> nn.Module:
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
    return {name: str(importlib.import_module(name).__version__) for name in ("ultralytics", "torch", "numpy")}


def device_name(asked: str | None) -> str:
    """The device that was asked for by its name, as far as that can be told before a training."""
    try:
        device = torch.device(asked or "cpu" if number_in(asked or "") is None else f"cuda:{asked}")
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
        difference = f"it can't be compared: {without_trust(error)}"
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
