"""Numbers in options: what no comparison holds with is none."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import COMMANDS, main
from lska_surgeon.cli.options import FiniteRange


def number_options() -> Iterator[tuple[str, str]]:
    """Command and option of everything that takes a number with a point."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        for parameter in command.params if command else ():
            if isinstance(parameter.type, click.types.FloatParamType):
                assert isinstance(parameter.type, FiniteRange), f"{name} {parameter.opts}"
                yield name, parameter.opts[0]


@pytest.mark.parametrize("number", ["nan", "NaN", "-nan", "inf", "1e999"])
def test_what_is_no_number_is_refused_everywhere(number: str) -> None:
    options = [*number_options()]
    assert ("flops", "--max-gflops") in options
    for command, option in options:
        told = CliRunner().invoke(main, [command, "yolov8n.yaml", option, number])
        assert (told.exit_code, told.stdout) == (2, "")
        assert f"'{option}': {number!r} is no number" in told.stderr
