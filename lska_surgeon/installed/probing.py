"""How `parse_model` treats a block, found by asking: rows whose widths and arguments tell themselves apart.

What it makes of a row depends on the row's arguments and the scale; what is found here is for listing blocks,
and for saying what a row of one may have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from .parse_model import ParsedRow, ParserSource, Reading
from .values import UnreadableParser

_SOURCES = (104, 136, 56)  # widths of the layers before the row
_IMAGE = 1003  # the width of what is before them all
_RAW_SOURCES: tuple[Any, ...] = (-1, [2, 1, 0])
_REPEATS = 7
_LETTERS = "nsmlx"
_SETTINGS = {"nc": 80, "reg_max": "reg_max", "end2end": "end2end"}
_MOST = 6  # arguments that tell all of a block's rule


@dataclass(frozen=True)
class Probe:
    """A row that is asked about, and what the parser makes of it.

    Attributes:
        raw_sources: the row's first column.
        args: its arguments.
        row: what comes of them.
    """

    raw_sources: Any
    args: tuple[Any, ...]
    row: ParsedRow

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What the constructor is given, as `core.parser_rules` writes it."""
        return tuple(self._word(value) for value in self.row.arguments)

    @cached_property
    def origins(self) -> tuple[int | None, ...]:
        """For each of those the row's argument that it is or is made of; None for what is the parser's own."""
        found = [self.origin(value) for value in self.row.arguments]
        for at, word in enumerate(self.words):
            if word == "?":  # the parser may put a value of its own in the place of one that it got
                sides = [(side, found[at + side]) for side in (1, -1) if 0 <= at + side < len(found)]
                likely = (there - side for side, there in sides if there is not None)
                found[at] = next((one for one in likely if one in range(len(self.args)) and one not in found), None)
        return tuple(found)

    def origin(self, value: Any) -> int | None:
        """The row's argument that a value is, or is scaled from."""
        if value in self.args:
            return self.args.index(value)
        halves = (at for at, one in enumerate(self.args) if _is_number(one) and value == one // 2)
        return next(halves, None)

    def _word(self, value: Any) -> str:
        at = self.origin(value)
        if isinstance(value, list) and value == self.sources:
            return "[ch]"
        if value in self.args:
            return str(at)
        if self.raw_sources == -1 and value == self.sources[0]:
            return "c1"
        if at is not None:
            return f"scaled({at})" if at else "c2"
        if value == _REPEATS:
            return "n"
        return value if isinstance(value, str) else "?"

    @property
    def sources(self) -> list[int]:
        """The widths of the layers that the row reads."""
        return [_SOURCES[at] for at in ([2] if self.raw_sources == -1 else self.raw_sources)]


def probes(source: ParserSource, block: str, args: Sequence[Any], letter: str | None) -> tuple[Probe, ...]:
    """What the parser makes of rows of a block with such arguments, for each that it does not refuse.

    Args:
        source: the parser.
        block: the block that the rows name.
        args: as many as the rows are to have; numbers stand for any.
        letter: the scale.

    Raises:
        UnreadableParser: that can't be told.
    """
    return next(filter(None, (_built(source, block, filled, letter) for filled in _filled(args))), ())


def _built(source: ParserSource, block: str, args: tuple[Any, ...], letter: str | None) -> tuple[Probe, ...]:
    reading = _reading(source, letter)
    found = []
    for raw_sources in _RAW_SOURCES:
        try:
            found.append(Probe(raw_sources, args, reading.row(raw_sources, _REPEATS, block, args, _SOURCES)))
        except UnreadableParser:
            raise
        except Exception:  # as the parser refuses such a row
            continue
    return tuple(found)


@cache
def _reading(source: ParserSource, letter: str | None) -> Reading:
    scale = letter or "?"  # like no letter that is asked for by name
    model = {**_SETTINGS, "scale": scale, "scales": {scale: [1.0, 0.5, 10**6]}, "backbone": [], "head": []}
    try:
        return Reading(source, model, _IMAGE)
    except UnreadableParser:
        raise
    except Exception as error:  # as the parser wants a setting that is not here
        raise UnreadableParser("it refuses a model without rows") from error


def _filled(args: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Arguments that tell themselves apart, in the place of numbers; some blocks want a small number, or a list."""
    numbers = [4016 + 16 * at if _is_number(value) else value for at, value in enumerate(args)]
    yield tuple(numbers)
    if len(args) > 2 and _is_number(args[2]):
        yield (*numbers[:2], 8, *numbers[3:])
    if args and _is_number(args[0]):
        yield ([408, 416], *numbers[1:])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class ParserRule:
    """How `parse_model` treats a block.

    Attributes:
        width: the rule for the channels out, as in the table of blocks.
        arguments: what the constructor is given: c1, c2, n (the repeats), [ch] (all widths that are read), reg_max,
            end2end, `N` and `scaled(N)` of the row's arguments; `*N` is all of them from N on, ? what is none of these.
        letters: groups of scales that are treated alike; empty where all are.
    """

    width: str
    arguments: tuple[str, ...]
    letters: tuple[str, ...]


@cache
def rule_of(source: ParserSource, name: str) -> ParserRule:
    """The rule for a block that a row names.

    Raises:
        UnreadableParser: it takes no arguments that are tried here, or what comes of them can't be told.
    """
    for count in range(_MOST, 0, -1):
        first = probes(source, name, (0,) * count, _LETTERS[0])
        is_by_scale = any(probe.row.by_scale for probe in first)
        rows = {letter: probes(source, name, (0,) * count, letter) for letter in _LETTERS} if is_by_scale else {}
        if not first or not all(rows.values()):
            continue
        groups: dict[tuple[Any, ...], str] = {}
        for letter, (probe, *_) in rows.items():
            key = tuple(map(repr, probe.row.arguments))
            groups[key] = groups.get(key, "") + letter
        letters = tuple(groups.values()) if len(groups) > 1 else ()
        return ParserRule(_width(source, name, first[0]), _with_the_rest([*first[0].words], count), letters)
    raise UnreadableParser(f"{name} takes none of the arguments that are tried")


@cache
def layers_of(source: ParserSource, name: str) -> int:
    """How many layers the numbers count a row for, where it is the first: several for a whole backbone."""
    if not source.reads_widths:
        return 1
    for args in ([], [False], [64]):
        with suppress(UnreadableParser, RecursionError):
            return source.read({**_SETTINGS, "backbone": [[-1, 1, name, args]], "head": []})[0].counts
    return 1


def _width(source: ParserSource, name: str, probe: Probe) -> str:
    width, args, sources = probe.row.width, probe.args, probe.sources
    if isinstance(args[0], int) and width == args[0] // 2:
        return "scaled"
    if len(args) > 3 and width == args[1]:  # the first residual layer of a ResNet is not four times as wide
        other = probes(source, name, (*args[:3], False, *args[4:]), _LETTERS[0])[0].row.width
        return "args[1]" if other == width else "resnet"
    for at, argument in enumerate(args):
        if width == argument:
            return f"args[{at}]"
    if len(sources) > 1 and width == sum(sources):
        return "sum"
    if width == sources[-1]:
        return "source" if len(sources) == 1 else "last"
    if width == _IMAGE:  # nothing was said of it; of a row with one source, that is the row before
        return "source" if len(sources) == 1 else "previous"
    return "?"


def _with_the_rest(words: list[str], count: int) -> tuple[str, ...]:
    """The words with `*N` in the place of a run of arguments that reaches the last one."""
    last = str(count - 1)
    if last not in words:
        return tuple(words)
    start = end = words.index(last)
    while start and words[start - 1] == str(int(words[start]) - 1):
        start -= 1
    return (*words[:start], f"*{words[start]}", *words[end + 1 :])
