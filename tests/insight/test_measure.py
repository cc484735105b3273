"""What is measured: fields against closed forms and the published method, gates against what their weights say."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from support import shapes
from torch import Tensor, nn

import lska_surgeon
from lska_surgeon.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from lska_surgeon.core.operators import OP_BLOCKS
from lska_surgeon.errors import CheckpointError
from lska_surgeon.grafting.images import Image
from lska_surgeon.insight.look import noise
from lska_surgeon.insight.measure import ReceptiveField, receptive_fields, smallest_square
from lska_surgeon.nn import named_operators

SIDE = 64


class Chain(nn.Module):
    """Layers as Ultralytics keeps them, run one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.model(x)
        return found


def ones(kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution of ones from one channel to one."""
    conv = nn.Conv2d(1, 1, kernel, stride, kernel // 2 * dilation, dilation, bias=False)
    nn.init.ones_(conv.weight)
    return conv


def field(*layers: nn.Module) -> ReceptiveField:
    (found,) = receptive_fields(Chain(*layers), "chain", {"p0": len(layers) - 1}, noise(1, SIDE, 3))
    return found


@pytest.mark.parametrize("kernel", [1, 3, 7, 23])
def test_one_convolution_of_ones_sees_its_kernel_and_each_pixel_alike(kernel: int) -> None:
    expected = numpy.zeros((SIDE, SIDE))
    half = kernel // 2
    expected[32 - half : 33 + half, 32 - half : 33 + half] = 1
    numpy.testing.assert_array_equal(field(ones(kernel)).contribution, expected)


def test_two_convolutions_see_the_convolution_of_their_kernels() -> None:
    """3x3 of ones twice: the field is 5x5, the outer product of (1, 2, 3, 2, 1) with itself."""
    row = numpy.array([1, 2, 3, 2, 1])
    found = field(ones(3), ones(3)).contribution
    numpy.testing.assert_allclose(found[30:35, 30:35], numpy.outer(row, row))
    assert found.sum() == 81


def test_stride_and_dilation_spread_the_field() -> None:
    """Stride 2, then dilation 3: taps at -6, 0, 6 pixels around the centre pixel's place, each a 3x3."""
    found = field(ones(3, stride=2), ones(3, dilation=3)).contribution
    seen = numpy.flatnonzero(found.sum(0))
    assert list(seen) == [25, 26, 27, 31, 32, 33, 37, 38, 39]


def test_squares_of_a_known_field() -> None:
    scores = numpy.zeros((64, 64))
    scores[32 - 5 : 32 + 6, 32 - 5 : 32 + 6] = 1  # 11 x 11
    sides = {share: smallest_square(scores, share) for share in (0.2, 0.5, 0.99)}
    assert {share: found and found.side for share, found in sides.items()} == {0.2: 5, 0.5: 9, 0.99: 11}
    last = sides[0.99]
    assert last.area == pytest.approx(121 / 4096)
    assert smallest_square(numpy.ones((8, 8)), 0.99) is None
    assert smallest_square(numpy.zeros((8, 8)), 0.5) is None


class Squared(nn.Module):
    """x * x, of which the gradient is no number where x is none."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x


def test_an_image_without_a_gradient_is_passed_over() -> None:
    images = [*noise(1, SIDE, 2), Image("broken", torch.full((1, 1, SIDE, SIDE), float("nan")))]
    (passed,) = receptive_fields(Chain(Squared()), "chain", {"p0": 0}, images)
    assert (passed.images, passed.skipped) == (2, 1)
    assert numpy.count_nonzero(passed.contribution) == 1
    with pytest.raises(CheckpointError, match="chain gives no finite number behind p0"):
        receptive_fields(Chain(Squared()), "chain", {"p0": 0}, images[2:])


def published(model: nn.Module, layer: int, images: list[Image]) -> numpy.ndarray:
    """The method as Ding et al. describe it in arXiv 2203.06717, written down once more and in another way: one
    channel of the centre pixel after the other, which is slow."""
    maps = []
    for image in images:
        x = image.tensor.clone().requires_grad_()
        kept = {}
        handle = model.model[layer].register_forward_hook(lambda m, a, o, kept=kept: kept.update(o=o))
        model(x)
        handle.remove()
        h, w = kept["o"].shape[2:]
        total = torch.zeros_like(x)
        for channel in range(kept["o"].shape[1]):
            value = kept["o"][0, channel, h // 2, w // 2]
            if value > 0:
                total += torch.autograd.grad(value, x, retain_graph=True)[0]
        maps.append(total.clamp_min(0)[0].sum(0).double().numpy())
    return numpy.mean(maps, 0)


def test_it_is_the_published_method_on_a_real_network(tmp_path: Path) -> None:
    path = shapes.write_checkpoint(tmp_path)
    found = lska_surgeon.erf(path, imgsz=64)
    assert [one.at for one in found.fields] == ["p2", "p3"]
    model = read_checkpoint(path).float_model()
    for one in found.fields:
        expected = published(model, one.layer, list(found.images))
        numpy.testing.assert_allclose(one.contribution, expected, rtol=1e-4, atol=1e-9)


def test_layers_levels_and_names(tmp_path: Path) -> None:
    path = shapes.write_checkpoint(tmp_path)
    found = lska_surgeon.erf([path, path], level="P3", layer=[2], imgsz=64)
    assert [(one.model, one.at, one.layer) for one in found.fields] == [
        ("1: base.pt", "p3", 5), ("1: base.pt", "layer 2", 2), ("2: base.pt", "p3", 5), ("2: base.pt", "layer 2", 2)
    ]  # fmt: skip
    numpy.testing.assert_array_equal(found.fields[0].contribution, found.fields[2].contribution)
    runs = [tmp_path / run / "weights" / path.name for run in ("one", "two")]
    for run in runs:
        run.parent.mkdir(parents=True)
        run.write_bytes(path.read_bytes())
    found = lska_surgeon.erf(runs, level="p3", imgsz=64)
    assert [one.model for one in found.fields] == ["one/…/base.pt", "two/…/base.pt"]


@pytest.mark.parametrize(("at", "op"), [*(("neck", op) for op in OP_BLOCKS), ("residual", "lska")])
def test_a_fresh_graft_is_at_the_identity(at: str, op: str, tmp_path: Path) -> None:
    grafted = shapes.graft(shapes.write_checkpoint(tmp_path), at, op=op)
    found = lska_surgeon.erf(grafted, gates=True, imgsz=64)
    (changes,) = found.changes.values()
    assert changes
    assert all(one.change == 0.0 and one.still for one in changes)
    names = ", ".join(one.name for one in changes)
    assert f"graft.pt: training has left {names} at the identity; lska-surgeon ungraft" in found.notes[-1]


def test_a_gate_that_was_moved_is_measured_per_channel(tmp_path: Path) -> None:
    """x * gate with the gate 1 everywhere but 1.5 in channel 3 and 0 in channel 5."""
    grafted = shapes.graft(shapes.write_checkpoint(tmp_path), "after:2")
    data = read_checkpoint(grafted).data
    ((_, operator),) = named_operators(data["model"])
    with torch.no_grad():
        operator.conv1.bias[3], operator.conv1.bias[5] = 1.5, 0.0
    write_checkpoint(tmp_path / "trained.pt", data)
    found = lska_surgeon.erf(tmp_path / "trained.pt", gates=True, imgsz=64)
    ((one,),) = found.changes.values()
    assert (one.layer, one.op, one.still) == (3, "lska", False)
    expected = numpy.zeros(16)
    expected[3], expected[5] = 0.5, 1.0
    numpy.testing.assert_allclose(one.channels, expected, atol=1e-4)
    reads: list[Tensor] = []
    model = read_checkpoint(tmp_path / "trained.pt").float_model()
    model.model[3].register_forward_hook(lambda module, inputs, output: reads.append(inputs[0].abs().mean((0, 2, 3))))
    with torch.no_grad():
        for image in found.images:
            model(image.tensor)
    read = torch.stack(reads).sum(0).numpy()
    assert one.change == pytest.approx((expected * read).sum() / read.sum(), rel=1e-3)  # a part of all that it reads
    assert {change.shape for change in one.maps.values()} == {(16, 16)}
    assert not any("training has left" in note for note in found.notes)
