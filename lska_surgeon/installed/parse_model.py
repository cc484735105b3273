"""What Ultralytics' `parse_model` makes of each row of a model, read from its source text: nothing of it is run.

`parse_model` of an `ultralytics/nn/tasks.py`, a release's or a fork's, is interpreted (see `interpreter`) on a model
dictionary, or on one row. A row on whose way there was a test that can't be told is doubtful.

Some forks have rows that are whole backbones: their width is read off what was built (`.channel`, `.width_list`), is a
list, and the numbers count the row as several layers. Those widths are `UNKNOWN` where the caller does not tell them.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from .interpreter import Interpreter, Meanings
from .names import TasksFile, installed_tasks
from .python_files import PythonFile
from .values import (
    LISTS,
    UNKNOWN,
    BreakLoop,
    Built,
    ContinueLoop,
    ReturnValue,
    Token,
    TurnNotes,
    UnreadableParser,
    Variables,
    is_list_of_widths,
    is_unknown,
)


@dataclass(frozen=True)
class ParsedRow:
    """One row, as `parse_model` makes it.

    Attributes:
        block: the name of the class, dotted for one of torch's.
        width: channels out; `UNKNOWN` where the source does not say it; of a whole backbone the list of what the
            numbers count it for, each a width or `UNKNOWN`.
        modules: how many of them stand one behind another.
        arguments: what the constructor is given.
        keywords: the same by name.
        counts: how many layers the numbers count it for: 1, but for whole backbones in parsers that say so.
        doubtful: whether a test on the way could not be told.
        by_scale: whether the scale was looked at on the way.
        variables: what `parse_model` assigned to names of its own on the way.
        refused: why `parse_model` would raise, `UnreadableParser` where it may; None where it would not.
        token: the class.
    """

    block: str
    width: Any
    modules: int
    arguments: tuple[Any, ...]
    doubtful: bool
    by_scale: bool
    variables: Mapping[str, Any]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    counts: int = 1
    refused: Exception | None = None
    token: Token | None = None


_CHAIN = ("torch.nn.Sequential", "nn.Sequential")


class ParserSource:
    """`parse_model` of one package.

    Args:
        tasks: `ultralytics/nn/tasks.py`.
    """

    def __init__(self, tasks: Path | TasksFile) -> None:
        self.tasks = tasks if isinstance(tasks, TasksFile) else TasksFile(tasks)
        self.meanings = Meanings(self.tasks)

    @cached_property
    def function(self) -> tuple[PythonFile, ast.FunctionDef, list[str]]:
        """Where `parse_model` is, and what it takes.

        Raises:
            UnreadableParser: there is none, or it takes no channels.
        """
        found = self.tasks.file.find("parse_model")
        node = found.node if found else None
        if found is None or found.source is None or not isinstance(node, ast.FunctionDef):
            raise UnreadableParser(f"{self.tasks.file.path} has no parse_model")
        parameters = [argument.arg for argument in node.args.args]
        if len(parameters) < 2:
            raise UnreadableParser(f"{self.tasks.file.path} has a parse_model that takes no channels")
        return found.source, node, parameters

    @cached_property
    def reads_widths(self) -> bool:
        """Whether it reads widths off what it has built, as parsers do that know whole backbones."""
        nodes = ast.walk(self.function[1])
        return any(isinstance(node, ast.Attribute) and node.attr in LISTS for node in nodes)

    def rows(self, model: Mapping[str, Any], channels: int = 3) -> list[ParsedRow]:
        """Every row of a model dictionary, which is not changed.

        Args:
            model: the dictionary, with `scale` where it has scales.
            channels: of the image.

        Raises:
            UnreadableParser: the parser is written in a way that is not understood here.
            Exception: whatever `parse_model` itself would raise on these rows.
        """
        rows = self.read(model, channels)
        for row in rows:
            if row.refused:
                raise row.refused
        return rows

    def read(
        self,
        model: Mapping[str, Any],
        channels: int = 3,
        *,
        told: Mapping[int, Sequence[int]] | None = None,
        changed: Mapping[int, Callable[[int], int | None]] | None = None,
        registered: Collection[str] = (),
    ) -> list[ParsedRow]:
        """The same; a row that `parse_model` would refuse says why, and what comes behind it is read all the same.

        Args:
            model: the dictionary, with `scale` where it has scales; it is not changed.
            channels: of the image.
            told: number of a row that is a whole backbone -> the widths of its maps, where they are known.
            changed: number of a row that stands for another -> that one's width, from what the parser gives it.
            registered: names of blocks that are put into the parser's module when it runs.

        Raises:
            UnreadableParser: the parser is written in a way that is not understood here.
            Exception: whatever `parse_model` itself would raise before it comes to the rows.
        """
        return Reading(self, model, channels, told, changed, registered).rows


def installed_parser() -> ParserSource | None:
    """That of the Ultralytics that is installed; None where there is none."""
    tasks = installed_tasks()
    return parser_of(tasks) if tasks else None


@cache
def parser_of(tasks: TasksFile) -> ParserSource:
    """The parser in a package's file."""
    return ParserSource(tasks)


class Reading(Interpreter):
    """One call of `parse_model`, up to the end of its loop over the rows; arguments and errors as for `read`."""

    def __init__(
        self,
        source: ParserSource,
        model: Mapping[str, Any],
        channels: int = 3,
        told: Mapping[int, Sequence[int]] | None = None,
        changed: Mapping[int, Callable[[int], int | None]] | None = None,
        registered: Collection[str] = (),
    ) -> None:
        super().__init__(source.meanings)
        self.told, self.changed, self.registered = told or {}, changed or {}, frozenset(registered)
        self.at, self.index = 0, -1
        self.rows: list[ParsedRow] = []
        self.loop: ast.For | None = None
        self.file, function, parameters = source.function
        self.env = Variables(self.file, dict.fromkeys(parameters, False))
        self.env.update(zip(parameters, (copy.deepcopy(model), channels)))
        self.widths = parameters[1]
        with suppress(ReturnValue):
            self.block(function.body, self.env)
        if self.loop is None:
            raise UnreadableParser("it has no loop over the rows of both sections")

    def row(self, frm: Any, repeats: int, block: str, args: Sequence[Any], widths: Sequence[int]) -> ParsedRow:
        """A further row, behind layers of these widths.

        Raises:
            UnreadableParser: the parser is written in a way that is not understood here.
            Exception: whatever `parse_model` itself would raise on this row.
        """
        ours = Variables(
            self.env.source, {name: [*value] if isinstance(value, list) else value for name, value in self.env.items()}
        )
        ours[self.widths], self.steps = [*widths], 0
        self.registered |= {block}  # as it is where the package is told of it, too
        self.at, self.index = len(widths), len(widths) - 1
        row = self._row((len(widths), [_copied(frm), repeats, block, [*map(_copied, args)]]), ours)
        if row.refused:
            raise row.refused
        return row

    def _For(self, node: ast.For, env: Variables) -> None:
        if self.loop is not None or env is not self.env or not _is_over_rows(node):
            super()._For(node, env)
            return
        items = self.items(node.iter, env)
        self.loop, self.block_name = node, _block_name(node)
        for self.at, item in enumerate(items):
            self.rows.append(self._row(item, env))
        raise ReturnValue  # what comes behind says nothing of rows

    def _row(self, item: Any, env: Variables) -> ParsedRow:
        """One turn of the loop over the rows."""
        assert self.loop is not None
        turn = self.turn = TurnNotes()
        before = env[self.widths]
        known = [*before] if isinstance(before, list) else []
        refused: Exception | None = None
        try:
            self.bind(self.loop.target, item, env)
            self.block(self.loop.body, env)
        except ContinueLoop:
            pass
        except (BreakLoop, ReturnValue):
            raise UnreadableParser("it leaves its loop over the rows") from None
        except UnreadableParser:
            raise
        except Exception as error:
            told = "a test that can't be told decides whether it refuses a row"
            refused = UnreadableParser(told) if turn.doubtful else error
        layer = turn.layer or next(iter(turn.built), None)
        if layer is None and refused is None:
            refused = UnreadableParser("a turn of its loop builds nothing")
        if refused is not None or layer is None:
            env[self.widths] = [*known, UNKNOWN] if self.rows else [UNKNOWN]
            self.index += 1
            is_doubtful = isinstance(refused, UnreadableParser)
            return ParsedRow("", UNKNOWN, 1, (), is_doubtful, turn.by_scale, turn.variables, refused=refused)
        chain = [one for one in layer.args if isinstance(one, Built)] if layer.block.name in _CHAIN else []
        first, modules = (chain[0], len(chain)) if chain and turn.built else (layer, 1)
        width = self._width(env, known if env[self.widths] is before else [], turn.doubtful)
        index = layer.attributes.get("i", self.index + 1)
        counts = index - self.index if isinstance(index, int) else 1
        self.index += counts
        return ParsedRow(
            *(_name(first.block), width, modules, first.args, turn.doubtful, turn.by_scale, turn.variables),
            *(first.keywords, counts),
            token=first.block,
        )

    def _width(self, env: Variables, known: Sequence[Any], doubtful: bool) -> Any:
        """What a turn has added to the list of widths, which it may have made anew; in doubt nothing of it is known."""
        widths = env[self.widths]
        if not isinstance(widths, list) or len(widths) <= len(known):
            return UNKNOWN
        if doubtful:
            widths[len(known) :] = [UNKNOWN] * (len(widths) - len(known))
        if self.at in self.changed and type(widths[-1]) is int:
            width = self.changed[self.at](widths[-1])
            widths[-1] = UNKNOWN if width is None else width
        added = widths[len(known) :]
        return added if len(added) > 1 else UNKNOWN if is_unknown(added[0]) else added[0]

    def as_told(self, value: Any) -> Any:
        """A value; the widths of a whole backbone where the caller has told them."""
        return [*self.told[self.at]] if is_list_of_widths(value) and self.at in self.told else value

    def meaning(self, source: PythonFile, name: str) -> Any:
        """The same; also of what is put into the parser's module when it runs."""
        meant = super().meaning(source, name)
        if meant is None and name in self.registered and source is self.file:
            return Token(name, source.dotted)
        return meant


def _copied(value: Any) -> Any:
    return [*map(_copied, value)] if isinstance(value, list) else value


def _is_over_rows(node: ast.For) -> bool:
    return all(section in ast.unparse(node.iter) for section in ("'backbone'", "'head'"))


def _block_name(loop: ast.For) -> str:
    """What the loop over the rows calls a row's third column, the block."""
    columns = loop.target.elts[-1] if isinstance(loop.target, ast.Tuple) else loop.target
    if not isinstance(columns, ast.Tuple) or len(columns.elts) != 4 or not isinstance(columns.elts[2], ast.Name):
        raise UnreadableParser("its loop does not name the four columns of a row")
    return columns.elts[2].id


def _name(token: Token) -> str:
    """Its own name; with the module's for one of torch's."""
    return token.name if token.name.startswith("torch") else token.name.rpartition(".")[2]
