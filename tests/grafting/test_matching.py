"""Grafting into a variant that somebody wrote: which layer is found in which row, and what is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml as pyyaml
from support import trained as t
from support.insertions import plan_insert
from torch import Tensor, nn

import lska_surgeon as ls
from lska_surgeon.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from lska_surgeon.checkpoints.contents import Checkpoint, checkpoint_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import BuildError, ChangedOutputsError, CheckpointError, KernelError, SurgeonError
from lska_surgeon.grafting.graft import Graft, graft, ungraft
from lska_surgeon.grafting.into import plan_graft_into
from lska_surgeon.grafting.plan import plan_graft
from lska_surgeon.nn import SPPFLSKA, C2fLSKA, named_operators
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.environment import import_offline, quiet

#: Half as wide as the stock n, and a scale that no checkpoint here has.
SCALES = {"n": [0.33, 0.125, 1024], "s": [0.33, 0.5, 1024]}


class ZeroResidual(nn.Module):
    """A block that starts as the identity, as many published ones do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x))


class Unchanged(nn.Module):
    """No parameters, no effect."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Doubling(nn.Module):
    """No parameters, but an effect."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class OtherSPPF(nn.Module):
    """The tensors of SPPF under the same names, computed in other words."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        conv = vars(import_offline())["Conv"]
        self.cv1 = conv(channels, channels // 2, 1, 1)
        self.cv2 = conv(channels * 2, channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = [self.cv1(x)]
        for _ in range(3):
            found.append(nn.functional.max_pool2d(found[-1], 5, 1, 2))
        out: Tensor = self.cv2(torch.cat(found, 1))
        return out


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = import_offline()
    for cls in (ZeroResidual, Unchanged, Doubling, OtherSPPF):
        monkeypatch.setattr(tasks, cls.__name__, cls, raising=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return read_checkpoint(t.finished(tmp_path_factory.mktemp("base") / "base.pt", t.trained()))


def stock(name: str = "yolov8", **changes: Any) -> dict[str, Any]:
    """A stock YAML as people copy it: eighty classes, a choice of scales."""
    yaml = t.yaml_of(name, nc=80, scales=deepcopy(SCALES), **changes)
    return {key: value for key, value in yaml.items() if key not in ("scale", "yaml_file")}


def inserted(yaml: dict[str, Any], row: list[Any], at: int = 10) -> dict[str, Any]:
    """`yaml` with one more row at `at`, and the numbers behind it raised by hand."""
    rows = [*yaml["backbone"], *yaml["head"]]
    for other in rows[at:]:
        sources = other[0] if isinstance(other[0], list) else [other[0]]
        raised = [source + 1 if source >= at else source for source in sources]
        other[0] = raised if isinstance(other[0], list) else raised[0]
    in_backbone = at <= len(yaml["backbone"])
    section = yaml["backbone"] if in_backbone else yaml["head"]
    section.insert(at if in_backbone else at - len(yaml["backbone"]), row)
    return yaml


def write(folder: Path, yaml: dict[str, Any], name: str = "yolov8n-mine.yaml") -> str:
    path = folder / name
    path.write_text(pyyaml.safe_dump(yaml, sort_keys=False))
    return str(path)


def grafted_into(base: Checkpoint, variant: str, *, identity: bool = True) -> Graft:
    return graft(plan_graft_into(base, variant), identity=identity)


def model_of(done: Graft) -> nn.Module:
    model = done.data["model"]
    assert isinstance(model, nn.Module)
    return model


def index_map(done: Graft) -> dict[int, int]:
    return {int(old): new for old, new in done.record["index_map"].items()}


def check(base: Checkpoint, done: Graft, shift_at: int | None = None) -> nn.Module:
    """All tensors under the index that a shift by one says, the same outputs, and a YAML that builds the same."""
    index = {old: old + (shift_at is not None and old >= shift_at) for old in range(23)}
    assert index_map(done) == index
    after = model_of(done)
    assert list(done.new) == t.assert_carried(base.model, after, index)
    assert done.certificate.exact
    assert not done.dropped
    assert {parameter.dtype for parameter in after.parameters()} == {torch.float16}
    assert not any(part.training for part in after.modules())
    assert t.same_predictions(base.model, after)
    assert after.yaml["nc"] == 3
    assert after.names == base.names
    assert torch.equal(after.stride, base.model.stride)
    built = build({key: value for key, value in after.yaml.items() if key != "lska_surgeon"})
    built.load_state_dict(deepcopy(after).float().state_dict())
    assert t.same_predictions(built, after)
    return after


# Variants with LSKA.


@pytest.mark.parametrize("task", ["pose", "classify"])
def test_into_a_variant_by_insert_is_the_graft_at_that_position(tmp_path: Path, task: str) -> None:
    source = write(tmp_path, stock(f"yolov8{t.TASKS[task]}"), "yolov8n.yaml")
    at = ("residual:4", "head") if task == "classify" else ("backbone:p3", "head", "sppf-inner@11", "residual:4")
    plan = plan_insert(source, Placement(at, "lska", 7))
    variant = tmp_path / "yolov8n-variant.yaml"
    variant.write_text(plan.text)
    checkpoint = read_checkpoint(t.finished(tmp_path / "base.pt", t.trained("yolov8", task)))
    there = grafted_into(checkpoint, str(variant))
    here = graft(plan_graft(checkpoint, Placement(at, "lska", 7)))
    assert there.record["index_map"] == here.record["index_map"]
    assert there.new == here.new
    theirs, ours = model_of(there).state_dict(), model_of(here).state_dict()
    assert list(theirs) == list(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    assert there.certificate.exact
    assert t.same_predictions(model_of(there), checkpoint.model)


@pytest.mark.parametrize(
    ("row", "k"),
    [
        ([-1, 1, "LSKA", []], 11),
        ([-1, 1, "LSKA", [11]], 11),
        ([-1, 1, "LSKA", [1024, 7]], 7),
        ([-1, 3, "LSKA", [23]], 23),
        ([-1, 1, "LKA", ["c2", 7]], 7),
        ([9, 1, "LSKA", [9, 2]], None),
    ],
    ids=str,
)
def test_rows_that_people_write(base: Checkpoint, tmp_path: Path, row: list[Any], k: int | None) -> None:
    variant = write(tmp_path, inserted(stock(), row))
    if k is None:
        with pytest.raises(KernelError, match="layer 10"):
            plan_graft_into(base, variant)
        return
    after = check(base, grafted_into(base, variant), shift_at=10)
    assert {operator.k_size for _, operator in named_operators(after.model)} == {k}


def test_hosts_that_people_write(base: Checkpoint, tmp_path: Path) -> None:
    yaml = stock()
    yaml["backbone"][9] = [-1, 1, "SPPF_LSKA", [1024, 5]]
    yaml["backbone"][4] = [-1, 6, "C2f_LSKA", [256, True]]
    yaml["head"][2] = [-1, 3, "C2f_LSKA", [512]]
    done = grafted_into(base, write(tmp_path, yaml))
    after = check(base, done)
    assert [type(after.model[index]) for index in (4, 9, 12)] == [C2fLSKA, SPPFLSKA, C2fLSKA]
    assert [after.model[index].kernel.k for index in (4, 9, 12)] == [7, 11, 7]
    assert [edit["row"] for edit in done.record["edits"]] == [4, 9, 12]


def test_blocks_with_other_layers_inside_are_named(base: Checkpoint, tmp_path: Path) -> None:
    yaml = stock()
    yaml["backbone"][8] = [-1, 3, "C2f_LSKA_Attention", [1024]]
    variant = write(tmp_path, yaml)
    with pytest.raises(CheckpointError, match=r"no row for layer 8 \(C2f\).*--init default"):
        grafted_into(base, variant)
    done = grafted_into(base, variant, identity=False)
    here = [name for name in base.state_dict if name.startswith("model.8.m.")]
    assert list(done.dropped) == here
    assert all("layer 8" in reason for reason in done.dropped.values())
    assert len(done.copied) == len(base.state_dict) - len(here)
    assert done.record["tensors"]["dropped"] == len(here)


@pytest.mark.parametrize("identity", [True, False])
def test_a_variant_that_adds_nothing_is_refused(base: Checkpoint, tmp_path: Path, identity: bool) -> None:
    variant = write(tmp_path, stock())
    with pytest.raises(CheckpointError, match=r"has nothing that base\.pt has not: there is no operator") as caught:
        grafted_into(base, variant, identity=identity)
    assert len(str(caught.value).splitlines()) == 1
    first = graft(plan_graft(base, Placement(("sppf",), "lska", 7)))
    write_checkpoint(tmp_path / "first.pt", first.data)
    yaml = inserted(stock(), [-1, 1, "LSKA", ["c2", 7]])
    next(row for row in yaml["head"] if row[0] == [-1, 9])[0][1] = 10
    with pytest.raises(CheckpointError, match=r"has nothing that first\.pt has not"):
        grafted_into(read_checkpoint(tmp_path / "first.pt"), write(tmp_path, yaml), identity=identity)


def test_a_backbone_whose_weights_ultralytics_would_download_is_told(base: Checkpoint, tmp_path: Path) -> None:
    own, into = write(tmp_path, stock(), "own-n.yaml"), tmp_path / "into-n.yaml"
    ls.replace(own, "backbone", by="torchvision:mobilenet_v3_small", output=into).write()
    note = "row 0 (TorchVision) starts untrained: Ultralytics downloads its weights, graft does not"
    assert note in plan_graft_into(base, str(into)).notes


def test_comments_and_section_borders_mean_nothing(base: Checkpoint, tmp_path: Path) -> None:
    yaml = stock()
    yaml["head"][:0] = yaml["backbone"][8:]
    del yaml["backbone"][8:]
    path = Path(write(tmp_path, inserted(yaml, [-1, 1, "LSKA", [11]], at=22)))
    path.write_text("# 9\n" + path.read_text())
    check(base, grafted_into(base, str(path)), shift_at=22)


def test_onto_a_graft(base: Checkpoint, tmp_path: Path) -> None:
    first = graft(plan_graft(base, Placement(("sppf",), "lska", 11)))
    write_checkpoint(tmp_path / "first.pt", first.data)
    yaml = inserted(stock(), [-1, 1, "LSKA", [11]])
    next(row for row in yaml["head"] if row[0] == [-1, 9])[0][1] = 10
    yaml = inserted(yaml, [-1, 1, "LSKA", [7]], at=5)
    second = grafted_into(read_checkpoint(tmp_path / "first.pt"), write(tmp_path, yaml))
    assert index_map(second) == {old: old + (old >= 5) for old in range(24)}
    assert {name.split(".")[1] for name in second.new} == {"5"}
    assert t.same_predictions(base.model, model_of(second))


# Variants with something else.


@pytest.mark.parametrize("cls", [ZeroResidual, Unchanged], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("at", [5, 10, 22])
def test_any_registered_block_that_starts_as_the_identity(
    base: Checkpoint, tmp_path: Path, cls: type[nn.Module], at: int
) -> None:
    args = ["c2"] if cls is ZeroResidual else []
    yaml = inserted(stock(), [-1, 1, cls.__name__, args], at)
    if at == 22:
        yaml["head"][-1][0][-1] = 22  # the output layer reads it in place of row 21
    done = grafted_into(base, write(tmp_path, yaml))
    after = check(base, done, shift_at=at)
    assert type(after.model[at]) is cls
    norms = {(part.eps, part.momentum) for part in after.modules() if type(part) is nn.BatchNorm2d}
    assert len(norms) == 1, "a new norm is set as the model's own"

    write_checkpoint(tmp_path / "grafted.pt", done.data)
    back = ungraft(read_checkpoint(tmp_path / "grafted.pt", trust=True))
    assert back.certificate.exact
    assert t.assert_carried(base.model, back.data["model"], {i: i for i in range(23)}) == []


def test_a_block_that_changes_the_outputs_is_refused(base: Checkpoint, tmp_path: Path) -> None:
    variant = write(tmp_path, inserted(stock(), [-1, 1, "Doubling", []]))
    with pytest.raises(CheckpointError, match=r"would change the outputs \(max \|Δ\| [0-9.]+\)"):
        grafted_into(base, variant)
    done = grafted_into(base, variant, identity=False)
    assert done.certificate.max_delta > 0
    assert f"max |Δ| {done.certificate.max_delta:g} of all" in done.certificate.line
    t.assert_carried(base.model, model_of(done), index_map(done))


def test_a_block_of_another_class_with_the_same_tensors(base: Checkpoint, tmp_path: Path) -> None:
    yaml = stock()
    yaml["backbone"][9] = [-1, 1, "OtherSPPF", ["c2"]]
    after = check(base, grafted_into(base, write(tmp_path, yaml)))
    assert type(after.model[9]) is OtherSPPF


# What is not aligned.


def changed(section: str, row: int, column: int, value: Any) -> dict[str, Any]:
    yaml = stock()
    yaml[section][row][column] = value
    return yaml


@pytest.mark.parametrize(
    ("yaml", "layer"),
    [
        pytest.param(lambda: changed("head", 0, 3, [None, 2, "bilinear"]), "10 (nn.Upsample)", id="upsample-mode"),
        pytest.param(lambda: changed("backbone", 9, 3, [1024, 9]), "9 (SPPF)", id="pool-size"),
        pytest.param(lambda: changed("backbone", 2, 3, [128, False]), "2 (C2f)", id="shortcut"),
        pytest.param(lambda: changed("backbone", 7, 3, [1024, 3, 1]), "7 (Conv)", id="stride"),
        pytest.param(lambda: changed("backbone", 6, 1, 3), "6 (C2f)", id="repeats"),
        pytest.param(lambda: changed("head", 1, 0, [-1, 4]), "11 (Concat)", id="source"),
    ],
)
def test_the_same_tensors_in_another_network(base: Checkpoint, tmp_path: Path, yaml: Any, layer: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        grafted_into(base, write(tmp_path, yaml()))
    assert f"no row for layer {layer}" in str(caught.value) or isinstance(caught.value, BuildError)


def test_another_activation_is_another_network_and_stays_there(base: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no row for layer 0 \(Conv\), 1 \(Conv\), 2 \(C2f\)"):
        grafted_into(base, write(tmp_path, stock(activation="torch.nn.ReLU()")))
    check(base, grafted_into(base, write(tmp_path, inserted(stock(), [-1, 1, "LSKA", [11]], at=22))), shift_at=22)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("yolo11n.yaml", "no row for layer"),
        ("yolov8n-seg.yaml", "no row for layer"),
        ("rtdetr-l.yaml", "nothing of base.pt fits into rtdetr-l.yaml"),
        ("yolov8n-nope.yaml", "no stock model of that name"),
    ],
)
def test_a_wrong_network(base: Checkpoint, name: str, says: str) -> None:
    with pytest.raises(SurgeonError, match=says) as caught:
        grafted_into(base, name)
    assert "\n" not in str(caught.value)


def test_the_checkpoints_own_scale_is_taken_where_the_name_says_none(base: Checkpoint, tmp_path: Path) -> None:
    yaml = inserted(stock(), [-1, 1, "LSKA", [11]])
    check(base, grafted_into(base, write(tmp_path, yaml, "yolo-v8s.yaml")), shift_at=10)  # no scale for Ultralytics
    renamed = {**yaml, "scales": {"s": SCALES["s"], "t": SCALES["n"]}}
    after = check(base, grafted_into(base, write(tmp_path, renamed, "mine.yaml")), shift_at=10)
    assert after.yaml["scale"] == "t"


def test_a_file_that_was_pinned_to_another_scale_is_told(base: Checkpoint, tmp_path: Path) -> None:
    """`insert yolov8s.yaml -o mine.yaml` puts scale s first, and the name says nothing of it."""
    for letter, notes in {"s": [TOLD], "n": []}.items():
        own, mine = write(tmp_path, stock(), f"yolov8{letter}-own.yaml"), str(tmp_path / "mine.yaml")
        plan_insert(str(own), Placement(("sppf",), k=11), output=mine).write(force=True)
        assert list(grafted_into(base, mine).notes) == notes


TOLD = (
    "mine.yaml was written for scale s, which stands first in its scales, and base.pt has scale n, so the graft has "
    "scale n; --scale s takes the file's"
)


def test_another_scale_is_taken_where_it_is_asked_for(base: Checkpoint, tmp_path: Path) -> None:
    """By the name's letter, or by `--scale`; a certificate says so where no map can be compared."""
    named = write(tmp_path, inserted(stock(), [-1, 1, "LSKA", [11]]), "yolov8s-mine.yaml")
    says = r"for it is at scale s and not at n, so it can't predict the same; .* or --scale n to take it at that$"
    with pytest.raises(ChangedOutputsError, match=says):
        grafted_into(base, named)
    check(base, graft(plan_graft_into(base, named, scale="n")), shift_at=10)
    with pytest.raises(
        ChangedOutputsError, match=r"at scale s and not at n, so it can't predict the same; [^;]* the rest$"
    ):
        grafted_into(base, write(tmp_path, stock(), "yolov8s.yaml"))  # at scale n there is nothing to graft
    done = grafted_into(base, named, identity=False)
    assert done.model.yaml["scale"] == "s"
    assert done.notes[0].startswith("yolov8s-mine.yaml is taken at scale s, and base.pt has scale n")
    assert done.certificate.line.endswith("the output layers read no map of the same stride and width")
    assert done.certificate.as_dict()["max_delta"] is None
    proof = done.certificate.proof
    assert proof is not None
    assert 0 < proof.shares["part"] < 0.2
    assert sum(proof.shares.values()) == pytest.approx(1)
    assert {row.state for row in proof.rows if row.block in ("Conv", "C2f", "SPPF")} == {"refused"}
    assert done.sources == _same_units(base.state_dict, done.model.state_dict(), {22: 23})
    t.outputs(done.model)


@pytest.mark.parametrize(("family", "letters"), [("yolov8", "dl"), ("yolo11", "md")])
def test_units_of_the_same_widths_are_carried_to_another_depth(tmp_path: Path, family: str, letters: str) -> None:
    scales = {"l": [0.33, 0.125, 1024], "m": [0.5, 0.125, 1024], "d": [1.0, 0.125, 1024]}
    yaml = t.yaml_of(family, scales=scales, scale=letters[0])
    base = checkpoint_of(t.trained_model({**yaml, "yaml_file": f"{family}{letters[0]}.yaml"}))
    path = write(tmp_path, {**yaml, "scale": letters[1]}, "mine.yaml")
    done = graft(plan_graft_into(base, path, scale=letters[1]), identity=False)
    own = {index: index for index in range(len(done.model.model))}
    assert done.sources == _same_units(base.state_dict, done.model.state_dict(), own)
    assert done.model.yaml["yaml_file"] == "mine-d.yaml" if letters[1] == "d" else "mine-l.yaml"
    rows = done.certificate.proof.rows if done.certificate.proof else ()
    assert {row.state for row in rows if row.block in ("C2f", "C3k2", "A2C2f")} == {"part"}
    assert {row.state for row in rows[:2]} == {"exact"}
    assert {row.state for row in rows[2:] if row.block in ("Conv", "SPPF")} == {"proven"}
    assert math.isfinite(done.certificate.max_delta)


def _same_units(before: Mapping[str, Tensor], after: Mapping[str, Tensor], rows: Mapping[int, int]) -> dict[str, str]:
    """What has to be carried: tensor -> tensor, where a convolution and its norm have the same shapes."""

    def units(tensors: Mapping[str, Tensor], where: Mapping[int, int]) -> dict[str, dict[str, tuple[str, torch.Size]]]:
        found: dict[str, dict[str, tuple[str, torch.Size]]] = {}
        for name, tensor in tensors.items():
            row, tail = int(name.split(".")[1]), name.split(".", 2)[2]
            if row in where:
                unit = re.sub(r"(?:(?:^|\.)(?:conv|bn))?\.?\w+$", "", tail)
                found.setdefault(f"{where[row]}.{unit}", {})[tail] = name, tensor.shape
        return found

    here, there = units(before, rows), units(after, {row: row for row in rows.values()})
    same = [
        unit
        for unit in here.keys() & there.keys()
        if {tail: shape for tail, (_, shape) in here[unit].items()}
        == {tail: shape for tail, (_, shape) in there[unit].items()}
    ]
    return {there[unit][tail][0]: name for unit in same for tail, (name, _) in here[unit].items()}


def test_a_row_that_is_repeated_keeps_its_first(base: Checkpoint, tmp_path: Path) -> None:
    once = grafted_into(base, write(tmp_path, inserted(stock(), [-1, 1, "Bottleneck", [1024]])), identity=False)
    twice = write(tmp_path, inserted(stock(), [-1, 6, "Bottleneck", [1024]]), "yolov8n-twice.yaml")
    write_checkpoint(tmp_path / "once.pt", once.data)
    done = grafted_into(read_checkpoint(tmp_path / "once.pt"), twice, identity=False)
    assert done.sources["model.10.0.cv1.conv.weight"] == "model.10.cv1.conv.weight"
    assert {name for name in done.new if name.startswith("model.10.")} == {
        name for name in done.model.state_dict() if name.startswith("model.10.1.")
    }


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([-1, 1, "NoSuchBlock", []], "NoSuchBlock"),
        ([-1, 1, "LSKA", ["c2", 8]], "kernel size 8"),
        ([-1, 1, "Conv", ["wide"]], "layer 10"),
        ([[-1, 4], 1, "LSKA", []], "layer 10"),
    ],
    ids=str,
)
def test_a_variant_that_does_not_build(base: Checkpoint, tmp_path: Path, row: list[Any], says: str) -> None:
    with pytest.raises(SurgeonError, match=says) as caught:
        grafted_into(base, write(tmp_path, inserted(stock(), row)))
    assert "\n" not in str(caught.value)


# A state dict alone.


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("prefix", ["", "model."], ids=["model", "YOLO"])
def test_a_state_dict_alone(base: Checkpoint, tmp_path: Path, half: bool, prefix: str) -> None:
    model = deepcopy(base.model) if half else deepcopy(base.model).float()
    state = {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}
    tensors = read_checkpoint(t.save(tmp_path / "weights.pt", state))
    assert tensors.kind == "state_dict"
    done = grafted_into(tensors, write(tmp_path, inserted(stock(), [-1, 1, "LSKA", [11]])))
    t.assert_carried(model, model_of(done), {old: old + (old >= 10) for old in range(23)})
    assert done.certificate.exact
    assert t.same_predictions(model, model_of(done))
    write_checkpoint(tmp_path / "grafted.pt", done.data)
    from ultralytics import YOLO

    with quiet():
        product = YOLO(str(tmp_path / "grafted.pt"))
    assert product.task == "detect"
    assert t.same_predictions(model, product.model)


def test_a_state_dict_needs_its_own_variant(base: Checkpoint, tmp_path: Path) -> None:
    tensors = read_checkpoint(t.save(tmp_path / "weights.pt", dict(base.state_dict)))
    with pytest.raises(CheckpointError, match="--into YAML"):
        plan_graft(tensors, Placement(("neck",), "lska", 7))
    other = inserted(stock("yolov8-seg"), [-1, 1, "LSKA", [11]])
    with pytest.raises(CheckpointError, match=r"not those of .*without its operators: \d+ differ") as caught:
        plan_graft_into(tensors, write(tmp_path, other))
    assert "\n" not in str(caught.value)
    foreign = inserted(stock(), [-1, 1, "ZeroResidual", ["c2"]])
    with pytest.raises(CheckpointError, match="without its operators"):
        plan_graft_into(tensors, write(tmp_path, foreign))
