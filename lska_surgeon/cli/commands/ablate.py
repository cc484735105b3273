"""`lska-surgeon ablate`."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from ...ablation.cells import plan_ablation
from ...ablation.records import INTERRUPTED, RUNNING, UNREADABLE
from ...ablation.scheduler import Event
from ...ablation.slurm import NOTHING
from ...ablation.status import AblationStatus, failure_text, status_of
from ...api.ablate import ablate as do_ablate
from ...reports import dump
from ...wording import message
from .. import say
from ..options import blocks as with_blocks
from ..options import not_empty

#: Seconds between two lines on a running cell in a log.
EVERY = 300.0


class Progress:
    """Is told of events and shows them on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.live: Any = None
        self.running: dict[str, str] = {}
        self.told: dict[str, float] = {}
        if not quiet and sys.stderr.isatty():
            from ...reports import live

            self.live = live()

    def __enter__(self) -> Progress:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.live is not None:
            self.live.update("")
            self.live.stop()

    def __call__(self, event: Event) -> None:
        name = f"{event.cell.name}, {event.cell.data}"
        if event.kind in ("started", "running"):
            self.running[name] = f"{name} on {event.device}: {event.text or 'starting'}"
            if event.kind == "running":
                self._tell_log(name)
        else:
            self.running.pop(name, None)
        if self.live is not None:
            self.live.update("\n".join(self.running.values()))
        if event.kind in ("failed", "killed") or (event.kind != "running" and not self.quiet):
            end = f": {event.text}" if event.text else f" on {event.device}"
            self._say(f"{event.kind.capitalize()} {name}{end}")

    def _say(self, text: str) -> None:
        """A line that stays, above those that are drawn again: whoever draws them has to write it."""
        if self.live is None:
            say.line(text, err=True)
        else:
            self.live.console.print(message(text), soft_wrap=True, emoji=False)

    def _tell_log(self, name: str) -> None:
        """A line on a running cell from time to time, where nobody watches."""
        now = time.monotonic()
        if self.live is None and not self.quiet and now - self.told.setdefault(name, now) >= EVERY:
            self.told[name] = now
            self._say(f"Running {self.running[name]}")


def dry_run_text(status: AblationStatus, as_json: bool) -> str:
    """The cells; with Slurm also the script to be."""
    if as_json:
        return dump(status.to_dict())
    text = "\n".join([str(status), *(message(f"Note: {note}") for note in status.notes)])
    return text if status.script is None else f"{text}\n\n{status.script or NOTHING}"


def how_far(recipe: Path, folder: str | None) -> str:
    """How far an ablation is that was stopped, at once: without the trials of a dry run."""
    return status_of(plan_ablation(recipe, None if folder is None else Path(folder))).summary()


def deliver(status: AblationStatus, as_json: bool, quiet: bool) -> int:
    """Say how it ended; the exit code."""
    if as_json:
        say.report(dump(status.to_dict()))
    for cell in status.cells:
        if cell.state == "failed":
            say.line(f"Failed: {failure_text(cell)}", err=True)
    if status.failed:
        say.note("failed cells are left as they are: add --retry to train them again")
    unreadable = UNREADABLE in status.counts
    for note in () if quiet and not unreadable else status.notes:
        say.note(note)
    if not quiet:
        others = status.counts.get(RUNNING, 0)
        more = f" ({others} of them by another call)" if others else ""
        say.line(f"{status.summary()}{more}", err=as_json)
    return int(status.failed or unreadable or INTERRUPTED in status.counts)


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
