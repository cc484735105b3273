"""The host blocks: what they compute, what they are named, and their conversion from plain blocks."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from ultralytics.nn.modules import block as plain

import lska_surgeon.nn as blocks
from lska_surgeon.core.operators import Kernel, resolve_kernel
from lska_surgeon.errors import BuildError, KernelError
from lska_surgeon.nn import BottleneckLSKA, Host, LSKAAttention, Operator, attach, named_operators
from lska_surgeon.nn.blocks import HOST_CLASSES, LackingBlock

C = 64
LACKS = "the installed ultralytics has no RepBottleneck, which RepBottleneckLSKA is made from"
#: Host block -> constructor arguments of its plain block, several ways where the block behaves differently.
ARGS = {
    "C2fLSKA": [(C, C, 2, True), (C, C, 1, False)],
    "C3LSKA": [(C, C, 2, True), (C, C, 1, False)],
    "C3k2LSKA": [(C, C, 2, False), (C, C, 1, True, 0.25)],
    "A2C2fLSKA": [(C, C, 1, False, -1)],
    "RepNCSPELAN4LSKA": [(C, C, 32, 16, 2)],
    "BottleneckLSKA": [(C, C), (C, 32)],
    "RepBottleneckLSKA": [(C, C)],
    "SPPFLSKA": [(C, C), (C, 32, 3)],
    "SPPLSKA": [(C, C, (3, 5))],
    "SPPELANLSKA": [(C, C, 32, 3)],
}
if "attn" in inspect.signature(plain.C3k2.__init__).parameters:
    ARGS["C3k2LSKA"].append((C, C, 1, True, 0.5, True))
if "shortcut" in inspect.signature(plain.SPPF.__init__).parameters:
    ARGS["SPPFLSKA"].append((C, C, 5, 2, True))
CASES = [
    pytest.param(getattr(blocks, name), args, id=f"{name}{args[2:]}".replace(" ", ""))
    for name, several in ARGS.items()
    if not issubclass(getattr(blocks, name), LackingBlock)
    for args in several
]
KERNELS = [resolve_kernel(op, 7) for op in ("lska", "lska-trivial", "lka", "lka-trivial", "lska-attention")]
each_case = pytest.mark.parametrize(("host", "args"), CASES)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def plain_of(host: type[Host], args: tuple[object, ...]) -> nn.Module:
    return host.plain_block()(*args).eval()


def test_every_host_of_the_installed_ultralytics_is_tried() -> None:
    tried = ARGS.keys() - {"RepBottleneckLSKA"}
    assert {cls.__name__ for cls in HOST_CLASSES.values()} == tried | {
        "C2f_LSKA_Attention",
        "C3_LSKA_Attention",
        "C3k2_LSKA_Attention",
    }


def test_a_block_that_a_release_lacks_takes_its_host_alone_away() -> None:
    """As ultralytics before 8.1 lacks RepBottleneck: what has none of it works."""
    program = """if True:
        from ultralytics.nn.modules import block
        del block.RepBottleneck
        import lska_surgeon as ls
        from lska_surgeon.nn import RepBottleneckLSKA
        print(ls.flops("yolov8n.yaml", imgsz=64).params > 2_000_000)
        try:
            RepBottleneckLSKA(8, 8, {"k": 7})
        except ls.SurgeonError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True", LACKS]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.op)
@each_case
def test_identity_computes_what_the_plain_block_computes(
    host: type[Host], args: tuple[object, ...], kernel: Kernel
) -> None:
    block = plain_of(host, args)
    held = host(*args, kernel).eval()
    missing, unexpected = held.load_state_dict(block.state_dict(), strict=False)
    assert not unexpected
    assert all("lska" in name.split(".") for name in missing)
    x = torch.randn(2, C, 9, 8)
    assert not torch.equal(held(x), block(x))
    assert held.init_identity_() is held
    for training in (False, True):
        assert torch.equal(held.train(training)(x), block.train(training)(x))


@each_case
def test_converting_keeps_the_block_and_its_tensors(host: type[Host], args: tuple[object, ...]) -> None:
    block = plain_of(host, args)
    block.i = 4
    x = torch.randn(1, C, 6, 7)
    expected, tensors = block(x), {name: id(tensor) for name, tensor in block.named_parameters()}
    kernel = resolve_kernel("lska", 35)
    assert (attach(block, kernel) if host in HOST_CLASSES.values() else host.convert(block, kernel)) is block
    assert type(block) is host
    assert block.kernel == kernel
    assert block.i == 4
    assert {n: id(tensor) for n, tensor in block.named_parameters() if "lska" not in n.split(".")} == tensors
    assert not any(module.training for module in block.modules())
    assert torch.equal(block.init_identity_()(x), expected)


@pytest.mark.parametrize("shortcut", [True, False])
def test_the_operator_sits_in_the_residual_branch(shortcut: bool) -> None:
    block = BottleneckLSKA(C, C, shortcut, {"k": 11}).eval()
    x = torch.randn(1, C, 5, 5)
    branch = block.lska(block.cv2(block.cv1(x)))
    torch.testing.assert_close(block(x), x + branch if shortcut else branch)


@pytest.mark.parametrize(("name", "last"), [("SPPFLSKA", "cv2"), ("SPPLSKA", "cv2"), ("SPPELANLSKA", "cv5")])
def test_the_operator_works_on_the_concatenated_features(name: str, last: str) -> None:
    host = HOST_CLASSES[name](*ARGS[name][0], {"k": 11}).eval()
    seen: dict[str, Tensor] = {}
    host.lska.register_forward_hook(lambda module, args, output: seen.update(inside=args[0], out=output))
    getattr(host, last).register_forward_pre_hook(lambda module, args: seen.update(before_last=args[0]))
    plain_seen: dict[str, Tensor] = {}
    block = plain_of(type(host), ARGS[name][0])
    block.load_state_dict(host.state_dict(), strict=False)
    getattr(block, last).register_forward_pre_hook(lambda module, args: plain_seen.update(concatenated=args[0]))
    x = torch.randn(1, C, 8, 8)
    host(x), block(x)
    assert torch.equal(seen["inside"], plain_seen["concatenated"])
    assert seen["before_last"] is seen["out"]


def test_public_sppf_lska_weights_load() -> None:
    """Their names: cv1, cv2 and lska.conv0h and so on, on four times the hidden width."""
    state = HOST_CLASSES["SPPF_LSKA"](C, C, {"k": 11}).state_dict()
    assert {name.split(".")[0] for name in state} == {"cv1", "cv2", "lska"}
    assert state["lska.conv_spatial_h.weight"].shape == (2 * C, 1, 1, 5)


def test_public_c2f_lska_attention_weights_load() -> None:
    block = blocks.C2f_LSKA_Attention(C, C, 2)
    assert [type(inner) for inner in block.m] == [LSKAAttention, LSKAAttention]
    assert {name.split(".", 2)[2].split(".")[0] for name in block.state_dict() if name.startswith("m.")} == {
        "proj_1",
        "spatial_gating_unit",
        "proj_2",
    }
    assert block.kernel == resolve_kernel("lska-attention", 7)
    x = torch.randn(1, C, 6, 6)
    assert block(x).shape == x.shape
    block.eval().init_identity_()
    a, b = block.cv1(x).chunk(2, 1)
    assert torch.equal(block(x), block.cv2(torch.cat([a, b, b, b], 1)))


@pytest.mark.parametrize(("n", "c3k", "count"), [(1, False, 1), (2, False, 2), (2, True, 4)])
def test_each_bottleneck_gets_its_own_operator(n: int, c3k: bool, count: int) -> None:
    host = blocks.C3k2LSKA(C, C, n, c3k, {"op": "lka", "k": 9, "d": 2})
    inside = [operator for _, operator in named_operators(host)]
    assert len({id(operator) for operator in inside}) == count
    assert {operator.kernel for operator in inside} == {Kernel("lka", 9, 2, explicit_dilation=True)}
    assert all(isinstance(operator, Operator) for operator in inside)


@each_case
def test_the_pickled_path_is_permanent(host: type[Host], args: tuple[object, ...]) -> None:
    """Checkpoints out there name the classes so: change it, and none of them loads."""
    block = host(*args, {"k": 7})
    assert host.__module__ == "lska_surgeon.nn"
    assert f"clska_surgeon.nn\n{host.__name__}\n".encode() in pickle.dumps(block, protocol=2)


def test_a_row_with_repeats_is_converted_block_by_block() -> None:
    layer = attach(nn.Sequential(plain.Bottleneck(C, C), plain.Bottleneck(C, C)), resolve_kernel("lska", 7))
    assert type(layer) is nn.Sequential
    assert [type(block) for block in layer] == [BottleneckLSKA, BottleneckLSKA]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=str)
def test_the_operator_joins_its_block_in_precision_and_device(dtype: torch.dtype) -> None:
    half = attach(plain.C2f(C, C, 1, True).to(dtype), resolve_kernel("lska", 7))
    assert {parameter.dtype for parameter in half.parameters()} == {dtype}
    nowhere = attach(plain.SPPF(C, C).to("meta"), resolve_kernel("lska", 7))
    assert {parameter.device.type for parameter in nowhere.parameters()} == {"meta"}


def test_blocks_without_a_host_are_named() -> None:
    with pytest.raises(BuildError, match=r"no host block for Conv: an operator fits into C2f, C3, C3k2"):
        attach(blocks.C2fLSKA(C, C, {"k": 7}).cv1, resolve_kernel("lska", 7))
    with pytest.raises(BuildError, match="no host block for Sequential"):
        attach(nn.Sequential(), resolve_kernel("lska", 7))


def test_a_block_is_not_converted_twice_nor_into_another() -> None:
    kernel = resolve_kernel("lska", 7)
    with pytest.raises(BuildError, match="no host block for C2fLSKA"):
        attach(attach(plain.C2f(C, C), kernel), kernel)
    with pytest.raises(BuildError, match="SPPFLSKA is made from a plain SPPF, found C2f"):
        attach(plain.C2f(C, C), kernel, "SPPFLSKA")


@pytest.mark.parametrize("block", ["Bottleneck", "SPPF"])
def test_a_block_with_parts_that_the_host_would_leave_out_is_refused(block: str) -> None:
    """As in forks that put attention of their own into Bottleneck."""
    module = getattr(plain, block)(C, C)
    module.attention = nn.Identity()
    with pytest.raises(
        BuildError, match=rf"^{block} has parts of this ultralytics' own \(attention\): no operator goes"
    ):
        attach(module, KERNELS[0])
    assert type(module) is getattr(plain, block)


@pytest.mark.skipif(not hasattr(plain, "A2C2f"), reason="this ultralytics has no A2C2f")
def test_area_attention_has_no_bottleneck() -> None:
    block = plain.A2C2f(C, C, 1, True, 1)
    with pytest.raises(BuildError, match=r"A2C2f has no bottleneck to hold an operator"):
        attach(block, resolve_kernel("lska", 7))
    assert type(block) is plain.A2C2f
    with pytest.raises(BuildError, match=r"A2C2f has no bottleneck"):
        blocks.A2C2fLSKA(C, C, 1, True, 1, {"k": 7})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, r"C2fLSKA takes its operator as the last argument"),
        ({"k": 8}, "C2fLSKA: kernel size 8 is not an odd number"),
        ({"size": 7}, r"C2fLSKA ends in a mapping such as \{k: 35\}"),
    ],
    ids=["missing", "even", "unknown-key"],
)
def test_a_missing_or_wrong_operator_is_refused(spec: object, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        blocks.C2fLSKA(C, C, *([] if spec is None else [spec]))


def test_keyword_arguments_reach_the_plain_block() -> None:
    block = blocks.C2fLSKA(C, C, {"k": 7}, n=3, shortcut=True, e=0.25)
    assert len(block.m) == 3
    assert block.m[0].add
    assert block.c == C // 4
