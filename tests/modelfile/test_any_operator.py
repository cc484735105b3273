"""Operators beside the paper's in model YAMLs: every command of the light half takes them, without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fresh import fresh
from support.shapes import NETWORK, surgeon

import lska_surgeon as ls
from lska_surgeon.core.operators import TIMM_NAMES
from lska_surgeon.errors import KernelError, RecipeError
from lska_surgeon.modelfile.sources import stock_models

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
BLOCKS = PROJECT / "lska-surgeon.toml"
OPS = ["cbam", "EMA", "SimAM", *(f"timm:{name}" for name in TIMM_NAMES)]
#: The same network with its rows in one line, where no row has room for a comment.
ON_ONE_LINE = """\
nc: 2
backbone: [[-1, 1, Conv, [8, 3, 2]], [-1, 2, C2f, [16, True]], [-1, 1, SPPF, [16, 5]]]
head: [[-1, 1, C2f, [16]], [[1, 3], 1, Detect, [nc]]]
"""


def written(name: str, text: str = NETWORK) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize("op", ["cbam", "EMA", "timm:lambda"])
def test_what_is_inserted_is_removed_byte_for_byte(op: str) -> None:
    texts = {
        "lines.yaml": NETWORK,
        "windows.yaml": NETWORK.replace("\n", "\r\n"),
        "one.yaml": ON_ONE_LINE,
        "own.yaml": (PROJECT / "yolov8n-own.yaml").read_text(encoding="utf-8"),
        "yolov8n.yaml": stock_models()["yolov8.yaml"].read_text(encoding="utf-8"),
    }
    for name, text in texts.items():
        Path(name).write_bytes(text.encode())
        for gated in (False, True):
            for at in ("sppf", ("head", "sppf-inner"), ("backbone", "before:1", "residual")):
                variant = ls.insert(name, at, op=op, gated=gated, unchecked=True, output="v.yaml", blocks=BLOCKS)
                variant.write(force=True)
                base = ls.remove("v.yaml", output="b.yaml", blocks=BLOCKS)
                assert base.text == Path(name).read_bytes().decode(), (name, at, gated)


def test_rows_of_the_networks_own_that_removal_would_take_along_are_told() -> None:
    own = ON_ONE_LINE.replace("[-1, 1, C2f, [16]], [[1, 3]", "[-1, 1, EMA, []], [[1, 3]")
    told = ls.insert(written("own.yaml", own), "sppf", op="EMA", unchecked=True, blocks=BLOCKS).notes
    assert told == (
        "its lists leave no room for comments, so lska-surgeon remove will not tell the inserted rows (EMA) from the "
        "network's own: write a row on each line",
    )
    assert not ls.insert(written("one.yaml", ON_ONE_LINE), "sppf", op="EMA", unchecked=True, blocks=BLOCKS).notes


@pytest.mark.parametrize(
    ("op", "row", "gated"),
    [
        ("cbam", "[-1, 1, CBAM, [c2]] # 9 cbam, neck (P2/4)", "[-1, 1, Gated, [c2, {op: cbam}]] # 9 gated cbam, neck"),
        ("timm:se", "[-1, 1, Timm, [c2, se]] # 9 timm:se, neck", '[-1, 1, Gated, [c2, {op: "timm:se"}]] # 9 gated'),
        ("timm:lambda", "[-1, 1, Timm, [c2, lambda_layer]] # 9", '[-1, 1, Gated, [c2, {op: "timm:lambda"}]] # 9'),
        ("EMA", "[-1, 1, EMA, []] # 9 EMA, neck (P2/4)", "[-1, 1, Gated, [c2, {op: EMA}]] # 9 gated EMA, neck (P2/4)"),
    ],
)
def test_the_rows_are_plain_as_papers_have_them_and_gated_on_demand(op: str, row: str, gated: str) -> None:
    base = written("tiny.yaml")
    assert row in ls.insert(base, "neck", op=op, blocks=BLOCKS).text
    assert gated in ls.insert(base, "neck", op=op, gated=True, blocks=BLOCKS).text


@pytest.mark.parametrize("op", ["cbam", "EMA", "timm:se", "timm:sk"])
def test_in_place_positions_take_them_through_the_mapping_of_the_host(op: str) -> None:
    variant = ls.insert(written("tiny.yaml"), ["residual", "sppf-inner"], op=op, blocks=BLOCKS)
    said = f'"{op}"' if ":" in op else op
    assert f"C2fLSKA, [16, True, {{op: {said}}}]" in variant.text
    assert f"SPPFLSKA, [16, 5, {{op: {said}}}]" in variant.text
    assert {site.to_dict()["op"] for site in variant.sites} == {op}
    assert {site.to_dict()["k"] for site in variant.sites} == {None}


def test_a_name_says_the_operator_and_no_kernel_size() -> None:
    base = written("tiny.yaml")
    names = {op: ls.insert(base, "neck", op=op, blocks=BLOCKS).output for op in ("cbam", "timm:se", "EMA")}
    assert [str(name) for name in names.values()] == [
        "tiny-cbam-neck.yaml",
        "tiny-timm-se-neck.yaml",
        "tiny-EMA-neck.yaml",
    ]
    assert str(ls.insert(base, "neck", op="cbam", gated=True).output) == "tiny-gated-cbam-neck.yaml"
    for name in ("tiny-timm-se-neck.yaml", "tiny-gated-cbam-neck.yaml", "tiny-EMA-neck.yaml"):
        op = name[len("tiny-") : -len("-neck.yaml")]
        gated = op.startswith("gated-")
        op = op.replace("gated-", "").replace("timm-", "timm:")
        ls.insert(base, "neck", op=op, gated=gated, blocks=BLOCKS).write()
        assert str(ls.remove(name, blocks=BLOCKS).output) == "tiny.yaml"


@pytest.mark.parametrize("command", ["insert", "graft"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--op", "cbam", "--k", "23"), "cbam has no kernel size: leave k 23 out"),
        (("--op", "timm:se", "--k", "7"), "timm:se has no kernel size: leave k 7 out"),
        (("--op", "EMA", "--at", "sppf@11"), "EMA has no kernel size: leave k 11 out"),
        (("--op", "cbam", "--dilation", "3"), "cbam has no dilation: leave dilation 3 out"),
        (("--op", "DySample"), "DySample is declared, and does not keep its input's shape"),
        (("--op", "timm:cbm"), "no operator 'timm:cbm' (did you mean timm:cbam?): of timm's there are se, ese, eca"),
        (("--op", "CBAM"), "no operator 'CBAM' (did you mean cbam?)"),
    ],
)
def test_what_an_operator_has_not_is_one_line(command: str, words: tuple[str, ...], said: str) -> None:
    base = written("tiny.yaml")
    Path("base.pt").write_bytes(b"not looked at: the error comes first")
    result = surgeon(command, base if command == "insert" else "base.pt", "--at", "neck", *words, "--blocks", BLOCKS)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {said}")
    assert result.stderr.count("\n") == 1
    assert not list(Path().glob("*-neck*"))


def test_gated_is_not_for_those_that_have_an_identity() -> None:
    with pytest.raises(KernelError, match="lska starts as the identity without a gate: drop gated=True"):
        ls.insert(written("tiny.yaml"), "neck", gated=True)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("at: [neck], op: [cbam], k: [7]", "matrix.k: of the operators here (cbam) none has one: drop k"),
        ("at: [neck], op: [cbam], dilation: [2]", "matrix.dilation: of the operators here (cbam) none has one"),
        ("at: [neck@7], op: [cbam]", "matrix.at: cbam has no kernel size: leave k 7 out"),
        ("at: [neck], op: ['timm:seh']", "matrix.op: no operator 'timm:seh' (did you mean timm:se?)"),
    ],
)
def test_recipes_say_so_with_line_and_field(matrix: str, said: str) -> None:
    written("tiny.yaml")
    with pytest.raises(RecipeError) as told:
        ls.variants(written("recipe.yaml", f"base: tiny.yaml\nmatrix: {{{matrix}}}\n"))
    assert f"recipe.yaml, line 2, {said}" in str(told.value)


def test_a_matrix_over_operators_has_those_without_a_kernel_size_once() -> None:
    written("tiny.yaml")
    recipe = "base: tiny.yaml\nmatrix: {at: [neck], k: [7, 11], op: [lska, cbam, 'timm:eca', EMA]}\n"
    ls.variants(written("recipe.yaml", recipe), blocks=BLOCKS).write()
    assert sorted(path.name for path in Path("variants").glob("*.yaml")) == [
        "tiny-EMA-neck.yaml",
        "tiny-cbam-neck.yaml",
        "tiny-lska-neck-k11.yaml",
        "tiny-lska-neck-k7.yaml",
        "tiny-timm-eca-neck.yaml",
    ]


def test_differences_are_exact_where_the_form_is_closed() -> None:
    base = written("tiny.yaml")
    for op in ("cbam", "timm:se", "timm:ese", "timm:eca", "timm:ceca"):
        variant = ls.insert(base, ["neck", "residual"], op=op, output="v.yaml")
        variant.write(force=True)
        costs = ls.diff(base, "v.yaml", imgsz=64).costs
        assert costs.params == variant.params_added
        assert costs.macs == variant.macs_added(64, 64)
        assert costs.params
        assert costs.macs
        assert "exact, in closed form" in costs.line


def test_a_block_of_the_networks_own_costs_both_the_same() -> None:
    """EMA has no closed form, and stands in both."""
    own = str(PROJECT / "yolov8n-own.yaml")
    variant = ls.insert(own, "neck", k=11, output="v.yaml", blocks=BLOCKS)
    variant.write()
    assert ls.diff(own, "v.yaml", blocks=BLOCKS).costs.params == variant.params_added
    ls.insert(own, "neck", op="EMA", blocks=BLOCKS, output="w.yaml").write()
    assert ls.diff(own, "w.yaml", blocks=BLOCKS).costs.params is None


def test_check_and_draw_know_what_insert_wrote() -> None:
    base = written("tiny.yaml")
    for op in ("cbam", "timm:se", "EMA"):
        ls.insert(base, ["neck", "sppf"], op=op, output=f"{op[-2:]}.yaml", blocks=BLOCKS).write()
        assert not ls.check(f"{op[-2:]}.yaml", blocks=BLOCKS).findings
    assert "2 operators: 740 parameters" in ls.draw("am.yaml").write("am.svg", force=True).read_text(encoding="utf-8")
    result = surgeon("draw", "MA.yaml", "-o", "MA.svg", "--blocks", BLOCKS)
    assert result.exit_code == 0, result.output


EVERY_LIGHT_COMMAND = """
import sys
for name in ("torch", "timm", "ultralytics"):
    sys.modules[name] = None
import lska_surgeon as ls
for number, op in enumerate({ops}):
    for gated in (False, True):
        ls.insert("tiny.yaml", ["neck", "residual", "sppf-inner"], op=op, gated=gated, output=f"{{number}}.yaml").write(
            force=True
        )
        ls.positions(f"{{number}}.yaml").to_dict()
        ls.diff("tiny.yaml", f"{{number}}.yaml").to_dict()
        assert ls.check(f"{{number}}.yaml").ok
        ls.draw(f"{{number}}.yaml").write("drawn.svg", force=True)
        assert ls.remove(f"{{number}}.yaml", output="b.yaml").text == open("tiny.yaml").read()
ls.variants("recipe.yaml").write()
assert "my_blocks" not in sys.modules
"""


def test_the_light_half_imports_neither_torch_nor_timm_nor_the_users_files() -> None:
    written("tiny.yaml")
    for name in ("lska-surgeon.toml", "my_blocks.py"):
        written(name, (PROJECT / name).read_text(encoding="utf-8"))
    (Path("nets")).mkdir()
    written("nets/sampling.py", "raise SystemExit('imported')\n")
    written("recipe.yaml", f"base: tiny.yaml\nmatrix: {{at: [neck, sppf], op: {json.dumps(OPS)}}}\n")
    code = EVERY_LIGHT_COMMAND.format(ops=OPS)
    fresh(code)


def test_a_network_whose_own_attention_is_taken_out_is_told() -> None:
    """Nothing was ever inserted: that the attention goes is said; of marked rows there is nothing to say."""
    own = NETWORK.replace("  - [-1, 1, SPPF", "  - [-1, 1, EMA, []]\n  - [-1, 1, SPPF", 1)
    assert own != NETWORK
    (note,) = ls.remove(written("own.yaml", own), output="b.yaml", blocks=BLOCKS).notes
    assert note.startswith("no comment says that insert wrote layer ")
    assert note.endswith("(EMA): it is taken out as attention that somebody put there; if it is the network's own, "
                         "there is nothing to remove")  # fmt: skip
    ls.insert(written("tiny.yaml"), "sppf", op="EMA", output="v.yaml", blocks=BLOCKS).write()
    assert not ls.remove("v.yaml", output="b.yaml", blocks=BLOCKS).notes
