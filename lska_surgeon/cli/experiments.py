"""The commands on many variants."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..api import experiments as api
from ..reports import render
from . import say
from .main import NamingGroup
from .options import (
    DELIVERY,
    DRY_RUN,
    FORCE,
    FORCE_ALL,
    GATE,
    PLOT,
    QUIET_BUT_DRY,
    Presentation,
    command,
    completed_by,
    formats,
)


class _Templates(NamingGroup):
    """Templates have names, and so have commands: who gives the first alone is told of the second."""

    verb = staticmethod(api.templates)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; the name of a template is none."""
        if not ctx.resilient_parsing and args[0] in {template.name for template in api.templates()}:
            ctx.fail(
                f"{args[0]} is a template: lska-surgeon templates show {args[0]} prints it, and "
                f"lska-surgeon templates copy {args[0]} writes it"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_Templates, invoke_without_command=True, params=list(formats("table", "json")))
def templates(**values: Any) -> None:
    """List, show or copy recipes and CI files to start from.

    \b
    Examples:
      lska-surgeon templates
      lska-surgeon templates show kernel-ablation
      lska-surgeon templates copy recommended -o recipe.yaml
    """
    if not click.get_current_context().invoked_subcommand:
        Presentation(values).show(api.templates().report())


@templates.command()
@click.argument("name", shell_complete=completed_by("templates"))
def show(name: str) -> None:
    """Print the template NAME.

    \b
    Example:
      lska-surgeon templates show github
    """
    say.report(api.templates()[name].text, nl=False)


@templates.command()
@click.argument("name", shell_complete=completed_by("templates"))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to, if not by default.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def copy(name: str, output: Path | None, force: bool) -> None:
    """Copy the template NAME to where it works; with a recipe, its schema for editors.

    \b
    Example:
      lska-surgeon templates copy kernel-ablation -o recipe.yaml
    """
    template = api.templates()[name]
    files = list(template.copies(output))
    template.write(output, force)
    for path in files:
        say.line(f"Wrote {path}")
    if template.needs_a_repository:
        say.note(f"name the repository that you have lska-surgeon from, where {files[0]} says OWNER/lska-surgeon")


@command(api.variants, FORCE_ALL, DRY_RUN, QUIET_BUT_DRY, *formats("text", "table", "md", "csv", "json", "github"))
def variants(how: Presentation, **asked: Any) -> int:
    """Write all variants that RECIPE asks for, with an index of what each is and costs.

    RECIPE is a YAML file: which bases, positions, kernel sizes and operators; `lska-surgeon templates` lists some to
    start from. Only files that this recipe wrote are replaced, and none that was edited by hand. All are written, or
    none.

    Costs are one count by fvcore for each base, which is kept, and the exact closed form of what was inserted; the
    formats table, md and csv show them. A check takes them from the index and needs no torch. A budget that is
    exceeded is exit code 1.

    \b
    Examples:
      lska-surgeon variants recipe.yaml
      lska-surgeon variants recipe.yaml --check
      lska-surgeon variants recipe.yaml --costs --format md
      lska-surgeon variants recipe.yaml --check --verify build --jobs 4
    """
    if asked["check"] and how.dry_run:
        raise click.UsageError("--check writes nothing: drop --dry-run, or --check")
    done = api.variants(**asked, dry_run=how.dry_run, force=how.force, track=say.bar)
    if how.dry_run:
        with how.may_be_closed():
            done.check_folders()
    report = done.report()
    if how.form in ("json", "github"):
        how.show(report)
        return int(done.failed)
    table, *problems = report.parts[:-1]
    form = "table" if how.form == "text" and asked["costs"] and not how.quiet else how.form
    if form != "text":
        say.report(render(replace(report, parts=(table,), notes=()), form) + "\n" * (form == "table"))
    apart = form in ("csv", "md")  # somebody else reads standard output
    for problem in problems:
        say.report(str(problem).encode("utf-8", errors="replace").decode(), err=apart)
    for note in () if how.quiet else report.notes:
        say.note(note)
    if done.failed or not how.quiet:
        say.line(report.summary, err=apart)
    return int(done.failed)


@command(api.ablate, DRY_RUN, QUIET_BUT_DRY, *formats("text", "json"))
def ablate(how: Presentation, recipe: str, **asked: Any) -> int:
    """Train every variant of RECIPE, and its bases, with every seed, and go on where an earlier call stopped.

    The recipe says how, under train, seeds and controls; with sequential: true it is decided after each seed what is
    shown, and what can no longer win is not trained. Each training is a run with a folder of its own below
    ablation/; all state is in these files, so any process may die at any moment. A run that ended is never
    trained again. After each, its network is compared with the variant, row by row. Exit code 1: a run failed.

    \b
    Examples:
      lska-surgeon ablate recipe.yaml --dry-run
      lska-surgeon ablate recipe.yaml --devices 0,1
      lska-surgeon ablate recipe.yaml --ray auto
      lska-surgeon ablate recipe.yaml --slurm "-p gpu --gres=gpu:1 -t 8:00:00"
    """
    if how.dry_run:
        how.show(api.ablate(recipe, **asked, dry_run=True).report())
        return 0
    try:
        with say.Progress(how.quiet) as progress:
            status = api.ablate(recipe, **asked, report=progress)
    except KeyboardInterrupt:
        far = api.progress_of(recipe, asked["folder"], blocks=asked["blocks"])
        say.line(f"Stopped. {far}; go on with: {_again(click.get_current_context())}", err=True)
        return 130
    report = status.report()
    if how.form == "json":
        say.report(render(report, "json"))
    for failure in status.failures:
        say.line(f"Failed: {failure}", err=True)
    if status.failed:
        say.note("failed runs are left as they are: add --retry to train them again")
    unreadable = "unreadable" in status.counts
    for note in () if how.quiet and not unreadable else report.notes:
        say.note(note)
    if not how.quiet:
        others = status.counts.get("running", 0)
        more = f" ({others} of them by another call)" if others else ""
        say.line(f"{report.summary}{more}", err=how.form == "json")
    return int(status.failed or unreadable or "interrupted" in status.counts)


def _again(ctx: click.Context) -> str:
    """The call as it was typed, or one that means the same."""
    words = ["lska-surgeon", "ablate", str(ctx.params["recipe"])]
    for option in ctx.command.params:
        value = ctx.params.get(option.name or "")
        if isinstance(option, click.Option) and value not in (None, False):
            words += [option.opts[-1]] if value is True else [option.opts[-1], str(value)]
    return shlex.join(words)


@command(
    api.results,
    *formats("table", "md", "latex", "csv", "json", "html"),
    *(GATE, PLOT, FORCE),
    metavars={"source": "RECIPE|FOLDER..."},
)
def results(how: Presentation, **asked: Any) -> int:
    """Show what the trainings of a RECIPE came to, one row per network, with what the seeds allow to say.

    Each number is a mean over seeds, with its standard deviation. Each variant is compared with its base, paired by
    seed: an exact sign-flip test, corrected for the number of variants, and an interval. Unfinished runs are counted,
    never left out silently. Given FOLDERs in place of a recipe, it gathers plain runs of Ultralytics.

    \b
    Examples:
      lska-surgeon results recipe.yaml
      lska-surgeon results recipe.yaml --format latex --plot ablation.pdf
      lska-surgeon results recipe.yaml --columns "network,params,mAP50-95,mAP50-95 - base,p (adjusted)"
      lska-surgeon results recipe.yaml --effect 0.005
      lska-surgeon results recipe.yaml --gate "mAP50-95 >= base - 0.005"
      lska-surgeon results runs/detect --base yolov8s
    """
    if asked["columns"] and how.form in ("csv", "json"):
        raise click.UsageError(f"--columns is for what shows a table, and --format {how.form} has all: drop one")
    how.check_figure(how.plot)
    table = api.results(**asked)
    failed = table.worse(how.gate) if how.gate else []
    if how.plot is not None:
        table.write(how.plot, force=how.force)
        say.line(f"Wrote {how.plot}", err=True)
    how.show(table.report())
    for line in failed:
        say.line(f"Gate: {line}", err=True)
    for note in table.gate_notes if how.gate else ():
        say.note(f"the gate lets pass what it can't tell: {note}")
    return int(bool(failed))


@command(api.report, *DELIVERY, *formats("text", "json"))
def report(how: Presentation, **asked: Any) -> None:
    """Write one HTML page on all variants that RECIPE asks for.

    It opens from disk and needs nothing else: tables that sort, to copy as Markdown or LaTeX; plots whose points lead
    to their variants; a drawing of each. What was trained or measured of RECIPE is there too: results, latency, and
    with --images receptive fields. What is missing is named, with the command that would bring it.

    \b
    Examples:
      lska-surgeon report recipe.yaml -o report.html
      lska-surgeon report recipe.yaml --images images --language zh
    """
    how.check(api.report_target(asked["recipe"], asked["output"]))
    how.deliver(api.report(**asked))
