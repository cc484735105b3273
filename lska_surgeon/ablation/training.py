"""Training one cell in this process, and looking at what came of it; it knows no recipe and no other cell."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.checkpoint import read_checkpoint, write_checkpoint
from ..errors import AblationError, SurgeonError
from ..grafting.graft import graft
from ..grafting.input_files import with_settings
from ..grafting.plan import plan_graft_into
from ..grafting.train import run_trainer
from ..recipes.experiment import ELSEWHERE
from . import resuming
from .records import LOG, read_epochs, write_record
from .verification import other_network

START = "start.pt"


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
    task = record["task"]
    last = resuming.put_back(folder)
    source = last or _source(folder, record)

    def prepare(network: Any) -> None:
        network.add_callback("on_train_start", lambda trainer: _look_at_start(trainer, source, folder, record))
        resuming.attach(network)

    trainer = run_trainer(str(source), _options(folder, task, record["seed"], last, device), prepare=prepare)
    start = {"transferred": record["transferred"]} if "transferred" in record else {}
    result = {**start, **_outcome(folder, task, trainer)}
    _check(folder, folder / task["model"], result)
    for name in (resuming.STATE, START):
        (folder / name).unlink(missing_ok=True)
    return result


def _options(folder: Path, task: Mapping[str, Any], seed: int, last: Path | None, device: str | None) -> dict[str, Any]:
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
    if last is not None:
        options.update(resume=True, save_dir=str(folder))  # last.pt names the folder in which it was written
    if device is not None:
        options["device"] = device
    return options


def _source(folder: Path, record: Mapping[str, Any]) -> Path:
    """What a training starts from: the model YAML, or a checkpoint whose operators are new by the cell's seed."""
    task: Mapping[str, Any] = record["task"]
    model = folder / str(task["model"])
    if task["start"] is None:
        return model
    start = Path(task["start"])
    if record["role"] != "variant":
        difference = other_network(start, model)
        if difference:
            raise AblationError(f"{start} is no start for {record['name']}: {difference}")
        return start
    torch.manual_seed(record["seed"])
    done = graft(plan_graft_into(read_checkpoint(str(start)), str(model)))
    write_checkpoint(folder / START, done.data, force=True)
    return folder / START


def _look_at_start(trainer: Any, source: Path, folder: Path, record: dict[str, Any]) -> None:
    """Note how much of the start is in the network when the training begins."""
    if trainer.resume or source.suffix != ".pt":
        return
    there = getattr(trainer.model, "module", trainer.model).state_dict()
    start = read_checkpoint(str(source)).state_dict
    same = [
        name
        for name, tensor in start.items()
        if name in there
        and there[name].shape == tensor.shape
        and torch.equal(there[name].cpu().float(), tensor.float())
    ]
    record["transferred"] = {"tensors": len(same), "of": len(start)}
    write_record(folder, record)


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
