"""`lska-surgeon ablate`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from ...api.ablate import ablate as do_ablate
from .. import say
from ..options import blocks as with_blocks
from ..options import not_empty
from ..reports.ablate import Progress, deliver, dry_run_text, how_far


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show every cell and what is left; start nothing.")
@click.option("--devices", callback=not_empty, metavar="0,1,…|cpu", help="Where to train, one training per device.  [default: every GPU, else the CPU]")  # fmt: skip # noqa: E501
@click.option("--ray", callback=not_empty, metavar="ADDRESS", help="Train on the Ray cluster at this address, or auto.")
@click.option("--slurm", metavar="OPTIONS", help="Submit one array of Slurm jobs, with these options of sbatch.")
@click.option("--retry", is_flag=True, help="Train cells again that failed.")
@click.option("--renew", is_flag=True, help="Move stale and unreadable cells aside and train them again.")
@click.option("--folder", callback=not_empty, metavar="DIR", help="Where the cells lie.  [default: ablation/RECIPE]")
@with_blocks
@click.option("--json", "as_json", is_flag=True, help="Write the state of every cell as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all went well.")
@click.pass_context
def ablate(
    ctx: click.Context,
    recipe: Path,
    dry_run: bool,
    devices: str | None,
    ray: str | None,
    slurm: str | None,
    retry: bool,
    renew: bool,
    folder: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train every variant of RECIPE, and its bases, with every seed, and go on where an earlier call stopped.

    The recipe says how, under train, seeds and controls. Each training is a cell with a folder of its own below
    ablation/; all state is in these files, so any process may die at any moment. A cell that was trained is never
    trained again. After each, its network is compared with the variant, row by row. Exit code 1: a cell failed.

    \b
    Examples:
      lska-surgeon ablate recipe.yaml --dry-run
      lska-surgeon ablate recipe.yaml --devices 0,1
      lska-surgeon ablate recipe.yaml --ray auto
      lska-surgeon ablate recipe.yaml --slurm "-p gpu --gres=gpu:1 -t 8:00:00"
    """
    if sum(one is not None for one in (devices, ray, slurm)) > 1:
        raise click.UsageError("--devices, --ray and --slurm each say where to train: give one of them")
    asked: dict[str, Any] = {
        "devices": devices,
        "ray": ray,
        "slurm": slurm,
        "retry": retry,
        "renew": renew,
        "folder": folder,
    }
    if dry_run:
        say.report(dry_run_text(do_ablate(recipe, **asked, dry_run=True), as_json))
        return
    try:
        with Progress(quiet) as progress:
            status = do_ablate(recipe, **asked, report=progress)
    except KeyboardInterrupt:
        say.line(f"Stopped. {how_far(recipe, folder)}; go on with: {_again(ctx)}", err=True)
        ctx.exit(130)
    ctx.exit(deliver(status, as_json, quiet))


def _again(ctx: click.Context) -> str:
    """The call as it was typed, or one that means the same."""
    words = ["lska-surgeon", "ablate", str(ctx.params["recipe"])]
    for option in ctx.command.params:
        value = ctx.params.get(option.name or "")
        if isinstance(option, click.Option) and value not in (None, False):
            words += [option.opts[-1]] if value is True else [option.opts[-1], str(value)]
    return shlex.join(words)
