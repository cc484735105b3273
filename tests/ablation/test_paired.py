"""What "paired by seed" means: base and variants of one seed start alike, and see the same images in the same order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.ablations import RECIPE, write_recipe
from support.saved import finished
from support.shapes import surgeon, write_checkpoint, write_data, write_network
from support.trained import save
from torch import Tensor
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG_DICT
from ultralytics.utils.callbacks.base import default_callbacks

import lska_surgeon as ls
from lska_surgeon.ablation.records import Task
from lska_surgeon.ablation.runs import Run, plan_ablation
from lska_surgeon.ablation.training import Start, _paired, train_run
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.grafting.trainers import TRAINERS
from lska_surgeon.grafting.transplant import moved_name
from lska_surgeon.yolo.build import build

SHORT = RECIPE.replace("epochs: 3", "epochs: 2").replace("[0, 1, 2]", "[0]")


@dataclass
class Seen:
    """What a training began with, and the batches that it was given."""

    start: Mapping[str, Tensor]
    batches: list[str] = field(default_factory=list)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], Seen]:
    """Trains a run in this process, and watches."""
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

    def trained(run: Run) -> Seen:
        run.prepare()
        train_run(run.folder, run.record(), "cpu")
        return seen[-1]

    return trained


def shared(run: Run, base: Mapping[str, Tensor]) -> dict[str, str]:
    """Name of a tensor in the base -> in a variant, by what the recipe inserted."""
    places = run.network.variant.plan.index_map
    return {name: str(moved_name(name, places)) for name in base}


def more_classes(folder: Path) -> None:
    """The data with another number of classes than the checkpoint's."""
    data = folder / "shapes" / "data.yaml"
    data.write_text(data.read_text().replace("[square, circle]", "[triangle, circle, star]"))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["scratch", "base.pt"])
def test_base_and_variants_of_a_seed_start_alike_and_see_the_same(
    start: str, tmp_path: Path, train: Callable[[Run], Seen]
) -> None:
    folder = tmp_path / "a"
    text = SHORT.replace("{at: [neck, sppf], k: 7}", "{at: [neck, 'backbone:p3', residual], k: 7, op: [lska, cbam]}")
    recipe = write_recipe(folder, text.replace("train: {", f"train: {{start: {start}, "))
    write_checkpoint(folder)
    more_classes(folder)
    base, *variants = plan_ablation(recipe).runs
    assert len(variants) == 6
    expected = train(base)
    assert len(set(expected.batches)) == len(expected.batches) == 4
    assert expected.start["model.9.cv3.0.2.weight"].shape[0] == 3
    for run in variants:
        found = train(run)
        names = shared(run, expected.start)
        assert len(set(names.values())) == len(expected.start) < len(found.start)
        differing = [name for name, there in names.items() if not torch.equal(expected.start[name], found.start[there])]
        assert differing == [], run.name
        assert found.batches == expected.batches, run.name


#: Base and what is put into it, all at once; of each family, and of each task.
FAMILIES = [
    ("yolov8n.yaml", ("backbone", "sppf", "neck", "residual", "sppf-inner")),
    ("yolov8n.yaml", ("head:p3,p4", "after:0", "before:SPPF", "edge:15->16")),
    ("yolov8n-seg.yaml", ("neck", "head:p5")),
    ("yolov8n-pose.yaml", ("neck",)),
    ("yolov8n-obb.yaml", ("neck", "backbone:p4")),
    ("yolov8n-cls.yaml", ("backbone", "residual:2")),
    ("yolov3-tiny.yaml", ("after:6", "edge:13->14")),
    ("yolov5n.yaml", ("sppf", "neck", "residual")),
    ("yolov9t.yaml", ("backbone", "neck")),
    ("yolov10n.yaml", ("neck", "sppf")),
    ("yolo11n.yaml", ("backbone", "head")),
    ("yolo12n.yaml", ("backbone", "neck")),
    ("yolo26n.yaml", ("neck",)),
]


def started(base: Path, model: Path, checkpoint: Path | None, seed: int, *, classes: int = 3) -> dict[str, Tensor]:
    """What a training would begin with, by its own trainer."""
    task = Task(model.name, "", {}, base.name, str(checkpoint) if checkpoint else None)
    start = Start.of(base.parent, "base" if base == model else "variant", task, STOCK)
    network = YOLO(str(start.source))
    trainer: Any = object.__new__(_paired(TRAINERS[network.task], start))
    trainer.args = SimpleNamespace(**{**DEFAULT_CFG_DICT, "seed": seed, "save_dir": str(base.parent)})
    trainer.save_dir, trainer.resume, trainer.freeze_layer_names = base.parent, False, []
    trainer.data = {"nc": classes, "channels": 3, "names": dict(enumerate("abc"[:classes])), "kpt_shape": [17, 3]}
    weights = network.model if checkpoint else None
    return dict(trainer.get_model(cfg=network.model.yaml, weights=weights, verbose=False).state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True], ids=["scratch", "checkpoint"])
@pytest.mark.parametrize(("name", "at"), FAMILIES, ids=[f"{name}-{'-'.join(at)}" for name, at in FAMILIES])
def test_shared_tensors_start_alike_in_every_family_at_every_position(
    name: str, at: tuple[str, ...], trained: bool, tmp_path: Path
) -> None:
    base = tmp_path / name
    base.write_text(ls.insert(name, at, k=7).before, encoding="utf-8")
    variant = ls.insert(base, at, k=7, output=tmp_path / name.replace(".yaml", "-more.yaml"))
    checkpoint = save(tmp_path / "base.pt", finished(build(base).half())) if trained else None
    expected = started(base, base, checkpoint, 3)
    found = started(base, variant.write(), checkpoint, 3)
    names = {name: str(moved_name(name, variant.index_map)) for name in expected}
    assert [name for name, there in names.items() if not torch.equal(expected[name], found[there])] == []
    assert len(found) > len(expected)


@pytest.mark.parametrize("op", ["lska", "cbam"])
def test_a_new_operator_starts_by_the_seed_and_by_where_it_stands(op: str, tmp_path: Path) -> None:
    base, gated = write_network(tmp_path), op == "cbam"
    everywhere = ls.insert(base, ["sppf", "neck"], op=op, gated=gated, output=tmp_path / "two.yaml")
    one = ls.insert(base, "neck", op=op, gated=gated, output=tmp_path / "one.yaml")

    def operator(variant: Any, seed: int) -> list[Tensor]:
        (row,) = (row for row, edit in variant.rewrite.edits.items() if edit.site.name == "neck")
        state = started(base, variant.write(force=True), None, seed)
        return [tensor for name, tensor in state.items() if name.startswith(f"model.{row}.")]

    expected = operator(everywhere, 1)
    assert all(map(torch.equal, expected, operator(one, 1)))
    assert not all(map(torch.equal, expected, operator(everywhere, 2)))


def test_the_base_starts_as_ultralytics_starts_it(tmp_path: Path) -> None:
    base = write_network(tmp_path)
    trainer = DetectionTrainer(overrides={"model": str(base), "data": str(write_data(tmp_path)), "seed": 5})
    expected = trainer.get_model(cfg=str(base)).state_dict()
    found = started(base, base, None, 5, classes=2)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


# Before anything is trained.


def grafts(folder: Path, matrix: str, train: str = "") -> Path:
    """A recipe that starts from a checkpoint."""
    recipe = write_recipe(folder, SHORT.replace("{at: [neck, sppf], k: 7}", f"{{at: neck, {matrix}}}"))
    recipe.write_text(recipe.read_text().replace("train: {", f"train: {{start: base.pt, {train}"), encoding="utf-8")
    write_checkpoint(folder)
    return recipe


@pytest.mark.parametrize(
    ("matrix", "train"),
    [("op: cbam", ""), ("op: [lska, cbam], k: 7", ""), ("op: cbam", "init: default, "), ("op: cbam, gated: true", "")],
)
def test_any_attention_starts_from_a_checkpoint(matrix: str, train: str, tmp_path: Path) -> None:
    result = surgeon("ablate", grafts(tmp_path / "a", matrix, train), "--dry-run", "--devices", "cpu")
    assert result.exit_code == 0, result.output
    assert ("gated-cbam" in result.output) == (not train)


def test_a_dry_run_tells_of_a_graft_that_would_fail(tmp_path: Path) -> None:
    recipe = grafts(tmp_path / "a", "op: cbam, gated: false")
    for words in (["--dry-run"], []):
        result = surgeon("ablate", recipe, "--devices", "cpu", *words)
        assert result.exit_code == 2
        told = re.fullmatch(
            r"Error: (.*), line 4, train.start: the graft of .*base.pt would change the outputs \(max \|Δ\| [\d.]+\) "
            r"in tiny-cbam-neck: write gated: true in the matrix \(or under include\) or init: default under train\n",
            result.stderr,
        )
        assert told is not None, result.stderr
        assert told[1] == str(recipe)
    assert not (tmp_path / "a" / "ablation").exists()


def test_a_dry_run_tells_of_a_start_that_is_another_network(tmp_path: Path) -> None:
    recipe = grafts(tmp_path / "a", "k: 7")
    base = tmp_path / "a" / "tiny.yaml"
    base.write_text(base.read_text().replace("C2f, [16]] # 8", "C2f, [24]] # 8"), encoding="utf-8")
    result = surgeon("ablate", recipe, "--devices", "cpu", "--dry-run")
    told = "base.pt is no start for tiny: row 8 (C2f) has other tensors than were asked for\n"
    assert (result.exit_code, result.stderr) == (2, f"Error: {recipe}, line 4, train.start: {tmp_path / 'a'}/{told}")
