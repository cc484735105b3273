"""Going on with an interrupted training as if nothing had happened; it knows no cells.

Ultralytics resumes from `last.pt`, which holds the averaged weights in half precision, no random states, and is not
written whole: a run that is killed and resumed ends elsewhere than one that is not, if it resumes at all. It also takes
all its arguments from there. So one file of our own is kept while a training runs, replaced whole after each epoch: the
exact state of model, average, optimizer, loaders and random generators, with the best weights and the results so far.
A training that goes on is begun again with its own arguments, and this state is put into it before its first epoch.

With that, on a device that computes the same twice, a training that was killed at any moment ends in the same numbers
as one that was not. Only the loaders' own processes (`workers` above 0, which Ultralytics never has on a CPU) keep
states that can't be had from outside; then the run goes on from the exact weights, with other random images.

A state may come from anywhere, with a folder that somebody copied. So it is read as any checkpoint is, without running
a thing; it names no files; and where it is damaged, or does not fit, it is set aside and never in the way again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch

from ..checkpoints.checkpoint import read_checkpoint
from ..errors import CheckpointError, TargetError, without_trust
from ..files import write_text, write_whole
from ..wording import clean, error_in_one_line

STATE = "resume.pt"
DAMAGED = "resume.pt.damaged"
_LAST, _BEST, _RESULTS = "weights/last.pt", "weights/best.pt", "results.csv"
#: Arguments that Ultralytics settles by itself when a training begins, and would settle otherwise the next time.
_SETTLED = ("batch", "epochs", "lr0", "optimizer", "warmup_bias_lr")
_Kinds = Mapping[str, "type | tuple[type, ...]"]
_NUMBER = (int, float)
#: What a state holds. `exact` is missing in what is left of a training of which only last.pt can be read.
_KINDS: _Kinds = {
    "epoch": int,
    "arguments": dict,
    "results": str,
    "best": (torch.Tensor, NoneType),
    "model": dict,
    "average": dict,
    "updates": int,
    "optimizer": dict,
    "scaler": dict,
    "stopper": dict,
    "best_fitness": (*_NUMBER, NoneType),
    "exact": (dict, NoneType),
}
_KINDS_OF_EXACT: _Kinds = {"gradients": dict, "last_step": int, "order": tuple, "buffer": list, "random": dict}


class Unusable(Exception):
    """A state that a training can't go on from."""


def kept(run: Path) -> tuple[dict[str, Any] | None, str]:
    """The state that a run goes on from, or None where it begins anew; and what one has to know of that, or nothing."""
    if not os.path.lexists(run / STATE):
        return None, ""
    try:
        return _read(run), ""
    except CheckpointError as error:
        return instead(run, str(without_trust(error)))


def instead(run: Path, why: str) -> tuple[dict[str, Any] | None, str]:
    """The same for a run whose state can't be used, which is set aside: first what last.pt gives, then nothing."""
    state = None
    if os.path.lexists(run / STATE):
        os.replace(run / STATE, run / DAMAGED)
        try:
            state = _of_last(run)
        except CheckpointError as error:
            why = f"{why}; {without_trust(error)}"
    how = "went on from last.pt, not exactly" if state else "began anew"
    return state, f"{STATE} can't be used and is kept as {DAMAGED}, the training {how} ({clean(why, 300)})"


def settled(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """Arguments that a training has to be told to go on from a state."""
    return dict(state["arguments"]) if state else {}


def attach(trainer: Any, run: Path, state: dict[str, Any] | None) -> None:
    """Keep the state of a training, which goes on from one that was kept, if any.

    The training raises `Unusable` where it can't.
    """
    keeper = _Keeper(run, state)
    trainer.add_callback("on_train_start", keeper.start)
    trainer.add_callback("on_train_epoch_start", keeper.epoch_start)
    trainer.add_callback("on_train_batch_start", keeper.batch_start)
    trainer.add_callback("on_train_batch_end", keeper.batch_end)
    trainer.add_callback("on_model_save", keeper.save)


def is_exact(trainer: Any) -> bool:
    """Whether a run that is interrupted would end as one that is not."""
    return int(getattr(trainer.train_loader, "num_workers", 0)) == 0


class _Keeper:
    """The callbacks, and what they remember from one to the next."""

    def __init__(self, run: Path, state: dict[str, Any] | None) -> None:
        self.run = run
        self.state = state  # to be put back, until the first epoch begins
        self.stepped: int | None = None  # of a resumed run, until its first step: the batch of the last one before
        self.last_step = -1
        self.batch = -1
        self.order = _Order()
        self.hold: int | None = None  # the real `accumulate`, while it is set so that no step is taken
        self.close_mosaic: int | None = None

    def start(self, trainer: Any) -> None:
        """Everything but the random generators, which are put back last."""
        for name in (_LAST, _BEST):  # whatever lies there: a training without a best epoch would load it in the end
            (self.run / name).unlink(missing_ok=True)
        if self.state is not None:
            with _or_unusable():
                self._put_back(trainer, self.state)

    def _put_back(self, trainer: Any, state: Mapping[str, Any]) -> None:
        trainer.resume = True
        trainer.resume_training({"epoch": state["epoch"]})  # what a release does beside loading a checkpoint
        trainer.scheduler.last_epoch = trainer.start_epoch - 1
        _unwrapped(trainer).load_state_dict(state["model"])
        trainer.ema.ema.load_state_dict(state["average"])
        trainer.ema.updates = state["updates"]
        trainer.optimizer.load_state_dict(state["optimizer"])
        _check_optimizer(trainer.optimizer)
        trainer.scaler.load_state_dict(state["scaler"])
        _typed(state["stopper"], {name: _NUMBER for name in vars(trainer.stopper) if name in state["stopper"]})
        trainer.stopper.__dict__.update(state["stopper"])
        trainer.best_fitness = state["best_fitness"]
        write_text(self.run / _RESULTS, state["results"], force=True)
        if state["best"] is not None:
            _write_best(self.run / _BEST, state["best"])
        if trainer.args.close_mosaic and trainer.start_epoch > trainer.epochs - trainer.args.close_mosaic:
            trainer._close_dataloader_mosaic()
            self.close_mosaic, trainer.args.close_mosaic = trainer.args.close_mosaic, 0  # it is closed already
        if state["exact"] is not None:
            self.last_step = state["exact"]["last_step"]
            trainer.preprocess_batch = self._before_forward(trainer, trainer.preprocess_batch)

    def epoch_start(self, trainer: Any) -> None:
        self.batch = trainer.epoch * len(trainer.train_loader) - 1
        self.order.epoch(trainer.train_loader)
        state, self.state = self.state, None
        if state is None:
            return
        if self.close_mosaic is not None:
            trainer.args.close_mosaic = self.close_mosaic
        if state["exact"] is not None:
            with _or_unusable():
                self._put_back_exactly(trainer, state["exact"])
            self.stepped = self.last_step

    def _put_back_exactly(self, trainer: Any, exact: Mapping[str, Any]) -> None:
        named, loader = dict(_unwrapped(trainer).named_parameters()), trainer.train_loader
        for name, gradient in exact["gradients"].items():
            named[name].grad = gradient.to(named[name].device)
        if is_exact(trainer):
            self.order.replay(loader, exact["order"], most=(trainer.epoch + 1) * len(loader))
            _refill(loader.dataset, exact["buffer"])
        _set_random_states(exact["random"])

    def batch_start(self, trainer: Any) -> None:
        self.batch += 1
        self.order.batch(trainer.train_loader)

    def _before_forward(self, trainer: Any, preprocess: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Ultralytics steps at the first batch of a process; a run that was not interrupted need not have.

        Whether it does is known here only: the warm-up sets `accumulate` anew after `on_train_batch_start`.
        """

        def preprocess_batch(batch: Any) -> Any:
            if self.stepped is not None:
                if self.batch < self.stepped + trainer.accumulate:
                    self.hold, trainer.accumulate = trainer.accumulate, self.batch + 2
                else:
                    self.stepped = None
            return preprocess(batch)

        return preprocess_batch

    def batch_end(self, trainer: Any) -> None:
        if self.hold is not None:
            trainer.accumulate, self.hold = self.hold, None
        if all(parameter.grad is None for parameter in _unwrapped(trainer).parameters()):
            self.last_step = self.batch

    def save(self, trainer: Any) -> None:
        """After an epoch; the last one leaves nothing to go on with."""
        if trainer.stop:
            return
        loader, model = trainer.train_loader, _unwrapped(trainer)
        best = self.run / _BEST
        state = {
            "epoch": trainer.epoch,
            "arguments": {name: vars(trainer.args)[name] for name in _SETTLED if name in vars(trainer.args)},
            "results": (self.run / _RESULTS).read_text(encoding="utf-8"),
            "best": torch.frombuffer(bytearray(best.read_bytes()), dtype=torch.uint8) if best.is_file() else None,
            "model": model.state_dict(),
            "average": trainer.ema.ema.state_dict(),
            "updates": trainer.ema.updates,
            "optimizer": trainer.optimizer.state_dict(),
            "scaler": trainer.scaler.state_dict(),
            "stopper": {key: _plain(value) for key, value in vars(trainer.stopper).items() if key != "patience"},
            "best_fitness": _plain(trainer.best_fitness),
            "exact": {
                "gradients": {name: one.grad for name, one in model.named_parameters() if one.grad is not None},
                "last_step": self.last_step,
                "order": self.order.state,
                "buffer": list(getattr(loader.dataset, "buffer", ())),
                "random": _random_states(),
            },
        }
        write_whole(self.run / STATE, lambda file: torch.save(state, file), force=True)


class _Order:
    """In which order a loader draws its images: where its iterator began, and how many batches it has drawn since.

    A sampler's own place can't be read; so it is led there again, from the same beginning.
    """

    def __init__(self) -> None:
        self.iterator: Any = None
        self.before: torch.Tensor | None = None  # the generator's state when this epoch began
        self.state: tuple[torch.Tensor | None, int] = (None, 0)

    def epoch(self, loader: Any) -> None:
        generator = loader.generator
        if self.iterator is None and getattr(loader, "iterator", None) is not None:  # older releases make it at once
            generator = torch.Generator().manual_seed(generator.initial_seed())
        self.before = generator.get_state()

    def batch(self, loader: Any) -> None:
        """One batch was drawn."""
        if loader.iterator is not self.iterator:
            self.iterator, self.state = loader.iterator, (self.before, 0)
        self.state = (self.state[0], self.state[1] + 1)

    def replay(self, loader: Any, state: tuple[torch.Tensor | None, int], most: int) -> None:
        """Draw what was drawn; `most` is how much that can be."""
        beginning, drawn = state
        if not 0 <= drawn <= most:
            raise ValueError(f"{drawn} batches were drawn where {most} can be")
        loader.generator.set_state(beginning)
        self.iterator = loader.iterator = loader._get_iterator()
        for _ in range(drawn):
            next(loader.iterator._sampler_iter)
        self.before, self.state = loader.generator.get_state(), state


def _refill(dataset: Any, buffer: list[int]) -> None:
    """The images in memory, from which mosaics are made: whether one is there decides which is dropped next."""
    if not buffer:
        return
    augment, dataset.augment = dataset.augment, False  # so that loading one moves none
    for index in buffer:
        dataset.ims[index], dataset.im_hw0[index], dataset.im_hw[index] = dataset.load_image(index)
    dataset.augment, dataset.buffer = augment, list(buffer)


def _unwrapped(trainer: Any) -> Any:
    return getattr(trainer.model, "module", trainer.model)


def _random_states() -> dict[str, Any]:
    numpy: Any = np.random.get_state()
    kind, keys, *rest = numpy
    return {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def _plain(value: Any) -> Any:
    """A number as Python has it."""
    return value.item() if hasattr(value, "item") else value


@contextmanager
def _or_unusable() -> Iterator[None]:
    try:
        yield
    except (MemoryError, OSError, TargetError, torch.cuda.OutOfMemoryError):
        raise  # not for its content
    except CheckpointError as error:
        raise Unusable(str(without_trust(error))) from error
    except Exception as error:  # whatever another content than ours makes of torch, numpy and Ultralytics
        raise Unusable(error_in_one_line(error)) from error


def _read(run: Path) -> dict[str, Any]:
    """The state that a run left.

    Raises:
        CheckpointError: it can't be read, or is none.
    """
    state = dict(read_checkpoint(run / STATE).data)
    _typed(state, _KINDS)
    if state["exact"] is not None:
        _typed(state["exact"], _KINDS_OF_EXACT)
    _typed(state["arguments"], {name: str if name == "optimizer" else _NUMBER for name in state["arguments"]})
    if not state["arguments"].keys() <= set(_SETTLED):
        raise CheckpointError(f"{STATE} has arguments that no state has")
    return state


def _typed(found: Mapping[str, Any], kinds: _Kinds) -> None:
    """Raises CheckpointError where keys or types are others than these."""
    wrong = [name for name in {**kinds, **found} if name not in kinds or not isinstance(found.get(name), kinds[name])]
    if wrong:
        raise CheckpointError(f"{STATE} is no state of a training: see {', '.join(map(str, wrong[:3]))}")


def _of_last(run: Path) -> dict[str, Any]:
    """The state of a training of which only Ultralytics' own files can be read.

    Raises:
        CheckpointError: they can't, or hold no training to go on with.
    """
    data = read_checkpoint(run / _LAST).data
    try:
        weights = data["ema"].float().state_dict()
        state = {
            "epoch": data["epoch"],
            "arguments": {},
            "results": _first_epochs(run, data["epoch"] + 1),
            "best": torch.frombuffer(bytearray((run / _BEST).read_bytes()), dtype=torch.uint8),
            "model": weights,
            "average": weights,
            "updates": data["updates"],
            "optimizer": data["optimizer"],
            "scaler": data.get("scaler") or {},
            "stopper": data.get("stopper") or {},
            "best_fitness": _plain(data["best_fitness"]),
            "exact": None,
        }
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise CheckpointError(f"last.pt holds no training to go on with: {error_in_one_line(error)}") from error
    _typed(state, _KINDS)
    return state


def _first_epochs(run: Path, count: int) -> str:
    """The header of results.csv and so many lines."""
    lines = (run / _RESULTS).read_text(encoding="utf-8").splitlines(keepends=True)
    if not 0 < count < len(lines):
        raise ValueError(f"{_RESULTS} has {len(lines) - 1} of {count} epochs")
    return "".join(lines[: count + 1])


def _check_optimizer(optimizer: Any) -> None:
    """Raises ValueError where it remembers tensors of other shapes than its parameters have."""
    for parameter, remembered in optimizer.state.items():
        for tensor in remembered.values():
            if torch.is_tensor(tensor) and tensor.dim() and tensor.shape != parameter.shape:
                raise ValueError("the optimizer's tensors have other shapes than the network's")


def _write_best(path: Path, content: torch.Tensor) -> None:
    """Write the best weights, which Ultralytics loads when the training ends: never what it must not load."""
    write_whole(path, lambda file: file.write(content.numpy().tobytes()), force=True)
    try:
        read_checkpoint(path)
    except CheckpointError:
        path.unlink()
        raise
