"""A command's options, made from its verb, and those that say how its result is shown, written or turned into a code.

The signature of a verb says which options there are, and its docstring what they do. All options that are no parameter
of a verb stand here as well, and `Presentation`, which has their values. Nothing here knows a command.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from ..api.verb import choices_of, item_kinds_of, kinds_of
from ..errors import ArgumentError, ClosedError
from ..files import check_target
from ..installed.package import notes_of_package
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
            done = _done(report)
            say.report(drawn([f"Would write {done}", *(part for part in report.parts if part != done)]))
        elif planned.output is None:
            say.content(planned.text.encode("utf-8", errors="surrogateescape"))
        elif not self.quiet:
            say.report(f"Wrote {_done(report)}")


def _done(report: Report) -> str:
    """What was done: the first of the parts that begins with the summary, which may go on; else the summary."""
    texts = [part for part in report.parts if isinstance(part, str) and part.startswith(report.summary)]
    return texts[0] if texts else printable(report.summary)


#: Parameters of verbs -> how they stand in the help, and what completes them.
_METAVARS = {
    "at": "POSITION[@K]",
    "add": "LEVEL",
    "args": "LIST",
    "base": "NETWORK",
    "by": "BLOCK|YAML",
    "columns": "NAME,…",
    "drop": "LEVEL",
    "devices": "0,1,…|cpu",
    "dilation": "D",
    "effect": "X",
    "folder": "DIR",
    "images": "FOLDER",
    "into": "YAML",
    "k": "K",
    "layer": "INDEX",
    "level": "P3,P4",
    "metric": "NAME",
    "op": "OPERATOR",
    "ray": "ADDRESS",
    "runtime": "NAME,…",
    "scale": "SCALE",
    "slurm": "OPTIONS",
    "ultralytics": "[KEY=VALUE]...",
}
_MAY_BE_EMPTY = ("slurm",)
_COMPLETIONS = {
    **dict.fromkeys(("after", "base", "before", "into", "model", "source", "variant"), completed_by("models")),
    "at": completed_by("positions"),
    "k": completed_by("kernel_sizes"),
    "op": completed_by("operators"),
    "scale": completed_by("scales"),
}


class Size(click.ParamType):  # type: ignore[type-arg] # in releases of click that have it generic
    """`640`, or `H,W`."""

    name = "N|H,W"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[int, int]:
        """One number, or height and width."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        sides = re.fullmatch(r"(\d{1,18})(?:,(\d{1,18}))?", value.replace(" ", ""), re.ASCII)
        if sides is None:
            self.fail(f"{value!r} is not a size in pixels: give one number for a square, or H,W (480,640)", param, ctx)
        return (int(sides[1]), int(sides[2])) if sides[2] else int(sides[1])


class VerbCommand(click.Command):
    """A command with the verb that it calls; its parameters are made when they are asked for.

    Attributes:
        verb: the verb.
        placeholders: word of the help -> what stands there when the help is shown.
    """

    def __init__(self, name: str, verb: Callable[..., Any], make: Callable[[], list[click.Parameter]], **settings: Any):
        super().__init__(name, **settings)
        del self.params
        self.verb, self._make = verb, make
        self.placeholders: dict[str, Callable[[], str]] = {}

    @cached_property
    def params(self) -> list[click.Parameter]:  # type: ignore[override]
        """All that it takes."""
        return self._make()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give options their value that may stand without one; click would take the next word for it."""
        bare = {f"--{one.name}": one.bare for one in self.params if isinstance(one, PresentationOption) and one.bare}
        return super().parse_args(ctx, [f"{word}={bare[word]}" if word in bare else word for word in args])

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help with what stands for its placeholders."""
        for word, text in self.placeholders.items():
            self.help = (self.help or "").replace(word, text())
        super().format_help_text(ctx, formatter)


def command(
    verb: Callable[..., Any],
    *presentation: PresentationOption,
    metavars: Mapping[str, str] | None = None,
    optional: str = "",
    **settings: Any,
) -> Callable[[Callable[..., int | None]], VerbCommand]:
    """Make a function the command of a verb.

    The function gets a `Presentation` with the values of the presentation options, and the arguments of the verb by
    name; what it gives is the exit code.

    Args:
        verb: the verb; its parameters are the command's.
        presentation: the other options, and those that say here how a result is written where the verb has them too.
        metavars: how arguments stand in the help, where that is not their name.
        optional: an argument that may be left out although the verb has to have it.
        settings: settings of click.
    """

    own = {option.name for option in presentation}

    reads_blocks = "blocks" in inspect.signature(verb).parameters

    def decorate(function: Callable[..., int | None]) -> VerbCommand:
        def called(**values: Any) -> int | None:
            how = Presentation({option.name: values.pop(option.name) for option in presentation if option.name})
            if reads_blocks and not how.quiet:
                for text in notes_of_package():
                    say.note(text)
            try:
                return function(how, **values)
            except ArgumentError as error:
                raise click.UsageError(error.as_typed) from error

        def parameters() -> list[click.Parameter]:
            of_verb = parameters_of(verb, metavars or {}, optional)
            return [*(one for one in of_verb if one.name not in own), *presentation]

        text = inspect.cleandoc(function.__doc__ or "")
        return VerbCommand(function.__name__, verb, parameters, callback=called, help=text, **settings)

    return decorate


def parameters_of(verb: Callable[..., Any], metavars: Mapping[str, str], optional: str = "") -> list[click.Parameter]:
    """The parameters of a command that are those of its verb; what is a function can't be typed, and has none."""
    sentences = _sentences(verb)
    parameters = inspect.signature(verb).parameters.values()
    first = next(iter(parameters), None)
    return [
        _argument(one, metavars.get(one.name), one.name != optional)
        if one is first or _is_path(one) or one.kind is one.VAR_KEYWORD
        else _option(one, sentences.get(one.name, ""), metavars.get(one.name))
        for one in parameters
        if not any(kind.startswith("Callable") for kind in kinds_of(one))
    ]


def _is_path(parameter: inspect.Parameter) -> bool:
    """Whether it stands on the line without an option: files do, positions (of which there are several) do not."""
    return parameter.kind is parameter.POSITIONAL_OR_KEYWORD and not item_kinds_of(parameter)


def _sentences(verb: Callable[..., Any]) -> dict[str, str]:
    """Parameter -> the first sentence that the verb's docstring says of it, with options for other parameters."""
    names = inspect.signature(verb).parameters
    _, _, args = inspect.cleandoc(verb.__doc__ or "").partition("Args:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", args.partition("\n\n")[0], re.MULTILINE)
    sentences = {}
    for name, text in entries:
        sentence = re.split(r"\.(?=\s|$)", " ".join(text.split()), maxsplit=1)[0]
        sentence = re.sub(r"`(\w+)`", lambda quoted: f"--{quoted[1]}" if quoted[1] in names else quoted[0], sentence)
        sentences[name] = f"{sentence[0].upper()}{sentence[1:]}."
    return sentences


def _argument(parameter: inspect.Parameter, metavar: str | None, required: bool) -> click.Argument:
    keywords = parameter.kind is parameter.VAR_KEYWORD
    several, default = keywords or bool(item_kinds_of(parameter)), parameter.default
    return click.Argument(
        [parameter.name],
        nargs=-1 if several else 1,
        required=required and default is parameter.empty and not keywords,
        type=_type_of(parameter),
        metavar=metavar or (_METAVARS[parameter.name] if keywords else None),
        shell_complete=None if choices_of(parameter) else _COMPLETIONS.get(parameter.name, completed_by("files")),
        **({} if several or default is parameter.empty else {"default": default}),
    )


def _option(parameter: inspect.Parameter, sentence: str, metavar: str | None = None) -> click.Option:
    name, kinds, default = parameter.name, kinds_of(parameter), parameter.default
    word = f"--{name.rstrip('_').replace('_', '-')}"  # `try_`, for `try` is a word of Python's own
    if kinds == ["bool"]:
        word = word if default is False else f"{word}/--no-{word[2:]}"
        return click.Option([word, name], is_flag=True, default=default, show_default=default is True, help=sentence)
    several, kind = bool(item_kinds_of(parameter)), _type_of(parameter)
    number, path = isinstance(kind, Number), not {"PathLike", "Blocks"}.isdisjoint(kinds)
    settings: dict[str, Any] = {} if default is parameter.empty else {"default": default}
    if several and number:
        settings["default"] = default if isinstance(default, tuple) else [default]
    return click.Option(
        ["-o", word, name] if name == "output" else [word, name],
        type=click.STRING if several and number else kind,
        multiple=several,
        required=default is parameter.empty,
        show_default=default not in (None, (), parameter.empty),
        metavar=None
        if choices_of(parameter)
        else metavar or _METAVARS.get(name, "FILE" if path else "N" if number else None),
        callback=_numbers if several and number else None if number or name in _MAY_BE_EMPTY else not_empty,
        shell_complete=_COMPLETIONS.get(name, completed_by("files") if path else None),
        help=sentence,
        **settings,
    )


def _numbers(ctx: click.Context, param: click.Parameter, value: Sequence[Any]) -> tuple[int, ...]:
    """Numbers of an option that may be given several times, or several numbers at once: `1,16`."""
    words = [word.strip() for text in value for word in str(text).split(",")]
    wrong = [word for word in words if not re.fullmatch(r"-?\d{1,18}", word, re.ASCII)]
    if wrong:
        raise click.BadParameter(f"{shown(wrong[0])} is not a whole number: give one, or several as 1,16")
    return tuple(map(int, words))


def _type_of(parameter: inspect.Parameter) -> click.ParamType[Any]:
    kinds = {*kinds_of(parameter), *item_kinds_of(parameter)}
    choices = choices_of(parameter)
    if choices:
        return click.Choice(choices)
    if "tuple[int, int]" in kinds:
        return Size()
    if "float" in kinds:
        return Number(float)
    return Number(int) if "int" in kinds and "str" not in kinds else click.STRING
