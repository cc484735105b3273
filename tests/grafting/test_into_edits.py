"""Grafting into any edit of a network: what of the weights is carried, what is proven of it, and what is said."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml as pyyaml
from support import trained as t
from support.rewiring import Rows, edited
from support.shapes import surgeon

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.checkpoints.contents import Checkpoint
from lska_surgeon.errors import CheckpointError
from lska_surgeon.grafting.graft import Graft, graft, ungraft
from lska_surgeon.grafting.into import plan_graft_into
from lska_surgeon.grafting.proof import Proof

Yaml = dict[str, Any]
SCALES = {"n": [0.33, 0.125, 1024]}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Checkpoint]:
    """(family, task) -> a trained network at half the stock width."""
    folder = tmp_path_factory.mktemp("trained")

    def base(family: str = "yolov8", task: str = "detect") -> Checkpoint:
        path = folder / f"{family}-{task}.pt"
        return read_checkpoint(path if path.exists() else t.finished(path, t.trained(family, task)))

    return base


def stock(name: str = "yolov8n") -> Yaml:
    yaml = t.yaml_of(name, scales=SCALES)
    return {key: value for key, value in yaml.items() if key not in ("yaml_file", "scale")}


def rows_of(yaml: Yaml) -> list[list[Any]]:
    return [*yaml["backbone"], *yaml["head"]]


def replaced(**blocks: Any) -> Yaml:
    """YOLOv8 with other blocks in rows, as `r9=["SPPELAN", [1024, 64]]`."""
    yaml = stock()
    for row, (block, args) in blocks.items():
        rows_of(yaml)[int(row[1:])][2:] = [block, args]
    return yaml


def without_p5() -> Yaml:
    yaml = stock()
    return {**yaml, "head": [*yaml["head"][:9], [[15, 18], 1, "Detect", ["nc"]]]}


def with_row_behind(row: int, new: list[Any]) -> Yaml:
    yaml = stock()
    rows = Rows.of(yaml)
    rows.insert_behind(rows.rows[row], new)
    return rows.yaml(yaml)


def without_row(row: int) -> Yaml:
    yaml = stock()
    rows = Rows.of(yaml)
    rows.delete(rows.rows[row])
    return rows.yaml(yaml)


def with_another_stem() -> Yaml:
    yaml = stock()
    rows = Rows.of(yaml)
    for row in rows.rows[1:3]:
        rows.delete(row)
    rows.rows[0][2:] = ["HGStem", [8, 16]]
    return rows.yaml(yaml)


def swapped() -> Yaml:
    yaml = stock()
    yaml["head"][1][0] = [6, -1]
    return yaml


def p2_with_a_segment_head() -> Yaml:
    yaml = stock("yolov8n-p2")
    yaml["head"][-1][2:] = stock("yolov8n-seg")["head"][-1][2:]
    return yaml


NECK = {f"r{row}": ("C3k2", [width]) for row, width in ((12, 512), (15, 256), (18, 512), (21, 1024))}
#: Edit -> task of the checkpoint, the variant, tensors that are carried of those that have a counterpart, and how many
#: of the parameters see what they saw, in percent.
EDITS: dict[str, tuple[str, Callable[[], Yaml], int, float]] = {
    "a level P2": ("detect", lambda: stock("yolov8n-p2"), 262, 39.5),
    "a level P2 and masks": ("segment", p2_with_a_segment_head, 298, 34.6),
    "a level P6": ("detect", lambda: stock("yolov8n-p6"), 173, 6.3),
    "no P5": ("detect", without_p5, 249, 100.0),
    "one C2f a C3k2": ("detect", lambda: replaced(r6=["C3k2", [512, True]]), 248, 4.8),
    "the neck's C2f C3k2": ("detect", lambda: replaced(**NECK), 228, 41.1),
    "SPPF an SPPELAN": ("detect", lambda: replaced(r9=["SPPELAN", [1024, 64]]), 298, 100.0),
    "C2PSA added": ("detect", lambda: with_row_behind(9, [-1, 2, "C2PSA", [1024]]), 298, 32.7),
    "two ways to sample down": ("detect", lambda: replaced(r5=["SCDown", [512, 3, 2]], r7=["ADown", [1024]]), 288, 2.4),
    "a stem of one row": ("detect", with_another_stem, 268, 0.0),
    "another task": ("detect", lambda: stock("yolov8n-seg"), 298, 88.4),
    "and back": ("segment", lambda: stock("yolov8n"), 298, 100.0),
    "no SPPF": ("detect", lambda: without_row(9), 288, 31.9),
    "sources swapped": ("detect", swapped, 298, 35.0),
}


def carried_into(base: Checkpoint, yaml: Yaml, folder: Path) -> Graft:
    path = folder / "yolov8n-mine.yaml"
    path.write_text(pyyaml.safe_dump(yaml, sort_keys=False))
    return graft(plan_graft_into(base, str(path)), identity=False)


def proof_of(done: Graft) -> Proof:
    assert done.certificate.proof is not None
    return done.certificate.proof


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_carried_and_what_is_exact(bases: Callable[..., Checkpoint], tmp_path: Path, edit: str) -> None:
    task, variant, tensors, exact = EDITS[edit]
    base = bases("yolov8", task)
    done = carried_into(base, variant(), tmp_path)
    proof = proof_of(done)
    originals = {name for name in done.sources.values() if not name.endswith("num_batches_tracked")}
    assert len(originals) == tensors
    there, columns = done.model.state_dict(), done.plan.carry.columns if done.plan.carry else {}
    for name, old in done.sources.items():
        assert name in columns or torch.equal(there[name], base.state_dict[old]), name
    assert sum(proof.shares.values()) == pytest.approx(1.0)
    assert round(100 * proof.shares["exact"], 1) == exact
    assert all(row.carried == 0 for row in proof.rows if row.state in ("new", "refused"))
    assert all(row.why for row in proof.rows if row.state in ("part", "refused"))
    assert len(done.data["lska_surgeon"]["certificate"]["rows"]) == len(done.model.model)
    t.outputs(done.model, size=(128, 128))


def test_a_block_that_computes_otherwise_gets_nothing(bases: Callable[..., Checkpoint], tmp_path: Path) -> None:
    """C2 has the names and shapes of a C2f with one bottleneck."""
    done = carried_into(bases(), stock("yolov8n-p6"), tmp_path)
    refused = {row.row: row.why for row in proof_of(done).rows if row.block == "C2"}
    assert refused[17] == "C2 computes otherwise than C2f"
    assert not [name for name in done.copied if name.startswith("model.17.")]


def test_columns_go_where_their_sources_stand(bases: Callable[..., Checkpoint], tmp_path: Path) -> None:
    done = carried_into(bases(), swapped(), tmp_path)
    assert 0 < done.certificate.max_delta < 1e-3
    assert done.by_name is not None
    assert done.by_name.wrong == ("model.12.cv1.conv.weight",)
    (row,) = [row for row in proof_of(done).rows if row.state == "part"]
    assert (row.row, row.why) == (12, "its columns follow their sources")


def test_columns_of_a_new_source_are_zero(bases: Callable[..., Checkpoint], tmp_path: Path) -> None:
    yaml = stock()
    yaml["head"].insert(1, [6, 1, "Conv", [256, 1, 1]])
    for row in yaml["head"][2:]:
        row[0] = [n + (n > 10) for n in row[0]] if isinstance(row[0], list) else row[0]
    yaml["head"][2][0] = [10, 11, 6]
    base = bases()
    done = carried_into(base, yaml, tmp_path)
    weight, old = done.model.state_dict()["model.13.cv1.conv.weight"], base.state_dict["model.12.cv1.conv.weight"]
    assert torch.equal(weight[:, :128], old[:, :128])
    assert not weight[:, 128:160].any()
    assert torch.equal(weight[:, 160:], old[:, 128:])
    assert done.certificate.max_delta < 1e-3


def test_twins_are_named_and_the_first_gets_the_layer(bases: Callable[..., Checkpoint], tmp_path: Path) -> None:
    done = carried_into(bases(), with_row_behind(5, [-1, 1, "C2f", [512, True]]), tmp_path)
    assert not [note for note in done.notes if "built alike" in note]  # it has one bottleneck, that behind it has two
    done = carried_into(bases(), with_row_behind(6, [-1, 6, "C2f", [512, True]]), tmp_path)
    (note,) = [note for note in done.notes if "built alike" in note]
    assert note == (
        "rows 6, 7 (C2f) are built alike, one behind the other: which of them layer 6 became can't be told, and the "
        "first along the path get the weights"
    )
    assert done.index_map[6] == 6


def test_it_says_what_would_keep_more(bases: Callable[..., Checkpoint], tmp_path: Path) -> None:
    yaml = stock("yolov8n-p2")
    done = carried_into(bases(), yaml, tmp_path)
    (note,) = [note for note in done.notes if note.startswith("declare")]
    found = re.match(r"declare row 18 \(C2f\) with 256 in place of 128, and (\d+) more tensors of the output", note)
    assert found
    rows_of(yaml)[18][3][0] = 256
    better = carried_into(bases(), yaml, tmp_path)
    assert len(better.copied) == len(done.copied) + int(found[1])


def test_the_report_says_the_share_first_and_what_names_alone_give(
    bases: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    path = tmp_path / "yolov8n-mine.yaml"
    path.write_text(pyyaml.safe_dump(replaced(**NECK), sort_keys=False))
    words = ["graft", bases().path, "--into", path, "--init", "default", "-o", tmp_path / "out.pt"]
    done = surgeon(*words)
    assert done.exit_code == 0, done.output
    first, *rest = done.stdout.splitlines()
    assert re.match(r"Wrote .*out\.pt: exact 41\.1%, proven and fed anew .* of the parameters; copied ", first)
    text = "\n".join(rest)
    assert "  exact: rows 0-11\n" in text
    assert "  proven, and fed anew: rows 13-14, 16-17, 19-20\n" in text
    assert ": row 12 (C3k2), of layer 12: add of Bottleneck was False, and is True\n" in text
    assert (
        "  YOLO(yaml).load takes over 244 of 298 tensors by name, 16 of them wrong (in rows 12, 15, 18, 21), " in text
    )
    told = json.loads(surgeon(*words, "--force", "--format", "json").stdout)
    assert told["schema"] == 2
    assert len(told["by_name"]["wrong"]) == 16
    assert told["certificate"]["rows"][12]["state"] == "part"
    assert set(told["certificate"]) >= {"runs", "skipped", "max_delta", "dtype", "torch", "of", "shares", "rows"}


def test_two_untrained_networks_share_what_fits(bases: Callable[..., Checkpoint], tmp_path: Path) -> None:
    """As an ablation starts a pair: operators as they are built, other outputs or not."""
    path = tmp_path / "yolov8n-mine.yaml"
    path.write_text(pyyaml.safe_dump(replaced(r6=["C3k2", [512, True]]), sort_keys=False))
    done = graft(plan_graft_into(bases(), str(path)), identity=None, seed=1)
    assert len(done.dropped) > 0
    assert len(done.copied) > 200


def test_there_is_no_way_back_out_of_another_network(bases: Callable[..., Checkpoint], tmp_path: Path) -> None:
    done = carried_into(bases(), stock("yolov8n-p2"), tmp_path)
    path = tmp_path / "p2.pt"
    done.write(path)
    with pytest.raises(CheckpointError, match=r"layer 22 of that did not move into it whole") as caught:
        ungraft(read_checkpoint(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(8))
def test_random_edits_with_known_truth(bases: Callable[..., Checkpoint], tmp_path: Path, seed: int) -> None:
    """No layer goes into a row that it is not, but for twins, which are named."""
    rng = random.Random(seed)
    family = rng.choice(("yolov8", "yolo11"))
    yaml, truth = edited(stock(f"{family}n"), rng)
    path = tmp_path / f"{family}n-edit.yaml"
    path.write_text(pyyaml.safe_dump(yaml, sort_keys=False))
    plan = plan_graft_into(bases(family), str(path))
    assert plan.carry is not None
    filled = {int(name.split(".")[1]) for name in plan.carry.tensors}
    named = {int(number) for note in plan.notes if "built alike" in note for number in re.findall(r"\d+", note)}
    left = set(range(len(plan.rewrite.before))) - set(truth.values())
    for layer, row in plan.stands.items():
        if row in filled or plan.moved.get(layer) == row:
            replaced_one = row not in truth and layer in left
            assert truth.get(row) == layer or replaced_one or {layer, row} <= named, (layer, row)
