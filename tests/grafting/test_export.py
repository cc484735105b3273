"""Grafts on their way out: ONNX and TorchScript, half precision, fusing, and Ultralytics' own figures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.shapes import graft, write_checkpoint
from ultralytics import YOLO
from ultralytics.utils import checks

from lska_surgeon.core.operators import OP_BLOCKS, resolve_kernel
from lska_surgeon.nn import named_operators

POSITIONS = ("backbone", "sppf", "neck", "head", "residual", "sppf-inner")
#: Every operator, and LSKA at every position.
CASES = [*zip(OP_BLOCKS, (*POSITIONS[1:], "neck")), *(("lska", position) for position in POSITIONS)]
SIZE = 64


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def _nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "AUTOINSTALL", False)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """Sky, ground, and two things on it, with a camera's noise; shape (1, 3, SIZE, SIZE), values 0 to 1."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[:] = np.linspace((235, 190, 120), (70, 110, 90), SIZE).astype(np.uint8)[:, None]
    cv2.rectangle(pixels, (8, 26), (30, 50), (40, 40, 160), -1)
    cv2.circle(pixels, (46, 40), 11, (30, 140, 220), -1)
    noisy = cv2.GaussianBlur(pixels, (3, 3), 0) + np.random.default_rng(0).normal(0, 4, pixels.shape)
    return torch.from_numpy(noisy.clip(0, 255).astype(np.float32).transpose(2, 0, 1)[None] / 255)


def stirred(base: Path, op: str, position: str) -> Any:
    """A graft whose operators compute something: at the identity, a wrong export could pass for a right one."""
    path = graft(base, position, op=op, to=f"{op}-{position}.pt")
    network = YOLO(path)
    generator = torch.Generator().manual_seed(1)
    operators = [operator for _, operator in named_operators(network.model)]
    assert operators
    with torch.no_grad():
        for parameter in (parameter for operator in operators for parameter in operator.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    network.save(path)
    return YOLO(path)


def prediction(network: Any, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network.model.eval()(image)[0]
    return found


def largest_difference(exported: np.ndarray, expected: torch.Tensor) -> float:
    assert exported.shape == tuple(expected.shape)
    return float(np.abs(exported - expected.numpy()).max())


def dense_kernels(exported: str) -> list[tuple[int, int]]:
    """Size and dilation of each depth-wise convolution of an ONNX network, but for those of 3 x 3."""
    import onnx

    nodes = [node for node in onnx.load(exported).graph.node if node.op_type == "Conv"]
    convolutions = [{one.name: one.ints[0] if one.ints else one.i for one in node.attribute} for node in nodes]
    return [(one["kernel_shape"], one["dilations"]) for one in convolutions if one["kernel_shape"] > 3]


@pytest.mark.parametrize(("op", "position"), CASES, ids=["-at-".join(case) for case in CASES])
def test_exports_and_fusing_give_what_torch_gives(op: str, position: str, base: Path, image: torch.Tensor) -> None:
    network = stirred(base, op, position)
    expected = prediction(network, image)
    plain = prediction(YOLO(base), image)
    assert float((expected - plain).abs().max()) > 0.1, "the operators make no difference"
    with torch.no_grad():
        found = torch.jit.load(network.export(format="torchscript", imgsz=SIZE))(image)
    found = found[0] if isinstance(found, (tuple, list)) else found
    assert largest_difference(found.numpy(), expected) < 1e-4
    if all(map(importlib.util.find_spec, ("onnx", "onnxslim", "onnxruntime"))):
        import onnxruntime

        exported = stirred(base, op, position).export(format="onnx", imgsz=SIZE)
        assert op != "dilated-reparam" or dense_kernels(exported) == [(7, 1)]
        session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        assert largest_difference(found, expected) < 1e-4
    network = stirred(base, op, position)
    network.fuse()
    for _, operator in named_operators(network.model):
        width = next(one for one in operator.modules() if isinstance(one, torch.nn.Conv2d)).in_channels
        assert sum(parameter.numel() for parameter in operator.parameters()) == operator.kernel.params(width)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.model.modules())
    assert largest_difference(prediction(network, image).numpy(), expected) < 1e-3


@pytest.mark.parametrize("op", OP_BLOCKS)
def test_half_precision_stays_near(op: str, base: Path, image: torch.Tensor) -> None:
    network = stirred(base, op, "neck")
    expected = prediction(network, image)
    network.model.half()
    with torch.no_grad():
        found = network.model(image.half())[0]
    assert found.dtype == torch.float16
    scores, wanted = found[0, 4:].float(), expected[0, 4:]
    assert float((scores - wanted).abs().max()) < 0.01
    assert float((found[0, :4].float() - expected[0, :4]).abs().max()) < 0.5  # of a pixel


def test_figures_of_info_are_the_closed_form(base: Path) -> None:
    pytest.importorskip("thop", reason="Ultralytics counts with ultralytics-thop")
    plain, grafted = YOLO(base), YOLO(graft(base, "neck", k=11, to="info.pt"))
    layers, params, _, gflops = grafted.info()
    plain_layers, plain_params, _, plain_gflops = plain.info()
    kernel = resolve_kernel("lska", 11)
    assert layers - plain_layers in (5, 6)  # five convolutions, and in older releases what holds them
    assert params - plain_params == kernel.params(16)
    assert gflops - plain_gflops == pytest.approx(2 * kernel.macs(16, 160, 160) / 1e9, rel=0.2)


def test_profiling_a_forward_times_every_operator(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = YOLO(graft(base, "neck", to="profile.pt"))
    with caplog.at_level("INFO", logger="ultralytics"), torch.no_grad():
        network.model.eval().predict(torch.rand(1, 3, SIZE, SIZE), profile=True)
    rows = [line for line in caplog.text.splitlines() if "lska_surgeon.nn.LSKA" in line]
    assert len(rows) == 1
