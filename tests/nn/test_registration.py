"""Rows of ours in the installed Ultralytics: building, saving, loading elsewhere, living with other people's code."""

from __future__ import annotations

import copy
import inspect
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from ultralytics import cfg
from ultralytics.nn import tasks

import lska_surgeon.nn as blocks
from lska_surgeon.core.operators import resolve_kernel
from lska_surgeon.errors import BuildError, GraphError, KernelError, UnknownOperatorError
from lska_surgeon.nn import LKA, LSKA, named_operators
from lska_surgeon.nn.parsing import conflicts, owned_names, register
from lska_surgeon.yolo.build import build, layers_of
from lska_surgeon.yolo.command import run_yolo
from lska_surgeon.yolo.environment import quiet

ROOT = Path(__file__).resolve().parents[2]
SCALES = {"n": [0.34, 0.25, 1024], "s": [0.34, 0.5, 1024], "x": [1.0, 1.25, 512]}


def model_of(*rows: list[Any], head: list[list[Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A small detector: two Convs (0, 1), then `rows` (2 ...), then one Detect on the last row."""
    backbone = [[-1, 1, "Conv", [32, 3, 4]], [-1, 1, "Conv", [64, 3, 2]], *rows]
    last = len(backbone) - 1
    return copy.deepcopy(
        {"nc": 3, "scales": SCALES, "backbone": backbone, "head": head or [[[last], 1, "Detect", ["nc"]]], **more}
    )


def params(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def fresh(code: str, **environment: str) -> str:
    """What a new process prints that has imported nothing yet."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "YOLO_OFFLINE": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def last_line(code: str, **environment: str) -> str:
    """The same, without what Ultralytics says when another release has used its settings."""
    return fresh(code, **environment).strip().splitlines()[-1]


# ---------------------------------------------------------------------------------------------------------- operators


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("block", ["LSKA", "LSKATrivial", "LKA", "LKATrivial", "LSKAAttention"])
def test_operator_rows_take_the_width_of_the_row_before_at_every_scale(block: str, scale: str) -> None:
    model = build(model_of([-1, 1, block, ["c2", 11]]), scale=scale)
    layer = model.model[2]
    assert type(layer) is getattr(blocks, block)
    width = model.model[1].conv.out_channels
    assert width == {"n": 16, "s": 32, "x": 80}[scale]
    assert params(layer) == layer.kernel.params(width)
    assert params(model) == params(build(model_of(), scale=scale)) + params(layer)


@pytest.mark.parametrize(
    ("row", "kernel"),
    [
        ([-1, 1, "LSKA", ["c2", 35]], ("lska", 35)),
        ([-1, 1, "LSKA", ["c2", 9, 2]], ("lska", 9, 2)),
        ([-1, 1, "LKA", ["c2"]], ("lka", 11)),
    ],
    ids=str,
)
def test_our_rows_build_on_an_untouched_parse_model(row: list[Any], kernel: tuple[Any, ...]) -> None:
    original = inspect.unwrap(tasks.parse_model)
    assert original is not tasks.parse_model
    layers, _ = original(model_of(row, scale="s"), ch=3, verbose=False)
    assert layers[2].kernel == resolve_kernel(*kernel)
    assert layers[2].conv1.in_channels == 32


@pytest.mark.parametrize(
    ("row", "block", "kernel"),
    [
        ([-1, 1, "LSKA", []], LSKA, ("lska", 11)),
        ([-1, 1, "LSKA", [35]], LSKA, ("lska", 35)),
        ([-1, 1, "LSKA", [256, 35]], LSKA, ("lska", 35)),
        ([-1, 1, "LSKA", [256, 9, 2]], LSKA, ("lska", 9, 2)),
        ([1, 1, "LSKA", ["c2", 35]], LSKA, ("lska", 35)),
        ([-2, 1, "LKA", [7]], LKA, ("lka", 7)),
        ([0, 1, "LSKA", [999, 53]], LSKA, ("lska", 53)),
    ],
    ids=str,
)
def test_handwritten_operator_rows_get_their_sources_width(
    row: list[Any], block: type, kernel: tuple[Any, ...]
) -> None:
    model = build(model_of([-1, 1, "Conv", [256, 3, 2]], row), scale="x")
    layer = model.model[3]
    assert type(layer) is block
    assert layer.kernel == resolve_kernel(*kernel)
    source = model.model[row[0] if row[0] >= 0 else 3 + row[0]]
    assert params(layer) == layer.kernel.params(source.conv.out_channels)
    assert layer.type == f"lska_surgeon.nn.{block.__name__}"


@pytest.mark.parametrize("source", [-1, 1])
def test_repeats_of_an_operator_row_follow_the_depth(source: int) -> None:
    row = [source, 3, "LSKA", [11]]
    assert type(build(model_of(row), scale="n").model[2]) is LSKA
    layer = build(model_of(row), scale="x").model[2]
    assert [type(part) for part in layer] == [LSKA, LSKA, LSKA]
    assert layer.type == "lska_surgeon.nn.LSKA"


# -------------------------------------------------------------------------------------------------------------- hosts

HOST_ROWS = [
    ([-1, 3, "C2fLSKA", [64, True]], 35),
    ([-1, 3, "C2fLSKA", [64]], 7),
    ([-1, 3, "C3LSKA", [64]], 11),
    ([-1, 3, "C3k2LSKA", [64, False, 0.25]], 23),
    ([-1, 3, "A2C2fLSKA", [256, False, -1]], 23),
    ([-1, 3, "RepNCSPELAN4LSKA", [64, 32, 16, 1]], 7),
    ([-1, 2, "BottleneckLSKA", [64]], 7),
    ([-1, 1, "SPPFLSKA", [64, 5]], 11),
    ([-1, 1, "SPPLSKA", [64, [3, 5]]], 11),
    ([-1, 1, "SPPELANLSKA", [64, 32]], 11),
]


def plain_row(row: list[Any]) -> list[Any]:
    return [*row[:2], row[2].replace("LSKA", ""), row[3]]


@pytest.mark.parametrize("scale", ["n", "x"])
@pytest.mark.parametrize(("row", "k"), HOST_ROWS, ids=lambda v: v[2] if isinstance(v, list) else f"k{v}")
def test_host_rows_build_their_plain_block_plus_operators(row: list[Any], k: int, scale: str) -> None:
    if row[2] not in owned_names(tasks):
        pytest.skip(f"this ultralytics has no {row[2]}")
    base = build(model_of(plain_row(row)), scale=scale)
    model = build(model_of([*row[:3], [*row[3], {"k": k}]]), scale=scale)
    layer = model.model[2]
    inside = [operator for _, operator in named_operators(layer)]
    assert inside
    added = sum(operator.kernel.params(operator.conv1.in_channels) for operator in inside)
    assert params(model) == params(base) + added
    assert layer.np == params(layer)
    assert layer.type == f"lska_surgeon.nn.{row[2]}"
    assert {operator.kernel for operator in inside} == {resolve_kernel("lska", k)}
    for operator in inside:
        operator.init_identity_()
    model.load_state_dict(base.state_dict(), strict=False)
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(features(model.eval(), x), features(base.eval(), x))


@pytest.mark.parametrize(
    ("row", "stands_for", "k", "cls"),
    [
        ([-1, 1, "SPPF_LSKA", [1024, 5]], "SPPFLSKA", 11, "SPPFLSKA"),
        ([-1, 1, "SPPF_LSKA", [1024, 5, 7]], "SPPFLSKA", 7, "SPPFLSKA"),
        ([-1, 3, "C2f_LSKA", [512, True]], "C2fLSKA", 7, "C2fLSKA"),
        ([-1, 3, "C2f_LSKA", [512]], "C2fLSKA", 7, "C2fLSKA"),
        ([-1, 3, "C2f_LSKA", [512, True, 11]], "C2fLSKA", 11, "C2fLSKA"),
        ([-1, 3, "C3_LSKA", [512, False]], "C3LSKA", 7, "C3LSKA"),
        ([-1, 2, "C3k2_LSKA", [512, True]], "C3k2LSKA", 7, "C3k2LSKA"),
        ([-1, 1, "SPP_LSKA", [512, [5, 9]]], "SPPLSKA", 11, "SPPLSKA"),
    ],
    ids=str,
)
def test_handwritten_host_rows_build_like_ours(row: list[Any], stands_for: str, k: int, cls: str) -> None:
    ours = [*row[:2], stands_for, [*row[3][:2], {"k": k}]]
    theirs, expected = build(model_of(row), scale="s"), build(model_of(ours), scale="s")
    assert type(theirs.model[2]).__name__ == cls
    assert {n: p.shape for n, p in theirs.named_parameters()} == {n: p.shape for n, p in expected.named_parameters()}


def test_handwritten_sppf_keeps_the_activation_of_its_time() -> None:
    """Ultralytics 8.4 builds SPPF without one, but for the rows of older YAMLs."""
    layer = build(model_of([-1, 1, "SPPF_LSKA", [1024, 5]])).model[2]
    assert isinstance(layer.cv1.act, nn.SiLU)


@pytest.mark.parametrize("base", ["C2f", "C3", "C3k2"])
def test_handwritten_attention_replaces_every_bottleneck(base: str) -> None:
    row = [-1, 3, f"{base}_LSKA_Attention", [512, True]]
    layer = build(model_of(row), scale="s").model[2]
    plain = build(model_of([*row[:2], base, row[3]]), scale="s").model[2]
    bottlenecks = [one for one in plain.modules() if type(one).__name__ == "Bottleneck"]
    inside = [operator for _, operator in named_operators(layer)]
    assert [type(one).__name__ for one in inside] == ["LSKAAttention"] * len(bottlenecks)
    assert not [one for one in layer.modules() if type(one).__name__ == "Bottleneck"]
    assert layer(torch.rand(1, layer.cv1.conv.in_channels, 8, 8)).shape[1] == 256


@pytest.mark.parametrize(
    ("row", "cls"),
    [([-1, 1, "LSKAttention", [7]], "LSKA"), ([-1, 1, "LSKA_Attention", []], "LSKAAttention")],
    ids=str,
)
def test_operators_by_other_peoples_names(row: list[Any], cls: str) -> None:
    layer = build(model_of(row), scale="s").model[2]
    assert type(layer).__name__ == cls


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            [-1, 1, "LSKAttention", []],
            r"layer 2: LSKAttention without a kernel size need not be LSKA, .* not known$",
        ),
        ([-1, 2, "A2C2f_LSKA", [512, True, 4]], r"layer 2: A2C2f_LSKA with area attention has no bottleneck for LSKA"),
    ],
    ids=str,
)
def test_what_cannot_be_known_is_announced_in_one_sentence(row: list[Any], message: str) -> None:
    with pytest.raises(UnknownOperatorError, match=message):
        build(model_of(row), scale="s")


def features(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the output layer reads, all of it in one tensor."""
    seen: list[torch.Tensor] = []
    hook = model.model[-1].register_forward_pre_hook(lambda _, args: seen.extend(f.flatten() for f in args[0]))
    with torch.no_grad():
        model(x)
    hook.remove()
    return torch.cat(seen)


def first(output: Any) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else first(output[0])


# ------------------------------------------------------------------------------------------ the YAML stays as it is


def test_the_callers_dict_is_not_changed() -> None:
    content = model_of([-1, 1, "C2fLSKA", [64, True, {"k": 35}]], [-1, 1, "LSKA", [11]], scale="s")
    before = copy.deepcopy(content)
    tasks.parse_model(content, ch=3, verbose=False)
    build(content, scale="n")
    assert content == before


def test_rows_may_be_tuples() -> None:
    rows = [(-1, 1, "C2fLSKA", (64, True, {"k": 7})), (-1, 1, "LSKA", (11,))]
    layers = build(model_of(*rows)).model
    assert [type(layer).__name__ for layer in layers[2:4]] == ["C2fLSKA", "LSKA"]


def test_the_model_remembers_its_rows_and_is_rebuilt_from_them() -> None:
    """As the trainer does: a new model from `model.yaml`, for the data's number of classes."""
    rows = [[-1, 3, "C2fLSKA", [64, True, {"k": 35}]], [-1, 1, "SPPF_LSKA", [64, 5]], [-1, 1, "LSKA", ["c2", 35]]]
    model = build(model_of(*rows), scale="s")
    assert model.yaml["backbone"][2:] == rows
    with quiet():
        rebuilt = tasks.DetectionModel(cfg=model.yaml, nc=7, verbose=False)
    same = {name: p.shape for name, p in model.model[:-1].named_parameters()}
    assert {name: p.shape for name, p in rebuilt.model[:-1].named_parameters()} == same
    assert rebuilt.yaml["nc"] == 7
    rebuilt.load(model, verbose=False)
    assert torch.equal(rebuilt.model[4].conv1.weight, model.model[4].conv1.weight)


def test_a_model_without_our_rows_is_left_to_ultralytics(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    unwrapped = SimpleNamespace(parse_model=lambda d, ch, verbose=True: seen.append(d) or (nn.Sequential(), []))
    from lska_surgeon.nn import parsing

    parsing.install(unwrapped)
    content = model_of()
    unwrapped.parse_model(content, 3)
    assert seen[0] is content


# ----------------------------------------------------------------------------------------------- saving and loading


def test_a_checkpoint_loads_in_a_process_that_never_imported_us(tmp_path: Path) -> None:
    rows = [[-1, 1, "C2fLSKA", [64, True, {"k": 35}]], [-1, 1, "SPPF_LSKA", [64, 5]], [0, 1, "LSKA", [256, 35]]]
    model = build(model_of(*rows, head=[[[3, 4], 1, "Detect", ["nc"]]]), scale="s")
    path, x = tmp_path / "variant.pt", torch.rand(1, 3, 64, 64)
    torch.save({"model": copy.deepcopy(model).half(), "ema": None, "train_args": {}, "epoch": -1}, path)
    expected = first(copy.deepcopy(model).half().float().eval()(x)).sum().item()
    torch.save(x, tmp_path / "x.pt")
    code = f"""
import sys, torch
from ultralytics import YOLO
assert not any(name.startswith("lska_surgeon") for name in sys.modules)
model = YOLO({str(path)!r}).model
output = model.float().eval()(torch.load({str(tmp_path / "x.pt")!r}))
while not isinstance(output, torch.Tensor): output = output[0]
from ultralytics.nn.tasks import DetectionModel
rebuilt = DetectionModel(model.yaml, nc=5, verbose=False)
print(output.sum().item(), [type(layer).__name__ for layer in rebuilt.model])
"""
    total, _, names = last_line(code).partition(" ")
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert names == "['Conv', 'Conv', 'C2fLSKA', 'SPPFLSKA', 'LSKA', 'Detect']"


def test_a_checkpoint_passes_restricted_loading_where_registered(tmp_path: Path) -> None:
    if not hasattr(torch.serialization, "add_safe_globals") or not hasattr(tasks, "_SafeLoad"):
        pytest.skip("this torch or ultralytics has no restricted loading")
    rows = [
        [-1, 1, "RepNCSPELAN4LSKA", [64, 32, 16, 1, {"k": 7}]],
        [-1, 1, "LSKAAttention", ["c2", 7]],
        [0, 1, "LKA", [7]],
    ]
    torch.save({"model": build(model_of(*rows)), "train_args": {}}, tmp_path / "variant.pt")
    code = f"""
import lska_surgeon.nn
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import SAFE_LOAD
model = YOLO({str(tmp_path / "variant.pt")!r}).model
rebuilt = DetectionModel(model.yaml, verbose=False)
print(SAFE_LOAD, [type(layer).__name__ for layer in rebuilt.model])
"""
    assert last_line(code, ULTRALYTICS_SAFE_LOAD="1") == (
        "True ['Conv', 'Conv', 'RepNCSPELAN4LSKA', 'LSKAAttention', 'LKA', 'Detect']"
    )


# --------------------------------------------------------------------------------------- registration, and others' code


def test_registering_twice_changes_nothing() -> None:
    before = tasks.parse_model, owned_names(tasks)
    register()
    assert (tasks.parse_model, owned_names(tasks)) == before
    assert {"LSKA", "LKATrivial", "C2fLSKA", "SPPF_LSKA", "C2f_LSKA_Attention"} <= set(before[1])
    assert conflicts() == {}


def test_a_class_that_somebody_pasted_stays_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pasted(nn.Module):
        def __init__(self, dim: int, k_size: int = 7) -> None:
            super().__init__()
            self.conv = nn.Conv2d(dim, dim, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x)

    monkeypatch.setattr(tasks, "LSKA", Pasted)
    register()
    assert tasks.LSKA is Pasted
    assert conflicts() == {"LSKA": f"{__name__}.{Pasted.__qualname__}"}
    assert "LSKA" not in owned_names(tasks)
    model = build(model_of([-1, 1, "LSKA", [16]], [-1, 1, "C2fLSKA", [64, True, {"k": 7}]]), scale="n")
    assert type(model.model[2]) is Pasted
    assert type(model.model[3].m[0].lska) is LSKA


@pytest.mark.parametrize("copies_our_mark", [True, False])
def test_wrappers_of_other_people_work_with_ours(monkeypatch: pytest.MonkeyPatch, copies_our_mark: bool) -> None:
    calls = []
    ours = tasks.parse_model

    def theirs(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return ours(*args, **kwargs)

    if copies_our_mark:
        vars(theirs).update(vars(ours))
    monkeypatch.setattr(tasks, "parse_model", theirs)
    register()
    model = build(model_of([-1, 3, "C2fLSKA", [64, True, {"k": 7}]]), scale="x")
    assert len(calls) == 1
    assert [len(list(named_operators(inner))) for inner in model.model[2].m] == [1, 1, 1]


def test_the_door_to_ultralytics_costs_nothing_before_it_is_used() -> None:
    rooms = "autoload, build, command, doctor, environment, startup"
    code = f"import sys; from lska_surgeon.yolo import {rooms}; print({{'torch', 'ultralytics'}} & set(sys.modules))"
    assert fresh(code).strip() == "set()"


def test_what_ultralytics_logs_shows_the_operators() -> None:
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("ultralytics")
    logger.addHandler(handler)
    try:
        model = build(model_of([-1, 3, "C2fLSKA", [64, True, {"k": 35}]]), scale="x", verbose=True)
    finally:
        logger.removeHandler(handler)
    start = records.index("with the operators inside:")
    shown = f"2 -1 3 {params(model.model[2])} lska_surgeon.nn.C2fLSKA {{'k': 35}}"
    assert records[start + 1].split() == shown.split()


# --------------------------------------------------------------------------------------------------------------- build


STOCK = {
    "DetectionModel": "yolov8n.yaml",
    "SegmentationModel": "yolov8n-seg.yaml",
    "PoseModel": "yolov8n-pose.yaml",
    "OBBModel": "yolov8n-obb.yaml",
    "ClassificationModel": "yolov8n-cls.yaml",
    "RTDETRDetectionModel": "yolov8n-rtdetr.yaml",
    "WorldModel": "yolov8n-worldv2.yaml",
    "YOLOEModel": "yoloe-11n.yaml",
    "YOLOESegModel": "yoloe-11n-seg.yaml",
    "SemanticSegmentationModel": "yolo26n-sem.yaml",
    "DepthModel": "yolo26n-depth.yaml",
}


@pytest.mark.parametrize("task_model", STOCK)
def test_each_output_layer_gets_its_task_model(task_model: str) -> None:
    if not hasattr(tasks, task_model):
        pytest.skip(f"this ultralytics has no {task_model}")
    model = build(STOCK[task_model])
    assert type(model) is getattr(tasks, task_model)
    assert model.training


def test_a_renamed_output_layer_counts_as_what_it_extends(monkeypatch: pytest.MonkeyPatch) -> None:
    class MySegment(tasks.Segment):
        def __init__(self, nc: int) -> None:
            super().__init__(nc, ch=(16,))

        def forward(self, x: torch.Tensor) -> Any:
            return super().forward([x])

    monkeypatch.setattr(tasks, "MySegment", MySegment, raising=False)
    assert type(build(model_of(head=[[-1, 1, "MySegment", ["nc"]]]))) is tasks.SegmentationModel


def test_the_scale_can_be_chosen() -> None:
    small, large = (build("yolov8n.yaml", scale=scale, named="n") for scale in (None, "s"))
    assert [model.model[0].conv.out_channels for model in (small, large)] == [16, 32]


@pytest.mark.parametrize("trusted", [False, True])
def test_what_comes_to_the_parser_by_any_way_has_sizes_that_end(trusted: bool) -> None:
    absurd = model_of([-1, 2000, "Conv", [8, 1, 1]], scale="x")
    if trusted:
        assert len(layers_of(absurd, "absurd", trust=True)[2]) == 2000
        return
    for way in (build, lambda yaml: layers_of(yaml, "absurd")):
        with pytest.raises(GraphError, match="has 2000 repeats: it may have 1 to 1000"):
            way(absurd)


def test_the_activation_of_a_model_is_none_of_the_next() -> None:
    assert type(build(model_of(activation="nn.ReLU()")).model[0].act) is nn.ReLU
    with pytest.raises(BuildError):  # where newer releases do not give it back
        build(model_of([-1, 1, "Unheard", [64]], activation="nn.ReLU()"))
    assert type(build(model_of()).model[0].act) is nn.SiLU


def test_torchvision_rows_are_built_without_downloading() -> None:
    row = [-1, 1, "TorchVision", [512, "resnet18", "DEFAULT", True, 2]]
    content = {"nc": 3, "backbone": [row], "head": [[-1, 1, "Classify", ["nc"]]]}
    if not hasattr(tasks, "TorchVision"):
        pytest.skip("this ultralytics has no TorchVision")
    model = build(content)
    assert type(model) is tasks.ClassificationModel
    assert content["backbone"][0][3][2] == "DEFAULT"


BAD_ROWS = [
    ([-1, 1, "Unheard", [64]], BuildError, r"layer 2 \(Unheard\): ultralytics has no module Unheard"),
    ([7, 1, "Conv", [64]], BuildError, r"layer 2 \(Conv\): IndexError: list index out of range"),
    ([[0, 1], 1, "Concat", [1]], BuildError, r"layer 2 \(Concat\): RuntimeE"),
    ([-1, 1, "LSKA", ["c2", 8]], KernelError, "layer 2: LSKA: kernel size 8 is not an odd number"),
    ([[1, 0], 1, "LSKA", [11]], BuildError, r"layer 2: LSKA reads one source, found \[1, 0\]"),
    ([-1, 1, "C2fLSKA", [64]], KernelError, r"layer 2: C2fLSKA ends in a mapping"),
]
BAD_MODELS = [
    ("nowhere.yaml", None, BuildError, r"^nowhere.yaml does not build: 'nowhere.yaml' does not exist"),
    ("https://example.org/yolov8n.yaml", None, BuildError, "is not a local file: download it first"),
    ("yolov8n.yaml", "q", BuildError, "no scale 'q': the model has n, s, m, l, x"),
    (model_of(scales=None), "s", BuildError, "no scale 's': the model has no scales"),
    ({"backbone": []}, None, BuildError, "the model has no rows under head"),
    *((model_of(row), None, error, message) for row, error, message in BAD_ROWS),
]


@pytest.mark.parametrize(("source", "scale", "error", "message"), BAD_MODELS, ids=[bad[3][:30] for bad in BAD_MODELS])
def test_errors_are_one_line(source: Any, scale: str | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        build(source, scale=scale)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------- quiet, offline, yolo, doctor


def test_quiet_ends() -> None:
    logger = logging.getLogger("ultralytics")
    before = list(logger.filters)
    with quiet():
        assert logger.filters != before
    assert logger.filters == before
    with pytest.raises(BuildError):
        build("nowhere.yaml")
    assert logger.filters == before


def test_the_first_build_is_quiet_and_stays_off_the_network(tmp_path: Path) -> None:
    """In an account that never used Ultralytics: it writes its settings then, and looks for the network."""
    code = f"""
import os, socket
os.environ.pop("YOLO_AUTOINSTALL", None)
def refuse(*args, **kwargs): raise SystemExit("went to the network")
socket.create_connection = socket.socket.connect = refuse
from lska_surgeon.yolo.build import build
build({model_of([-1, 1, "LSKA", [11]])!r})
from ultralytics.utils import ONLINE
print(ONLINE, [os.environ.get("YOLO_OFFLINE"), os.environ.get("YOLO_AUTOINSTALL")])
"""
    assert fresh(code, YOLO_OFFLINE="", YOLO_CONFIG_DIR=str(tmp_path)) == "False ['', None]\n"


@pytest.mark.parametrize("imported_before", [False, True])
def test_yolo_runs_with_our_names(imported_before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics keeps the argument list that it saw on import; it may be another one by now."""
    seen: list[Any] = []
    if imported_before:
        monkeypatch.setattr(cfg, "ARGV", ["script.py", "--theirs"])
    before = list(sys.argv), list(cfg.ARGV)

    def entrypoint() -> None:
        seen.append((list(sys.argv), list(cfg.ARGV), "LSKA" in vars(tasks)))
        sys.exit(3)

    monkeypatch.setattr(cfg, "entrypoint", entrypoint)
    assert run_yolo(["train", "epochs=1"]) == 3
    assert seen == [(["yolo", "train", "epochs=1"], ["yolo", "train", "epochs=1"], True)]
    assert (sys.argv, cfg.ARGV) == before


#: How every message about a package that is missing ends.
INSTALL = "which is not installed: pip install lska-surgeon"


NMS = "operator torchvision::nms does not exist"
BROKEN = [
    (
        "torchvision",
        f"raise RuntimeError({NMS!r})",
        f"torchvision does not match torch {torch.__version__} ({NMS}): install",
    ),
    ("torchvision", "import no_such_module", f"torchvision needs no_such_module, {INSTALL}"),
    (
        "ultralytics",
        "import cv2.no_such",
        "ultralytics, a fork, imports cv2.no_such, which is not there: mend its imports",
    ),
    ("ultralytics", "raise ImportError('two\\n lines')", "ultralytics can't be imported (ImportError: two lines)"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("package", "body", "message"), BROKEN, ids=[message[:30] for *_, message in BROKEN])
def test_a_broken_environment_is_named(package: str, body: str, message: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(body)
    first_on_path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    found = fresh(
        f"{first_on_path}from lska_surgeon.yolo.environment import environment_problem; print(environment_problem())"
    ).strip()
    assert found.removeprefix(f"{tmp_path}{os.sep}").startswith(message)
    assert "\n" not in found


def test_a_build_in_a_broken_environment_says_so(tmp_path: Path) -> None:
    (tmp_path / "ultralytics").mkdir()
    (tmp_path / "ultralytics" / "__init__.py").write_text("raise ImportError('broken')")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from lska_surgeon.yolo.build import build
from lska_surgeon.errors import BuildError
try: build({{}})
except BuildError as error: print(error)
"""
    said = "ultralytics can't be imported (ImportError: broken): it is a fork, so mend it in "
    assert fresh(code).strip() == f"{said}{tmp_path / 'ultralytics'}"
