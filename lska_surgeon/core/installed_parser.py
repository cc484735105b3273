"""The parser of an Ultralytics that the shipped rules are not of, and what was read of it before.

Reading takes as long as a light command does, so answers are kept in the cache folder: one file for each package, with
the sizes and dates of all files that were read for it, and of the reader's own. One that has changed makes all of them
worthless, and so does a file that was looked for and is there by now. Who can't write there reads anew. The file has a
line for each answer, of which only those that are asked for are read.
"""

from __future__ import annotations

import atexit
import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SurgeonError
from ..files import cache_folder, read_within, write_text
from ..installed.names import TasksFile, installed_tasks, tasks_in

if TYPE_CHECKING:
    from ..installed.facts import ClassFacts
    from ..installed.parse_model import ParsedRow, ParserSource

#: More than a project's models ask for; then it begins anew.
_MOST = 5000
_OURS = Path(__file__).parents[1]
_READER = [str(_OURS / room) for room in ("installed", "core", "declarations", "modelfile", "checks", "checks/wiring")]


class ParsedLayer(NamedTuple):
    """What the parser makes of a row.

    Attributes:
        width: channels out; None where the source does not say it, or a test on the way could not be told.
        maps: of a whole backbone, the width of each layer that the numbers count it as; empty for every other row.
        refused: whether the parser would refuse it.
        numbers: what the constructor is given: numbers, and None for what is none.
    """

    width: int | None
    maps: tuple[int | None, ...] = ()
    refused: bool = False
    numbers: tuple[float | None, ...] = ()


class BlockReading(NamedTuple):
    """What the parser and the class say of a block.

    Attributes:
        extends: what its class extends, the nearest first.
        width: the rule for its width; ? where that can't be told.
        letters: groups of scales that it is built alike at; empty where all are.
        layers: how many layers the numbers count a row of it as.
        stride: which argument of the constructor says its stride; None for none.
        keeps_size: whether its class speaks of nothing that changes the size of a map.
        takes_list: whether its class takes several maps.
    """

    extends: tuple[str, ...] = ()
    width: str = "?"
    letters: tuple[str, ...] = ()
    layers: int = 1
    stride: int | None = None
    keeps_size: bool = False
    takes_list: bool = False


class InstalledParser:
    """One package's parser.

    Args:
        tasks: its file.
    """

    def __init__(self, tasks: TasksFile) -> None:
        self.tasks, self._is_changed = tasks, False
        self._answers: dict[str, Any] = {}

    @cached_property
    def source(self) -> ParserSource:
        """Its source, to be interpreted."""
        from ..installed.parse_model import parser_of

        return parser_of(self.tasks)

    def layers(
        self,
        model: Mapping[str, Any],
        channels: int,
        told: Mapping[int, list[int]],
        changed: Mapping[int, tuple[str, Callable[[int], int | None]]],
    ) -> tuple[ParsedLayer, ...] | None:
        """What it makes of each row of a model; None where that is not understood.

        Args:
            model: the dictionary.
            channels: of the image.
            told: number of a row that is a whole backbone -> the widths of its maps, where they are known.
            changed: number of a row that stands for another -> that one's width from what the parser gives, as a rule
                in words and as a function.
        """
        try:
            asked = repr((model, channels, told, [(at, words) for at, (words, _) in changed.items()]))
        except (ValueError, RecursionError):  # numbers of thousands of digits make no network
            return None
        functions = {at: function for at, (_, function) in changed.items()}
        found: tuple[ParsedLayer, ...] | None
        found = self.kept(asked, lambda: self._layers(model, channels, told, functions), _layers_in)
        return found

    def _layers(self, model: Mapping[str, Any], channels: int, told: Any, changed: Any) -> list[ParsedLayer] | None:
        rows = self.rows(model, channels, told, changed)
        return None if rows is None else [_layer(row) for row in rows]

    def rows(self, model: Mapping[str, Any], channels: int, told: Any, changed: Any) -> list[ParsedRow] | None:
        """All that it makes of each row, read anew; arguments as for `layers`, with the functions alone."""
        with suppress(Exception):  # it is not understood, or refuses what stands beside the rows
            return self.source.read(model, channels, told=told, changed=changed, registered=self.tasks.modules)
        return None

    def block(self, name: str) -> BlockReading | None:
        """What is known of a block that a row names; None where the parser has no class or function of that name."""
        found: BlockReading | None = self.kept(f"block {name}", lambda: self._block(name), _reading_in)
        return found

    def _block(self, name: str) -> BlockReading | None:
        from ..installed.facts import facts_of
        from ..installed.probing import layers_of

        found = self.tasks.class_of(name) if self.tasks.has(name) else None
        facts = facts_of(found)
        if facts is not None:
            return self._class(name, facts)
        layers = layers_of(self.source, name) if found and found.source else 1
        return BlockReading(layers=layers) if layers > 1 else None  # a function that gives whole backbones

    def _class(self, name: str, facts: ClassFacts) -> BlockReading:
        from ..installed.probing import layers_of, rule_of
        from ..installed.values import UnreadableParser

        width, letters = "?", ()
        with suppress(UnreadableParser, RecursionError):
            rule = rule_of(self.source, name)
            width, letters = rule.width, rule.letters  # type: ignore[assignment]
        return BlockReading(
            *(facts.bases, width, letters, layers_of(self.source, name), facts.stride[0] if facts.stride else None),
            *(facts.keeps_size, bool(facts.takes_list)),
        )

    def has(self, name: str) -> bool:
        """Whether a row may name a block so, for the parser finds that name."""
        found: bool = self.kept(f"has {name}", lambda: self.tasks.has(name), of_kind(bool))
        return found

    @property
    def scale_numbers(self) -> tuple[str, ...]:
        """What it calls the numbers of a scale, in order; as every release does where it does not say."""
        found: tuple[str, ...] = self.kept("scales", self._scale_numbers, words_in)
        return found

    def _scale_numbers(self) -> Sequence[str]:
        found = re.search(r"\n[ \t]*((?:\w+[ \t]*,[ \t]*)+\w+)[ \t]*=[ \t]*scales\[", self.tasks.file.text)
        return [name.strip() for name in found[1].split(",")] if found else ("depth", "width", "max_channels")

    # What is kept.

    def kept(self, question: str, ask: Callable[[], Any], made: Callable[[Any], Any]) -> Any:
        """The answer to a question on its source, asked where nobody has before.

        Args:
            question: the question.
            ask: gives the answer, which JSON can say.
            made: makes the answer of what JSON says; a TypeError where it is none.
        """
        key = _short(question)
        if key in self._answers:
            return self._answers[key]
        if key in self._before.answers:
            with suppress(ValueError, TypeError, RecursionError):  # somebody has written it anew
                self._answers[key] = made(_json().loads(self._before.answers[key]))
                return self._answers[key]
        if len(self._answers) >= _MOST:
            self._answers.clear()
        self._answers[key] = made(ask())
        if not self._is_changed:
            self._is_changed = True
            atexit.register(self.keep)
        return self._answers[key]

    @cached_property
    def _path(self) -> Path | None:
        folder = cache_folder()
        return folder / "readings" / _short(str(self.tasks.path)) if folder else None

    @cached_property
    def _before(self) -> _KeptAnswers:
        """What processes before this one have kept, where it still holds."""
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            if self._path and not self._path.is_symlink():
                seal, _, text = read_within(self._path).decode().partition("\n")
                about, *answers = text.splitlines()
                found = _json().loads(about) if seal == _seal(self._path, text) else {}
                files, missing = found["files"], found["missing"]
                if files == _stamps([*files, *_own()]) and not any(map(os.path.exists, missing)):
                    return _KeptAnswers(dict(line.split(" ", 1) for line in answers), files, missing)
        return _KeptAnswers({}, {}, [])

    def keep(self) -> None:
        """Write what was asked for who comes later; a process that asks does so when it ends."""
        if self._path is None or self._path.is_symlink():  # this package makes none
            return
        before, read, json = self._before, self.tasks.files, _json()
        about = {
            "files": {**before.files, **{str(path): file.stamp for path, file in read.read.items()}, **_stamps(_own())},
            "missing": sorted({*before.missing, *read.missing}),
        }
        answers = {key: json.dumps(answer) for key, answer in self._answers.items()}
        if len(before.answers) < _MOST:
            answers = {**before.answers, **answers}
        text = "\n".join([json.dumps(about), *map(" ".join, answers.items())])
        with suppress(OSError, SurgeonError):  # a cache that can't be written costs time alone
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, f"{_seal(self._path, text)}\n{text}", force=True)


class _KeptAnswers(NamedTuple):
    """Answers by their question's digest, each as JSON; and what they were read from."""

    answers: dict[str, str]
    files: dict[str, Any]
    missing: list[str]


def parser_here() -> InstalledParser | None:
    """That of the Ultralytics that is installed; None where there is none."""
    tasks = installed_tasks()
    return _parser(tasks) if tasks else None


def parser_in(path: Path) -> InstalledParser | None:
    """That in a file; None where there is no file."""
    tasks = tasks_in(path)
    return _parser(tasks) if tasks else None


@cache
def _parser(tasks: TasksFile) -> InstalledParser:
    return InstalledParser(tasks)


def _layer(row: ParsedRow) -> ParsedLayer:
    maps = row.width if isinstance(row.width, list) else ()
    return ParsedLayer(
        _width(row.width),
        tuple(map(_width, maps)) if row.counts > 1 else (),
        row.refused is not None and not row.doubtful,
        () if row.doubtful else tuple(map(_number, row.arguments)),
    )


def _width(value: Any) -> int | None:
    return value if type(value) is int and value else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None


def of_kind(*kinds: type) -> Callable[[Any], Any]:
    """Takes an answer that is of one of these kinds; a TypeError is any other."""

    def made(found: Any) -> Any:
        if not isinstance(found, kinds):
            raise TypeError
        return found

    return made


_listed, _word = of_kind(list, tuple), of_kind(str)


def words_in(found: Any) -> tuple[str, ...]:
    """Takes an answer that is a list of words; a TypeError is any other."""
    return tuple(map(_word, _listed(found)))


def _layers_in(found: Any) -> tuple[ParsedLayer, ...] | None:
    return None if found is None else tuple(ParsedLayer(*_tuples(one, ParsedLayer(None))) for one in _listed(found))


def _reading_in(found: Any) -> BlockReading | None:
    return None if found is None else BlockReading(*_tuples(found, BlockReading()))


def _tuples(values: Any, like: tuple[Any, ...]) -> Iterable[Any]:
    """What JSON has as lists, as tuples, where it is like the values of another one.

    Raises:
        TypeError: it is not.
    """
    found = [tuple(value) if isinstance(value, list) else value for value in _listed(values)]
    if len(found) != len(like) or any(
        not isinstance(value, type(other)) for value, other in zip(found, like) if None not in (value, other)
    ):
        raise TypeError
    return found


def _short(text: str) -> str:
    content = text.encode("utf-8", errors="surrogatepass")  # hashlib takes 2 ms to import
    return f"{len(content):x}-{zlib.crc32(content):08x}{zlib.adler32(content):08x}"


def _json() -> Any:
    import json  # here, for of a release nothing is kept; and the checked reader takes longer to import than to read

    return json


def _own() -> list[str]:
    return [os.path.join(folder, name) for folder in _READER for name in os.listdir(folder) if name.endswith(".py")]


def _stamps(files: Iterable[str]) -> dict[str, list[int]]:
    found = {}
    for file in files:
        with suppress(OSError):
            about = os.stat(file)
            found[file] = [about.st_size, about.st_mtime_ns]
    return found


def _seal(path: Path | None, text: str) -> str:
    """What only whoever wrote the answers there put beside them; damage makes it another."""
    return _short(f"{path and path.name} {text}")
