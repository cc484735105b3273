"""The operators: numerics against independent formulations, costs, the identity, and torch's own features."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ultralytics.nn.tasks import BaseModel

from lska_surgeon.core.operators import OP_BLOCKS, PAPER_DILATIONS, Kernel, resolve_kernel
from lska_surgeon.nn import LKA, LSKA, LKATrivial, LSKAAttention, LSKATrivial, Operator, build_operator, named_operators
from lska_surgeon.nn.operators import merging

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
DIM = 3
SIZES = sorted(PAPER_DILATIONS)
OPS = sorted(OP_BLOCKS)
#: Written down from the papers' public code: k -> (length of conv0*, length of conv_spatial*, dilation).
TABLE = {7: (3, 3, 2), 11: (3, 5, 2), 23: (5, 7, 3), 35: (5, 11, 3), 41: (5, 13, 3), 53: (5, 17, 3)}
STATE = {
    LSKA: ["conv0h", "conv0v", "conv_spatial_h", "conv_spatial_v", "conv1"],
    LSKATrivial: ["conv0h", "conv0v", "conv1"],
    LKA: ["conv0", "conv_spatial", "conv1"],
    LKATrivial: ["conv0", "conv1"],
    LSKAAttention: [
        "proj_1",
        *(f"spatial_gating_unit.{name}" for name in ("conv0h", "conv0v", "conv_spatial_h", "conv_spatial_v", "conv1")),
        "proj_2",
    ],
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def operator(op: str, k: int, dim: int = DIM) -> Operator:
    return build_operator(resolve_kernel(op, k), dim).eval()


def every(*ops: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("op", "k"), [(op, k) for op in ops or OPS for k in SIZES], ids=lambda v: f"{v}")


def test_defaults_are_those_of_the_public_constructor() -> None:
    assert LSKA(4).k_size == 11
    assert LSKA(4, 35).kernel == Kernel("lska", 35, 3)
    assert LSKA(4, 9, 2).kernel == Kernel("lska", 9, 2, explicit_dilation=True)
    assert LSKATrivial(4, 9).kernel == Kernel("lska-trivial", 9, 1)


@pytest.mark.parametrize("cls", STATE, ids=lambda cls: cls.__name__)
def test_state_dict_names_are_those_of_the_public_code(cls: type[Operator]) -> None:
    assert list(cls(4, 7).state_dict()) == [f"{name}.{kind}" for name in STATE[cls] for kind in ("weight", "bias")]


@every()
def test_parameters_are_the_closed_form(op: str, k: int) -> None:
    for dim in (1, 8):
        assert sum(p.numel() for p in operator(op, k, dim).parameters()) == resolve_kernel(op, k).params(
            dim, fused=False
        )


@pytest.mark.parametrize("k", SIZES)
def test_lska_equals_a_chain_of_plain_convolutions(k: int) -> None:
    a, b, d = TABLE[k]
    lska, x = operator("lska", k), torch.randn(2, DIM, 19, 23)
    w = lska.state_dict()

    def depthwise(y: Tensor, name: str, padding: tuple[int, int], dilation: int = 1) -> Tensor:
        weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        return F.conv2d(y, weight, bias, padding=padding, dilation=dilation, groups=DIM)

    reach = d * (b - 1) // 2
    y = depthwise(x, "conv0h", (0, a // 2))
    y = depthwise(y, "conv0v", (a // 2, 0))
    y = depthwise(y, "conv_spatial_h", (0, reach), d)
    y = depthwise(y, "conv_spatial_v", (reach, 0), d)
    y = torch.einsum("oc,nchw->nohw", w["conv1.weight"][:, :, 0, 0], y) + w["conv1.bias"][:, None, None]
    torch.testing.assert_close(lska(x), x * y)
    assert w["conv0h.weight"].shape == (DIM, 1, 1, a)
    assert w["conv_spatial_v.weight"].shape == (DIM, 1, b, 1)


@pytest.mark.parametrize("op", ["lka", "lka-trivial", "lska-trivial", "strip"])
@pytest.mark.parametrize("k", SIZES)
def test_the_other_designs_equal_plain_convolutions(op: str, k: int) -> None:
    a, b, d = TABLE[k]
    gate, x = operator(op, k), torch.randn(1, DIM, 13, 17)
    w = gate.state_dict()
    chain: dict[str, list[tuple[str, int, int]]] = {
        "lka": [("conv0", 1, a), ("conv_spatial", d, b)],
        "lka-trivial": [("conv0", 1, k)],
        "lska-trivial": [("conv0h", 1, k), ("conv0v", 1, k)],
        "strip": [("conv0", 1, 5), ("conv_h", 1, k), ("conv_v", 1, k)],
    }
    y = x
    for name, dilation, length in chain[op]:
        weight = w[f"{name}.weight"]
        assert max(weight.shape[2:]) == length
        same = [dilation * (side - 1) // 2 for side in weight.shape[2:]]
        padded = F.pad(y, (same[1], same[1], same[0], same[0]))
        y = F.conv2d(padded, weight, w[f"{name}.bias"], dilation=dilation, groups=DIM)
    y = F.conv2d(y, w["conv1.weight"], w["conv1.bias"])
    torch.testing.assert_close(gate(x), x * y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("k", [5, 13, 17, 23, 35])
def test_fuse_merges_dilated_kernels_into_one(k: int, dtype: torch.dtype) -> None:
    network = BaseModel()
    network.model = nn.Sequential(operator("dilated-reparam", k), nn.Sequential(*(nn.BatchNorm2d(1) for _ in range(9))))
    network = network.to(dtype).eval()
    for norm in (part for part in network.model[0].modules() if isinstance(part, nn.BatchNorm2d)):
        for tensor in norm.state_dict().values():
            tensor.copy_(torch.rand(DIM) + 0.5 if tensor.dim() else tensor)
    trained, sides = list(network.state_dict()), ((1, 1), (1, 7), (6, 1), (5, 4), (2 * k + 1, k + 2))
    maps = [torch.randn(2, DIM, *side, dtype=dtype) for side in sides]
    expected = [network.model[0](x) for x in maps]
    assert merging(network)
    for _ in range(2):
        network.fuse(verbose=False)
        copied = pickle.loads(pickle.dumps(copy.deepcopy(network.model[0])))
        for gate in (network.model[0], copied):
            for x, y in zip(maps, expected):
                torch.testing.assert_close(gate(x), y, rtol=0, atol=2e-5 if dtype == torch.float32 else 1e-13)
            assert [(name, tuple(w.shape)) for name, w in gate.state_dict().items()] == [
                ("conv0.conv.weight", (DIM, 1, k, k)),
                *(("conv0.conv.bias", (DIM,)), ("conv1.weight", (DIM, DIM, 1, 1)), ("conv1.bias", (DIM,))),
            ]
    assert merging(network) is None
    assert len(trained) > len(network.state_dict())


def test_the_attention_block_is_the_shortcut_plus_a_gated_projection() -> None:
    block, x = operator("lska-attention", 7), torch.randn(1, DIM, 9, 8)
    inside = F.conv2d(x, block.proj_1.weight, block.proj_1.bias)
    inside = 0.5 * inside * (1 + torch.erf(inside / 2**0.5))
    gated = block.spatial_gating_unit(inside)
    torch.testing.assert_close(block(x), x + F.conv2d(gated, block.proj_2.weight, block.proj_2.bias))


@every()
def test_any_map_down_to_one_by_one(op: str, k: int) -> None:
    gate = operator(op, k)
    for height, width in ((1, 1), (1, 7), (6, 1), (5, 4)):
        x = torch.randn(2, DIM, height, width)
        assert gate(x).shape == x.shape
        assert gate(x).isfinite().all()


@every()
def test_identity_is_exact(op: str, k: int) -> None:
    gate = operator(op, k)
    depthwise = {name: w.clone() for name, w in gate.state_dict().items() if "conv0" in name or "spatial_" in name}
    assert gate.init_identity_() is gate
    for x in (torch.randn(2, DIM, 11, 10), 1e4 * torch.randn(1, DIM, 1, 1)):
        assert torch.equal(gate(x), x)
    assert depthwise
    assert all(torch.equal(gate.state_dict()[name], w) for name, w in depthwise.items())
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in gate.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("op", OPS)
def test_identity_is_exact_in_every_precision(op: str, dtype: torch.dtype) -> None:
    gate, x = operator(op, 35).to(dtype).init_identity_(), torch.randn(1, DIM, 9, 9).to(dtype)
    try:
        y = gate(x)
    except RuntimeError as error:  # old torch has no half-precision convolution on a CPU
        pytest.skip(str(error))
    assert y.dtype == dtype
    assert torch.equal(y, x)


@pytest.mark.parametrize("op", OPS)
def test_gradients_flow_from_the_identity(op: str) -> None:
    """The last convolution learns at once; after one step of it, everything before it does."""
    gate, x = operator(op, 7).train().init_identity_(), torch.randn(2, DIM, 8, 8)
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.1)
    for trained in (("conv1", "proj_2"), ("",)):
        optimizer.zero_grad()
        (gate(x) ** 2).mean().backward()
        named = {name: p for name, p in gate.named_parameters() if name.startswith(trained) and "gating" not in name}
        assert named
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in named.values()), list(named)
        optimizer.step()


@pytest.mark.parametrize("op", OPS)
def test_compile_and_trace(op: str) -> None:
    gate, x = operator(op, 11), torch.randn(1, DIM, 6, 5)
    torch.testing.assert_close(torch.compile(gate, backend="eager", fullgraph=True)(x), gate(x))
    traced = torch.jit.trace(gate, x)
    other = torch.randn(2, DIM, 3, 9)
    torch.testing.assert_close(traced(other), gate(other))


@pytest.mark.parametrize("op", OPS)
def test_copies_are_equal_and_independent(op: str) -> None:
    gate, x = operator(op, 11), torch.randn(1, DIM, 6, 5)
    expected = gate(x)
    for twin in (copy.deepcopy(gate), pickle.loads(pickle.dumps(gate))):
        assert twin.kernel == gate.kernel
        twin.init_identity_()
        assert torch.equal(twin(x), x)
        assert torch.equal(gate(x), expected)


@pytest.mark.parametrize("cls", STATE, ids=lambda cls: cls.__name__)
def test_the_pickled_path_is_permanent(cls: type[Operator]) -> None:
    """Checkpoints out there name the classes so: change it, and none of them loads."""
    assert f"clska_surgeon.nn\n{cls.__name__}\n".encode() in pickle.dumps(cls(2, 7), protocol=2)


def test_named_operators_are_the_outermost() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), LSKAAttention(3, 7), nn.ModuleList([LKA(3, 7)]))
    assert [name for name, _ in named_operators(model)] == ["1", "2.0"]
    assert [name for name, _ in named_operators(LSKA(3))] == [""]
