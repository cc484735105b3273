"""Machine formats of all commands: the JSON's versions and keys, and GitHub's annotations."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from support import trained as t

from lska_surgeon.cli.main import COMMANDS, main

VARIANT = "yolov8n-lska-sppf-k11.yaml"
RECIPE = "base: [yolov8n.yaml]\nmatrix: {at: [sppf], k: [11]}\nout: out/{base}-{op}-{at}-k{k}.yaml\n"
#: Command -> words that make it write JSON, and the keys at its top beside `schema`.
JSON = {
    "insert": (
        "yolov8n.yaml --at neck",
        "base scale output params_added sites index_map notes diff",
    ),
    "replace": ("yolov8n.yaml --at neck --by C3k2", "base scale output edits rows gone index_map costs notes diff"),
    "levels": ("yolov8n.yaml --add p2", "base scale output edits rows gone index_map costs notes diff"),
    "remove": (VARIANT, "variant output index_map costs notes diff"),
    "positions": ("yolov8n.yaml", "model scale layers positions"),
    "check": (VARIANT, "ok files unread"),
    "blocks": ("", "declarations trusted source blocks guessed notes"),
    "curves": ("yolov8n.yaml --at neck --k 7", "model at imgsz points notes"),
    "report": ("recipe.yaml --dry-run", "output networks results curves fields missing notes"),
    "erf": ("things.pt --imgsz 64", "imgsz images fields operators notes"),
    "flops": ("yolov8n.yaml --imgsz 64", "unit imgsz batch fused models"),
    "diff": (
        f"yolov8n.yaml {VARIANT}",
        "different before after compared settings added removed changed rewired strides index_map costs",
    ),
    "variants": (
        "recipe.yaml",
        "recipe check failed written findings dry_run uncounted over_budget broken built index",
    ),
    "templates": ("", "templates"),
    "graft": ("things.pt --at sppf --k 11 --dry-run", None),
    "ungraft": ("grafted.pt --dry-run", "output removed certificate"),
    "inspect": ("things.pt", None),
    "doctor": ("", "ok versions traps notes attempts package"),
}
#: Versions of the JSON, where it is not the first.
SCHEMAS = {"check": 2, "diff": 2, "graft": 2, "insert": 2, "positions": 2}


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t.finished(tmp_path_factory.mktemp("trained") / "things.pt", t.trained())


@pytest.fixture(autouse=True)
def in_folder_with_a_variant() -> None:
    assert run("insert yolov8n.yaml --at sppf --k 11").exit_code == 0


def run(words: str) -> Result:
    return CliRunner().invoke(main, words.split(), prog_name="lska-surgeon")


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
    assert isinstance(found, click.Command)
    return found


def takes(name: str, option: str) -> bool:
    return any(option in parameter.opts for parameter in command(name).params)


def test_every_command_with_json_is_pinned_here() -> None:
    elsewhere = ["ablate", "adopt", "export", "latency", "results"]  # whose own tests make what they are given
    assert sorted(name for name in COMMANDS if takes(name, "--json")) == sorted([*JSON, *elsewhere])
    assert not [name for name in JSON if name != "templates" and not takes(name, "--format")]


@pytest.mark.parametrize("name", JSON)
def test_json_has_its_version_and_keys(name: str, things: Path) -> None:
    words, keys = JSON[name]
    if "things.pt" in words or "grafted.pt" in words:
        Path("things.pt").write_bytes(things.read_bytes())
    if "grafted.pt" in words:
        assert run("graft things.pt --at sppf --k 11 -o grafted.pt").exit_code == 0
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
    result = run(f"{name} {words} --json")
    assert result.exit_code == 0 or name == "doctor", result.output
    report = json.loads(result.stdout)
    assert report.pop("schema") == SCHEMAS.get(name, 1)
    assert keys is None or list(report) == keys.split()


def test_format_json_is_the_same_as_json() -> None:
    assert run("positions yolov8n.yaml --format json").output == run("positions yolov8n.yaml --json").output


def test_findings_stand_at_their_lines_on_github() -> None:
    Path("wrong.yaml").write_text(
        Path(VARIANT).read_text(encoding="utf-8").replace("[[16, 19, 22], 1, Detect", "[[16, 19, 21], 1, Detect"),
        encoding="utf-8",
    )
    text, marked = (run(f"check wrong.yaml missing.yaml {more}") for more in ("", "--format github"))
    assert text.exit_code == marked.exit_code == 2
    lines = marked.stdout.splitlines()
    finding = text.stdout.splitlines()[0]
    line, message = finding.split(":")[1], finding.partition("]: ")[2]
    assert lines[0] == f"::error file=wrong.yaml,line={line},title=lska-surgeon check%3A source::{message}"
    assert lines[1].startswith("::error file=missing.yaml,title=lska-surgeon check%3A can't be read::no file missing")
    assert marked.stderr == ""


def test_costs_are_notices_and_limits_are_errors_on_github() -> None:
    words = f"flops yolov8n.yaml {VARIANT} --imgsz 64 --top 1"
    base, variant = json.loads(run(f"{words} --json").stdout)["models"]  # by release, for the head of YOLOv8 changed
    result = run(f"{words} --format github --max-params {base['params']}")
    assert result.exit_code == 1
    assert result.stderr == ""
    first, second, above = result.stdout.splitlines()
    params, share = f"{base['params']:,}".replace(",", "%2C"), f"{100 * base['modules'][0]['share']:.1f}"
    assert first.startswith(f"::notice file=yolov8n.yaml,title=yolov8n.yaml%3A {params} params%2C 0.0")
    assert "GFLOPs::1 image of 64x64 (height x width), fused, eval mode%0A22 (Detect): " in first
    assert first.endswith(f"GMACs, {share}%25")
    assert "GFLOPs; difference +70%2C912 (+2." in second
    assert above == (
        f"::error file={VARIANT},title=lska-surgeon flops%3A above the limit::"
        f"{VARIANT} has {variant['params']:,} parameters, above the limit of {base['params']:,}"
    )


def test_plan_is_a_notice_on_github() -> None:
    result = run("insert yolov8n.yaml --at neck:p3 --format github --dry-run")
    assert result.exit_code == 0
    name = "yolov8n-lska-neck-p3-k23.yaml"
    assert result.output == (
        f"::notice file={name},title=lska-surgeon insert%3A planned::"
        f"{name}: yolov8n.yaml at scale n with lska k23 at neck:p3 (row 16), 5,952 added parameters\n"
    )
    assert not Path(name).exists()
