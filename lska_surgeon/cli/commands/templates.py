"""`lska-surgeon templates`."""

from __future__ import annotations

from pathlib import Path

import click

from ...files import check_target, replace_all
from ...recipes import templates as shipped
from ...tables import table
from .. import completion
from ..groups import NamingGroup
from ..options import formats
from ..reports.json import SCHEMA, dump


@click.group(cls=NamingGroup, invoke_without_command=True)
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
    if form == "json":
        found = [
            {"name": one.name, "summary": one.summary, "target": one.target.as_posix()} for one in shipped.templates()
        ]
        click.echo(dump({"schema": SCHEMA, "templates": found}))
        return
    rows = [(one.name, one.summary, one.target.as_posix()) for one in shipped.templates()]
    click.echo(table(("template", "what it is for", "copied to"), rows))


@templates.command()
@click.argument("name", shell_complete=completion.templates)
def show(name: str) -> None:
    """Print the template NAME.

    \b
    Example:
      lska-surgeon templates show github
    """
    click.echo(shipped.template(name).text, nl=False)


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
    one = shipped.template(name)
    target = output or one.target
    if target.parent.is_dir():
        check_target(target, force=force)
    texts = {target: one.text}
    if one.is_recipe and not (target.parent / shipped.SCHEMA).exists():
        texts[target.parent / shipped.SCHEMA] = shipped.template("recipe-schema").text
    replace_all(texts)
    for path in texts:
        click.echo(f"Wrote {path}")
    if one.needs_a_repository:
        click.echo(f"Note: name the repository that you have lska-surgeon from, as LSKA_SURGEON in {target}", err=True)
