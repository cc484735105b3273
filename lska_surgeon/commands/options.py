"""Options that several commands share; it knows no command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..kernel import DEFAULT_KERNEL, OP_BLOCKS, PAPER_DILATIONS

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
_SIZES = ", ".join(map(str, PAPER_DILATIONS))


def where_and_what(required: bool) -> Callable[[AnyFunction], AnyFunction]:
    """`--at`, `--k`, `--op` and `--dilation`."""
    options = [
        click.option(
            "--at", multiple=True, required=required, metavar="POSITION[@K]", help="Where; may be given several times."
        ),
        click.option(
            "--k", default=DEFAULT_KERNEL, show_default=True, help=f"Kernel size: {_SIZES}; any odd k with --dilation."
        ),
        click.option(
            "--op", type=click.Choice(list(OP_BLOCKS)), default="lska", show_default=True, help="Which operator."
        ),
        click.option(
            "--dilation", type=int, metavar="D", help="Dilation, for kernel sizes that the paper does not have."
        ),
    ]
    return _all_of(options)


def writing(function: AnyFunction) -> AnyFunction:
    """`-o`, `--force`, `--dry-run`, `--json` and `--quiet`."""
    options = [
        click.option("-o", "--output", metavar="FILE", help="File to write; a YAML also to - (standard output)."),
        click.option("--force", is_flag=True, help="Overwrite the file if it is there."),
        click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing."),
        click.option("--json", "as_json", is_flag=True, help="The report as JSON on standard output."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing when all went well."),
    ]
    return _all_of(options)(function)


trust = click.option(
    "--trust",
    is_flag=True,
    help="Load the checkpoint even if it names code that is not on the allow-list. It may run it.",
)


def _all_of(options: list[Callable[[AnyFunction], AnyFunction]]) -> Callable[[AnyFunction], AnyFunction]:
    def decorate(function: AnyFunction) -> AnyFunction:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
