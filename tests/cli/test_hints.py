"""What people type who come from other tools: the message says what is meant, and what to type next."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from support.shapes import surgeon, write_network

from lska_surgeon.cli.main import COMMANDS, MEANT, MEANT_OPTIONS, main

HINTS = {
    "compare a.yaml b.yaml": "no command 'compare' (did you mean diff?)",
    "Plot tiny.yaml": "no command 'Plot' (did you mean draw?)",
    "insert tiny.yaml --at neck --op eca": "no operator 'eca' (did you mean timm:eca?)",
    "insert tiny.yaml --at neck --op CBAM": "no operator 'CBAM' (did you mean cbam?)",
    "insert tiny.yaml --at neck --op SE": "no operator 'SE' (did you mean timm:se?)",
    "insert tiny.yaml --at neck --op LSKA": "no operator 'LSKA' (did you mean lska?)",
    "insert tiny.yaml --at neck --kernel 7": (
        "No such option '--kernel' (did you mean --k?) (see lska-surgeon insert --help)"
    ),
    "graft base.pt --position neck": "No such option '--position' (did you mean --at?) (see lska-surgeon graft --help)",
    "graft base.pt": (
        "say where: --at POSITION (such as --at neck), or --into VARIANT.yaml; one of the two (see "
        "lska-surgeon graft --help)"
    ),
    "latency tiny.yaml --rounds 1": (
        "1 rounds are too few to measure by: give 2 or more, such as 50 (see lska-surgeon latency --help)"
    ),
    "results nothere": (
        "neither a recipe nor a folder is at nothere: give a recipe that was ablated, such as recipe.yaml, "
        "or folders of runs, such as runs/detect"
    ),
    "graft x.yaml --at neck": (
        "x.yaml is a YAML by its name, and this takes a trained checkpoint: give its .pt; insert puts operators into a "
        "model YAML, and graft FILE.pt --into x.yaml puts a checkpoint into one"
    ),
    "graft tiny.yaml": "tiny.yaml is a YAML by its name, and this takes a trained checkpoint: give its .pt",
    **{
        f"{command} tiny.yaml": "tiny.yaml is a model YAML, and this takes a recipe, which names models to start from "
        "(base: tiny.yaml): lska-surgeon templates copy recommended writes one"
        for command in ("ablate", "results", "variants", "report")
    },
    "graft tiny.yaml --at neck": "tiny.yaml is a YAML by its name, and this takes a trained checkpoint: give its .pt",
    "erf x.yaml": "x.yaml is a YAML by its name, and this takes a trained checkpoint: give its .pt",
    "templates recommended": (
        "recommended is a template: lska-surgeon templates show recommended prints it, and lska-surgeon templates copy "
        "recommended writes it"
    ),
}


@pytest.mark.parametrize("words", HINTS)
def test_what_is_meant(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path)
    done = surgeon(*words.split())
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.replace("(see main", "(see lska-surgeon").startswith(f"Error: {HINTS[words]}")


def test_hints_name_what_there_is() -> None:
    assert set(MEANT.values()) <= set(COMMANDS)
    assert not set(MEANT) & set(COMMANDS)
    with click.Context(main) as ctx:
        commands = [main.get_command(ctx, name) for name in COMMANDS]
    options = {word for command in commands if command for option in command.params for word in option.opts}
    assert set(MEANT_OPTIONS.values()) <= options


def test_an_option_that_a_command_does_not_have_is_not_named() -> None:
    assert "did you mean" not in surgeon("autoload", "--kernel").stderr
