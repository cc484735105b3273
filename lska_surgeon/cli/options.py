"""A command's options made from its verb: the signature says which, the docstring what they do; it knows no command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import click

from ..api.verb import choices_of, item_kinds_of, kinds_of
from ..errors import ArgumentError
from ..installed.package import notes_of_package
from ..wording import shown
from . import say
from .presentation import Number, Presentation, PresentationOption, completed_by, not_empty

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
