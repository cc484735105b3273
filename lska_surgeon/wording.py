"""How a message is worded: one line, plurals, "did you mean"; it knows nothing of what the message speaks of.

And how a whole number is read, that somebody may have misspelt in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

#: What a CI job's log takes for a command to its runner: `::error::` where a line begins, `##[error]` anywhere.
_COMMAND = re.compile(r"^\s*:(?=:)|#(?=#\w*\[)")
_LINE, _MESSAGE = 200, 1000  # characters of what is quoted in a message, and of all of it
_QUOTED = re.compile(rf"""(?<!\w)'[^']{{{_LINE},}}'(?!\w)|(?<!\w)"[^"]{{{_LINE},}}"(?!\w)|\S{{{_LINE},}}""")
_MOST_READ = 100_000  # characters of a message that are looked at


def printable(text: str) -> str:
    """Text in one line: newlines, and all else that is not to be seen, as `\\n` or `\\u202e`.

    It gives no command to a CI job's runner either: a name such as `::error::x` becomes `\\x3a:error::x`. Bytes of a
    path that are no UTF-8 stay, for standard output gives them back as they were.
    """
    text = _COMMAND.sub(lambda found: f"{found[0][:-1]}\\x{ord(found[0][-1]):02x}", text)
    return text if text.isprintable() else "".join(map(_visible, text))


def printable_lines(text: str) -> str:
    """The same of each line of a text that has several."""
    return "\n".join(map(printable, text.split("\n")))


def visible(text: str) -> str:
    """The same for people alone: such a byte is `\\xff`."""
    return printable(text).encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")


def _visible(char: str) -> str:
    return char if char.isprintable() or "\udc80" <= char <= "\udcff" else ascii(char)[1:-1]


def clean(text: str, width: int = 120) -> str:
    """Text of somebody else's choice, made fit for one line of a terminal."""
    text = visible(text)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def message(text: str) -> str:
    """A message in one line that quotes at most a line of what was given; the remedy at its end stays."""
    text = visible(_without_middle(text, _MOST_READ))
    return _without_middle(_QUOTED.sub(lambda found: _without_middle(found[0], _LINE), text), _MESSAGE)


def _without_middle(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[-(most // 3) :]}"


def shown(value: object) -> str:
    """A value as Python writes it, made fit for one line; very large numbers Python does not write."""
    try:
        return clean(repr(value))
    except ValueError:
        return "a number of thousands of digits"


def one_line(text: object) -> str:
    """Text with every run of white space, newlines included, as one space."""
    return " ".join(str(text).split())


def first_line(error: BaseException) -> str:
    """What an error says, without its further lines."""
    lines = str(error).strip().splitlines()
    return clean(lines[0]) if lines else type(error).__name__


def error_in_one_line(error: BaseException, most: int = 200) -> str:
    """`ValueError: what it says`, at most so long; torch puts whole tensors into its messages."""
    text = one_line(str(error)[: 10 * most])
    text = text if len(text) <= most else f"{text[:most]} ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def number_in(text: str) -> int | None:
    """The whole number that a text is; None where it is none, or of more than 18 digits.

    `isdigit` is not it: it takes `²`, which `int` refuses, and numbers that are longer than `int` reads.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def numbers(values: Sequence[int]) -> str:
    """`12, 15, 18`; of many the first, and how many there are."""
    return few(list(map(str, values)))


def few(words: Sequence[str], most: int = 40) -> str:
    """Words with commas between them; of more than `most` the first, and how many there are.

    A cell of a table is as wide as the widest of its column, so that one of many words would widen all rows.
    """
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[: most // 2])}, … ({len(words):,} in all)"


def plural(values: Sequence[Any]) -> str:
    """The `s` of a plural, or nothing for one thing."""
    return "" if len(values) == 1 else "s"


def a_value(value: object) -> str:
    """What a value is, by its type: `an int`, `a dict`, `nothing`."""
    name = type(value).__name__
    return "nothing" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


class Said(str):
    """A sentence that keeps the form and the values it was made of: from these another language says the same.

    Attributes:
        form: the sentence in English, each value as its name in braces.
        values: name -> value; sentences among them are parts of this one.
    """

    form: str
    values: Mapping[str, Any]

    def __new__(cls, form: str, **values: Any) -> Said:
        said = super().__new__(cls, form.format_map(values) if values else form)  # or somebody's own text
        said.form, said.values = form, values
        return said

    def __getnewargs_ex__(self) -> tuple[tuple[str], Mapping[str, Any]]:
        return (self.form,), self.values


class Listed(str):
    """Several, with something between them.

    Attributes:
        parts: each of them.
        between: what stands between them.
    """

    parts: tuple[object, ...]
    between: str

    def __new__(cls, parts: Iterable[object], between: str = ", ") -> Listed:
        parts = tuple(parts)
        listed = super().__new__(cls, between.join(map(str, parts)))
        listed.parts, listed.between = parts, between
        return listed

    def __reduce__(self) -> tuple[type[Listed], tuple[tuple[object, ...], str]]:
        return Listed, (self.parts, self.between)


def some(count: int, form: str = "{number} seed{s}") -> Said:
    """`1 seed`, `2 seeds`, as a part of a sentence."""
    return Said(form, number=count, s="" if count == 1 else "s")


def counted(count: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """` (did you mean X?)`, or nothing where no known name is near."""
    same = [one for one in known if one.casefold() == name.casefold()]
    if not same:
        import difflib  # here, for only an error needs it

        same = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {same[0]}?)" if same else ""


def decimals(values: Iterable[float | None], significant: int, least: int = 0) -> int:
    """Digits behind the point at which the smallest of some numbers has so many that count; nine at most."""
    found = [abs(value) for value in values if value]
    return min(9, max(least, significant - 1 - math.floor(math.log10(min(found))))) if found else least


#: Options that are switched on, and the parameters of verbs that have the same names.
FLAGS = frozenset(
    "build check costs download force fuse gated gates half int8 lossy nms prune renew resolve retry trust "
    "unchecked".split()
)
#: Options that take a value; `o` is `output`.
VALUED = frozenset(
    "add against args at base batch blocks budget by conf data device devices dilation drop effect epoch folder format "
    "ignore image images imgsz init into k layer level metric most op output ray recipe repeats runtime scale select "
    "slurm stage start steps tolerance warm".split()
)
#: A command in a message is typed as it stands, wherever that is read.
_TYPED = r"\b(?:lska-surgeon|pip|python -m|ray start|graft|insert) [^;:,()]*"
#: What may follow an option and is none of its values.
_PROSE = "a and both for if in is keeps needs or out says shows takes that the there to with".split()
_VALUE = rf"'[^']*'|(?!(?:{'|'.join(_PROSE)})(?:[\s;:,()]|$))[\w.*/][^\s;,()]*(?:,\w[^\s;,()]*)*"
_OPTION = (
    rf"(?P<command>{_TYPED})|(?<![\w-])(?:--(?P<name>[a-z]+8?)\b(?!-)|-o\b)"
    rf"(?:[ =](?P<value>{_VALUE})(?<![:.]))?"
)


def as_parameters(text: str) -> str:
    """Text for who called a verb in Python: options outside of commands as parameters, `--at neck` as `at="neck"`."""
    spelled = re.sub(_OPTION, _as_parameter, text)
    return re.sub(r'\b(\w+)="[^"]*"(?: \1="[^"]*")+', _as_list, spelled)


def _as_list(found: re.Match[str]) -> str:
    """`at="neck" at="head"` as `at=["neck", "head"]`."""
    values = ", ".join(re.findall('"[^"]*"', found[0]))
    return f"{found[1]}=[{values}]"


def _as_parameter(found: re.Match[str]) -> str:
    name, value = found["name"] or "output", found["value"]
    if found["command"] or name not in FLAGS | VALUED:
        return found[0]
    if name in FLAGS:
        return f"{name}=True" + (f" {value}" if value else "")
    if value is None:
        return f"{name}="
    if re.fullmatch(r"\d+(?:,\d+)+", value) and name == "imgsz":
        return f"{name}=({value.replace(',', ', ')})"
    bare = re.fullmatch(r"\d+|[A-Z]+", value)
    return f"{name}={value}" if bare else f'{name}="{value.strip(chr(39))}"'
