"""What "paired by seed" means: base and variants of one seed start alike, and see the same images in the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from support.ablations import RECIPE, write_recipe
from support.shapes import write_checkpoint
from torch import Tensor
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.callbacks.base import default_callbacks

from lska_surgeon.ablation.cells import Cell, plan_ablation
from lska_surgeon.ablation.training import train_cell
from lska_surgeon.grafting.transplant import moved_name

SHORT = RECIPE.replace("epochs: 3", "epochs: 2").replace("[0, 1, 2]", "[0]")


@dataclass
class Seen:
    """What a training began with, and the batches that it was given."""

    start: Mapping[str, Tensor]
    batches: list[str] = field(default_factory=list)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cell], Seen]:
    """Trains a cell in this process, and watches."""
    seen: list[Seen] = []
    preprocess = DetectionTrainer.preprocess_batch

    def begin(trainer: Any) -> None:
        seen.append(Seen({name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}))

    def look(trainer: Any, batch: dict[str, Any]) -> Any:
        content = [tensor.numpy().tobytes() for tensor in (batch["img"], batch["bboxes"], batch["cls"])]
        seen[-1].batches.append(hashlib.sha256(b"".join(content)).hexdigest())
        return preprocess(trainer, batch)

    monkeypatch.setitem(default_callbacks, "on_train_start", [begin])
    monkeypatch.setattr(DetectionTrainer, "preprocess_batch", look)

    def trained(cell: Cell) -> Seen:
        cell.prepare()
        train_cell(cell.folder, cell.record(), "cpu")
        return seen[-1]

    return trained


def shared(cell: Cell, base: Mapping[str, Tensor]) -> dict[str, str]:
    """Name of a tensor in the base -> in a variant, by what the recipe inserted."""
    assert cell.network.variant is not None
    places = cell.network.variant.plan.index_map
    return {name: str(moved_name(name, places)) for name in base}


def more_classes(folder: Path) -> None:
    """The data with another number of classes than the checkpoint's."""
    data = folder / "shapes" / "data.yaml"
    data.write_text(data.read_text().replace("[square, circle]", "[triangle, circle, star]"))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["scratch", "base.pt"])
def test_base_and_variants_of_a_seed_start_alike_and_see_the_same(
    start: str, tmp_path: Path, train: Callable[[Cell], Seen]
) -> None:
    folder = tmp_path / "a"
    text = SHORT.replace("[neck, sppf]", "[neck, sppf, 'backbone:p3', residual]")
    recipe = write_recipe(folder, text.replace("train: {", f"train: {{start: {start}, "))
    write_checkpoint(folder)
    more_classes(folder)
    base, *variants = plan_ablation(recipe).cells
    expected = train(base)
    assert len(set(expected.batches)) == len(expected.batches) == 4
    assert expected.start["model.9.cv3.0.2.weight"].shape[0] == 3
    for cell in variants:
        found = train(cell)
        names = shared(cell, expected.start)
        assert len(set(names.values())) == len(expected.start) < len(found.start)
        differing = [name for name, there in names.items() if not torch.equal(expected.start[name], found.start[there])]
        assert differing == [], cell.name
        assert found.batches == expected.batches, cell.name
