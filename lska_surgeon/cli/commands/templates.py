"""`lska-surgeon templates`."""

from __future__ import annotations

from pathlib import Path

import click

from ...api import templates as api
from ...reports import render
from .. import completion, say
from ..groups import NamingGroup
from ..options import formats


class _TemplatesGroup(NamingGroup):
    """Templates have names, and so have commands: who gives the first alone is told of the second."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; the name of a template is none."""
        if not ctx.resilient_parsing and args[0] in {one.name for one in api.templates()}:
            ctx.fail(
                f"{args[0]} is a template: lska-surgeon templates show {args[0]} prints it, and "
                f"lska-surgeon templates copy {args[0]} writes it"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_TemplatesGroup, invoke_without_command=True)
@formats("table", "json")
@click.pass_context
def templates(ctx: click.Context, /, form: str) -> None:
    """List, show or copy recipes and CI files to start from.

    \b
    Examples:
      lska-surgeon templates
      lska-surgeon templates show kernel-ablation
      lska-surgeon templates copy recommended -o recipe.yaml
    """
    if ctx.invoked_subcommand:
        return
    say.report(render(api.templates().report(), form))


@templates.command()
@click.argument("name", shell_complete=completion.templates)
def show(name: str) -> None:
    """Print the template NAME.

    \b
    Example:
      lska-surgeon templates show github
    """
    say.report(api.templates()[name].text, nl=False)


@templates.command()
@click.argument("name", shell_complete=completion.templates)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to, if not by default.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def copy(name: str, output: Path | None, force: bool) -> None:
    """Copy the template NAME to where it works; with a recipe, its schema for editors.

    \b
    Example:
      lska-surgeon templates copy kernel-ablation -o recipe.yaml
    """
    one = api.templates()[name]
    files = list(one.copies(output))
    one.write(output, force)
    for path in files:
        say.line(f"Wrote {path}")
    if one.needs_a_repository:
        say.note(f"name the repository that you have lska-surgeon from, as LSKA_SURGEON in {files[0]}")
