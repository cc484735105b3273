"""One run in this process: how it starts, its training, and whether it trained what was asked for.

Ultralytics builds a network layer by layer from one stream of random numbers, so that an inserted row would give every
layer behind it other weights, a classifier that starts anew included. Here each network of a seed starts from the same
base instead: built by Ultralytics, with the trained weights of a checkpoint where there is one, and then moved into the
variant, layer by layer. So a tensor's start depends on the seed and on the layer that it is in the base, on nothing
else; the new operators draw from a stream of their own.

And `YOLO("a.pt").train(model="b.yaml")` trains a and writes b into args.yaml, without a word: so what was trained is
compared with the model's file, row by row.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import init_seeds

from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.contents import Checkpoint, checkpoint_of
from ..core.blocks import BlockTable
from ..core.surgery import RECORD
from ..declarations.find import find_blocks
from ..errors import AblationError, ChangedOutputsError, CheckpointError, SurgeonError, without_trust
from ..grafting.graft import graft
from ..grafting.input_files import missing_images, with_settings
from ..grafting.into import plan_graft_into
from ..grafting.train import run_trainer
from ..grafting.trainers import SurgeonTrainer
from ..modelfile.sources import CHECKPOINT_SUFFIXES, find_source
from ..recipes.recipe import DEFAULT, ELSEWHERE, IDENTITY
from ..wording import counted, number_in
from ..yolo.build import build, layers_of
from ..yolo.environment import import_offline, quiet
from . import loggers, resuming
from .measuring import Sizes, measured
from .records import LOG, Epochs, Record, Task, Transferred, read_epochs, write_record
from .runs import VARIANT, Ablation, Run

#: What a training takes from its data, whatever the model's file says.
_OF_THE_DATA = ("nc", "ch", "channels", "kpt_shape")


def train_run(folder: Path, record: Record, device: str | None) -> Record:
    """Train a run, from where it stopped.

    Args:
        folder: the run's folder, absolute.
        record: its record; what has to be known after an interruption, too, is written at once.
        device: as Ultralytics takes it; None for its own choice.

    Returns:
        The record with what came of it: epochs, notes, device, versions, ...

    Raises:
        SurgeonError: a start, the data or the device can't be used.
    """
    training = _Training(folder, record)
    state, told = resuming.kept(folder)
    trainer = None
    while trainer is None:
        training.note_resumption(bool(state), told)
        try:
            trainer = training.train(state, device)
        except resuming.Unusable as error:
            state, told = resuming.instead(folder, str(error))
    finished = training.finished(trainer)
    (folder / resuming.STATE).unlink(missing_ok=True)
    return finished


class _Training:
    """One training, and its record, which is written whenever it changes."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record
        self.sizes: Sizes | None = None

    def note_resumption(self, resumed: bool, told: str) -> None:
        """Keep what has to be known of how a training goes on, until it begins anew."""
        notes = {"damaged state": told} if told else self.record.notes if resumed else {}
        self._keep(notes=notes, exact_resume=not resumed or (not told and self.record.exact_resume))

    def train(self, state: dict[str, Any] | None, device: str | None) -> Any:
        """Train from the start or, with a state, from there; the trainer, when it has ended.

        Raises:
            Unusable: not from this state.
            SurgeonError: as `train_run`.
        """
        start = Start.of(self.folder, self.record.role, self.record.task, find_blocks())

        def prepare(network: Any) -> None:
            network.add_callback("on_train_start", lambda trainer: self._begin(trainer, start))
            network.add_callback("on_train_start", self._watch)
            resuming.attach(network, self.folder, state)

        options = {**self._options(device), **resuming.settled(state)}

        def adapt(trainer: type[SurgeonTrainer]) -> type[SurgeonTrainer]:
            return _named(_paired(trainer, start), self.folder, self.record)

        with loggers.tagged(self.folder, self.record):
            return run_trainer(str(start.source), options, prepare=prepare, adapt=adapt)

    def finished(self, trainer: Any) -> Record:
        """The record, with what one has to know of this training before its numbers are used."""
        epochs, task = read_epochs(self.folder), self.record.task
        done = Epochs(int(trainer.args.epochs), len(epochs))
        notes = self._doubts(done, trainer.args.batch, bool(trainer.args.time))
        return self.record.but(
            epochs=done,
            notes={**notes, **_wrong_network(self.folder, task.model), **self.record.notes},
            measured=measured(trainer.validator, self.sizes),
            exact_resume=self.record.exact_resume and resuming.is_exact(trainer),
            batch=trainer.args.batch,
            device=_device_name(trainer.device),
            versions=versions(),
        )

    def _keep(self, **changes: Any) -> None:
        self.record = self.record.but(**changes)
        write_record(self.folder, self.record)

    def _options(self, device: str | None) -> dict[str, Any]:
        arguments = with_settings(self.record.task.arguments)
        options = {
            "plots": False,
            **{key: value for key, value in arguments.items() if key not in ELSEWHERE},
            "data": self.record.task.data,
            "seed": self.record.seed,
            "project": str(self.folder.parent),
            "name": self.folder.name,
            "exist_ok": True,
            "save": True,
        }
        return options if device is None else {**options, "device": device}

    def _begin(self, trainer: Any, start: Start) -> None:
        """Note how much of a start is in the network, and draw the images as any network of this seed does.

        What was built up to here has drawn random numbers, of which a larger network takes more.
        """
        if start.checkpoint is not None:
            self._keep(transferred=start.taken_over(getattr(trainer.model, "module", trainer.model)))
        _seed(trainer)

    def _watch(self, trainer: Any) -> None:
        self.sizes = Sizes.watching(trainer.validator)

    def _doubts(self, epochs: Epochs, batch: Any, timed: bool) -> dict[str, str]:
        """What speaks against the numbers of a training, by kind."""
        notes: dict[str, str] = {}
        transferred, asked_batch = self.record.transferred, self.record.task.arguments.get("batch", 16)
        if transferred and not transferred.tensors:
            notes["nothing transferred"] = f"none of the start's {transferred.of} tensors was in the network"
        bad = [one.number for one in read_epochs(self.folder) if not all(map(math.isfinite, one.values.values()))]
        log = self.folder / LOG
        if bad or (log.is_file() and "NaN/Inf detected" in log.read_text(encoding="utf-8", errors="replace")):
            notes["NaN"] = f"losses were not finite in epoch {bad[0]}" if bad else "losses were not finite for a while"
        if epochs.done < epochs.asked and not timed:
            notes["early stop"] = f"stopped after {epochs.done} of {epochs.asked} epochs"
        if batch != asked_batch and asked_batch >= 1:
            notes["smaller batch"] = f"out of memory: batch {asked_batch} became {batch}"
        return notes


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


def _named(trainer: type[SurgeonTrainer], folder: Path, record: Record) -> type[SurgeonTrainer]:
    """A trainer whose loggers name its run; Ultralytics starts them for what is called a trainer alone."""

    class NamedTrainer(trainer):  # type: ignore[valid-type, misc]
        def run_callbacks(self, event: str) -> None:
            with loggers.named(self.args, event, folder, record):
                super().run_callbacks(event)

    return NamedTrainer


def _seed(trainer: Any) -> None:
    """Every random stream from its beginning, as Ultralytics begins it."""
    init_seeds(trainer.args.seed + 1 + RANK, deterministic=trainer.args.deterministic)


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


# How it starts.


@dataclass
class Start:
    """How one network starts.

    Attributes:
        base: the base's YAML.
        model: what is to be trained, a YAML.
        is_variant: whether it has operators that the base has not.
        init: how these start in a checkpoint, "identity" or "default".
        checkpoint: the trained base; None from scratch.
        blocks: the table of blocks that the model is read by.
        sources: name of a tensor in the variant -> in the base, once that has been carried; empty where none moves.
    """

    base: Path
    model: Path
    is_variant: bool
    init: str
    checkpoint: Checkpoint | None
    blocks: BlockTable
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        folder: Path,
        role: str,
        task: Task,
        blocks: BlockTable,
        read: Callable[[str], Checkpoint] = read_checkpoint,
    ) -> Start:
        """The start of a run.

        Args:
            folder: where its YAMLs lie.
            role: of its network.
            task: what its record says of its training.
            blocks: the table of blocks that its network is read by.
            read: reads a checkpoint.

        Raises:
            SurgeonError: its checkpoint can't be read, or holds another network than the base.
        """
        model, is_variant = folder / task.model, role == VARIANT
        base = folder / task.base if is_variant else model
        checkpoint = read(task.start) if task.start else None
        difference = other_network(checkpoint, base) if checkpoint else None
        if checkpoint and difference:
            raise AblationError(f"{checkpoint.path} is no start for {base.stem}: {difference}")
        return cls(base, model, is_variant, task.init, checkpoint, blocks)

    @property
    def source(self) -> Path:
        """What Ultralytics is to be given: the checkpoint, or the base's YAML."""
        return self.checkpoint.path if self.checkpoint else self.base

    def carried(self, model: nn.Module, seed: int) -> nn.Module:
        """The variant, from the base as a training has it; a network that is no variant, as it is.

        Args:
            model: the base, built by Ultralytics for the data, with the checkpoint's weights in it.
            seed: of the new operators' random weights.

        Raises:
            AblationError: operators that are to start as the identity would change the outputs.
            SurgeonError: the base can't be found in the variant.
        """
        if not self.is_variant:
            return model
        base = checkpoint_of(model)
        if self.checkpoint:
            base = replace(base, path=self.checkpoint.path, sha256=self.checkpoint.sha256)
        identity = self.init == IDENTITY if self.checkpoint else None
        try:
            grafted = graft(plan_graft_into(base, str(self.model), self.blocks), identity=identity, seed=seed)
        except ChangedOutputsError as error:
            gate = "gated: true in the matrix (or under include)" if error.bare else ""
            remedy = " or ".join(filter(None, [gate, f"init: {DEFAULT} under train"]))
            raise AblationError(f"{error.problem} in {self.model.stem}: write {remedy}") from error
        self.sources = grafted.sources
        if not self.checkpoint:
            del grafted.model.yaml[RECORD]  # nothing was trained before
        return grafted.model

    def taken_over(self, model: nn.Module) -> Transferred:
        """How many of the checkpoint's tensors a network holds, each in its own layer, and of how many."""
        assert self.checkpoint is not None
        there, start = model.state_dict(), self.checkpoint.state_dict
        moved = {new: start[old] for new, old in self.sources.items()} if self.sources else start
        same = [
            name
            for name, tensor in moved.items()
            if name in there
            and there[name].shape == tensor.shape
            and torch.equal(there[name].cpu().float(), tensor.float())
        ]
        return Transferred(len(same), len(start))


def check_images(ablation: Ablation, runs: Sequence[Run]) -> None:
    """See that what some runs train on is on this machine.

    Raises:
        RecipeError: images that a data YAML names are not here; with file and line.
    """
    for source in dict.fromkeys(run.source for run in runs):
        missing = missing_images(Path(source))
        if missing is not None:
            problem = f"{source} names {missing}, which is not here: put the images there, or mend that file"
            raise ablation.recipe.bad("train.data", problem)


def check_starts(ablation: Ablation, runs: Sequence[Run]) -> None:
    """Start every network of some runs for a trial, so that none fails when its turn comes, hours later.

    Raises:
        RecipeError: one can't be started; with file and line.
    """
    read = functools.cache(read_checkpoint)
    for run in {run.network.name: run for run in runs}.values():
        if run.start is None and run.network.role != VARIANT:
            continue  # that Ultralytics builds its base, `plan_ablation` has seen
        with tempfile.TemporaryDirectory() as folder:
            run.write_models(Path(folder))
            try:
                start = Start.of(Path(folder), run.network.role, run.task, ablation.recipe.blocks, read)
                start.carried(start.checkpoint.float_model() if start.checkpoint else build(start.base), run.seed)
            except SurgeonError as error:
                raise ablation.recipe.bad("train.start", str(error).replace(f"{folder}{os.sep}", "")) from error


# Whether it trained what was asked for.


def other_network(checkpoint: Path | Checkpoint, model: Path) -> str | None:
    """The first row at which a checkpoint's network is not that of a model, in words; None where it is the same.

    Args:
        checkpoint: what was trained, a file or what was read of it.
        model: what was asked for, a model YAML or another checkpoint.

    Raises:
        SurgeonError: one of the two can't be read or built.
    """
    trained = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
    if trained.model is None or not isinstance(getattr(trained.model, "model", None), nn.Sequential):
        return f"{trained.path.name} holds no network that is built from rows"
    yaml = _yaml_of(model)
    stored = trained.yaml or {}
    yaml.update({key: stored[key] for key in _OF_THE_DATA if key in stored})
    wanted, rows = layers_of(yaml, model.name), trained.model.model
    for index, (one, other) in enumerate(zip(wanted, rows)):
        if type(one).__name__ != type(other).__name__:
            return f"row {index} is {type(other).__name__} where {type(one).__name__} was asked for"
        if _sources(one) != _sources(other):
            return f"row {index} ({type(one).__name__}) reads {_sources(other)} where {_sources(one)} was asked for"
        if _shapes(one) != _shapes(other):
            return f"row {index} ({type(one).__name__}) has other tensors than were asked for"
    return (
        None if len(wanted) == len(rows) else f"it has {counted(len(rows), 'row')} where {len(wanted)} were asked for"
    )


def _wrong_network(folder: Path, model: str) -> dict[str, str]:
    try:
        difference = other_network(folder / "weights" / "last.pt", folder / model)
    except SurgeonError as error:
        difference = f"it can't be compared: {without_trust(error)}"
    return {"other network": f"what was trained is not {model}: {difference}"} if difference else {}


def _yaml_of(model: Path) -> dict[str, Any]:
    if model.suffix.lower() in CHECKPOINT_SUFFIXES:
        asked = read_checkpoint(model)
        if asked.yaml is None:
            raise CheckpointError(f"{model} holds no network that is built from rows")
        return dict(asked.yaml)
    source = find_source(str(model))
    with quiet():
        yaml: dict[str, Any] = dict(import_offline().yaml_model_load(source.path))
    if source.scale and yaml.get("scales"):
        yaml["scale"] = source.scale
    return yaml


def _sources(layer: nn.Module) -> list[int]:
    return [layer.f] if isinstance(layer.f, int) else list(layer.f)


def _shapes(layer: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}
