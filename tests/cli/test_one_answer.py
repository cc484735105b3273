"""One file gets one answer in all commands: in another encoding, with its ending in capitals, without a model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.shapes import NETWORK, surgeon, write_checkpoint

#: Commands that read a checkpoint, `{}`.
READ_A_CHECKPOINT = ("flops --imgsz 64 {}", "inspect {}", "graft {} --at neck --dry-run")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def folder(base: Path) -> None:
    shutil.copy(base, "base.pt")


def refusal(words: str) -> str:
    before = sorted(Path().iterdir())
    result = surgeon(*words.split())
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert sorted(Path().iterdir()) == before
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("suffix", [".PT", ".Pt", ".PTH"])
def test_checkpoint_in_capitals(suffix: str) -> None:
    Path("base.pt").rename(f"base{suffix}")
    for command in READ_A_CHECKPOINT:
        result = surgeon(*command.format(f"base{suffix}").split())
        assert (result.exit_code, result.stderr) == (0, ""), command
    for command in ("insert {} --at neck", "remove {}", "positions {}", "check {}"):
        told = f"Error: base{suffix} is a checkpoint, and this takes a model YAML: "
        assert refusal(command.format(f"base{suffix}")).startswith(told)
    assert surgeon("diff", f"base{suffix}", "yolov8n.yaml").exit_code == 0
    assert refusal(f"train base{suffix} data=coco8.yaml").startswith("Error: ultralytics ")


def test_a_model_without_a_scale_gets_no_option_that_the_command_lacks() -> None:
    told = "Note: yolov8.yaml names no scale, so this is n, the first of n, s, m, l, x\n"
    for command in ("insert yolov8.yaml --at neck -o -", "positions yolov8.yaml", "diff yolov8.yaml yolov8n.yaml"):
        assert told in surgeon(*command.split()).stderr


@pytest.mark.parametrize("content", [b"nc: 80\n---\nnc: 1\n", b"PK\x03\x04\nnc: 1\n\tx\n"])
def test_what_is_no_yaml_is_told_with_its_line(content: bytes) -> None:
    Path("mine.yaml").write_bytes(content)
    for command in ("positions mine.yaml", "check mine.yaml", "flops mine.yaml", "graft base.pt --into mine.yaml"):
        assert refusal(command).startswith("Error: mine.yaml, line ")


def test_files_that_are_not_there_have_no_summary() -> None:
    result = surgeon("check", "one.yaml", "two.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 2


def test_a_graft_into_a_variant_says_so_of_each_operator() -> None:
    Path("network.yaml").write_text(NETWORK, encoding="utf-8")
    assert surgeon("insert", "network.yaml", "--at", "neck", "--k", "7", "-o", "variant.yaml").exit_code == 0
    assert surgeon("graft", "base.pt", "--into", "variant.yaml", "-o", "grafted.pt").exit_code == 0
    shown = surgeon("inspect", "grafted.pt").stdout
    assert "lska k7 as in the variant (row " in shown
    assert "--into" not in shown


def test_git_can_show_a_stock_model() -> None:
    result = surgeon("diff", "--textconv", "yolov8n.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("output = Detect[nc](head.p3.block, head.p4.block-2, head.p5.block)\n")
