"""Convolutions whose width is padded by hand: where, that the result is the same, and that no graph shows it."""

from __future__ import annotations

import copy
import importlib.util
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lska_surgeon.core.operators import OP_BLOCKS, resolve_kernel
from lska_surgeon.nn import LSKA, Operator, build_operator

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    pytest.mark.filterwarnings("ignore:.*TorchScript-based ONNX", "ignore:The feature will be removed"),
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN"),
]
DIM = 3
FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
OPS = sorted(OP_BLOCKS)
#: Those of which a convolution is dilated.
DILATED = {"lska", "lka", "lska-attention"}
#: How many are wide, and how many of those are dilated, where it is not one.
WIDE = {"dilated-reparam": (5, 4)}
SIZES = [(1, 1), (1, 9), (9, 1), (7, 31), (20, 20)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class Paddings(TorchDispatchMode):
    """How often something is padded by hand while it is at work."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def paddings(part: nn.Module, x: Tensor, gradients: bool = False) -> int:
    with Paddings() as found, torch.set_grad_enabled(gradients):
        part(x)
    return found.calls["constant_pad_nd"]


def operator(op: str, k: int = 53) -> Operator:
    return build_operator(resolve_kernel(op, k), DIM).eval()


@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("op", OPS)
def test_what_is_wide_is_padded_by_hand(op: str, memory: str) -> None:
    x = torch.randn(1, DIM, 12, 12).to(memory_format=FORMATS[memory])
    wide, dilated = WIDE.get(op, (1, op in DILATED))
    expected = wide if memory == "nchw" else dilated
    assert paddings(operator(op), x) == expected
    assert paddings(operator(op), x, gradients=True) == (wide if memory == "nchw" else 0)
    assert paddings(operator(op, 7), x) == 0
    assert paddings(operator(op).bfloat16(), x.bfloat16()) == expected
    for other in (torch.float64, torch.float16):
        assert paddings(operator(op).to(other), x.to(other)) == 0
    assert paddings(operator(op).to("meta"), x.to("meta")) == 0


@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("op", OPS)
def test_outputs_and_gradients_are_those_of_float64(op: str, memory: str) -> None:
    part = operator(op)
    exact = copy.deepcopy(part).double()
    for size in SIZES:
        x = torch.randn(2, DIM, *size).to(memory_format=FORMATS[memory]).requires_grad_()
        double = x.detach().double().requires_grad_()
        expected = exact(double)
        with torch.no_grad():
            torch.testing.assert_close(part(x).double(), expected.detach(), rtol=1e-5, atol=1e-6)
        gradient = torch.randn_like(x)
        part(x).backward(gradient)
        expected.backward(gradient.double())
        pairs = [(x, double), *zip(part.parameters(), exact.parameters())]
        for mine, other in pairs:
            assert mine.grad is not None
            assert other.grad is not None
            torch.testing.assert_close(mine.grad.double(), other.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", OPS)
def test_autocast_copies_and_pickles(op: str) -> None:
    part, x = operator(op), torch.randn(1, DIM, 12, 12)
    expected = part(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert (part(x).float() - expected).abs().max() < 0.05
    for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        assert paddings(twin, x) == WIDE.get(op, (1, 0))[0]
        assert torch.equal(twin(x), expected)


def test_no_large_copy_is_made_for_a_kernel_of_one_row() -> None:
    part, x = build_operator(resolve_kernel("lska", 23), 1), torch.randn(1, 1, 1, 2**22)  # 16 MiB
    assert paddings(part, x) == 1
    assert paddings(part, x, gradients=True) == 0


def test_hooks_and_what_stands_for_a_convolution_are_run() -> None:
    part, x = LSKA(DIM, 53).eval(), torch.randn(1, DIM, 12, 12)
    seen: list[object] = []
    for register in (part.conv_spatial_h.register_forward_hook, part.conv_spatial_h.register_forward_pre_hook):
        hook = register(lambda module, *tensors: seen.append(module))
        assert paddings(part, x) == 0
        assert seen.pop() is part.conv_spatial_h
        hook.remove()
    assert paddings(part, x) == 1
    expected = part(x)
    own = part.conv_spatial_h
    for other in (nn.Sequential(own), nn.utils.parametrizations.weight_norm(copy.deepcopy(own)), same(own)):
        part.conv_spatial_h = other
        assert paddings(part, x) == 0
        torch.testing.assert_close(part(x), expected)
    own.padding_mode, part.conv_spatial_h = "replicate", own
    assert not torch.allclose(part(x), expected)


def same(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution, its padding told in a word."""
    other = nn.Conv2d(DIM, DIM, conv.kernel_size, padding="same", dilation=conv.dilation, groups=DIM)
    other.load_state_dict(conv.state_dict())
    return other


@pytest.mark.parametrize("op", ["lska", "lka-trivial"])
def test_no_graph_shows_it(op: str, tmp_path: Path) -> None:
    part, x = operator(op), torch.randn(1, DIM, 12, 12)
    assert paddings(part, x) == 1
    graphs = [str(torch.jit.trace(part, x).graph), str(torch.export.export(part, (x,)).graph)]

    def keep(module: torch.fx.GraphModule, _: object) -> Any:
        graphs.append(str(module.graph))
        return module.forward

    torch.compile(part, backend=keep, fullgraph=True)(x)
    graphs.append(str(torch.fx.symbolic_trace(part).graph))
    assert len(graphs) == 4
    assert not [graph for graph in graphs if "pad(" in graph or "pad_nd" in graph]
    if importlib.util.find_spec("onnx"):
        import onnx

        torch.onnx.export(part, (x,), str(tmp_path / "part.onnx"), dynamo=False)
        ops = Counter(node.op_type for node in onnx.load(tmp_path / "part.onnx").graph.node)
        assert ops["Conv"] == sum(isinstance(module, nn.Conv2d) for module in part.modules())
        assert ops["Pad"] == 0
