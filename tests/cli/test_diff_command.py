"""`lska-surgeon diff`: what it prints in each format, and how it exits."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from support.shapes import graft, write_checkpoint

from lska_surgeon.cli.main import main

VARIANT = "yolov8s-lska-sppf-k35.yaml"


@pytest.fixture(autouse=True)
def in_folder_with_a_variant() -> None:
    assert run("insert", "yolov8s.yaml", "--at", "sppf", "--k", "35").exit_code == 0


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="lska-surgeon")


def test_text_says_it_in_one_line_then_in_a_table() -> None:
    result = run("diff", "yolov8s.yaml", VARIANT)
    assert result.exit_code == 0
    assert (
        result.output
        == f"""\
yolov8s.yaml -> {VARIANT}: 1 row added, 2 rows rewired

change   before  after  block        what
-------  ------  -----  -----------  ---------------------------------------------------------------
added            10     LSKA         [c2, 35], reads 9 (SPPF), read by 11 (nn.Upsample), 21 (Concat)
rewired  10      11     nn.Upsample  source 0: 9 (SPPF) -> 10 (LSKA)
rewired  20      21     Concat       source 1: 9 (SPPF) -> 10 (LSKA)

+281,088 params, +0.111 GMACs, +0.223 GFLOPs at 640x640 (exact, in closed form)
layers: 0-9 -> 0-9, 10-22 -> 11-23
"""
    )


def test_markdown_is_for_a_comment() -> None:
    lines = run("diff", VARIANT, "yolov8s.yaml", "--format", "md", "--imgsz", "320").output.splitlines()
    assert lines == [
        f"**{VARIANT} -> yolov8s.yaml: 1 row removed, 2 rows rewired**",
        "",
        "| change | before | after | block | what |",
        "| --- | --- | --- | --- | --- |",
        "| removed | 10 |  | LSKA | [c2, 35], reads 9 (SPPF), read by 11 (nn.Upsample), 21 (Concat) |",
        "| rewired | 11 | 10 | nn.Upsample | source 0: 10 (LSKA) -> 9 (SPPF) |",
        "| rewired | 21 | 20 | Concat | source 1: 10 (LSKA) -> 9 (SPPF) |",
        "",
        "- -281,088 params, -0.028 GMACs, -0.056 GFLOPs at 320x320 (exact, in closed form)",
        "- layers: 0-9 -> 0-9, 11-23 -> 10-22",
    ]


def test_github_is_one_notice_at_the_second_file() -> None:
    output = run("diff", "yolov8s.yaml", VARIANT, "--format", "github").output
    assert output.startswith(
        f"::notice file={VARIANT},title=yolov8s.yaml -> {VARIANT}%3A 1 row added%2C 2 rows rewired::"
        "added 10 LSKA: [c2, 35], reads 9 (SPPF), read by 11 (nn.Upsample), 21 (Concat)%0A"
        "rewired 10 -> 11 nn.Upsample: source 0: 9 (SPPF) -> 10 (LSKA)%0A"
    )
    assert output.count("\n") == 1


def test_json_has_it_all() -> None:
    report = json.loads(run("diff", "yolov8s.yaml", VARIANT, "--json").output)
    assert report["schema"] == 2
    assert report["different"] is True
    assert report["added"] == [
        {"index": 10, "sources": [9], "repeats": 1, "block": "LSKA", "args": ["c2", 35], "consumers": [11, 21]}
    ]
    assert report["rewired"][1] == {"before": 20, "after": 21, "slot": 1, "read": 9, "reads": 10}
    assert report["index_map"]["10"] == 11
    assert report["costs"]["how"] == "closed form"
    assert report["costs"]["gained"] == {"params": 281088, "macs": 111411200, "flops": 222822400}


def test_counting_both_gives_what_the_closed_form_gives() -> None:
    words = ("diff", "yolov8s.yaml", VARIANT, "--imgsz", "64,96", "--format", "json")
    exact, counted = (json.loads(run(*words, *more).output)["costs"] for more in ((), ("--costs",)))
    assert counted["how"] == "fvcore"
    assert counted["gained"] == exact["gained"]
    assert counted["after"]["params"] - counted["before"]["params"] == exact["gained"]["params"]


def test_counted_totals_stand_in_a_table() -> None:
    output = run("diff", "yolov8n.yaml", "yolov8n-p2.yaml", "--costs", "--imgsz", "64").output
    assert "\nmodel               params  GMACs  GFLOPs\n" in output
    assert "(counted by fvcore, fused, eval mode)\n" in output


def test_costs_that_need_counting_are_said_to() -> None:
    output = run("diff", "yolov8n.yaml", "yolov8s.yaml").output
    assert "setting                 scale  n -> s\n" in output
    assert "\nparams and GFLOPs gained: not known without --costs\n" in output


@pytest.mark.parametrize(("after", "code"), [(VARIANT, 1), ("yolov8s.yaml", 0)])
def test_exit_code_is_that_of_git(after: str, code: int) -> None:
    assert run("diff", "yolov8s.yaml", after, "--exit-code").exit_code == code
    assert run("diff", "yolov8s.yaml", after).exit_code == 0


@pytest.mark.parametrize("form", ["text", "md"])
def test_no_difference_is_one_line(form: str) -> None:
    output = run("diff", "yolov8s.yaml", "yolov8s.yaml", "--format", form).output
    assert output == "no difference: yolov8s.yaml and yolov8s.yaml are one architecture\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("form", ["text", "md", "json", "github"])
def test_name_that_is_not_utf8_comes_out_as_it_is(form: str) -> None:
    name = os.fsdecode(b"d\xe9.yaml")
    Path(name).write_bytes(Path(VARIANT).read_bytes())
    result = run("diff", VARIANT, name, "--format", form)
    assert result.exit_code == 0, result.exception
    assert b"d\xe9.yaml" in result.stdout_bytes


def test_checkpoints_are_compared_by_the_yamls_that_they_store(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    graft(tmp_path / "base.pt", "neck")
    result = run("diff", "base.pt", "graft.pt")
    assert result.exit_code == 0
    assert (
        result.stdout
        == """\
base.pt -> graft.pt: 1 row added, 1 row rewired

change   before  after  block   what
-------  ------  -----  ------  -------------------------------------------
added            9      LSKA    [c2, 7], reads 8 (C2f), read by 10 (Detect)
rewired  9       10     Detect  source 0: 8 (C2f) -> 9 (LSKA)

+528 params, +0.011 GMACs, +0.023 GFLOPs at 640x640 (exact, in closed form)
layers: 0-8 -> 0-8, 9 -> 10
"""
    )
    assert result.stderr.splitlines() == [
        f"Note: {name} is compared by the model YAML that it stores, not by its weights"
        for name in ("base.pt", "graft.pt")
    ]


def test_a_checkpoint_and_its_own_yaml_are_one_architecture(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    for pair in (("tiny.yaml", "base.pt"), ("base.pt", "tiny.yaml"), ("base.pt", "base.pt")):
        result = run("diff", *pair, "--exit-code")
        assert (result.exit_code, result.stdout.count("are one architecture")) == (0, 1), pair
    counted = json.loads(run("diff", "tiny.yaml", "base.pt", "--costs", "--imgsz", "64", "--format", "json").stdout)
    assert counted["costs"]["gained"] == {"params": 0, "macs": 0, "flops": 0}


def test_a_state_dict_has_no_rows(tmp_path: Path) -> None:
    torch.serialization.save({"model.0.weight": torch.zeros(1)}, tmp_path / "weights.pt")
    result = run("diff", "weights.pt", "yolov8s.yaml")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: weights.pt holds tensors without a model, so it has no rows\n",
    )
