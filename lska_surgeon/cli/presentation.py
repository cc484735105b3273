"""Options that say how a result is shown, written, or turned into an exit code, all of them; they know no command."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..errors import ClosedError
from ..files import check_target
from ..reports import WITH_NOTES, Annotation, Report, Result, drawn, render
from ..wording import printable, shown
from . import say


class PresentationOption(click.Option):
    """An option that is no parameter of the verb.

    Attributes:
        bare: the value that it has where the command line gives it none; None where it has to have one.
    """

    bare: str | None = None


def not_empty(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """A callback for an option that has no meaning when it is given empty, as an unset shell variable gives it."""
    if any(isinstance(one, str) and not one.strip() for one in (value if isinstance(value, tuple) else (value,))):
        raise click.BadParameter("it is empty")
    return value


def completed_by(name: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """What a shell offers, by a function of `completion`, which only a shell needs."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        from . import completion

        return getattr(completion, name)(ctx, param, incomplete)

    return complete


class Number(click.ParamType):  # type: ignore[type-arg] # in releases of click that have it generic
    """A number; NaN and infinity, with which nothing can be compared, are none.

    Args:
        kind: `int` for a whole one, or `float`.
        least: the smallest that is taken; None for any.
    """

    name = "number"

    def __init__(self, kind: type[int] | type[float], least: int | None = None) -> None:
        self.kind, self.least = kind, least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that a text says."""
        try:
            number: float | None = self.kind(value)
        except ValueError:
            number = None
        if number is None or (isinstance(number, float) and not math.isfinite(number)):
            what, such = ("a whole number", "1") if self.kind is int else ("a number that can be compared with", "0.5")
            self.fail(f"{shown(value)} is not {what}: give one such as {such}", param, ctx)
        if self.least is not None and number < self.least:
            self.fail(f"{shown(value)} is too small: give {self.least} or more", param, ctx)
        return number


def _amount(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A number, `40M`, `1.5k`."""
    if value is None:
        return None
    from ..cost.limits import parse_amount

    amount = parse_amount(value)
    if amount is None:
        raise click.BadParameter(f"{value!r} is not an amount: give a number, or one with k, M or G (40M)")
    return int(amount)


def _flag(*words: str, help: str) -> PresentationOption:
    return PresentationOption(words, is_flag=True, help=help)


def _file(*words: str, help: str) -> PresentationOption:
    return PresentationOption(
        words, metavar="FILE", callback=not_empty, shell_complete=completed_by("files"), help=help
    )


def formats(*forms: str, word: str = "--format") -> tuple[PresentationOption, PresentationOption]:
    """`--format` with these forms, the first of them the default, and `--json` for short.

    Args:
        forms: the forms.
        word: the option, where `--format` is a parameter of the verb.
    """
    choice = click.Choice(forms)
    return (
        PresentationOption([word, "form"], type=choice, help=f"How to write it.  [default: {forms[0]}]"),
        PresentationOption(["--json", "as_json"], is_flag=True, help=f"Short for {word} json."),
    )


FORCE = _flag("--force", help="Overwrite the file if it is there.")
FORCE_ALL = _flag("--force", help="Overwrite files that were edited by hand, or that somebody else wrote.")
DRY_RUN = _flag("--dry-run", help="Show what would be done; write nothing.")
QUIET = _flag("-q", "--quiet", help="Say nothing when all went well.")
QUIET_BUT_DRY = _flag("-q", "--quiet", help="Say nothing when all went well; a dry run still shows what it would do.")
#: Of a command whose result is a file.
DELIVERY = (FORCE, DRY_RUN, QUIET_BUT_DRY)
HEAT_MAPS = _file("-o", "--output", help="Draw heat maps: .png, .svg or .pdf.")
FIGURE = _file("-o", "--output", help="Draw the figure: .png, .svg or .pdf.")
PLOT = _file("--plot", help="Also write the figure: .png, .svg or .pdf.")
LOG = _flag("--log", help="Draw costs on logarithmic axes.")
WRITE = _flag("--write", help="Write the declaration, to be checked.")
DECLARATION = _file("-o", "--output", help="Where to; lska-surgeon.toml.")
DRAW_FORM = PresentationOption(
    ["--format", "form"],
    type=click.Choice(["svg", "md", "dot", "png", "pdf"]),
    help="What to draw, where -o FILE does not say it.",
)
STRICT = _flag("--strict", help="Count warnings as errors.")
FIX = PresentationOption(
    ["--fix"],
    type=Number(int, 0),
    metavar="[=N]",
    help="Print a diff that fixes what is sure (for `patch -p1`), or the Nth reading; findings go to stderr.",
)
FIX.bare = "0"
EXIT_CODE = _flag("--exit-code", help="Exit 1 if they differ, as `git diff` does.")
TEXTCONV = _flag("--textconv", help="Print one model without its indices, for git to compare.")
PER_LAYER = _flag("--per-layer", help="Show every layer, down to its convolutions, with its share.")
TOP = PresentationOption(
    ["--top"],
    type=Number(int, 1),
    metavar="N",
    help="Show the N costliest layers, 1 or more; with --per-layer, only those.",
)
NOTES = _flag("--notes", help="Say below the table how to read it, and what is not counted.")
MAX_GFLOPS = PresentationOption(
    ["--max-gflops"], type=Number(float, 0), metavar="X", help="Exit 1 if a model has more GFLOPs."
)
MAX_PARAMS = PresentationOption(
    ["--max-params"], callback=_amount, metavar="X", help="Exit 1 if a model has more parameters (40M, 1.5k)."
)
GATE = PresentationOption(
    ["--gate"],
    callback=not_empty,
    metavar="RULE",
    help="Exit 1 when a variant is distinguishably worse: 'mAP50-95 >= base'.",
)


class Presentation:
    """How a result is shown and written: the values of a command's presentation options, as attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        if values.pop("as_json", False):
            if values["form"] not in (None, "json"):
                raise click.UsageError(f"--json is short for --format json: drop it, or --format {values['form']}")
            values["form"] = "json"
        self.form = values.pop("form", None) or "text"
        self.quiet = bool(values.pop("quiet", False))
        self.dry_run = bool(values.pop("dry_run", False))
        self.force = bool(values.pop("force", False))
        self._more, self._is_closed = values, False

    def __getattr__(self, name: str) -> Any:
        return self._more[name]

    def check(self, target: Path | None) -> None:
        """Refuse a target that is known before the work, so that no work is done for nothing.

        Raises:
            TargetError: it must not, or can't, be written.
        """
        if target is not None:
            with self.may_be_closed():
                check_target(target, force=self.force)

    @contextmanager
    def may_be_closed(self) -> Iterator[None]:
        """A dry run tells once of a folder that nothing can be written to, and goes on, for it writes nothing.

        Raises:
            ClosedError: it is no dry run.
        """
        try:
            yield
        except ClosedError as error:
            if not self.dry_run:
                raise
            if not self._is_closed:
                say.note(f"{error}, so without --dry-run this fails")
            self._is_closed = True

    def check_export(self, target: Path) -> None:
        """The same of an export, which may be a folder."""
        from ..exporting.target import check_place

        check_place(target, force=self.force)

    def check_figure(self, target: str | Path | None) -> None:
        """The same of a figure that goes beside the result.

        Raises:
            TargetError: it is no image's, or must not, or can't, be written.
            MissingPackageError: matplotlib is not installed.
        """
        if target is not None:
            from ..drawing.plots import check_figure

            check_figure(Path(target), force=self.force)

    def check_drawing(self, target: Path | None) -> None:
        """The same of a drawing, for which some formats take matplotlib."""
        from ..drawing.drawing import check_output

        check_output(target, self.force)

    def tell(self, notes: Sequence[str]) -> None:
        """Notes, on standard error, where the format has no place for them."""
        if self.form not in WITH_NOTES and not self.quiet:
            for note in notes:
                say.note(note)

    def show(self, report: Report, *, annotations: Sequence[Annotation] = (), wrote: str | Path | None = None) -> None:
        """A report in the format that was asked for, and what was written beside it.

        Args:
            report: the report.
            annotations: what failed; a line on standard error each, where the format is not GitHub's.
            wrote: the file, if there is one.
        """
        self.tell(report.notes)
        if self.form == "github":
            report = replace(report, annotations=(*report.annotations, *annotations))
        say.report(render(report, self.form))
        for one in annotations if self.form != "github" else ():
            say.line(one.message, err=True)
        if wrote is not None:
            say.line(f"Wrote {wrote}", err=self.form not in ("text", "table"))

    def deliver(self, result: Result) -> None:
        """Write what a verb has worked out, and say so; a dry run fails where the real one would, in open folders.

        Args:
            result: it has an `output`, None for standard output, and `write`.
        """
        planned: Any = result
        report = result.report()
        self.check(planned.output)
        if planned.output is None and not self.dry_run and not self.form == "text":
            raise click.UsageError(f"the file and --format {self.form} both go to standard output: give -o a file name")
        if planned.output is not None and not self.dry_run:
            planned.write(force=self.force)
        if self.form == "github":
            title = f"lska-surgeon {click.get_current_context().info_name}: {'planned' if self.dry_run else 'written'}"
            notice = Annotation("notice", "\n".join([report.summary, *report.notes]), title, str(planned.output))
            report = replace(report, annotations=(notice,))
        if self.form != "text":
            say.report(render(report, self.form))
            return
        self.tell(report.notes)
        if self.dry_run:
            say.report(drawn(self._planned(report)))
        elif planned.output is None:
            say.content(planned.text.encode("utf-8", errors="surrogateescape"))
        elif not self.quiet:
            say.report(f"Wrote {_done(report)}")

    @staticmethod
    def _planned(report: Report) -> list[Any]:
        done = _done(report)
        return [f"Would write {done}", *(part for part in report.parts if part != done)]


def _done(report: Report) -> str:
    """What was done: the first of the parts that begins with the summary, which may go on; else the summary."""
    texts = [part for part in report.parts if isinstance(part, str) and part.startswith(report.summary)]
    return texts[0] if texts else printable(report.summary)
