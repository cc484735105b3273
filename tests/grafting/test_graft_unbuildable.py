"""Networks that the installed Ultralytics can't build from their rows: a graft moves the loaded layers all the same."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml as pyyaml
from support import trained as t
from support.elsewhere import WaveBlock
from support.insertions import plan_insert
from support.shapes import surgeon, write_data
from torch import nn
from ultralytics.nn import tasks

from lska_surgeon.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import BuildError, CheckpointError
from lska_surgeon.grafting.graft import Graft, graft, ungraft
from lska_surgeon.grafting.into import plan_graft_into
from lska_surgeon.grafting.plan import plan_graft
from lska_surgeon.grafting.transplant import width_of_row
from lska_surgeon.nn import named_operators
from lska_surgeon.yolo.build import layers_of

#: What `WorldDetect` held in 8.1; the rest came later, and a file of that time has none of it.
WORLD_8_1 = {"nc", "nl", "reg_max", "no", "stride", "i", "f", "type", "np", "inplace", "training", "export"}


def old_world(path: Path) -> Path:
    """YOLO-World as 8.1.21 stored it: the output layer's row is `[nc, 512]`, without `with_bn`."""
    yaml = t.yaml_of("yolov8s-world", nc=80)
    yaml["scale"], yaml["scales"] = "s", {"s": [0.33, 0.125, 1024]}
    model = t.trained_model(yaml)
    model.yaml["head"][-1][3] = ["nc", 512]
    head = model.model[-1]
    for key in [key for key in vars(head) if not key.startswith("_") and key not in WORLD_8_1]:
        delattr(head, key)
    model.txt_feats = torch.randn(1, 80, 512, generator=torch.Generator().manual_seed(5))
    with pytest.raises(BuildError, match="WorldDetect"):
        layers_of(model.yaml, "the model")
    return t.save(path, {"model": model.half().eval(), "ema": None, "train_args": t.TRAIN_ARGS, "version": "8.1.21"})


def with_a_block_from_elsewhere(path: Path) -> Path:
    """A trained YOLOv8 with a `WaveBlock` behind its SPPF, saved where such a block was known."""
    yaml = t.yaml_of("yolov8n")
    yaml["scales"] = {"n": [0.33, 0.125, 1024]}
    yaml["backbone"].append([-1, 1, "WaveBlock", [128]])
    for row in yaml["head"]:
        row[0] = [x + (x >= 10) for x in row[0]] if isinstance(row[0], list) else row[0]
    yaml["head"][-3][0][1] = 10  # the last Concat reads the new layer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "WaveBlock", WaveBlock, raising=False)
        model = t.trained_model(yaml)
    with pytest.raises(BuildError, match="no module WaveBlock"):
        layers_of(model.yaml, "the model")
    return t.save(path, {"model": model.half().eval(), "ema": None, "train_args": t.TRAIN_ARGS})


MADE = {"old world": old_world, "a block from elsewhere": with_a_block_from_elsewhere}


@pytest.fixture(scope="module", params=MADE)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MADE[request.param](tmp_path_factory.mktemp("stored") / "stored.pt")


def grafted(path: Path, *at: str, op: str = "lska") -> Graft:
    return graft(plan_graft(read_checkpoint(path, trust=True), Placement(at, op, 7)))


def predicted(model: nn.Module) -> list[torch.Tensor]:
    return t.outputs(model, size=(64, 96))


@pytest.mark.slow
@pytest.mark.parametrize("op", ["lska", "lska-attention"])
@pytest.mark.parametrize("at", [("neck", "sppf"), ("after:9", "residual", "sppf-inner"), ("head",)])
def test_graft_moves_the_loaded_layers(stored: Path, tmp_path: Path, at: tuple[str, ...], op: str) -> None:
    before = deepcopy(read_checkpoint(stored, trust=True).model)
    assert before is not None
    done = grafted(stored, *at, op=op)
    assert done.certificate.exact
    assert not done.certificate.skipped
    write_checkpoint(tmp_path / "grafted.pt", done.data)
    after = read_checkpoint(tmp_path / "grafted.pt", trust=True).model
    assert after is not None
    new = t.assert_carried(before, after)
    assert done.new == tuple(new)
    assert t.equal(predicted(before), predicted(after))
    kept = t.new_index(after)
    assert [after.model[kept[layer.i]].type.replace("LSKA", "") for layer in before.model] == [
        layer.type if "LSKA" not in after.model[kept[layer.i]].type else f"lska_surgeon.nn.{type(layer).__name__}"
        for layer in before.model
    ]
    assert [layer.i for layer in after.model] == list(range(len(after.model)))
    assert all(layer.np == sum(p.numel() for p in layer.parameters()) for _, layer in named_rows(after))

    back = ungraft(read_checkpoint(tmp_path / "grafted.pt", trust=True))
    assert back.certificate.exact
    assert not t.assert_carried(before, back.data["model"])
    assert t.equal(predicted(before), predicted(back.data["model"]))


def named_rows(model: nn.Module) -> list[tuple[int, nn.Module]]:
    return [(layer.i, layer) for layer in model.model if any(True for _ in named_operators(layer))]


def test_note_says_that_training_needs_another_release(stored: Path) -> None:
    (note,) = [note for note in grafted(stored, "neck").notes if "rebuilds" in note]
    assert "trains only in a release that builds it" in note
    assert "WorldDetect" in note or "WaveBlock" in note


def test_training_is_refused_in_one_line(stored: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    done = grafted(stored, "neck")
    write_checkpoint(tmp_path / "grafted.pt", done.data)
    made = surgeon("train", tmp_path / "grafted.pt", f"data={data}", "--trust", "epochs=1")
    assert made.exit_code == 2, (made.output, made.exception)
    assert len(made.stderr.splitlines()) == 1
    assert "does not build" in made.stderr


@pytest.mark.parametrize("at", ["neck", "residual"])
def test_graft_into_a_variant_whose_rows_say_the_same(stored: Path, tmp_path: Path, at: str) -> None:
    variant = variant_of(stored, tmp_path, at)
    base = read_checkpoint(stored, trust=True)
    done = graft(plan_graft_into(base, str(variant)))
    assert done.certificate.exact
    there = grafted(stored, at)
    assert done.new == there.new
    assert done.record["index_map"] == there.record["index_map"]
    assert t.equal(predicted(there.data["model"]), predicted(done.data["model"]))


def test_graft_into_rows_that_are_not_the_checkpoints_own(stored: Path, tmp_path: Path) -> None:
    variant = variant_of(stored, tmp_path, "neck")
    text = variant.read_text()
    variant.write_text(text.replace("[512, true]", "[512, false]"))
    assert variant.read_text() != text
    with pytest.raises(CheckpointError, match=r"has no row for layer 6 \(C2f\)"):
        graft(plan_graft_into(read_checkpoint(stored, trust=True), str(variant)))
    variant.write_text(text.replace("0.125", "0.25"))
    with pytest.raises(BuildError, match=r"WorldDetect|WaveBlock"):
        plan_graft_into(read_checkpoint(stored, trust=True), str(variant))


def test_graft_into_a_variant_in_the_words_of_this_release(tmp_path: Path) -> None:
    stored = old_world(tmp_path / "world.pt")
    variant = variant_of(stored, tmp_path, "neck")
    text = variant.read_text()
    variant.write_text(text.replace("[nc, 512]", "[nc, 512, false]"))
    layers_of(tasks.yaml_model_load(variant), "the variant")
    done = graft(plan_graft_into(read_checkpoint(stored), str(variant)))
    assert done.certificate.exact
    assert not [note for note in done.notes if "can't" in note]


def variant_of(stored: Path, folder: Path, at: str) -> Path:
    """The checkpoint's own YAML with operators, as `insert` writes it."""
    yaml = dict(read_checkpoint(stored, trust=True).yaml or {})
    yaml.pop("yaml_file", None)
    path = folder / "yolov8-own.yaml"
    path.write_text(pyyaml.safe_dump(yaml, sort_keys=False, default_flow_style=None))
    variant = folder / ("v-world.yaml" if "WorldDetect" in path.read_text() else "v.yaml")  # as the family asks for
    plan = plan_insert(str(path), Placement((at,), "lska", 7), scale=str(yaml["scale"]), output=str(variant))
    variant.write_text(plan.text)
    return variant


def test_place_behind_no_map_is_refused(tmp_path: Path) -> None:
    base = read_checkpoint(with_a_block_from_elsewhere(tmp_path / "stored.pt"), trust=True)
    rewrite = plan_graft(base, Placement(("after:9",), "lska", 7)).rewrite
    row = rewrite.after[10]
    assert width_of_row(rewrite, row, [16] * 24, {}) == 16
    with pytest.raises(BuildError, match=r"layer 9 \(SPPF\) gives no single feature map"):
        width_of_row(rewrite, row, [16] * 9 + [None] * 15, {})
