"""`lska-surgeon check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click

from ...api import check as api
from ...checks.check import CheckedFile
from ...checks.findings import ERROR, WARNING, Finding
from ...errors import BuildError, NotAModelError, SurgeonError
from ...modelfile.sources import STDIN
from ...reports import annotation, dump
from ...wording import counted, message, printable
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats, refuse_second_reading


def finding_line(file: CheckedFile, finding: Finding, mark: Callable[[str, str], str]) -> str:
    """`path:line: error[rule]: message; what to write instead`.

    Args:
        file: the file.
        finding: one of its findings.
        mark: makes the third part stand out, from severity and text.
    """
    label = mark(finding.severity, f"{finding.severity}[{finding.rule}]")
    return f"{printable(str(file.path))}:{finding.line}: {label}: {message(finding.text)}"


def finding_annotation(file: CheckedFile, finding: Finding) -> str:
    """The same for GitHub, which shows it at that line of the file."""
    title = f"lska-surgeon check: {finding.rule}"
    return annotation(finding.severity, message(finding.text), file=str(file.path), line=finding.line, title=title)


def summary(checked: Sequence[CheckedFile], passed_over: int = 0) -> str:
    """All files in one line, and the files whose sources there was nothing to compare with.

    Args:
        checked: the files.
        passed_over: how many others are no model YAMLs.
    """
    errors, warnings = (sum(one.count(severity) for one in checked) for severity in (ERROR, WARNING))
    parts = [counted(errors, "error")] if errors else []
    parts += [counted(warnings, "warning")] if warnings else []
    alone = [one.path.name for one in checked if one.stock is None]
    note = f" (like no stock model, so compared with none: {', '.join(alone)})" if alone else ""
    others = f"; {counted(passed_over, 'other')} no model YAML" if passed_over else ""
    return f"{counted(len(checked), 'file')}: {', '.join(parts) or 'no errors found'}{others}{note}"


def findings_json(checked: Sequence[CheckedFile], unread: Mapping[str, str], *, strict: bool, fix: bool) -> str:
    """Everything for a machine; with `fix`, each file's diff too.

    Args:
        checked: the files that could be read.
        unread: those that could not -> why.
        strict: whether a warning is a failure.
        fix: whether to add the diffs.
    """
    files = [{**one.entry(), "diff": one.diff} if fix else one.entry() for one in checked]
    failed = bool(unread) or any(one.failed(strict) for one in checked)
    problems = [{"file": name, "problem": problem} for name, problem in unread.items()]
    report = {"schema": CheckedFile.schema, "ok": not failed, "files": files, "unread": problems}
    return dump(report)


_COLOURS = {"error": "red", "warning": "yellow"}


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=completion.models)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option(
    "--fix", is_flag=True, help="Print a diff that puts right what is sure (for `patch -p1`); findings go to stderr."
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
    Rules (errors, unless the word warning stands behind them):
      row        a row is not [from, repeats, module, args], or its numbers make no layer
      setting    what stands beside the rows, such as nc, is of a wrong type, or a number that no network has;
                 activation is no layer
      source     a source does not exist, or looks forward
      tap        a source is not what the stock model reads there
      bypass     a source is read around an inserted attention (warning)
      inputs     a Concat, or the output layer (warning), has fewer inputs than in the stock model
      unread     a layer that nobody reads
      stride     a Concat's inputs have different strides
      output     the output layer's inputs are unordered, doubled, or a bare Concat
      module     no such block (warning, unless it is surely misspelt)
      kernel     an operator's kernel size or arguments are not supported
      arguments  a row has fewer arguments than its block needs, or more than it takes (warning where it still builds)
      channels   a literal width that its source does not have (warning, unless the block believes it at every scale)
      scale      the scale that the file's name asks for is not there
      comment    an index comment is stale (warning)
      build      Ultralytics refuses to build it

    \b
    Examples:
      lska-surgeon check yolov8s-lska-neck-k35.yaml
      lska-surgeon check yolov8s.yaml yolov8s-lska-neck-k35.yaml --strict
      lska-surgeon check --models-only *.yaml
    """
    refuse_second_reading(files)
    if build and STDIN in files:
        raise click.UsageError("--build needs files: save standard input to one, and give that")
    checked, problems = _read(files, models_only, build)
    if form == "json":
        say.report(findings_json(checked, problems, strict=strict, fix=fix))
    else:
        for one in checked:
            for finding in one.findings:
                line = finding_line(one, finding, _mark) if form == "text" else finding_annotation(one, finding)
                say.report(line, err=fix)
            for note in one.notes if form == "text" and not quiet else ():
                say.note(note)
            if fix and one.patch:
                say.content(f"{one.patch}\n".encode("utf-8", errors="surrogateescape"))
        if not quiet and len(problems) < len(files):
            say.line(summary(checked, len(files) - len(checked) - len(problems)), err=fix)
    for name, problem in problems.items():
        if form == "github":
            say.report(annotation("error", problem, file=name, title="lska-surgeon check: can't be read"))
        else:
            say.error(problem)
    if problems:
        ctx.exit(2)
    if any(one.failed(strict) for one in checked):
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


def _mark(severity: str, text: str) -> str:
    return click.style(text, fg=_COLOURS[severity], bold=True)
