"""Grafting at positions: what arrives, what it predicts, what the new file holds, and the way back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from support import shapes
from support import trained as t
from torch import nn

from lska_surgeon.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from lska_surgeon.checkpoints.contents import Checkpoint
from lska_surgeon.core.operators import OP_BLOCKS, resolve_kernel
from lska_surgeon.core.surgery import RECORD, Placement
from lska_surgeon.errors import BuildError, CheckpointError, KernelError, PositionError, SurgeonError
from lska_surgeon.grafting.certificate import Certificate
from lska_surgeon.grafting.graft import Graft, graft, ungraft
from lska_surgeon.grafting.plan import plan_graft
from lska_surgeon.nn import LSKA, Operator, named_operators
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.environment import import_offline, quiet

Files = Callable[[str, str], Path]

#: Position -> layers that it concerns in the two kinds of network; a dash where the network has no such part.
POSITIONS = {
    "backbone": ([2, 4, 6, 8], [2, 4, 6, 8]),
    "sppf": ([9], None),
    "neck": ([12, 15, 18, 21], None),
    "head": ([15, 18, 21], [8]),
    "residual": ([2, 4, 6, 8], [2, 4, 6, 8]),
    "sppf-inner": ([9], None),
    "after:C2f#1": ([4], [4]),
    "before:C2f#2": ([5], [5]),
    "edge:4->5": ([4], [4]),
}
OPS = list(OP_BLOCKS)
#: Every task, position and operator: detection at all, each other task at three.
CASES = [
    pytest.param(task, at, OPS[(row + column) % len(OPS)], id=f"{task}-{at}-{OPS[(row + column) % len(OPS)]}")
    for row, task in enumerate(t.TASKS)
    for column, (at, (_, on_classifier)) in enumerate(POSITIONS.items())
    if (task == "detect" or column % 3 == row % 3) and (task != "classify" or on_classifier)
]
WHOLE = ("backbone@7", "head:p4@11", "head:p5@35", "residual:2,4", "sppf-inner@11")
WHOLE_CLASSIFIER = ("backbone@7", "head@11", "residual:4,6")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """(family, task) -> the file that a training left."""
    folder = tmp_path_factory.mktemp("trained")

    def file(family: str = "yolov8", task: str = "detect") -> Path:
        path = folder / f"{family}-{task}.pt"
        return path if path.exists() else t.finished(path, t.trained(family, task))

    return file


def grafted(base: Checkpoint, *at: str, op: str = "lska", k: int = 7, identity: bool = True, **more: Any) -> Graft:
    return graft(plan_graft(base, Placement(at or ("neck",), op, k)), identity=identity, **more)


def written(path: Path, done: Graft) -> Path:
    write_checkpoint(path, done.data)
    return path


def model_of(data: dict[str, Any]) -> nn.Module:
    model = data["model"]
    assert isinstance(model, nn.Module)
    return model


def plain(yaml: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in yaml.items() if key != RECORD}


# What arrives, and what it predicts.


@pytest.mark.slow
@pytest.mark.parametrize(("task", "at", "op"), CASES)
def test_every_tensor_arrives_and_the_outputs_stay(files: Files, task: str, at: str, op: str) -> None:
    base = read_checkpoint(files("yolov8", task))
    before = deepcopy(base.model)
    done = grafted(base, at, op=op)
    after = model_of(done.data)

    new = t.assert_carried(before, after)
    operators = [operator for _, operator in named_operators(after.model)]
    layers = POSITIONS[at][task == "classify"]
    assert done.new == tuple(new)
    assert len(done.copied) == len(before.state_dict())
    assert not done.dropped
    assert len(operators) >= len(layers)
    assert {operator.kernel for operator in operators} == {resolve_kernel(op, 7)}
    channels = [
        operator.conv1.in_channels if op != "lska-attention" else operator.proj_1.in_channels for operator in operators
    ]
    state = after.state_dict()
    parameters = {name for name, _ in after.named_parameters()}
    assert sum(state[name].numel() for name in new if name in parameters) == sum(
        resolve_kernel(op, 7).params(width, fused=False) for width in channels
    )

    assert done.certificate.exact
    assert {run.split()[0] for run in done.certificate.runs} == {"eval", "train"}
    assert len(done.certificate.runs) == 4
    assert t.same_predictions(before, after)
    moved = {str(old): new for old, new in t.new_index(after).items()}
    assert done.record["index_map"] == moved
    concerned = [edit["layer"] for edit in done.record["edits"]]
    assert concerned == layers
    assert t.same_predictions(before, base.model), "the base was changed"


@pytest.mark.slow
@pytest.mark.parametrize("task", t.TASKS)
@pytest.mark.parametrize("family", ["yolov8", "yolo11"])
def test_the_file_is_a_whole_checkpoint(files: Files, tmp_path: Path, family: str, task: str) -> None:
    path = files(family, task)
    bytes_before = path.read_bytes()
    base = read_checkpoint(path)
    at = WHOLE_CLASSIFIER if task == "classify" else WHOLE
    done = grafted(base, *at)
    product = written(tmp_path / "grafted.pt", done)

    left, right = t.loaded(path), t.loaded(product)
    assert t.same_predictions(left.model, right.model)
    assert right.task == left.task == task
    assert right.names == left.names == {index: f"thing {index}" for index in range(3)}
    assert type(right.model) is type(left.model)
    assert torch.equal(right.model.stride, left.model.stride)
    assert right.overrides.items() >= {k: v for k, v in left.overrides.items() if k != "model"}.items()
    head, old_head = right.model.model[-1], left.model.model[-1]
    for name in ("nc", "reg_max", "kpt_shape", "ne", "nm", "npr", "legacy", "stride"):
        here, there = getattr(head, name, None), getattr(old_head, name, None)
        assert torch.equal(here, there) if isinstance(here, torch.Tensor) else here == there, name

    data, old = t.load(product), t.load(path)
    assert {tensor.dtype for tensor in model_of(data).state_dict().values()} == {torch.float16, torch.int64}
    assert not any(parameter.requires_grad for parameter in model_of(data).parameters())
    assert not any(part.training for part in model_of(data).modules())
    assert plain(data).keys() == old.keys()
    changed = {"model"}
    assert {key for key in old if key not in changed and data[key] != old[key]} == set()
    assert vars(model_of(data)).keys() == vars(old["model"]).keys()
    assert path.read_bytes() == bytes_before

    # The YAML in it says what the model is: built from it, with the same tensors, the model computes the same.
    built = build(plain(model_of(data).yaml))
    state = model_of(data).float().state_dict()
    assert {name: v.shape for name, v in built.state_dict().items()} == {name: v.shape for name, v in state.items()}
    built.load_state_dict(state)
    assert t.same_predictions(built, right.model)
    assert built.save == right.model.save
    assert t.described(right.model) == t.described(built)


def test_the_same_graft_is_the_same_file(files: Files, tmp_path: Path) -> None:
    base = files("yolov8", "detect")
    paths = []
    for name in ("one.pt", "two.pt"):
        torch.manual_seed(len(paths))
        torch.rand(3)
        paths.append(written(tmp_path / name, grafted(read_checkpoint(base), "neck", "residual")))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_graft_leaves_the_random_state_alone(files: Files) -> None:
    base = read_checkpoint(files("yolov8", "detect"))
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    grafted(base)
    assert torch.equal(torch.rand(4), expected)


def test_the_record_says_what_was_done(files: Files, tmp_path: Path) -> None:
    import hashlib

    import ultralytics

    import lska_surgeon

    path = files("yolov8", "detect")
    done = grafted(read_checkpoint(path), "sppf@11", "residual:4", op="lka")
    record = t.load(written(tmp_path / "grafted.pt", done))[RECORD]
    assert record == done.record == json.loads(json.dumps(record))
    assert record["base"] == path.name
    assert record["base_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["version"] == lska_surgeon.__version__
    assert record["versions"] == {"torch": torch.__version__, "ultralytics": ultralytics.__version__}
    assert record["init"] == "identity"
    assert [(e["at"], e["layer"], e["row"], e["inside"], e["op"], e["k"], e["d"]) for e in record["edits"]] == [
        ("residual:4", 4, 4, True, "lka", 7, 2),
        ("sppf@11", 9, 10, False, "lka", 11, 2),
    ]
    assert record["index_map"] == {str(old): old + (old > 9) for old in range(23)}
    assert record["tensors"] == {"copied": len(done.copied), "new": len(done.new), "dropped": 0}
    assert record["certificate"]["max_delta"] == 0.0
    assert set(record["certificate"]["runs"].values()) == {0.0}
    survives = model_of(done.data).yaml[RECORD]
    assert survives["base_sha256"] == record["base_sha256"]
    assert survives["edits"] == record["edits"]


def test_operators_start_as_the_identity_or_at_random(files: Files) -> None:
    base = read_checkpoint(files("yolov8", "detect"))
    identity = [x for _, x in named_operators(model_of(grafted(base).data).model)]
    random = grafted(base, identity=False)
    operators = [x for _, x in named_operators(model_of(random.data).model)]
    for operator, twin in zip(operators, identity):
        assert isinstance(operator, LSKA)
        assert operator.conv1.weight.abs().sum() > 0
        assert twin.conv1.weight.abs().sum() == 0
        assert torch.equal(twin.conv1.bias, torch.ones_like(twin.conv1.bias))
        assert twin.conv0h.weight.abs().min() > 0, "no gradient would reach the gate"
    assert random.certificate.max_delta > 0
    assert random.record["init"] == "default"
    t.assert_carried(base.model, model_of(random.data))


def test_a_graft_that_would_change_the_outputs_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    base = read_checkpoint(files("yolov8", "detect"))
    monkeypatch.setattr(LSKA, "init_identity_", lambda self: self)
    with pytest.raises(CheckpointError, match=r"would change the outputs \(max \|Δ\| [0-9.]+\).*--init default"):
        grafted(base)


# Every form that a checkpoint comes in.


def test_a_file_of_mid_training_keeps_its_ema(tmp_path: Path) -> None:
    model = t.trained()
    path = t.save(tmp_path / "last.pt", t.in_training(model))
    base = read_checkpoint(path)
    done = grafted(base)
    product = t.load(written(tmp_path / "grafted.pt", done))
    t.assert_carried(t.load(path)["ema"], model_of(product))
    assert product["ema"] is None
    assert product["optimizer"] is None
    assert product["epoch"] == -1
    assert product["train_args"] == t.load(path)["train_args"]
    assert any("optimizer" in note for note in done.notes)
    assert t.same_predictions(t.loaded(path).model, t.loaded(tmp_path / "grafted.pt").model)


def test_a_bare_module(tmp_path: Path) -> None:
    model = t.trained()  # in float32, and trainable
    path = t.save(tmp_path / "bare.pt", model)
    base = read_checkpoint(path)
    assert base.kind == "model"
    written(tmp_path / "grafted.pt", grafted(base))
    product = t.loaded(tmp_path / "grafted.pt")
    after = model_of(t.load(tmp_path / "grafted.pt"))
    t.assert_carried(model, after)
    assert {parameter.dtype for parameter in after.parameters()} == {torch.float32}
    trainable = {name for name, parameter in after.named_parameters() if parameter.requires_grad}
    fixed = {name for name, _ in after.named_parameters()} - trainable
    assert {name.split(".", 2)[2] for name in fixed} == {"dfl.conv.weight"}
    assert t.same_predictions(model, product.model)
    assert product.names == model.names


def test_what_an_old_release_hung_on_a_layer_stays(tmp_path: Path) -> None:
    model = t.trained()
    model.model[-1].legacy_mark = 17
    model.model[9].old_setting = "kept"
    model.some_note = {"a": 1}
    del model.model[0].type
    path = t.finished(tmp_path / "old.pt", model)
    after = model_of(grafted(read_checkpoint(path), "sppf", "neck").data)
    index = t.new_index(after)
    assert after.model[-1].legacy_mark == 17
    assert after.model[index[9]].old_setting == "kept"
    assert after.some_note == {"a": 1}


def test_a_fused_model(tmp_path: Path) -> None:
    with quiet():
        model = t.trained().eval().fuse(verbose=False)
    base = read_checkpoint(t.save(tmp_path / "fused.pt", {"model": model, "train_args": {}}))
    done = grafted(base, "neck", "residual", "sppf-inner")
    t.assert_carried(base.model, model_of(done.data))
    assert t.equal(t.outputs(base.model), t.outputs(model_of(done.data)))


SLOW = [
    pytest.param(stock, marks=pytest.mark.slow)
    for stock in ("yolov9t", "yolov9c-seg", "yolo12n", "yolov5n6", "rtdetr-l")
]


@pytest.mark.parametrize("stock", ["yolov10n", "yolov5n", "yolov3-tiny", "yolo26n", *SLOW])
def test_other_families(tmp_path: Path, stock: str) -> None:
    try:
        yaml = t.yaml_of(stock)
    except FileNotFoundError:
        pytest.skip(f"the installed ultralytics has no {stock}")
    base = read_checkpoint(t.finished(tmp_path / "base.pt", t.trained_model(yaml)))
    done = grafted(base, "backbone", "head")
    assert done.certificate.exact
    model = model_of(done.data)
    t.assert_carried(base.model, model)
    if stock.startswith("rtdetr"):  # whose older releases want 300 cells, and targets in training mode
        assert t.equal(t.outputs(base.model, "eval", (160, 160)), t.outputs(model, "eval", (160, 160)))
    else:
        assert t.same_predictions(base.model, model)


# Certificates.


def test_an_image_is_one_more_run(files: Files, tmp_path: Path) -> None:
    import cv2
    import numpy

    image = tmp_path / "street.png"
    pixels = numpy.random.default_rng(0).integers(0, 255, (90, 200, 3), dtype=numpy.uint8)
    image.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    done = grafted(read_checkpoint(files("yolov8", "detect")), "sppf", image=image)
    assert {run: delta for run, delta in done.certificate.runs.items() if "street.png" in run} == {
        "eval street.png": 0.0,
        "train street.png": 0.0,
    }


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken", None], ids=repr)
def test_what_is_no_image_is_named(files: Files, tmp_path: Path, content: bytes | None) -> None:
    image = tmp_path / "street.png"
    if content is not None:
        image.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"street\.png") as caught:
        grafted(read_checkpoint(files("yolov8", "detect")), image=image)
    assert "\n" not in str(caught.value)


def test_the_outputs_that_differ_anywhere_are_seen(files: Files) -> None:
    from lska_surgeon.grafting.certificate import certify

    model = read_checkpoint(files("yolov8", "detect")).float_model()
    before = deepcopy(model.state_dict())

    def nudge(model: nn.Module) -> None:
        model.model[-1].cv3[2][2].bias.data[1] += 1e-3

    def drop(model: nn.Module) -> None:
        model.model[-1].cv2[0][2].weight.data[0] = float("nan")

    assert certify(lambda: (model, lambda model: None)).exact
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    certificate = certify(lambda: (deepcopy(model), nudge))
    assert not certificate.exact
    assert 0 < certificate.max_delta < 0.1
    broken = certify(lambda: (deepcopy(model), drop))
    assert not broken.exact
    assert broken.max_delta != broken.max_delta
    assert broken.as_dict()["max_delta"] is None


# The way back.


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_ungraft_gives_the_original_back(files: Files, tmp_path: Path, task: str) -> None:
    path = files("yolo11", task)
    at = WHOLE_CLASSIFIER if task == "classify" else WHOLE
    product = written(tmp_path / "grafted.pt", grafted(read_checkpoint(path), *at, op="lka-trivial"))
    done = ungraft(read_checkpoint(product))
    back, original = model_of(done.data), model_of(t.load(path))
    assert done.certificate.exact
    assert back.yaml == original.yaml
    assert list(back.state_dict()) == list(original.state_dict())
    assert t.assert_carried(original, back) == []
    assert set(done.removed) == {name for name, _ in _new_tensors(t.load(product)["model"])}
    assert back.save == original.save
    assert t.described(back) == t.described(original)
    assert str(back) == str(original)
    write_checkpoint(tmp_path / "back.pt", done.data)
    assert t.load(tmp_path / "back.pt").keys() == t.load(path).keys()
    assert t.same_predictions(t.loaded(tmp_path / "back.pt").model, t.loaded(path).model)
    assert "lska_surgeon" not in str(t.load(tmp_path / "back.pt")["model"].yaml)


def test_a_yaml_with_multiples_and_no_scale(tmp_path: Path) -> None:
    yaml = t.yaml_of("yolov8n")
    depth, width, _ = yaml["scales"]["n"]
    yaml = {key: value for key, value in yaml.items() if key not in ("scales", "scale", "yaml_file")}
    yaml.update(depth_multiple=depth, width_multiple=width / 2)
    before = read_checkpoint(t.finished(tmp_path / "old.pt", t.trained_model(yaml)))
    done = grafted(before, "neck:p3", "residual:4", "sppf")
    t.assert_carried(before.model, model_of(done.data))
    assert done.certificate.exact
    assert plain(model_of(done.data).yaml).keys() == before.yaml.keys()
    build(plain(model_of(done.data).yaml)).load_state_dict(model_of(done.data).float().state_dict())


def _new_tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    found = [(name, part) for name, part in model.named_modules() if isinstance(part, Operator)]
    return [(f"{name}.{key}", tensor) for name, part in found for key, tensor in part.state_dict().items()]


def test_ungraft_of_trained_operators_costs_something(files: Files, tmp_path: Path) -> None:
    path = files("yolov8", "detect")
    data = grafted(read_checkpoint(path), "sppf", "residual:4").data
    operator = next(operator for _, operator in named_operators(model_of(data).model))
    operator.conv1.bias.data += 0.5
    write_checkpoint(tmp_path / "trained.pt", data)
    trained = read_checkpoint(tmp_path / "trained.pt")
    with pytest.raises(CheckpointError, match=r"no longer the identity.*by up to [0-9.]+; add --lossy"):
        ungraft(trained)
    done = ungraft(trained, lossy=True)
    assert done.certificate.max_delta > 0
    assert t.assert_carried(t.load(path)["model"], model_of(done.data)) == []


def test_an_image_is_refused_by_a_model_of_other_channels(tmp_path: Path) -> None:
    yaml = t.yaml_of("yolov8n", scales={"n": [0.33, 0.125, 1024]})
    model = import_offline().DetectionModel(yaml, ch=4, verbose=False)
    model.args, model.task = t.trained_model(yaml).args, "detect"
    base = read_checkpoint(t.finished(tmp_path / "four.pt", model))
    with pytest.raises(CheckpointError) as refused:
        grafted(base, "sppf", image=Path("a.jpg"))
    assert str(refused.value) == "an image has 3 channels, and this model reads 4: drop --image a.jpg"
    assert grafted(base, "sppf").certificate.exact


def test_grafts_come_off_one_by_one(files: Files, tmp_path: Path) -> None:
    path = files("yolov8", "detect")
    once = written(tmp_path / "once.pt", grafted(read_checkpoint(path), "backbone"))
    twice = written(tmp_path / "twice.pt", grafted(read_checkpoint(once), "residual", "sppf", "head"))
    first = ungraft(read_checkpoint(twice))
    assert model_of(first.data).yaml == t.load(once)["model"].yaml
    assert first.data[RECORD] == t.load(once)[RECORD]
    assert t.assert_carried(t.load(once)["model"], model_of(first.data), {i: i for i in range(99)}) == []
    write_checkpoint(tmp_path / "back.pt", first.data)
    second = ungraft(read_checkpoint(tmp_path / "back.pt"))
    assert model_of(second.data).yaml == t.load(path)["model"].yaml
    assert RECORD not in second.data


def test_grafts_come_off_one_by_one_after_training_too(files: Files, tmp_path: Path) -> None:
    """Training writes a file with keys of its own: what is left of the records is in the model's YAML."""
    path = files("yolov8", "detect")
    once = written(tmp_path / "once.pt", grafted(read_checkpoint(path), "backbone"))
    done = grafted(read_checkpoint(once), "sppf")
    del done.data[RECORD]
    trained = written(tmp_path / "trained.pt", done)
    shown = str(read_checkpoint(trained))
    assert re.search(r"lska k\d+ at sppf \(row 14\)\n +before that: lska-surgeon .*\n +lska k\d+ at backbone", shown), (
        shown
    )
    first = ungraft(read_checkpoint(trained))
    assert model_of(first.data).yaml == t.load(once)["model"].yaml
    assert first.data[RECORD] == t.load(once)["model"].yaml[RECORD]
    write_checkpoint(tmp_path / "back.pt", first.data)
    second = ungraft(read_checkpoint(tmp_path / "back.pt"))
    assert model_of(second.data).yaml == t.load(path)["model"].yaml


def test_operators_that_came_with_the_model_stay(tmp_path: Path) -> None:
    yaml = t.yaml_of("yolov8n", scales={"n": [0.33, 0.125, 1024]})
    yaml["backbone"][9] = [-1, 1, "SPPF_LSKA", [1024, 5]]
    own = t.trained_model(yaml)
    path = t.finished(tmp_path / "own.pt", own)
    product = written(tmp_path / "grafted.pt", grafted(read_checkpoint(path), "backbone:p4", "after:-2"))
    done = ungraft(read_checkpoint(product))
    assert model_of(done.data).yaml == t.load(path)["model"].yaml
    original = t.load(path)["model"]
    assert t.assert_carried(original, model_of(done.data), {i: i for i in range(23)}) == []


def test_nothing_to_ungraft(files: Files) -> None:
    with pytest.raises(PositionError, match="no LSKA to remove"):
        ungraft(read_checkpoint(files("yolov8", "detect")))


# Errors.


@pytest.mark.parametrize(
    ("at", "k", "error", "says"),
    [
        ("nek", 7, PositionError, "did you mean neck"),
        ("neck:p9", 7, PositionError, "has no 'p9'"),
        ("after:99", 7, PositionError, "no layer 99"),
        ("after:-1", 7, PositionError, "the model's output"),
        ("neck", 8, KernelError, "odd"),
        ("neck", 9, KernelError, "--dilation"),
    ],
)
def test_an_error_is_one_line(files: Files, at: str, k: int, error: type[SurgeonError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        grafted(read_checkpoint(files("yolov8", "detect")), at, k=k)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("at", ["sppf", "neck", "sppf-inner"])
def test_a_classifier_says_what_it_has(files: Files, at: str) -> None:
    with pytest.raises(PositionError, match=r"matches nothing.*backbone \(2, 4, 6, 8\), head \(8\)"):
        grafted(read_checkpoint(files("yolov8", "classify")), at)


def test_layers_and_rows_that_disagree(tmp_path: Path) -> None:
    model = t.trained()
    model.yaml["head"].insert(0, [-1, 1, "nn.Identity", []])
    base = read_checkpoint(t.save(tmp_path / "odd.pt", {"model": model}))
    with pytest.raises(SurgeonError) as caught:
        grafted(base, "backbone")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BuildError)


#: The small network with one more C2f behind its SPPF, which is no insertion of an operator.
MORE = shapes.NETWORK.replace("head:", "  - [-1, 1, C2f, [16, True]] # 6\nhead:").replace(
    "- [[8, 5], 1, Detect, [nc]]", "- [[9, 6], 1, Detect, [nc]]"
)


def test_rows_that_are_no_operators_are_not_called_so(tmp_path: Path) -> None:
    base = shapes.write_checkpoint(tmp_path)
    (tmp_path / "more.yaml").write_text(MORE, encoding="utf-8")
    words = ["graft", base, "--into", tmp_path / "more.yaml", "-o", tmp_path / "out.pt"]
    refused = shapes.surgeon(*words)
    assert refused.exit_code == 2
    assert "so nothing was written; row 6 (C2f) can't start as the identity, being no operator; add --init default" in (
        refused.stderr
    )
    done = shapes.surgeon(*words, "--init", "default")
    assert done.exit_code == 0, done.output
    assert "  new: row 6 (C2f), at the random init of such layers\n" in done.stdout
    assert "operator row" not in done.stdout
    assert "into more.yaml, where row came: 6\n" in shapes.surgeon("inspect", tmp_path / "out.pt").stdout


def test_outputs_that_can_not_be_compared_are_no_certificate() -> None:
    line = Certificate({"eval 64x96": float("nan")}).line
    assert line == "no certificate: the outputs have other shapes or are no numbers, so none is compared"
    assert Certificate({"eval 64x96": 0.0}, strides=(8, 16)).line == (
        "certificate: max |Δ| 0.0 of the maps at strides 8 and 16 that the output layer reads in float32 (eval 64x96)"
    )
    assert Certificate({}, {"eval": "RuntimeError: x"}).line == (
        "no certificate: the model does not run, before the surgery as after; eval mode not run: RuntimeError: x"
    )
