"""Paths that hold no file are told as what they are, and nothing waits for what stands there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems have no named pipes")

COMMANDS = ("check", "insert --at neck", "positions", "remove", "flops", "diff --textconv")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no file, under the names of a YAML and of a checkpoint; and a plain file."""
    monkeypatch.chdir(tmp_path)
    for suffix in (".yaml", ".pt"):
        os.mkfifo(f"pipe{suffix}")
        Path(f"loop{suffix}").symlink_to(f"loop{suffix}")
        Path(f"dangling{suffix}").symlink_to("gone")
        Path(f"folder{suffix}").mkdir()
    Path("base.yaml").write_text("nc: 1\n", encoding="utf-8")


def refusal(words: str) -> str:
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1
    return result.output


KINDS = {
    "/dev/null": "a device",
    "pipe": "a named pipe",
    "loop": "a symbolic link that leads nowhere",
    "dangling": "a symbolic link that leads nowhere",
    "folder": "a directory",
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_model_that_is_no_file(command: str, name: str) -> None:
    path = name if name.startswith("/") else f"{name}.yaml"
    assert refusal(f"{command} {path}").startswith(f"Error: {path} is {KINDS[name]}")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("command", ["inspect", "ungraft", "graft --at neck"])
def test_checkpoint_that_is_no_file(command: str, name: str) -> None:
    path = name if name.startswith("/") else f"{name}.pt"
    assert refusal(f"{command} {path}").startswith(f"Error: {path} is {KINDS[name]}: give the ")


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("base.yaml/x.yaml", "can't write base.yaml/x.yaml: base.yaml is a file, not a directory"),
        ("base.yaml/y/x.yaml", "can't write base.yaml/y/x.yaml: base.yaml is a file, not a directory"),
        ("pipe.yaml/x.yaml", "can't write pipe.yaml/x.yaml: pipe.yaml is a named pipe, not a directory"),
        ("no/x.yaml", "can't write no/x.yaml: there is no directory no"),
        ("pipe.yaml --force", "pipe.yaml is a named pipe: give a file name with -o"),
    ],
)
def test_output_that_can_not_be_written(output: str, problem: str) -> None:
    assert refusal(f"insert yolov8n.yaml --at neck -o {output}") == f"Error: {problem}\n"
