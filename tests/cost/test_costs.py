"""What models cost as a report, from numbers made up here: exact tables, CSV, Markdown, JSON, annotations; no torch."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from lska_surgeon.cost.cost import FROZEN, Cost, Costs, ModuleCost
from lska_surgeon.cost.limits import Budget, parse_amount, parse_limit
from lska_surgeon.reports import FORMATS, render

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


def shown(form: str, *costs: Cost, **how: Any) -> str:
    return render(Costs(costs).shown(**how).report(), form)


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_table_has_totals_differences_the_unit_and_what_is_not_counted() -> None:
    assert shown("table", SMALL, LARGE, explained=True).splitlines() == [
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
    plain = shown("table", replace(SMALL, fused=False, batch=4, uncounted={}), explained=True).splitlines()
    assert plain[0] == "4 images of 480x640 (height x width), not fused, eval mode"
    assert plain[-1] == "Not counted by fvcore in small.yaml: nothing."


def test_notes_stand_beside_the_table_or_below_it_and_machines_always_get_them() -> None:
    frozen = replace(LARGE, name="b.pt", gradients=0, notes=("mind the gap", FROZEN))
    short, long = (Costs((SMALL, LARGE, frozen)).shown(explained=which).report() for which in (False, True))
    assert list(short.notes) == ["a-larger-one.yaml, b.pt: mind the gap"]  # tables have no gradients
    assert short.parts[-1] == "GFLOPs = 2 x GMACs; --notes says what is counted."
    assert not long.notes
    assert long.parts[:-1] == short.parts[:-1]
    assert all(render(short, form) == render(long, form) for form in ("json", "csv", "github"))
    assert FROZEN in short.data["models"][2]["notes"]


def test_per_layer_folds_mere_wrappers_and_shows_own_work() -> None:
    assert "\n\n".join(shown("table", SMALL, per_layer=True).split("\n\n")[2:4]).splitlines() == [
        "small.yaml: layer by layer",
        "",
        "layer       block   params   GMACs  share",
        "----------  ------  ------  ------  -----",
        "0           Conv       900  0.0020  25.0%",
        "1           PSA      4,100  0.0060  75.0%",
        "1.qkv.conv  Conv2d   3,000  0.0040  50.0%",
        "1.ffn       Scale    1,100  0.0010  12.5%",
        "1.ffn.conv  Conv2d   1,000  0.0010  12.5%",
        "1 (matmul)               0  0.0010  12.5%",
    ]


def test_top_shows_the_costliest_layers_closed_and_with_per_layer_open() -> None:
    top = shown("md", SMALL, top=1).split("\n\n")
    assert "the 1 costliest of 2 layers" in top[2]
    assert top[3].splitlines() == [
        "| layer | block | params | GMACs | share |",
        "| --- | --- | ---: | ---: | ---: |",
        "| 1 | PSA | 4,100 | 0.0060 | 75.0% |",
    ]
    opened = records(shown("csv", SMALL, per_layer=True, top=1))
    assert [row["layer"] for row in opened] == ["1", "1.qkv.conv", "1.ffn", "1.ffn.conv", "1 (matmul)"]
    (closed,) = json.loads(shown("json", SMALL, top=1))["models"][0]["modules"]
    assert closed == {"name": "1", "block": "PSA", "params": 4_100, "macs": 6_000_000, "share": 0.75}
    (nested,) = json.loads(shown("json", SMALL, top=1, per_layer=True))["models"][0]["modules"]
    assert nested["own"] == {"matmul": 1_000_000}
    assert nested["children"][0]["children"][0]["own"] == {"conv": 4_000_000}


def test_csv_has_one_row_per_model_with_exact_numbers() -> None:
    first, second = records(shown("csv", SMALL, LARGE))
    totals = {"params": 5_000, "macs": 8_000_000, "flops": 16_000_000, "layers": 7, "gradients": 5_010}
    setting = {"height": 480, "width": 640, "batch": 1, "fused": "true", "uncounted": "silu x3, add x1"}
    expected = {**totals, **{f"{name}_difference": 0 for name in totals}, **setting}
    assert first == {"model": "small.yaml", **{name: str(value) for name, value in expected.items()}}
    assert (second["params_difference"], second["flops_difference"]) == ("1000000", "4000000")
    layers = records(shown("csv", SMALL, LARGE, top=2))
    assert [(row["model"], row["layer"], row["flops"], row["share"]) for row in layers] == [
        ("small.yaml", "1", "12000000", "0.750000"),
        ("small.yaml", "0", "4000000", "0.250000"),
        ("a-larger-one.yaml", "1", "12000000", "0.600000"),
        ("a-larger-one.yaml", "0", "4000000", "0.200000"),
    ]


def test_json_has_a_schema_and_every_number() -> None:
    report = json.loads(shown("json", SMALL, LARGE))
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
    more = {"params": 1_000_000, "macs": 2_000_000, "flops": 4_000_000, "layers": 2, "gradients": 0}
    assert (second["difference"], second["notes"]) == (more, ["mind the gap"])
    assert SMALL.to_dict()["models"] == [first]


@pytest.mark.parametrize("form", FORMATS)
def test_a_model_without_cost_is_shown_like_any_other(form: str) -> None:
    nothing = replace(SMALL, name="nothing", params=0, macs=0, tree=ModuleCost("", "Identity", 0, 0))
    assert "nothing" in shown(form, nothing, SMALL, per_layer=True)


def test_github_has_a_notice_for_each_model_and_an_error_for_each_limit() -> None:
    lines = shown("github", SMALL, LARGE, top=1).splitlines()
    assert lines[1] == (
        "::notice file=a-larger-one.yaml,title=a-larger-one.yaml%3A 1%2C005%2C000 params%2C 0.010 GMACs%2C 0.020 "
        "GFLOPs; difference +1%2C000%2C000 (+20000.0%25) params%2C +0.002 GMACs%2C +0.004 (+25.0%25) GFLOPs"
        "::1 image of 480x640 (height x width), fused, eval mode%0A1 (PSA): 4,100 params, 0.0060 GMACs, 60.0%25"
    )
    above = Costs((SMALL, LARGE)).above(0.016, 5_000)
    assert [(one.level, one.file, one.message) for one in above] == [
        ("error", LARGE.name, "a-larger-one.yaml has 0.020 GFLOPs, above the limit of 0.016"),
        ("error", LARGE.name, "a-larger-one.yaml has 1,005,000 parameters, above the limit of 5,000"),
    ]
    assert Costs((SMALL, LARGE)).above() == []


def test_limits_are_read_exactly_and_what_reaches_one_is_not_above_it() -> None:
    texts = ("30", "11,000", "40M", "1.5k", ".5g")
    assert [parse_amount(text) for text in texts] == [30, 11_000, 40_000_000, 1_500, 500_000_000]
    budget = Budget(gflops=parse_limit("1.1x"), params=parse_limit("40M"))
    assert budget.excess(40_000_000, 1_100_000_000, 1, 1_000_000_000) == []
    assert budget.excess(40_000_001, 1_100_000_001, 1, 1_000_000_000) == [
        "2.200 GFLOPs are above 2.200, 1.1x of the base",
        "40,000,001 parameters are above the limit of 40M",
    ]
