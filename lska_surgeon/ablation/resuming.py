"""Going on with an interrupted training as if nothing had happened; it knows no cells.

Ultralytics resumes from `last.pt`, which holds the averaged weights in half precision, no random states, and is not
written whole: a run that is killed and resumed ends elsewhere than one that is not, if it resumes at all. So one more
file is kept while a training runs, replaced whole after each epoch: the bytes of last.pt, best.pt and results.csv,
which belong together, and the exact state of model, average, optimizer, loaders and random generators.

With that, on a device that computes the same twice, a training that was killed at any moment ends in the same numbers
as one that was not. Only the loaders' own processes (`workers` above 0, which Ultralytics never has on a CPU) keep
states that can't be had from outside; then the run goes on from the exact weights, with other random pictures.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files import write_whole

STATE = "resume.pt"


def attach(trainer: Any) -> None:
    """Keep the state of a training; where one was kept, go on from there, in a run that Ultralytics resumes."""
    keeper = _Keeper()
    trainer.add_callback("on_train_start", keeper.start)
    trainer.add_callback("on_train_epoch_start", keeper.epoch_start)
    trainer.add_callback("on_train_batch_start", keeper.batch_start)
    trainer.add_callback("on_train_batch_end", keeper.batch_end)
    trainer.add_callback("on_model_save", keeper.save)


def put_back(run: Path) -> Path | None:
    """Put the files of a run's last whole epoch back; its last.pt, or None where no epoch has ended."""
    state = _read(run)
    if state is None:
        return None
    (run / "weights").mkdir(parents=True, exist_ok=True)
    for name, content in state["files"].items():
        _write(run / name, content)
    return run / "weights" / "last.pt"


def is_exact(trainer: Any) -> bool:
    """Whether a run that is interrupted would end as one that is not."""
    return int(getattr(trainer.train_loader, "num_workers", 0)) == 0


class _Keeper:
    """The callbacks, and what they remember from one to the next."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None  # to be put back, until the first epoch begins
        self.steps_at: int | None = None  # of a resumed run: the batch of its next step
        self.last_step = -1
        self.batch = -1
        self.order = _Order()
        self.hold: int | None = None  # the real `accumulate`, while it is set so that no step is taken
        self.close_mosaic: int | None = None

    def start(self, trainer: Any) -> None:
        """Everything but the random generators, which are put back last."""
        self.batch = trainer.start_epoch * len(trainer.train_loader) - 1
        if not trainer.resume:
            return
        state = _read(Path(trainer.save_dir))
        if state is None or state["epoch"] + 1 != trainer.start_epoch:
            return
        self.state, self.last_step = state, state["last_step"]
        _unwrapped(trainer).load_state_dict(state["model"])
        trainer.ema.ema.load_state_dict(state["average"])
        trainer.ema.updates = state["updates"]
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.scaler.load_state_dict(state["scaler"])
        trainer.stopper.__dict__.update(state["stopper"])
        trainer.best_fitness = state["best_fitness"]
        if trainer.args.close_mosaic and trainer.start_epoch > trainer.epochs - trainer.args.close_mosaic:
            trainer._close_dataloader_mosaic()
            self.close_mosaic, trainer.args.close_mosaic = trainer.args.close_mosaic, 0  # it is closed already

    def epoch_start(self, trainer: Any) -> None:
        self.order.epoch(trainer.train_loader)
        state, self.state = self.state, None
        if state is None:
            return
        if self.close_mosaic is not None:
            trainer.args.close_mosaic = self.close_mosaic
        named = dict(_unwrapped(trainer).named_parameters())
        for name, gradient in state["gradients"].items():
            named[name].grad = gradient.to(named[name].device)
        if is_exact(trainer):
            self.order.replay(trainer.train_loader, state["order"])
            _refill(trainer.train_loader.dataset, state["buffer"])
        _set_random_states(state["random"])
        self.steps_at = self.last_step

    def batch_start(self, trainer: Any) -> None:
        """Ultralytics steps at the first batch of a process; a run that was not interrupted need not have."""
        self.batch += 1
        self.order.batch(trainer.train_loader)
        if self.steps_at is not None and trainer.accumulate > 1:
            wanted = self.steps_at + trainer.accumulate
            if self.batch < wanted:
                self.hold, trainer.accumulate = trainer.accumulate, self.batch + 2
            else:
                self.steps_at = None

    def batch_end(self, trainer: Any) -> None:
        if self.hold is not None:
            trainer.accumulate, self.hold = self.hold, None
        if all(parameter.grad is None for parameter in _unwrapped(trainer).parameters()):
            self.last_step = self.batch

    def save(self, trainer: Any) -> None:
        """After an epoch; the last one leaves nothing to go on with."""
        if trainer.stop:
            return
        run = Path(trainer.save_dir)
        loader, model = trainer.train_loader, _unwrapped(trainer)
        state = {
            "epoch": trainer.epoch,
            "files": {
                name: torch.frombuffer(bytearray((run / name).read_bytes()), dtype=torch.uint8)
                for name in ("weights/last.pt", "weights/best.pt", "results.csv")
                if (run / name).is_file()
            },
            "model": model.state_dict(),
            "average": trainer.ema.ema.state_dict(),
            "updates": trainer.ema.updates,
            "optimizer": trainer.optimizer.state_dict(),
            "scaler": trainer.scaler.state_dict(),
            "stopper": {key: _plain(value) for key, value in vars(trainer.stopper).items() if key != "patience"},
            "best_fitness": _plain(trainer.best_fitness),
            "gradients": {name: one.grad for name, one in model.named_parameters() if one.grad is not None},
            "last_step": self.last_step,
            "order": self.order.state,
            "buffer": list(getattr(loader.dataset, "buffer", ())),
            "random": _random_states(),
        }
        write_whole(run / STATE, lambda file: torch.save(state, file), force=True)


class _Order:
    """In which order a loader draws its pictures: where its iterator began, and how many batches it has drawn since.

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

    def replay(self, loader: Any, state: tuple[torch.Tensor | None, int]) -> None:
        beginning, drawn = state
        loader.generator.set_state(beginning)
        self.iterator = loader.iterator = loader._get_iterator()
        for _ in range(drawn):
            next(loader.iterator._sampler_iter)
        self.state = state


def _refill(dataset: Any, buffer: list[int]) -> None:
    """The pictures in memory, from which mosaics are made: whether one is there decides which is dropped next."""
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


def _read(run: Path) -> dict[str, Any] | None:
    """The state that a run left; nothing in it can be code."""
    path = run / STATE
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _write(path: Path, content: torch.Tensor) -> None:
    write_whole(path, lambda file: file.write(content.numpy().tobytes()), force=True)
