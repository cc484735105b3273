"""Shell completion: the scripts for three shells, and what they offer; real shells where there are any."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.fresh import fresh

from lska_surgeon.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
SCRIPTS = {"bash": "complete -o nosort -F", "zsh": "#compdef lska-surgeon", "fish": "complete --no-files --command"}


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def completed(words: str) -> list[tuple[str, str]]:
    """What is offered for the last word of a line, which may be empty: (type, value) of each."""
    line = ["lska-surgeon", *words.split(" ")]
    environment = {"COMP_WORDS": shlex.join(line[:-1]) + f" {line[-1]}", "COMP_CWORD": str(len(line) - 1)}
    environment["_LSKA_SURGEON_COMPLETE"] = "bash_complete"
    result = CliRunner().invoke(main, [], prog_name="lska-surgeon", env=environment)
    assert result.exit_code == 0, result.output
    return [tuple(item.split(",", 1)) for item in result.stdout.splitlines()]  # type: ignore[misc]


def offered(words: str) -> list[str]:
    """The same without the types, all of which are plain words."""
    found = completed(words)
    assert {kind for kind, _ in found} <= {"plain"}
    return [value for _, value in found]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_script_that_a_shell_sources(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    environment = {"_LSKA_SURGEON_COMPLETE": f"{shell}_source"}
    result = CliRunner().invoke(main, [], prog_name="lska-surgeon", env=environment)
    assert result.exit_code == 0
    assert SCRIPTS[shell] in result.stdout
    assert f"_LSKA_SURGEON_COMPLETE={shell}_complete" in result.stdout
    assert f"_LSKA_SURGEON_COMPLETE={shell}_source lska-surgeon" in PAGE


POSITIONS = ["backbone", "sppf", "neck", "head", "residual", "sppf-inner", "after:", "before:", "edge:"]
SIZES = ["7", "11", "23", "35", "41", "53"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", list(COMMANDS)),
        ("in", ["insert", "inspect"]),
        ("insert --d", ["--dilation", "--dry-run"]),
        ("insert yolov8s.yaml --op lka", ["lka", "lka-trivial"]),
        ("graft x.pt --op lska-", ["lska-trivial", "lska-attention"]),
        *((f"{command} --k ", SIZES) for command in ("insert yolov8s.yaml", "graft x.pt")),
        ("insert yolov8s.yaml --k 5", ["53"]),
        ("insert yolov8s.yaml --at ", POSITIONS),
        ("insert yolov8s.yaml --at s", ["sppf", "sppf-inner"]),
        ("train x.pt --stage ", ["all", "attention", "both"]),
        ("graft x.pt --init ", ["identity", "default"]),
        ("flops --format ", ["table", "json", "csv", "md", "github"]),
        ("autoload ", ["on", "off", "status"]),
        ("templates show git", ["github", "gitlab"]),
        ("templates copy k", ["kernel-ablation"]),
        ("train yolov8n-c", ["yolov8n-cls-resnet101.yaml", "yolov8n-cls-resnet50.yaml", "yolov8n-cls.yaml"]),
        ("check rtdetr-l", ["rtdetr-l.yaml"]),  # names no scale, so it has no letters
    ],
)
def test_words(words: str, wanted: list[str]) -> None:
    assert offered(words) == wanted


def test_scales_are_those_of_the_model() -> None:
    assert offered("insert yolov8.yaml --scale ") == ["n", "s", "m", "l", "x"]
    assert offered("positions yolov10x.yaml --scale ") == ["x"]
    assert sorted(offered("insert --scale ")) == sorted("nslmx")
    Path("mine.yaml").write_text("scales:\n  s: [1, 1, 1]\n  x: [1, 1, 1]\nbackbone: []\n", encoding="utf-8")
    assert offered("insert mine.yaml --at neck --scale ") == ["s", "x"]
    assert offered("insert nothing.yaml --scale m") == ["m"]
    assert offered("flops yolov10x.yaml --scale ") == ["x"]


def test_checkpoints_in_capitals_are_listed_too() -> None:
    Path("yolo.PT").write_bytes(b"")
    assert "yolo.PT" in offered("flops yolo")


def test_stock_models_with_their_scales() -> None:
    found = offered("insert yolov8")
    assert {"yolov8.yaml", "yolov8n.yaml", "yolov8x-seg.yaml"} <= set(found)
    assert found == sorted(found)
    assert "yolo11m.yaml" in offered("positions yolo11")


def test_every_stock_model_that_is_offered_is_found() -> None:
    from lska_surgeon.modelfile.sources import find_source

    for name in [*offered("flops yolo"), *offered("flops rtdetr")]:
        assert find_source(name).name == name


def test_no_letters_before_anything_is_typed() -> None:
    found = offered("diff yolov8s.yaml ")
    assert "yolov8.yaml" in found
    assert "yolov8n.yaml" not in found


def test_files_stand_beside_stock_models(in_empty_folder: Path) -> None:
    for name in ("yolov8s-mine.yaml", "yolov8s-mine.txt", "yolov8s.pt"):
        (in_empty_folder / name).touch()
    (in_empty_folder / "yolov8s-variants").mkdir()
    found = offered("insert yolov8s")
    assert found[:3] == ["yolov8s-mine.yaml", "yolov8s-variants/", "yolov8s.pt"]
    assert found[3].startswith("yolov8s-cls")


@pytest.mark.parametrize(
    "words", ["insert mine", "insert ./yolov8", "remove x", "graft best", "insert a --at neck -o va", "train x"]
)
def test_other_files_are_left_to_the_shell(words: str) -> None:
    assert completed(words) == [("file", words.split(" ")[-1])]


def test_completing_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom lska_surgeon.cli.main import main\n"
        "try:\n    main(prog_name='lska-surgeon')\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'ultralytics', 'numpy', 'rich'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    for words, number in (("lska-surgeon ", 1), ("lska-surgeon insert yolov8", 2), ("lska-surgeon flops --", 2)):
        environment = {"COMP_WORDS": words, "COMP_CWORD": str(number), "_LSKA_SURGEON_COMPLETE": "bash_complete"}
        assert fresh(script, **environment)


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A folder with `lska-surgeon` in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = "from lska_surgeon.cli.main import main; main(prog_name='lska-surgeon')"
    (folder / "lska-surgeon").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{program}" "$@"\n', encoding="utf-8")
    (folder / "lska-surgeon").chmod(0o755)
    return folder


def shell(name: str, script: str, command: Path) -> list[str]:
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    environment = {**os.environ, "PATH": f"{command}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([name, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(os.name == "nt", reason="shells of Unix")
def test_real_bash(command: Path) -> None:
    script = (
        'eval "$(_LSKA_SURGEON_COMPLETE=bash_source lska-surgeon)"\n'
        "complete -p lska-surgeon >/dev/null || exit 3\n"
        "COMP_WORDS=(lska-surgeon insert yolov8s.yaml --op lka)\nCOMP_CWORD=4\n"
        '_lska_surgeon_completion lska-surgeon\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    assert shell("bash", script, command) == ["lka", "lka-trivial"]


@pytest.mark.skipif(os.name == "nt", reason="shells of Unix")
def test_real_zsh(command: Path) -> None:
    script = (
        "autoload -Uz compinit && compinit -u -D\n"
        'eval "$(_LSKA_SURGEON_COMPLETE=zsh_source lska-surgeon)"\nprint -- "$_comps[lska-surgeon]"\n'
    )
    assert shell("zsh", script, command) == ["_lska_surgeon_completion"]


@pytest.mark.skipif(os.name == "nt", reason="shells of Unix")
def test_real_fish(command: Path) -> None:
    script = "_LSKA_SURGEON_COMPLETE=fish_source lska-surgeon | source\ncomplete -C 'lska-surgeon insert x --op lka'\n"
    assert shell("fish", script, command) == ["lka", "lka-trivial"]
