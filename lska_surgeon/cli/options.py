"""Options that several commands share; it knows no command."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import click

from ..core.operators import DEFAULT_KERNEL, PAPER_DILATIONS
from ..cost.limits import LARGEST_SIDE
from ..declarations.find import building_with, find_blocks
from ..modelfile.sources import STDIN
from . import completion

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
_SIZES = ", ".join(map(str, PAPER_DILATIONS))


def not_empty(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A callback for an option that has no meaning when it is given empty, as an unset shell variable gives it."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty")
    return value


class FiniteRange(click.FloatRange):
    """A range of numbers that can be compared with; click has NaN in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; NaN and infinity are none."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(
                f"{value!r} is no number that anything can be compared with: give one such as 0.5 or 30", param, ctx
            )
        return number


def where_and_what(required: bool) -> Callable[[AnyFunction], AnyFunction]:
    """`--at`, `--k`, `--op` and `--dilation`."""
    options = [
        click.option(
            "--at",
            shell_complete=completion.positions,
            multiple=True,
            required=required,
            metavar="POSITION[@K]",
            help="Where; may be given several times.",
        ),
        click.option(
            "--k",
            shell_complete=completion.kernel_sizes,
            type=int,
            metavar="K",
            help=f"Kernel size of LSKA and its kin: {_SIZES}; any odd k with --dilation.  [default: {DEFAULT_KERNEL}]",
        ),
        click.option(
            "--op",
            default="lska",
            show_default=True,
            metavar="OPERATOR",
            shell_complete=completion.operators,
            help="lska, lska-trivial, lka, lka-trivial, lska-attention; cbam, timm:NAME, or an attention you declare.",
        ),
        click.option(
            "--dilation", type=int, metavar="D", help="Dilation, for kernel sizes that the paper does not have."
        ),
    ]
    return _all_of(options)


def writing(output: str) -> Callable[[AnyFunction], AnyFunction]:
    """`-o`, with this help, `--force`, `--dry-run` and `--quiet`."""
    options = [
        click.option(
            "-o",
            "--output",
            callback=not_empty,
            metavar="FILE",
            shell_complete=completion.files,
            help=output,
        ),
        click.option("--force", is_flag=True, help="Overwrite the file if it is there."),
        click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing."),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            help="Say nothing when all went well; a dry run still shows what it would do.",
        ),
    ]
    return _all_of(options)


def formats(*forms: str) -> Callable[[AnyFunction], AnyFunction]:
    """`--format` with these forms, the first of them the default, and `--json` for short; the command gets `form`."""

    def decorate(function: AnyFunction) -> AnyFunction:
        @wraps(function)
        def chosen(*args: Any, form: str | None, as_json: bool, **rest: Any) -> Any:
            if as_json and form not in (None, "json"):
                raise click.UsageError(f"--json is short for --format json: drop it, or --format {form}")
            return function(*args, form="json" if as_json else form or forms[0], **rest)

        wrapped = cast(AnyFunction, chosen)
        options = [
            click.option("--format", "form", type=click.Choice(forms), help=f"How to write it.  [default: {forms[0]}]"),
            click.option("--json", "as_json", is_flag=True, help="Short for --format json."),
        ]
        return _all_of(options)(wrapped)

    return decorate


def image_size(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    """`640`, or `H,W`."""
    found = re.fullmatch(r"([1-9]\d{0,17})(?:,([1-9]\d{0,17}))?", value.replace(" ", ""))
    if found is None:
        raise click.BadParameter(f"{value!r} is no size in pixels: give one number for a square, or H,W (480,640)")
    height, width = int(found[1]), int(found[2] or found[1])
    if max(height, width) > LARGEST_SIDE:
        raise click.BadParameter(f"{value!r} is out of range: a side has 1 to {LARGEST_SIDE} pixels")
    return height, width


imgsz = click.option(
    "--imgsz", callback=image_size, default="640", show_default=True, metavar="N|H,W", help="Input size in pixels."
)


def refuse_two_texts(form: str, output: str | None, source: str = "") -> None:
    """Refuse to write both a report for a machine and the YAML itself to standard output."""
    if form != "text" and output is None and source == STDIN:
        raise click.UsageError(f"what comes from standard input goes to standard output: with --format {form} give -o")
    if form != "text" and output == STDIN:
        raise click.UsageError(f"--format {form} and -o - both want standard output: give -o a file name, or drop one")


unchecked = click.option("--unchecked", is_flag=True, help="Go on where `lska-surgeon check` finds errors in the base.")


def refuse_second_reading(models: Sequence[str]) -> None:
    """Refuse to read standard input twice."""
    if models.count(STDIN) > 1:
        raise click.UsageError("- is standard input, which can be read once: give the other as a file")


blocks_option = click.option(
    "--blocks",
    callback=not_empty,
    metavar="FILE",
    shell_complete=completion.files,
    help="Declaration of your own blocks; by default the nearest lska-surgeon.toml.",
)
#: Parameters that hold the files worked on.
_WORKED_ON = ("source", "sources", "base", "variant", "model", "models", "files", "checkpoint", "recipe", "into")


def blocks(function: AnyFunction) -> AnyFunction:
    """`--blocks`; the command runs with the declarations that hold for the files it is given."""

    @wraps(function)
    def declared(*args: Any, blocks: str | None, **rest: Any) -> Any:
        given = click.get_current_context().params
        near = [path for name in _WORKED_ON for path in _listed(given.get(name))]
        if given.get("recipe"):
            from ..recipes.recipe import bases_of  # here, for commands that take no recipe

            near += [base for recipe in _listed(given.get("recipe")) for base in bases_of(recipe)]
        with building_with(find_blocks(blocks, near)):
            return function(*args, **rest)

    return blocks_option(cast(AnyFunction, declared))


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),) if value else ()


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
