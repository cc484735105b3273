"""`lska-surgeon check`."""

from __future__ import annotations

from dataclasses import replace
from inspect import cleandoc
from textwrap import wrap

import click

from ...api import check as api
from ...checks.check import RULES
from ...checks.findings import CheckedFile, CheckedFiles
from ...errors import BuildError, NotAModelError, SurgeonError
from ...modelfile.sources import STDIN
from ...reports import render
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats, refuse_second_reading


def _help_of_rules() -> str:
    """The rules as lines of the command's help."""
    rules = ((rule.code, wrap(rule.doc, 100)) for rule in RULES)
    lines = [f"  {'' if at else code:<11}{text}" for code, texts in rules for at, text in enumerate(texts)]
    return "\n".join(["Rules (errors, unless the word warning stands behind them):", *lines])


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=completion.models)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option(
    "--fix", is_flag=True, help="Print a diff that fixes what is sure (for `patch -p1`); findings go to stderr."
)
@click.option("--build", is_flag=True, help="Build each file that has no errors in Ultralytics as well.")
@click.option("--models-only", is_flag=True, help="Pass over YAML files that are no models.")
@formats("text", "json", "github")
@click.option("-q", "--quiet", is_flag=True, help="Print findings only, no summary.")
@with_blocks
@click.pass_context
def check(
    ctx: click.Context,
    files: tuple[str, ...],
    strict: bool,
    fix: bool,
    build: bool,
    models_only: bool,
    form: str,
    quiet: bool,
) -> None:
    """Find the errors that people make in model YAMLs by hand, before training does.

    Each FILE is compared with the stock model that it resembles most: every source that moved to another layer than
    its insertions explain is named, with the number that it should have. A FILE - is standard input. Exit code 1 when
    there are errors, 2 when a FILE can't be read; the others are checked all the same.

    \b
    RULES

    \b
    Examples:
      lska-surgeon check yolov8s-lska-neck-k35.yaml
      lska-surgeon check yolov8s.yaml yolov8s-lska-neck-k35.yaml --strict
      lska-surgeon check --models-only *.yaml
    """
    refuse_second_reading(files)
    if build and STDIN in files:
        raise click.UsageError("--build needs files: save standard input to one, and give that")
    checked, unread = _read(files, models_only, build)
    result = CheckedFiles(checked, unread, len(files) - len(checked) - len(unread), strict, with_diffs=fix)
    report = result.report()
    if form == "json":
        say.report(render(report, form))
    else:
        if form == "text":  # why a file can't be read is an error of the command's
            report = replace(report, annotations=[one for one in report.annotations if one.line])
        if report.annotations:
            say.report(render(report, "lines" if form == "text" else form), err=fix)
        for note in report.notes if form == "text" and not quiet else ():
            say.note(note)
        for file in checked if fix else ():
            say.content(f"{file.patch}\n".encode("utf-8", errors="surrogateescape") if file.patch else b"")
        if not quiet and len(unread) < len(files):
            say.line(report.summary, err=fix)
    for problem in unread.values() if form != "github" else ():
        say.error(problem)
    if unread:
        ctx.exit(2)
    if result.failed:
        ctx.exit(1)


def _read(files: tuple[str, ...], models_only: bool, build: bool) -> tuple[list[CheckedFile], dict[str, str]]:
    """Check each file; those that can't be read come back by name, with the reason, unless there is one file only."""
    checked: list[CheckedFile] = []
    problems: dict[str, str] = {}
    for name in files:
        try:
            checked.append(api.check(name, build=build))
        except BuildError:
            raise  # there is no Ultralytics to build anything with
        except SurgeonError as error:
            if models_only and isinstance(error, NotAModelError):
                continue
            if len(files) == 1:
                raise
            problems[name] = error.as_typed
    return checked, problems


assert check.help is not None
check.help = cleandoc(check.help).replace("RULES", _help_of_rules())
