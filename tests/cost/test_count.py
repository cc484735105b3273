"""Counting: published figures, closed forms to the unit, and agreement with counters that share no code with ours."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch
from support.insertions import plan_insert
from support.releases import published_head
from torch import nn

from lska_surgeon.core.operators import OP_BLOCKS, UNDILATED_OPS, resolve_kernel
from lska_surgeon.core.surgery import Placement
from lska_surgeon.cost.cost import CostError
from lska_surgeon.cost.count import count, count_operator, count_source
from lska_surgeon.cost.shapes_only import ShapesOnly
from lska_surgeon.errors import SurgeonError
from lska_surgeon.modelfile.sources import find_source, stock_models, without_scale
from lska_surgeon.nn import build_operator
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.environment import import_offline, quiet

#: The table in Ultralytics' documentation of YOLOv8, GFLOPs at 640 pixels.
PUBLISHED = {"n": 8.7, "m": 78.9, "x": 257.8}


def stock(name: str) -> nn.Module:
    """A stock model with real random weights, built as users build it."""
    found = find_source(name)
    return build(found.path, scale=None if found.path.name == found.name else found.scale)


# ------------------------------------------------------------------------------------------------ what is published


@published_head
@pytest.mark.parametrize("scale", PUBLISHED)
def test_fused_yolov8_has_the_published_gflops(scale: str) -> None:
    assert round(count_source(f"yolov8{scale}.yaml").gflops, 1) == PUBLISHED[scale]


@published_head
def test_yolov8s_has_the_numbers_that_ultralytics_prints() -> None:
    fused, plain = count_source("yolov8s.yaml"), count_source("yolov8s.yaml", fuse=False)
    assert (fused.params, fused.layers, fused.gradients) == (11_156_544, 72, 11_166_544)
    assert (plain.params, plain.layers, plain.gradients) == (11_166_560, 129, 11_166_544)
    assert fused.flops == 2 * fused.macs == 28_607_539_200


@pytest.mark.parametrize("name", ["yolov8n-seg.yaml", "yolov10n.yaml"])
def test_params_and_gradients_are_those_of_model_info(name: str) -> None:
    model = stock(name)
    with quiet():
        _, params, gradients, _ = model.info(verbose=True)
        fused_params = copy.deepcopy(model).fuse(verbose=False).info(verbose=True)[1]
    cost = count(model, (64, 64), fuse=False)
    assert (cost.params, cost.gradients) == (params, gradients)
    assert count(model, (64, 64)).params == fused_params


# ------------------------------------------------------------------------------------------- counted in another way


def plain_fvcore(model: nn.Module, imgsz: tuple[int, int], batch: int) -> tuple[dict, dict, dict]:
    """fvcore on a real forward pass: MACs by op, MACs by module, uncounted ops."""
    from fvcore.nn import FlopCountAnalysis

    channels = next(module for module in model.modules() if isinstance(module, nn.Conv2d)).in_channels
    analysis = FlopCountAnalysis(model.eval(), torch.zeros(batch, channels, *imgsz))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with torch.no_grad():
        by_module = {name: macs for name, macs in analysis.by_module().items() if macs}
        return dict(analysis.by_operator()), by_module, dict(analysis.unsupported_ops())


@pytest.mark.parametrize(
    ("name", "fuse"),
    [
        ("yolov8n.yaml", False),
        ("yolov8n-seg.yaml", True),
        ("yolo11n.yaml", True),
        ("yolov8n-world.yaml", True),
        ("yolov8n-rtdetr.yaml", False),
    ],
)
def test_counts_are_those_of_fvcore_on_a_real_forward_pass(name: str, fuse: bool) -> None:
    model = stock(name)
    imgsz = (160, 192) if "rtdetr" in name else (64, 96)  # it chooses 300 among its anchors
    cost = count(model, imgsz, batch=2, fuse=fuse)
    with quiet():
        if fuse:
            model.fuse(verbose=False)
        by_op, by_module, unsupported = plain_fvcore(model, imgsz, 2)
    assert cost.ops == by_op
    assert {path: module.macs for path, module in cost.tree.walk() if module.macs} == by_module
    assert sum(cost.uncounted.values()) == sum(unsupported.values())
    assert set(cost.uncounted) == {op.split("::")[1].rstrip("_") for op in unsupported}


def test_batch_norm_counts_two_per_element_and_fusing_removes_it() -> None:
    model = stock("yolov8n.yaml").train()
    plain, fused = count(model, (64, 64), fuse=False), count(model, (64, 64))
    first = next(module for path, module in plain.tree.walk() if path == "model.0.bn")
    assert first.macs == 2 * 16 * 32 * 32
    assert plain.ops["conv"] == fused.ops["conv"]
    assert "batch_norm" not in fused.ops


# ---------------------------------------------------------------------------------------------- operators and edits


@pytest.mark.parametrize(("k", "dilation"), [(7, None), (53, None), (15, 4)])
@pytest.mark.parametrize("op", OP_BLOCKS)
def test_operators_cost_their_closed_form(op: str, k: int, dilation: int | None) -> None:
    if dilation and op in UNDILATED_OPS:
        pytest.skip("it has no dilation")
    kernel = resolve_kernel(op, k, dilation)
    cost = count(build_operator(kernel, 24), (10, 7), batch=3)
    assert cost.params == cost.gradients == kernel.params(24, fused=False)
    assert cost.macs == 3 * kernel.macs(24, 10, 7, fused=False)
    assert count_operator(kernel, 24, (10, 7)) == (kernel.params(24), kernel.macs(24, 10, 7))


def test_a_variant_costs_its_base_and_its_operators(tmp_path: Path) -> None:
    plan = plan_insert("yolov8n.yaml", Placement(("neck",), "lska", 35))
    variant = tmp_path / "yolov8n-lska.yaml"
    variant.write_text(plan.text, encoding="utf-8")
    base, cost = count_source("yolov8n.yaml", (320, 640)), count_source(str(variant), (320, 640))
    kernel = resolve_kernel("lska", 35)
    sites = [(128, 16), (64, 8), (128, 16), (256, 32)]
    assert cost.params - base.params == sum(kernel.params(channels) for channels, _ in sites)
    assert cost.macs - base.macs == sum(kernel.macs(c, 320 // stride, 640 // stride) for c, stride in sites)
    assert cost.layers - base.layers == 5 * len(sites)
    assert cost.uncounted["mul"] - base.uncounted["mul"] == len(sites)
    assert [row.name for row in cost.rows if row.block == "LSKA"] == ["13", "17", "21", "25"]


# ------------------------------------------------------------------------------------------------------ what is shown


def test_the_tree_adds_up_everywhere() -> None:
    cost = count_source("yolo11n.yaml", (64, 64))
    assert (cost.tree.macs, cost.tree.params) == (cost.macs, cost.params)
    for path, module in cost.tree.walk():
        assert module.macs == sum(module.own.values()) + sum(child.macs for child in module.children), path
        assert module.params >= sum(child.params for child in module.children), path
    assert sum(row.macs for row in cost.rows) == cost.macs
    assert sum(cost.share(row.macs) for row in cost.rows) == pytest.approx(1)


def test_ops_that_fvcore_skips_are_listed_with_how_often() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(inplace=True), nn.SiLU(), nn.Sigmoid(), nn.MaxPool2d(2))
    cost = count(model, (8, 8))
    assert list(cost.uncounted.items()) == [("silu", 2), ("max_pool2d", 1), ("sigmoid", 1)]
    assert cost.ops == {"conv": 3 * 4 * 9 * 36}


def test_a_module_used_twice_is_counted_twice_and_stored_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 1, bias=False)
            self.again = self.first

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.again(self.first(x))

    cost = count(Twice(), (4, 4))
    assert (cost.params, cost.macs, cost.layers) == (9, 2 * 9 * 16, 1)
    assert [(child.name, child.macs) for child in cost.tree.children] == [("first", 288)]


# ------------------------------------------------------------------------------------------------- models and inputs


#: One of each output layer and task, of each number of levels, and of each way in which a scale may be named.
KINDS = [
    "rtdetr-resnet50.yaml",
    "yolo11n-obb.yaml",
    "yolo12n.yaml",
    "yolo26n-depth.yaml",
    "yolo26n-sem.yaml",
    "yoloe-11s-seg.yaml",
    "yolov3-tiny.yaml",
    "yolov6n.yaml",
    "yolov8n-pose-p6",
    "yolov10n",
]
#: Model -> size at which it is counted -> what is said of it.
NOTES = {
    "yolov8n.yaml": ((64, 64), ()),
    "yolov8.yaml": ((64, 64), ("its name says no scale, so this is n, the first of n, s, m, l, x",)),
    "yolov8n-cls.yaml": ((640, 640), ("published figures of classifiers are for 224 pixels: --imgsz 224",)),
    "yolov8s-cls.yaml": ((50, 70), ()),
    "yolov8n-world.yaml": (
        (64, 64),
        ("it reads text features of its classes; the encoder that makes them is no part of it, nor counted",),
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_has_to_be_known_of_a_count_is_said(name: str) -> None:
    imgsz, notes = NOTES[name]
    assert count_source(name, imgsz).notes == notes


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_stock_model_can_be_counted(name: str) -> None:
    if not {without_scale(f"{Path(name).stem}.yaml"), f"{Path(name).stem}.yaml"} & set(stock_models()):
        pytest.skip(f"this Ultralytics has no {name}")
    cost = count_source(name, (128, 192))
    assert cost.macs > 1e7
    assert cost.params == cost.tree.params > 1e6


def test_counting_leaves_the_model_and_torch_as_they_were() -> None:
    model = stock("yolov8n.yaml")
    new = count(model, (64, 64))
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 64, 64))  # after which its output layer keeps anchors
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    threads, seed = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    assert count(model, (64, 64)) == new
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert model.training
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), seed)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_the_input_has_as_many_channels_as_the_model_was_built_for() -> None:
    with quiet():
        grey = import_offline().DetectionModel("yolov8n.yaml", ch=1, verbose=False)
    assert count_source("yolov8n.yaml", (64, 64)).params - count(grey, (64, 64)).params == 2 * 9 * 16
    rows = [[-1, 1, "Focus", [16, 3]], [-1, 1, "Conv", [32, 3, 2]]]  # its first convolution reads 12 channels
    focus = build({"nc": 1, "backbone": rows, "head": [[[1], 1, "Detect", ["nc"]]]})
    assert dict(count(focus, (64, 64)).tree.walk())["model.0.conv.conv"].macs == 12 * 9 * 16 * 32 * 32


@pytest.mark.parametrize(
    ("name", "imgsz", "stride", "near"),
    [
        ("yolov8n.yaml", (600, 640), 32, "608,640"),
        ("yolov8n-p6.yaml", (640, 96), 64, "640,128"),
        ("yolov8n.yaml", (1, 1), 32, "32,32"),
    ],
)
def test_a_size_that_no_stride_divides_is_refused_with_the_nearest(
    name: str, imgsz: tuple[int, int], stride: int, near: str
) -> None:
    with pytest.raises(CostError) as caught:
        count_source(name, imgsz)
    assert str(caught.value) == (
        f"{name} can't take {imgsz[0]}x{imgsz[1]} pixels: its largest stride is {stride}, so sides are multiples of "
        f"that; try --imgsz {near}"
    )


def test_a_failing_forward_pass_is_one_short_line() -> None:
    class Failing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("broken\n" + "very " * 1000)

    with pytest.raises(CostError) as caught:
        count(Failing(), (4, 4), name="mine")
    message = str(caught.value)
    assert message.startswith("mine can't be counted at 4x4: RuntimeError: broken very very")
    assert "\n" not in message
    assert len(message) < 300
    assert issubclass(CostError, SurgeonError)


def test_a_checkpoint_counts_as_its_yaml(tmp_path: Path) -> None:
    model = stock("yolov8n.yaml").half()
    for parameter in model.parameters():
        parameter.requires_grad = False
    path = tmp_path / "trained.pt"
    torch.save({"epoch": 3, "model": model, "ema": None, "train_args": {}}, path)
    trained, fresh = count_source(str(path), (64, 64)), count_source("yolov8n.yaml", (64, 64))
    assert (trained.params, trained.macs, trained.layers) == (fresh.params, fresh.macs, fresh.layers)
    assert trained.uncounted == fresh.uncounted
    assert trained.gradients == 0
    assert "training thaws them" in trained.notes[0]


def test_no_warning_reaches_the_caller(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count_source("yolo11n.yaml", (64, 64))
    assert capfd.readouterr() == ("", "")


# -------------------------------------------------------------------------------------------------------- shapes only


def test_shapes_only_gives_the_shapes_of_a_real_forward_pass_and_leaves_no_trace() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.SiLU(), nn.ConvTranspose2d(8, 4, 2, 2), nn.SiLU(inplace=True)
    )
    x = torch.zeros(2, 3, 9, 11)
    with ShapesOnly():
        several, one, vector = model(x).shape, model(x[0]).shape, nn.functional.silu(x[0, 0, 0]).shape
    assert (several, one, vector) == (model(x).shape, model(x[0]).shape, (11,))
    with pytest.raises(ZeroDivisionError), ShapesOnly():
        raise ZeroDivisionError
    weight = torch.full((4, 4), 7.0)
    nn.init.kaiming_uniform_(weight)
    assert not torch.equal(weight, torch.full((4, 4), 7.0))
    assert torch.is_grad_enabled()


def test_a_count_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics' activation is one module for all models of a process: what stays on it breaks every later count."""
    expected = count_source("yolov8n.yaml", (64, 64)).macs
    upsample = nn.Upsample.forward

    def fails_on_three(self: nn.Upsample, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] == 3:
            raise RuntimeError("broken")
        return upsample(self, x)

    monkeypatch.setattr(nn.Upsample, "forward", fails_on_three)
    with pytest.raises(CostError, match="broken"):
        count_source("yolov8n.yaml", (64, 64), batch=3)
    assert count_source("yolov8n.yaml", (64, 64)).macs == expected
    activation = import_offline().Conv.default_act
    assert not activation._forward_hooks
    assert not activation._forward_pre_hooks


def test_a_trace_that_fails_half_way_through_an_op_breaks_no_other() -> None:
    broken = build(find_source("yolov8n.yaml").path)
    broken.model[-1].nc = None
    with pytest.raises(CostError, match="argument 'size'"):
        count(broken, (64, 64))
    assert count_source("yolov8n.yaml", (64, 64)).params == 3_151_904


def test_sums_and_products_keep_their_shapes_whatever_is_broadcast() -> None:
    x, column, one = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 1), torch.zeros(3, 1, 1)
    with ShapesOnly():
        sums = [(x + x).shape, (x + column).shape, (column + x).shape, (column * torch.zeros(1, 3, 1, 5)).shape]
        more = [(x * one).shape, (one * x).shape, (x * 2).shape, torch.cat([x, x], 1).shape, torch.cat([x, x]).shape]
    assert sums == [(2, 3, 4, 5)] * 4
    assert more == [(2, 3, 4, 5)] * 3 + [(2, 6, 4, 5), (4, 3, 4, 5)]
