"""Operators beside the paper's, in variants and in grafts: exact identity, training, costs, and back again."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.custom import using_file
from support.insertions import plan_insert
from support.shapes import QUICK, surgeon, write_checkpoint, write_data, write_network
from support.trained import equal, outputs
from ultralytics import YOLO

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.operators import CBAM, TIMM_NAMES, OtherOperator, all_ops, other_ops, resolve_operator
from lska_surgeon.core.surgery import Placement
from lska_surgeon.cost import cache
from lska_surgeon.cost import count as count_module
from lska_surgeon.cost.cache import CostCache
from lska_surgeon.cost.count import count_operator, count_source
from lska_surgeon.declarations.find import VARIABLE, find_blocks
from lska_surgeon.errors import BuildError, KernelError
from lska_surgeon.nn import Gated, Plain, build_operator, named_operators
from lska_surgeon.yolo.build import build

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
BLOCKS = PROJECT / "lska-surgeon.toml"
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
TIMM = [pytest.param(f"timm:{name}", marks=needs_timm) for name in TIMM_NAMES]
CLOSED = ("se", "ese", "eca", "ceca")
OPS = ["cbam", "EMA", "SimAM", *TIMM]
FEW = ["cbam", "EMA", *TIMM[:1]]
#: Every operator once, every other one behind a gate: the gate is the same for all.
IN_TURN = [
    *(("cbam", False), ("EMA", True), ("SimAM", False)),
    *(pytest.param(f"timm:{name}", at % 2 == 1, marks=needs_timm) for at, name in enumerate(TIMM_NAMES)),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("others"))


def run(*words: object) -> str:
    done = surgeon(*words, "--blocks", BLOCKS)
    assert done.exit_code == 0, done.output
    return done.stdout


def same_tensors(one: Path, other: Path) -> None:
    with using_file(BLOCKS):
        left, right = (read_checkpoint(path).state_dict for path in (one, other))
    assert list(left) == list(right)
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.slow
@pytest.mark.parametrize("op", OPS)
def test_a_graft_is_the_exact_identity_and_is_taken_back(op: str, base: Path, tmp_path: Path) -> None:
    grafted, back = tmp_path / "grafted.pt", tmp_path / "back.pt"
    places = ("--at", "neck", "--at", "residual", "--at", "sppf-inner", "--at", "head")
    told = json.loads(run("graft", base, *places[:6], "--op", op, "-o", grafted, "--json"))
    assert told["certificate"]["max_delta"] == 0.0
    with using_file(BLOCKS):
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
    with using_file(BLOCKS):
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


@pytest.mark.slow
@pytest.mark.parametrize(("op", "gated"), IN_TURN)
def test_a_variant_builds_runs_and_is_removed(op: str, gated: bool, tmp_path: Path) -> None:
    network, variant = write_network(tmp_path), tmp_path / "variant.yaml"
    flag = ("--gated",) if gated else ()
    run("insert", network, "--at", "neck", "--at", "residual", "--op", op, *flag, "-o", variant)
    with using_file(BLOCKS):
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


@pytest.mark.parametrize("op", ["cbam", *(pytest.param(f"timm:{name}", marks=needs_timm) for name in CLOSED)])
@pytest.mark.parametrize("gated", [False, True])
def test_closed_forms_are_what_fvcore_counts(op: str, gated: bool) -> None:
    operator = OtherOperator(op, gated)
    for channels, sides in ((16, (8, 8)), (24, (1, 1)), (64, (20, 12)), (320, (5, 5)), (1024, (2, 3))):
        counted = count_operator(operator, channels, sides)
        assert counted == (operator.params(channels), operator.macs(channels, *sides))


@pytest.mark.slow
@pytest.mark.parametrize(("op", "gated"), IN_TURN)
def test_what_one_costs_is_what_fvcore_counts_in_the_whole_network(
    op: str, gated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "cache"))
    network, size = str(write_network(tmp_path)), (64, 96)
    with using_file(BLOCKS) as blocks:
        at, output = ("neck", "sppf", "residual", "sppf-inner"), str(tmp_path / "variant.yaml")
        plan = plan_insert(network, Placement(at, op, gated=gated), output=output, blocks=blocks)
        whole = count_source(str(plan.write()), size)
        base = count_source(network, size)
        costs = CostCache(size, STOCK, may_count=True)
        each = [
            (site.operators.count, costs.of_operator(site.kernel, site.operators.channels, site.sides(size)))
            for site in plan.sites
        ]
    assert base.params + sum(times * params for times, (params, _) in each) == whole.params
    assert base.macs + sum(times * macs for times, (_, macs) in each) == whole.macs


@needs_timm
def test_each_width_and_map_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "cache"))
    done: list[tuple[str, int, tuple[int, int]]] = []

    def counting(operator: OtherOperator, channels: int, sides: tuple[int, int]) -> tuple[int, int]:
        done.append((operator.op, channels, sides))
        return counted(operator, channels, sides)

    monkeypatch.setattr(cache, "is_own_process", lambda: True)
    counted = count_module.count_operator
    monkeypatch.setattr(count_module, "count_operator", counting)
    write_network(tmp_path)
    matrix = "{at: [neck, residual, after:8, [neck, residual]], op: ['timm:gc', EMA]}"
    (tmp_path / "recipe.yaml").write_text(f"base: tiny.yaml\nmatrix: {matrix}\nimgsz: 64\n", encoding="utf-8")
    run("variants", tmp_path / "recipe.yaml", "--costs")
    assert len(done) == len(set(done)) == 6  # two operators; 16 channels on one map, 8 on two
    (tmp_path / "variants" / "index.json").unlink()
    run("variants", tmp_path / "recipe.yaml", "--costs", "--force")
    assert [op for op, *_ in done[6:]] == ["EMA"] * 3  # a class of the user's may have changed, timm has not


@pytest.mark.parametrize("op", FEW)
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
        with using_file(BLOCKS):
            counted = count_source(str(tmp_path / one["file"]), (64, 64))
        assert (one["params"], one["macs"]) == (counted.params, counted.macs), one["file"]


@pytest.mark.parametrize("op", FEW)
def test_into_a_plain_variant_says_that_a_gate_is_missing(op: str, base: Path, tmp_path: Path) -> None:
    network = write_network(tmp_path)
    run("insert", network, "--at", "neck", "--op", op, "-o", tmp_path / "plain.yaml")
    run("insert", network, "--at", "neck", "--op", op, "--gated", "-o", tmp_path / "gated.yaml")
    done = surgeon("graft", base, "--into", tmp_path / "plain.yaml", "--blocks", BLOCKS, "-o", tmp_path / "no.pt")
    assert done.exit_code == 2
    assert f"row 9 ({op}) can start as the identity behind a gate, as insert --gated writes" in done.stderr
    told = run("graft", base, "--into", tmp_path / "gated.yaml", "-o", tmp_path / "yes.pt", "--json")
    assert json.loads(told)["certificate"]["max_delta"] == 0.0


@needs_timm
def test_without_timm_one_line_says_how_to_install_it(base: Path, tmp_path: Path) -> None:
    run("graft", base, "--at", "neck", "--op", "timm:se", "-o", tmp_path / "se.pt")
    run("insert", write_network(tmp_path), "--at", "neck", "--op", "timm:se", "-o", tmp_path / "se.yaml")
    code = "import sys; sys.modules['timm'] = None; from lska_surgeon.cli.main import main; main()"
    install = 'timm:se needs timm, which is not installed: pip install "lska-surgeon[timm]"'
    for words, said in (
        (("graft", base, "--at", "neck", "--op", "timm:se", "-o", tmp_path / "no.pt"), install),
        (("flops", tmp_path / "se.yaml"), install),
        (("inspect", tmp_path / "se.pt"), "se.pt needs timm.layers."),
    ):
        command = [sys.executable, "-c", code, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "no.pt").exists()


@needs_timm
@pytest.mark.parametrize(("op", "channels"), [("sk", 3), ("lambda", 6)])
def test_a_width_that_timm_refuses_is_told(op: str, channels: int) -> None:
    with pytest.raises(BuildError, match=f"timm:{op} can't be built on {channels} channels: "):
        build_operator(OtherOperator(f"timm:{op}"), channels)


def test_a_class_that_does_not_keep_its_word_is_named_when_it_is_grafted(base: Path, tmp_path: Path) -> None:
    (tmp_path / "halving_blocks.py").write_text(
        "from torch import nn\nclass Half(nn.MaxPool2d):\n    def __init__(self):\n        super().__init__(2)\n"
    )
    declaration = tmp_path / "lska-surgeon.toml"
    declaration.write_text('[blocks.Half]\nclass = "halving_blocks:Half"\nlike = "attention"\n', encoding="utf-8")
    done = surgeon("graft", base, "--at", "neck", "--op", "Half", "--blocks", declaration, "-o", tmp_path / "no.pt")
    assert done.exit_code == 2
    assert "Half does not do what its declaration says: declared like attention it makes 1x16x32x32" in done.stderr


def test_attention_declared_beside_a_file_from_elsewhere_is_not_imported(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloaded, here = tmp_path / "downloaded", tmp_path / "here"
    downloaded.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (downloaded / "bad_blocks.py").write_text("raise SystemExit('it ran')\n")
    (downloaded / "lska-surgeon.toml").write_text('[blocks.Bad]\nclass = "bad_blocks:Bad"\nlike = "attention"\n')
    (downloaded / "best.pt").write_bytes(base.read_bytes())
    network = write_network(downloaded)
    assert surgeon("insert", network, "--at", "neck", "--op", "Bad", "-o", "light.yaml").exit_code == 0
    done = surgeon("graft", downloaded / "best.pt", "--at", "neck", "--op", "Bad", "-o", "no.pt")
    assert done.exit_code == 2
    assert "add --blocks" in done.stderr
    assert "bad_blocks" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("op", FEW)
def test_it_trains_opens_elsewhere_and_tells_how_far_it_has_come(op: str, base: Path, tmp_path: Path) -> None:
    """In a process of its own, which knows of the graft only what the file says."""
    grafted, data = tmp_path / "grafted.pt", write_data(tmp_path / "data")
    run("graft", base, "--at", "neck", "--at", "residual", "--op", op, "-o", grafted)
    words = [f"data={data}", *QUICK, f"project={tmp_path / 'out'}", "name=run", "warmup_epochs=0"]
    variables = {**os.environ, VARIABLE: str(BLOCKS)}
    command = [sys.executable, "-m", "lska_surgeon", "yolo", "detect", "train", f"model={grafted}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=variables)
    assert done.returncode == 0, done.stderr
    trained = tmp_path / "out" / "run" / "weights" / "last.pt"
    with using_file(BLOCKS):
        gates = [operator.gate for _, operator in named_operators(read_checkpoint(trained).model)]
        assert len(gates) == 4
        assert all(gate.abs().sum() > 0 for gate in gates)
        edits = read_checkpoint(trained).yaml["lska_surgeon"]["edits"]
    assert all(edit["gated"] for edit in edits)
    assert f"gated {op} at neck (row 9)" in run("inspect", trained)
    told = json.loads(run("erf", trained, "--gates", "--json", "--imgsz", 64))
    assert [one["op"] for one in told["operators"]] == [op] * 4
    assert all(one["change"] > 0 for one in told["operators"])


@pytest.mark.slow
@pytest.mark.parametrize("op", FEW)
def test_onnx_gives_what_torch_gives(op: str, base: Path, tmp_path: Path) -> None:
    for package in ("onnx", "onnxslim"):
        pytest.importorskip(package, reason="pip install lska-surgeon[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="pip install lska-surgeon[onnx]")
    run("graft", base, "--at", "neck", "--op", op, "-o", tmp_path / "grafted.pt")
    generator = torch.Generator().manual_seed(1)
    with using_file(BLOCKS), torch.no_grad():
        network = YOLO(tmp_path / "grafted.pt")
        for _, operator in named_operators(network.model):
            for parameter in operator.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        network.save(tmp_path / "stirred.pt")
        network, image = YOLO(tmp_path / "stirred.pt"), torch.rand((1, 3, 64, 64), generator=generator)
        expected = network.model.eval()(image)[0]
        exported = network.export(format="onnx", imgsz=64)
    session = runtime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    assert float((torch.from_numpy(found) - expected).abs().max()) < 1e-3


@needs_timm
def test_the_table_of_the_docs_is_what_is_counted() -> None:
    page = (Path(__file__).parents[2] / "docs" / "blocks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w:-]+)` \| .* \| ([\d,]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert [op for op, *_ in rows] == list(all_ops())
    for op, params, millions in rows:
        counted = count_operator(resolve_operator(op), 128, (40, 40))
        assert (params, millions) == (f"{counted[0]:,}", f"{counted[1] / 1e6:.2f}"), op


@needs_timm
def test_an_older_timm_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm.layers

    def knows_none(name: str) -> None:
        raise AssertionError(f"Invalid attn module ({name})")

    monkeypatch.setattr(timm.layers, "get_attn", knows_none)
    with pytest.raises(BuildError, match=r"the installed timm [\d.]+ has no coord: pip install -U timm"):
        build_operator(OtherOperator("timm:coord"), 16)


def test_default_init_opens_the_gates(base: Path, tmp_path: Path) -> None:
    run("graft", base, "--at", "neck", "--op", "cbam", "--init", "default", "-o", tmp_path / "open.pt")
    ((_, operator),) = named_operators(read_checkpoint(tmp_path / "open.pt").model)
    assert torch.equal(operator.gate, torch.ones_like(operator.gate))


@pytest.mark.parametrize(
    ("op", "k", "dilation", "gated", "said"),
    [
        ("cbam", 7, None, False, "cbam has no kernel size: leave k 7 out"),
        ("cbam", None, 3, False, "cbam has no dilation: leave dilation 3 out"),
        ("lska", None, None, True, "lska starts as the identity without a gate: drop --gated"),
        ("timm:seh", None, None, False, "did you mean timm:se"),
        ("DySample", None, None, False, "does not keep its input's shape"),
        ("nothing", None, None, False, "timm:NAME, or an attention you declare"),
    ],
)
def test_what_an_operator_has_not_is_told(op: str, k: int, dilation: int | None, gated: bool, said: str) -> None:
    with pytest.raises(KernelError) as told:
        resolve_operator(op, k, dilation, gated, find_blocks(BLOCKS))
    assert said in str(told.value)


def test_declared_attention_is_among_the_operators() -> None:
    assert CBAM in other_ops()
    ops = other_ops(find_blocks(BLOCKS))
    assert {"EMA", "SimAM"} <= set(ops)
    assert "DySample" not in ops


def test_its_attention_goes_into_a_stock_network_and_lska_into_the_project(tmp_path: Path) -> None:
    with using_file(BLOCKS):
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
