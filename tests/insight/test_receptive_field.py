"""The effective receptive field: against networks whose field is known in closed form, and the published method."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from click.testing import CliRunner
from support import shapes
from torch import Tensor, nn

import lska_surgeon
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.cli.main import main
from lska_surgeon.insight.images import Image, noise
from lska_surgeon.insight.measure import ReceptiveField, receptive_fields, smallest_square

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
    """Stride 2, then dilation 3: taps at -6, 0, 6 pixels around the centre cell's pixel, each a 3x3."""
    found = field(ones(3, stride=2), ones(3, dilation=3)).contribution
    seen = numpy.flatnonzero(found.sum(0))
    assert list(seen) == [25, 26, 27, 31, 32, 33, 37, 38, 39]


def test_squares_of_a_known_field() -> None:
    scores = numpy.zeros((64, 64))
    scores[32 - 5 : 32 + 6, 32 - 5 : 32 + 6] = 1  # 11 x 11
    sides = {share: smallest_square(scores, share) for share in (0.2, 0.5, 0.99)}
    assert {share: found and found.side for share, found in sides.items()} == {0.2: 5, 0.5: 9, 0.99: 11}
    last = sides[0.99]
    assert last is not None
    assert last.area == pytest.approx(121 / 4096)
    assert smallest_square(numpy.ones((8, 8)), 0.99) is None
    assert smallest_square(numpy.zeros((8, 8)), 0.5) is None


def published(model: nn.Module, layer: int, images: list[Image]) -> numpy.ndarray:
    """The method as Ding et al. describe it in arXiv 2203.06717, written down once more and in another way: one
    channel of the centre cell after the other, which is slow."""
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


def test_a_larger_kernel_sees_more(tmp_path: Path) -> None:
    """Two default-init grafts of the same network at the same place, k 7 and k 35."""
    base = shapes.write_checkpoint(tmp_path)
    areas = []
    for k in (7, 35):
        target = tmp_path / f"k{k}.pt"
        words = ["graft", str(base), "--at", "after:2", "--k", str(k), "--init", "default", "-o", str(target)]
        assert CliRunner().invoke(main, words).exit_code == 0
        (found,) = lska_surgeon.erf(target, level="p2", imgsz=256).fields
        areas.append(numpy.count_nonzero(found.contribution))
    assert areas[1] > areas[0]


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--level", "p7"], "no level p7: its output layer reads p2, p3"),
        (["--layer", "9"], "no layer 9 to look behind: base.pt has 0-8 before its output layer"),
        (["--images", "nowhere"], "no folder nowhere: give a folder of images with --images"),
        (["--gates"], "base.pt has no operator to look at: graft one in first"),
        (["-o", "out.txt"], "out.txt does not end in .png, .svg, .pdf: give -o such a name"),
        (["-o", "no/out.png"], "can't write no/out.png: there is no directory no"),
    ],
)
def test_errors_are_one_line(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shapes.write_checkpoint(tmp_path)
    result = CliRunner().invoke(main, ["erf", "base.pt", "--imgsz", "64", *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_images_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shapes.write_checkpoint(tmp_path)
    shapes.write_data(tmp_path)
    folder = tmp_path / "images" / "train"
    (folder / "notes.txt").write_text("no image")
    found = lska_surgeon.erf("base.pt", images=folder, imgsz=64, most=3)
    assert [image.name for image in found.images] == ["0.png", "1.png", "2.png"]
    assert found.notes == ()
    (folder / "0.png").write_bytes(b"broken")
    result = CliRunner().invoke(main, ["erf", "base.pt", "--imgsz", "64", "--images", str(folder)])
    assert result.exit_code == 2
    assert "0.png can't be read as an image" in result.stderr


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_heat_maps_are_the_same_bytes_each_time(suffix: str, tmp_path: Path) -> None:
    path = shapes.write_checkpoint(tmp_path)
    found = lska_surgeon.erf(path, imgsz=64)
    one, two = found.write(tmp_path / f"a{suffix}"), found.write(tmp_path / f"b{suffix}")
    assert one.read_bytes() == two.read_bytes()
    assert len(one.read_bytes()) > 2000
