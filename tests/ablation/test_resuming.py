"""Interrupted trainings whose files are damaged, or somebody else's: nothing of them runs, and none is a dead end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.ablations import RECIPE, write_recipe
from ultralytics.utils.callbacks.base import default_callbacks

from lska_surgeon.ablation.records import Epoch, Record, read_epochs, read_record
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.ablation.training import train_run

ONE = RECIPE.replace("[neck, sppf]", "neck").replace("[0, 1, 2]", "[0]")


class Killed(BaseException):
    """What ends a training at once, as a signal would."""


class Evil:
    """What runs when a pickle of it is loaded: it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ablation whose first run was killed when its last epoch of three began."""

    def kill(trainer: Any) -> None:
        if trainer.epoch == 2:
            raise Killed

    run = plan_ablation(write_recipe(tmp_path_factory.mktemp("interrupted") / "a", ONE)).runs[0]
    run.prepare()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(default_callbacks, "on_train_epoch_start", [kill])
        with pytest.raises(Killed):
            train_run(run.folder, run.record(), "cpu")
    return run.folder


@pytest.fixture(scope="module")
def straight(interrupted: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Epoch]:
    """What the same training comes to that is not interrupted."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return without_times(train(interrupted, folder, lambda run: (run / "resume.pt").unlink())[1])


def train(interrupted: Path, folder: Path, spoil: Callable[[Path], Any]) -> tuple[Record, list[Epoch]]:
    """Copy the interrupted run, spoil the copy, and go on with it."""
    shutil.copytree(interrupted, folder)
    spoil(folder)
    record = read_record(folder)
    assert record is not None
    found = train_run(folder, record, "cpu")
    return found, read_epochs(folder)


def without_times(epochs: list[Epoch]) -> list[Any]:
    return [(epoch.number, dict(epoch.values)) for epoch in epochs]


def change(run: Path, **values: Any) -> None:
    path = run / "resume.pt"
    torch.serialization.save({**torch.serialization.load(path, weights_only=True), **values}, path)


def cut_short(run: Path, name: str = "resume.pt") -> None:
    path = run / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_whole_state_gives_the_same_numbers(interrupted: Path, straight: list[Epoch], tmp_path: Path) -> None:
    def spoil(run: Path) -> None:  # nothing of Ultralytics' own files is read, let alone run
        for name in ("last.pt", "best.pt"):
            torch.serialization.save({"epoch": 1, "ema": Evil(tmp_path / "ran")}, run / "weights" / name)

    found, epochs = train(interrupted, tmp_path / "run", spoil)
    assert without_times(epochs) == straight
    assert (found.notes, found.exact_resume) == ({}, True)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "run" / "resume.pt").exists()


def test_half_a_state_is_set_aside_and_it_goes_on_from_last(
    interrupted: Path, straight: list[Epoch], tmp_path: Path
) -> None:
    found, epochs = train(interrupted, tmp_path / "run", cut_short)
    assert without_times(epochs)[:2] == straight[:2]
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert found.exact_resume is False
    text = found.notes["damaged state"]
    assert text.startswith(
        "resume.pt can't be used and is kept as resume.pt.damaged, the training went on from last.pt, not exactly ("
    )
    assert "resume.pt is cut short or damaged" in text
    assert (tmp_path / "run" / "resume.pt.damaged").exists()
    record = read_record(tmp_path / "run")
    assert record.notes == found.notes  # also for who is interrupted once more


def files_elsewhere(run: Path) -> None:
    """As an earlier release kept them, and as somebody may have changed it."""
    change(run, files={"../../../x": torch.zeros(3, dtype=torch.uint8)})


def another_network(run: Path) -> None:
    change(run, model={"model.0.conv.weight": torch.zeros(1)})


def endless_order(run: Path) -> None:
    exact = torch.serialization.load(run / "resume.pt", weights_only=True)["exact"]
    change(run, exact={**exact, "order": (exact["order"][0], 10**12)})


def evil_best(run: Path) -> None:
    """Weights that Ultralytics would load when the training ends."""
    torch.serialization.save({"epoch": 1, "ema": Evil(run.parent / "ran")}, run / "evil.pt")
    change(run, best=torch.frombuffer(bytearray((run / "evil.pt").read_bytes()), dtype=torch.uint8))


def evil_state(run: Path) -> None:
    torch.serialization.save({"model": {}, "epoch": Evil(run.parent / "ran")}, run / "resume.pt")


def shapes_of_the_optimizer(run: Path) -> None:
    optimizer = torch.serialization.load(run / "resume.pt", weights_only=True)["optimizer"]
    optimizer["state"][0]["momentum_buffer"] = torch.zeros(1, 2)
    change(run, optimizer=optimizer)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (files_elsewhere, "resume.pt is no state of a training: see files"),
        (another_network, "RuntimeError: Error(s) in loading state_dict"),
        (endless_order, "ValueError: 1000000000000 batches were drawn where "),
        (shapes_of_the_optimizer, "ValueError: the optimizer's tensors have other shapes"),
        (evil_best, "best.pt names what is not on the allow-list: posix.mkdir; nothing of it was run"),
        (evil_state, "names what is not on the allow-list: posix.mkdir; nothing of it was run"),
    ],
)
def test_a_state_that_is_none_is_set_aside_and_writes_and_runs_nothing(
    spoil: Callable[[Path], None], why: str, interrupted: Path, straight: list[Epoch], tmp_path: Path
) -> None:
    def also_without_last(run: Path) -> None:
        spoil(run)
        cut_short(run, "weights/last.pt")

    found, epochs = train(interrupted, tmp_path / "1" / "2" / "3" / "run", also_without_last)
    assert without_times(epochs) == straight
    text = found.notes["damaged state"]
    assert "resume.pt can't be used and is kept as resume.pt.damaged, the training began anew (" in text
    assert why in text
    assert "--trust" not in text  # there is no such option here
    assert found.exact_resume is True
    assert [path.name for path in tmp_path.rglob("*") if path.name in ("x", "ran")] == []
    assert sorted(path.name for path in (tmp_path / "1" / "2" / "3").iterdir()) == ["run"]
