"""Operators beside the paper's, in variants and in grafts: exact identity, training, costs, and back again."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.shapes import surgeon, write_checkpoint, write_network
from support.trained import equal, outputs

from lska_surgeon.architecture.declared import NOTHING, put_in_force
from lska_surgeon.architecture.other_operators import CBAM, TIMM_NAMES, OtherOperator, other_ops, resolve_operator
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.costs.count import count, count_source
from lska_surgeon.declarations.find import VARIABLE, using_declarations
from lska_surgeon.errors import KernelError
from lska_surgeon.nn import Gated, Plain, build_operator, named_operators
from lska_surgeon.yolo.build import build

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
BLOCKS = PROJECT / "lska-surgeon.toml"
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
TIMM = [pytest.param(f"timm:{name}", marks=needs_timm) for name in TIMM_NAMES]
OPS = ["cbam", "EMA", "SimAM", *TIMM]


@pytest.fixture(autouse=True)
def nothing_in_force(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    yield
    put_in_force(NOTHING)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("others"))


def run(*words: object) -> str:
    done = surgeon(*words, "--blocks", BLOCKS)
    assert done.exit_code == 0, done.output
    return done.output


def same_tensors(one: Path, other: Path) -> None:
    with using_declarations(BLOCKS):
        left, right = (read_checkpoint(path).state_dict for path in (one, other))
    assert list(left) == list(right)
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("op", OPS)
def test_a_graft_is_the_exact_identity_and_is_taken_back(op: str, base: Path, tmp_path: Path) -> None:
    grafted, back = tmp_path / "grafted.pt", tmp_path / "back.pt"
    places = ("--at", "neck", "--at", "residual", "--at", "sppf-inner", "--at", "head")
    told = json.loads(run("graft", base, *places[:6], "--op", op, "-o", grafted, "--json"))
    assert told["certificate"]["max_delta"] == 0.0
    with using_declarations(BLOCKS):
        model = read_checkpoint(grafted).model
        operators = [operator for _, operator in named_operators(model)]
        assert len(operators) == 5
        assert all(isinstance(operator, Gated) and operator.kernel.op == op for operator in operators)
        before = read_checkpoint(base).model
        assert equal(outputs(before), outputs(model))
        edits = model.yaml["lska_surgeon"]["edits"]
    assert {edit["op"] for edit in edits} == {op}
    run("ungraft", grafted, "-o", back)
    same_tensors(base, back)


@pytest.mark.parametrize("op", OPS)
def test_gate_and_module_learn_from_the_first_steps(op: str) -> None:
    with using_declarations(BLOCKS):
        torch.manual_seed(0)
        operator = build_operator(OtherOperator(op, gated=True), 64).train()
    x, wanted = torch.randn(4, 64, 12, 12), torch.randn(4, 64, 12, 12)
    assert torch.equal(operator(x), x)
    optimizer = torch.optim.SGD(operator.parameters(), lr=0.1)
    moved: list[dict[str, bool]] = []
    for _ in range(3):
        optimizer.zero_grad()
        (operator(x) - wanted).square().mean().backward()
        moved.append({name: bool(p.grad is not None and p.grad.any()) for name, p in operator.named_parameters()})
        optimizer.step()
    inner = [name for name in moved[0] if name != "gate"]
    starts_open = op == "timm:nl"  # it is the identity by itself
    assert moved[0]["gate"] is not starts_open
    assert any(moved[0][name] for name in inner) is starts_open
    assert moved[1]["gate"]
    bare = operator.inner
    if not inner:
        return
    bare.zero_grad()
    (bare(x) - wanted).square().mean().backward()
    learning = {name for name, p in bare.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name for name in inner if any(step[name] for step in moved)} >= {f"inner.{name}" for name in learning}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("gated", [False, True])
def test_a_variant_builds_runs_and_is_removed(op: str, gated: bool, tmp_path: Path) -> None:
    network, variant = write_network(tmp_path), tmp_path / "variant.yaml"
    flag = ("--gated",) if gated else ()
    run("insert", network, "--at", "neck", "--at", "residual", "--op", op, *flag, "-o", variant)
    with using_declarations(BLOCKS):
        torch.manual_seed(0)
        model = build(variant).eval()
        kinds = {type(operator) for _, operator in named_operators(model) if not isinstance(operator, Gated)}
        assert all(issubclass(kind, Plain) for kind in kinds)
        assert bool(kinds) is not gated
        model(torch.rand(1, 3, 64, 96))
    run("remove", variant, "-o", tmp_path / "back.yaml")
    assert (tmp_path / "back.yaml").read_bytes() == network.read_bytes()


def test_rows_of_the_user_stay_where_the_operator_is_removed(tmp_path: Path) -> None:
    """EMA in the project's own network is no operator that `insert` put there."""
    network, variant = PROJECT / "yolov8n-own.yaml", tmp_path / "yolov8n-variant.yaml"
    run("insert", network, "--at", "neck", "--op", "EMA", "-o", variant)
    assert variant.read_text(encoding="utf-8").count(" EMA, []") == 3
    run("remove", variant, "-o", tmp_path / "yolov8n-back.yaml")
    assert (tmp_path / "yolov8n-back.yaml").read_bytes() == network.read_bytes()


@pytest.mark.parametrize("gated", [False, True])
def test_the_closed_form_of_cbam_is_what_fvcore_counts(gated: bool) -> None:
    for channels, height, width in ((16, 8, 8), (64, 20, 12), (24, 1, 1)):
        operator = OtherOperator("cbam", gated)
        module = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 1), build_operator(operator, channels))
        whole, first = count(module, (height, width)), count(module[:1], (height, width))
        assert whole.params - first.params == operator.params(channels)
        assert whole.macs - first.macs == operator.macs(channels, height, width)


@pytest.mark.parametrize("op", ["cbam", "EMA", *TIMM[:2]])
def test_a_recipe_has_them_in_its_matrix_once_for_all_kernel_sizes(op: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    network = write_network(tmp_path).name
    recipe.write_text(
        f"base: {network}\nmatrix: {{at: [neck], k: [7, 11], op: [lska, '{op}']}}\nimgsz: 64\n"
        "out: out/tiny-{op}-{k}.yaml\n"
    )
    run("variants", recipe, "--costs", "--verify", "build")
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert len(index["variants"]) == 3
    for one in index["variants"]:
        with using_declarations(BLOCKS):
            counted = count_source(str(tmp_path / one["file"]), (64, 64))
        assert (one["params"], one["macs"]) == (counted.params, counted.macs), one["file"]


def test_default_init_opens_the_gates(base: Path, tmp_path: Path) -> None:
    run("graft", base, "--at", "neck", "--op", "cbam", "--init", "default", "-o", tmp_path / "open.pt")
    ((_, operator),) = named_operators(read_checkpoint(tmp_path / "open.pt").model)
    assert torch.equal(operator.gate, torch.ones_like(operator.gate))


@pytest.mark.parametrize(
    ("op", "k", "dilation", "gated", "said"),
    [
        ("cbam", 7, None, False, "cbam has no kernel size: drop 7"),
        ("cbam", 23, 3, False, "cbam has no dilation: drop 3"),
        ("lska", 23, None, True, "lska starts as the identity without a gate: drop --gated"),
        ("timm:seh", 23, None, False, "did you mean timm:se"),
        ("DySample", 23, None, False, "does not keep its input's shape"),
        ("nothing", 23, None, False, "timm:NAME, or an attention you declare"),
    ],
)
def test_what_an_operator_has_not_is_told(op: str, k: int, dilation: int | None, gated: bool, said: str) -> None:
    with using_declarations(BLOCKS), pytest.raises(KernelError) as told:
        resolve_operator(op, k, dilation, gated)
    assert said in str(told.value)


def test_declared_attention_is_among_the_operators() -> None:
    assert CBAM in other_ops()
    with using_declarations(BLOCKS):
        assert {"EMA", "SimAM"} <= set(other_ops())
        assert "DySample" not in other_ops()


def test_its_attention_goes_into_a_stock_network_and_lska_into_the_project(tmp_path: Path) -> None:
    with using_declarations(BLOCKS):
        torch.manual_seed(0)
        model = build(PROJECT / "yolov8n-own.yaml").eval().half()
        data = {"epoch": -1, "model": model, "ema": None, "optimizer": None, "train_args": {}}
        torch.serialization.save(data, tmp_path / "own.pt")
    for op in ("lska", "EMA", "cbam"):
        words = ("graft", tmp_path / "own.pt", "--at", "backbone", "--at", "head", "--op", op)
        told = json.loads(run(*words, "-o", tmp_path / f"{op}.pt", "--json"))
        assert told["certificate"]["max_delta"] == 0.0
        run("ungraft", tmp_path / f"{op}.pt", "-o", tmp_path / f"{op}-back.pt")
        same_tensors(tmp_path / "own.pt", tmp_path / f"{op}-back.pt")
