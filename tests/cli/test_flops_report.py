"""Costs as text, from numbers made up here: exact tables, CSV, Markdown and JSON; no torch."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from lska_surgeon.cli.commands.flops import FORMATS, above_limits, model_notes, render
from lska_surgeon.cost.breakdown import Detail
from lska_surgeon.cost.cost import FROZEN, Cost, ModuleCost

CONV = ModuleCost("0", "Conv", 900, 2_000_000, {}, (ModuleCost("conv", "Conv2d", 900, 2_000_000, {"conv": 2_000_000}),))
ATTENTION = ModuleCost(
    "1",
    "PSA",
    4_100,
    6_000_000,
    {"matmul": 1_000_000},
    (
        ModuleCost(
            "qkv", "Conv", 3_000, 4_000_000, {}, (ModuleCost("conv", "Conv2d", 3_000, 4_000_000, {"conv": 4_000_000}),)
        ),
        # A parameter of its own beside the only child: no mere wrapper.
        ModuleCost(
            "ffn", "Scale", 1_100, 1_000_000, {}, (ModuleCost("conv", "Conv2d", 1_000, 1_000_000, {"conv": 1_000_000}),)
        ),
    ),
)
SMALL = Cost(
    name="small.yaml",
    imgsz=(480, 640),
    batch=1,
    fused=True,
    params=5_000,
    macs=8_000_000,
    layers=7,
    gradients=5_010,
    uncounted={"silu": 3, "add": 1},
    ops={"conv": 7_000_000, "matmul": 1_000_000},
    tree=ModuleCost(
        "",
        "DetectionModel",
        5_000,
        8_000_000,
        {},
        (ModuleCost("model", "Sequential", 5_000, 8_000_000, {}, (CONV, ATTENTION)),),
    ),
)
LARGE = replace(SMALL, name="a-larger-one.yaml", params=1_005_000, macs=10_000_000, layers=9, notes=("mind the gap",))


def lines_of(text: str) -> list[str]:
    return text.splitlines()


def test_table_has_totals_differences_the_unit_and_what_is_not_counted() -> None:
    text = render([SMALL, LARGE], "table", Detail(), notes=True)
    assert lines_of(text) == [
        "1 image of 480x640 (height x width), fused, eval mode",
        "",
        "model                              params   GMACs           GFLOPs  layers",
        "-----------------  ----------------------  ------  ---------------  ------",
        "small.yaml                          5,000   0.008            0.016       7",
        "a-larger-one.yaml               1,005,000   0.010            0.020       9",
        "  difference       +1,000,000 (+20000.0%)  +0.002  +0.004 (+25.0%)      +2",
        "",
        "GFLOPs = 2 x GMACs: one multiply-accumulate is two floating-point operations (fvcore counts it as one).",
        "layers counts modules that hold no other, as Ultralytics does.",
        "params, GMACs, GFLOPs and layers are those of the fused model; --no-fuse counts it as it trains.",
        "Not counted by fvcore in small.yaml, a-larger-one.yaml: silu x3, add x1.",
        "a-larger-one.yaml: mind the gap.",
    ]


def test_table_without_fusing_and_with_several_images_says_so() -> None:
    text = render([replace(SMALL, fused=False, batch=4, uncounted={})], "table", Detail(), notes=True)
    assert lines_of(text)[0] == "4 images of 480x640 (height x width), not fused, eval mode"
    assert lines_of(text)[-1] == "Not counted by fvcore in small.yaml: nothing."
    assert "fused model" not in text


@pytest.mark.parametrize("form", ["table", "md"])
def test_one_line_below_the_table_unless_notes_are_asked_for(form: str) -> None:
    short = render([SMALL, LARGE], form, Detail()).split("\n\n")
    assert short[-1] == "GFLOPs = 2 x GMACs; --notes says what is counted."
    long = render([SMALL, LARGE], form, Detail(), notes=True).split("\n\n")
    assert long[:-1] == short[:-1]
    assert len(long[-1].splitlines()) == 5
    assert all(line.startswith("- ") for line in long[-1].splitlines()) == (form == "md")


@pytest.mark.parametrize("form", ["json", "csv", "github"])
def test_machines_get_the_same_with_and_without_notes(form: str) -> None:
    assert render([LARGE], form, Detail()) == render([LARGE], form, Detail(), notes=True)


def test_notes_of_models_are_told_once_and_without_the_one_on_gradients() -> None:
    frozen = replace(LARGE, name="b.pt", gradients=0, notes=("mind the gap", FROZEN))
    assert model_notes([SMALL, LARGE, frozen]) == ["a-larger-one.yaml, b.pt: mind the gap"]
    assert FROZEN in json.loads(render([frozen], "json", Detail()))["models"][0]["notes"]


def test_per_layer_is_a_tree_that_folds_mere_wrappers_and_shows_own_work() -> None:
    text = render([SMALL], "table", Detail(per_layer=True))
    assert "\n\n".join(text.split("\n\n")[2:4]).splitlines() == [
        "small.yaml: layer by layer",
        "",
        "layer       block   params   GMACs  share",
        "----------  ------  ------  ------  -----",
        "0           Conv       900  0.0020  25.0%",
        "1           PSA      4,100  0.0060  75.0%",
        "  qkv.conv  Conv2d   3,000  0.0040  50.0%",
        "  ffn       Scale    1,100  0.0010  12.5%",
        "    conv    Conv2d   1,000  0.0010  12.5%",
        "  (matmul)               0  0.0010  12.5%",
    ]


def test_top_shows_the_costliest_layers_closed_and_with_per_layer_open() -> None:
    top = render([SMALL], "table", Detail(top=1))
    assert "the 1 costliest of 2 layers" in top
    assert [line.split()[:2] for line in top.split("\n\n")[3].splitlines()[2:]] == [["1", "PSA"]]
    opened = render([SMALL], "csv", Detail(per_layer=True, top=1))
    assert [row["layer"] for row in csv.DictReader(io.StringIO(opened))] == [
        "1",
        "1.qkv.conv",
        "1.ffn",
        "1.ffn.conv",
        "1 (matmul)",
    ]


def test_csv_has_one_row_per_model_with_exact_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(render([SMALL, LARGE], "csv", Detail()))))
    assert rows[0] == {
        "model": "small.yaml",
        "params": "5000",
        "macs": "8000000",
        "flops": "16000000",
        "layers": "7",
        "gradients": "5010",
        "params_difference": "0",
        "macs_difference": "0",
        "flops_difference": "0",
        "layers_difference": "0",
        "gradients_difference": "0",
        "height": "480",
        "width": "640",
        "batch": "1",
        "fused": "true",
        "uncounted": "silu x3, add x1",
    }
    assert (rows[1]["params_difference"], rows[1]["flops_difference"]) == ("1000000", "4000000")


def test_csv_of_layers_gives_each_its_share() -> None:
    rows = list(csv.DictReader(io.StringIO(render([SMALL, LARGE], "csv", Detail(top=2)))))
    assert [(row["model"], row["layer"], row["flops"], row["share"]) for row in rows] == [
        ("small.yaml", "1", "12000000", "0.750000"),
        ("small.yaml", "0", "4000000", "0.250000"),
        ("a-larger-one.yaml", "1", "12000000", "0.600000"),
        ("a-larger-one.yaml", "0", "4000000", "0.200000"),
    ]


def test_markdown_tables_are_whole() -> None:
    text = render([SMALL, LARGE], "md", Detail(top=1))
    blocks = text.split("\n\n")
    assert blocks[1].splitlines() == [
        "| model | params | GMACs | GFLOPs | layers |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| small.yaml | 5,000 | 0.008 | 0.016 | 7 |",
        "| a-larger-one.yaml | 1,005,000 | 0.010 | 0.020 | 9 |",
        "| difference | +1,000,000 (+20000.0%) | +0.002 | +0.004 (+25.0%) | +2 |",
    ]
    assert blocks[3].splitlines() == [
        "| layer | block | params | GMACs | share |",
        "| --- | --- | ---: | ---: | ---: |",
        "| 1 | PSA | 4,100 | 0.0060 | 75.0% |",
    ]


def test_json_has_a_schema_and_every_number() -> None:
    report = json.loads(render([SMALL, LARGE], "json", Detail()))
    assert report["schema"] == 1
    assert (report["imgsz"], report["batch"], report["fused"]) == ([480, 640], 1, True)
    first, second = report["models"]
    assert first == {
        "model": "small.yaml",
        "params": 5_000,
        "macs": 8_000_000,
        "flops": 16_000_000,
        "layers": 7,
        "gradients": 5_010,
        "difference": None,
        "ops": {"conv": 7_000_000, "matmul": 1_000_000},
        "uncounted": {"silu": 3, "add": 1},
        "notes": [],
    }
    assert second["difference"] == {
        "params": 1_000_000,
        "macs": 2_000_000,
        "flops": 4_000_000,
        "layers": 2,
        "gradients": 0,
    }
    assert second["notes"] == ["mind the gap"]


def test_json_modules_nest_only_when_layers_are_opened() -> None:
    (closed,) = json.loads(render([SMALL], "json", Detail(top=1)))["models"][0]["modules"]
    assert closed == {"name": "1", "block": "PSA", "params": 4_100, "macs": 6_000_000, "share": 0.75}
    (opened,) = json.loads(render([SMALL], "json", Detail(per_layer=True, top=1)))["models"][0]["modules"]
    assert opened["own"] == {"matmul": 1_000_000}
    assert [child["name"] for child in opened["children"]] == ["qkv", "ffn"]
    assert opened["children"][0]["children"][0]["own"] == {"conv": 4_000_000}


@pytest.mark.parametrize("form", FORMATS)
def test_a_model_without_cost_is_shown_like_any_other(form: str) -> None:
    nothing = replace(SMALL, name="nothing", params=0, macs=0, tree=ModuleCost("", "Identity", 0, 0))
    assert "nothing" in render([nothing, SMALL], form, Detail(per_layer=True))


def test_limits_name_the_model_the_number_and_the_limit() -> None:
    assert [line for _, line in above_limits([SMALL, LARGE], 0.016, 5_000)] == [
        "a-larger-one.yaml has 0.020 GFLOPs, above the limit of 0.016",
        "a-larger-one.yaml has 1,005,000 parameters, above the limit of 5,000",
    ]
    assert above_limits([SMALL, LARGE], None, None) == []


def test_costs_are_words_and_numbers_without_torch() -> None:
    code = "import sys, lska_surgeon.cli.commands.flops; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
