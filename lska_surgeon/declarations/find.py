"""Declarations of custom modules: which file holds for a call, and what it says; it imports nothing that they name.

`lska-surgeon.toml` has `[blocks.NAME]` tables, pyproject.toml the same under `[tool.lska-surgeon]`; editors complete
from `templates/blocks.schema.json`. Tried in this order: the file that the user names; the one in $LSKA_SURGEON_BLOCKS,
which a command sets for processes that it starts; the nearest upwards from the working folder; the nearest upwards from
the file worked on.

A verb or command looks once, and hands on what it found as a value. What Ultralytics calls (its parser, which we wrap,
and the unpickler) can be handed nothing; so while a verb builds, what it found stands in a context variable, which ends
with the call. Where no verb is at work, the nearest hold.

Importing runs code. So the last is read and never imported, for a declaration may lie beside a model that was
downloaded; nor is one that belongs to another user, for any of them may write into `/tmp`.
"""

from __future__ import annotations

import keyword
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any

from ..core.blocks import (
    BACKBONE,
    SOURCE_WIDTH,
    STOCK,
    VERBATIM,
    WIDTH_RULE,
    Block,
    BlockTable,
    CustomModule,
    Declarations,
    PackedMap,
    blocks_here,
    packed_maps,
)
from ..core.operators import CBAM, OP_BLOCKS
from ..core.shapes import MOST_CHANNELS
from ..errors import DeclarationError, needs
from ..files import no_file, read_within
from ..wording import clean, did_you_mean, one_line, shown

FILE_NAME, PROJECT_FILE = "lska-surgeon.toml", "pyproject.toml"
#: Before each table's name in pyproject.toml.
TOOL = "tool.lska-surgeon."
_OF_BACKBONES = frozenset(("layers", "strides", "widths"))
FIELDS = ("class", "like", "channels", "stride", "width", "args", "drop", "replace", *sorted(_OF_BACKBONES))
#: How many layers a whole backbone counts as where its declaration does not say it, and the most that it may.
_USUAL_LAYERS, _MOST_LAYERS = 5, 12


def _is_scaled(block: Block) -> bool:
    """Whether the parser knows it as a block whose width is scaled."""
    return block.width == "scaled" and block.plain == block.name and not block.name.startswith("nn.")


LIKES = (
    *VERBATIM,
    BACKBONE,
    *sorted(block.name for block in STOCK if _is_scaled(block)),
    *sorted(block.name for block in STOCK if block.is_output),
)
#: What a row's text means to `parse_model`, which evaluates it among its own variables.
_PARSERS_WORDS = frozenset(
    "a act args base_modules block c1 c2 ch cm d default_act depth end2end f gd gw hidden_channels i j kpt_shape "
    "layers legacy m m_ max_channels n n_ nc reg_max repeat_modules restricted save scale scales t verbose "
    "width x".split()
)
_COMMENT = r"""\A((?:[^#"']|"[^"]*"|'[^']*')*)#.*"""
#: In `args` and `replace`, as in a row: the width of what the row reads.
_SOURCE_WIDTH = "c2"
_MOST_ARGUMENTS = 32
#: A project has some dozen blocks; Python's reader of TOML takes memory by the square of a key's parts.
_MOST_BYTES = 2**17
_MOST_PARTS = 50
_LONG_KEY = rf"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){{{_MOST_PARTS}}}"""
_NAME = r"[A-Za-z_]\w*\Z"
_MODULE_CLASS = r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<cls>[A-Za-z_]\w*)\Z"
_FILE_CLASS = r"(?P<file>[^:]+\.py):(?P<cls>[A-Za-z_]\w*)\Z"


def read_declarations(path: Path, *, trusted: bool) -> Declarations:
    """Read a declaration file.

    Args:
        path: `lska-surgeon.toml`, `pyproject.toml`, or a file of another name that is like the first.
        trusted: whether the heavy half may import what it names.

    Raises:
        DeclarationError: it can't be read, or says something that is not allowed.
    """
    found = no_file(path)
    if found:
        raise DeclarationError(f"{path} is {found}: give a file such as {FILE_NAME}")
    try:
        text = read_within(path, _MOST_BYTES).decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise DeclarationError(f"no file {path}: give the file that declares your blocks, {FILE_NAME}") from error
    except UnicodeDecodeError as error:
        raise DeclarationError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise DeclarationError(f"can't read {path}: {error.strerror}") from error
    return Declarations(parse_declarations(path, text), path.resolve(), trusted)


def parse_declarations(path: Path, text: str) -> dict[str, CustomModule]:
    """The blocks that a declaration file with this text declares; the file need not be there.

    Raises:
        DeclarationError: the text says something that is not allowed.
    """
    return _Reader(path, text).blocks()


def name_problem(name: str, like: object = None) -> str | None:
    """Why no declaration can be of a block of this name; None where one can, as of a stock one that is like itself."""
    if not re.match(_NAME, name, re.ASCII):
        return "that is no name of a class: it is one word of letters (a-z), digits and _, such as C2f_EMA"
    if STOCK[name].is_attention:
        return "that is a block of lska-surgeon: give yours another name"
    if name in OP_BLOCKS or name == CBAM:
        return "that is an operator of --op: give yours another name"
    if keyword.iskeyword(name) or name in _PARSERS_WORDS:
        return "that is a word of Python's or of Ultralytics' parser, which reads rows: give yours another name"
    from ..installed.names import parsed_names, stock_modules  # here, for only a declaration needs it

    stock = parsed_names()
    of_parser = isinstance(like, str) and like.endswith(".py")
    if name != like and not of_parser and name in (LIKES if stock is None else stock | stock_modules()):
        return "the installed ultralytics has a block of that name: give yours another, such as My" + name
    return None


def declares_blocks(path: Path) -> bool:
    """Whether a pyproject.toml has a part for this tool; what can't be read has none."""
    try:
        text = read_within(path, _MOST_BYTES).decode("utf-8").replace("\r\n", "\n")
        return "lska-surgeon" in text and isinstance(_read_toml(text)["tool"]["lska-surgeon"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def split_target(target: str) -> tuple[str, str]:
    """The module, as Python imports it from the declaration's folder, and the class: "nets/ema.py:EMA" is nets.ema."""
    place, _, cls = target.rpartition(":")
    return (place[:-3].replace("/", ".") if place.endswith(".py") else place), cls


class _Reader:
    """The fields of one file."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.prefix = TOOL if path.name == PROJECT_FILE else ""

    def blocks(self) -> dict[str, CustomModule]:
        content = self._content()
        for key in content:
            if key != "blocks":
                hint = did_you_mean(key, ["blocks"])
                raise self.bad("", key, f"no field {clean(key)!r} here{hint}: there is blocks")
        blocks = content.get("blocks", {})
        if not isinstance(blocks, dict):
            raise self.bad("", "blocks", "it is a table: write [blocks.NAME], and its fields below")
        found = {name: self._block(name, fields) for name, fields in blocks.items()}
        parsers = {block.like: name for name, block in found.items() if block.has_parser}
        if len(parsers) > 1:
            raise self.bad([*parsers.values()][-1], "like", f"one parser says what rows are, and not {len(parsers)}")
        return found

    def _content(self) -> Mapping[str, Any]:
        try:
            content = _read_toml(self.text)
        except ValueError as error:
            raise DeclarationError(f"{self.path} is not TOML: {one_line(error)}") from error
        except RecursionError as error:
            raise DeclarationError(f"{self.path} is not TOML: it is nested too deep") from error
        if not self.prefix:
            return content
        tools = content.get("tool", {})
        ours = tools.get("lska-surgeon", {}) if isinstance(tools, dict) else {}
        if not isinstance(ours, dict):
            raise self.bad("", "lska-surgeon", "it is a table: write [tool.lska-surgeon.blocks.NAME]")
        return ours

    def _block(self, name: str, fields: Any) -> CustomModule:
        problem = name_problem(name, fields.get("like") if isinstance(fields, dict) else None)
        if problem:
            raise self.bad(name, "", problem)
        if not isinstance(fields, dict):
            raise self.bad(name, "", 'it is a table with the fields class and like, such as class = "my_blocks:EMA"')
        for key in fields:
            if key not in FIELDS:
                problem = f"no field {clean(key)!r} here{did_you_mean(key, FIELDS)}: there are {', '.join(FIELDS)}"
                raise self.bad(name, key, problem)
        return _Fields(self, name, fields).block()

    def bad(self, block: str, key: str, problem: str) -> DeclarationError:
        field = ".".join(filter(None, [f"blocks.{clean(block)}" if block else "", clean(key)]))
        return DeclarationError(f"{self.path}, line {_line_of(self.text, block, key)}, {self.prefix}{field}: {problem}")


class _Fields:
    """The fields of one block, whose names are all known."""

    def __init__(self, reader: _Reader, name: str, fields: Mapping[str, Any]) -> None:
        self.reader, self.name, self.fields = reader, name, fields
        self.like = self._like()

    def block(self) -> CustomModule:
        return CustomModule(
            self.name,
            self._target(),
            self.like,
            self._channels(),
            self._stride(),
            self._maps(),
            self._width(),
            self._args(),
            self._drop(),
            self._replace(),
        )

    def _bad(self, key: str, problem: str) -> DeclarationError:
        return self.reader.bad(self.name, key, problem)

    def _target(self) -> str:
        target = self._word("class", 'such as "my_blocks:EMA" or "path/to/file.py:EMA"')
        found = re.match(_FILE_CLASS, target.replace("\\", "/"), re.ASCII)
        if found is None and re.match(_MODULE_CLASS, target, re.ASCII):
            return target
        if found is None:
            problem = f"{clean(target)!r} is neither module:Class nor path/to/file.py:Class"
            raise self._bad("class", problem)
        return f"{self._file('class', found['file'], target)}:{found['cls']}"

    def _file(self, key: str, path: str, said: str) -> PurePosixPath:
        """A file of Python's in the declaration's folder."""
        file = PurePosixPath(path)
        declared = self.reader.path
        folder = declared.resolve().parent
        if file.is_absolute() or ".." in file.parts or folder not in (folder / file).resolve().parents:
            problem = f"{clean(said)!r} leaves the folder of {declared.name}: name a file in it, or module:Class"
            raise self._bad(key, problem)
        if not all(re.match(_NAME, part, re.ASCII) for part in file.with_suffix("").parts):
            problem = f"{clean(said)!r} can't be imported: name its folders and file as Python names modules"
            raise self._bad(key, problem)
        return file

    def _like(self) -> str:
        allowed = "attention (keeps the shape), add, Concat, whole-backbone, or a stock block such as C2f or Conv"
        like = self._word("like", allowed)
        if like.endswith(".py"):
            self._file("like", like, like)
            return like
        if like not in LIKES:
            problem = f"nothing known is {clean(like)!r}{did_you_mean(like, LIKES)}: it is {allowed}"
            raise self._bad("like", problem)
        return like

    def _channels(self) -> bool:
        if "channels" not in self.fields:
            return False
        if self.fields["channels"] not in ("first", "none"):
            raise self._bad("channels", f"{shown(self.fields['channels'])} is neither 'first' nor 'none'")
        if self.like not in VERBATIM:
            problem = f"a block that is like {self.like} gets its widths as {self.like} does: drop channels"
            raise self._bad("channels", problem)
        return bool(self.fields["channels"] == "first")

    def _stride(self) -> float | None:
        if "stride" not in self.fields:
            return None
        value = self.fields["stride"]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not (0 < value <= 64) or math.log2(value) % 1:
            problem = f"{shown(value)} is not stride out over stride in: a power of two, such as 0.5, 1 or 2"
            raise self._bad("stride", problem)
        if self.like in LIKES and STOCK[self.like].is_output:
            raise self._bad("stride", f"a block that is like {self.like} gives no map: drop stride")
        if self.like == BACKBONE:
            raise self._bad("stride", "a backbone gives several maps: write strides = [4, 8, 16, 32]")
        return float(value)

    def _maps(self) -> tuple[PackedMap, ...]:
        if self.like != BACKBONE:
            for key in _OF_BACKBONES.intersection(self.fields):
                raise self._bad(key, f"it counts as one layer, being like {self.like}: drop {key}")
            return ()
        layers = self.fields.get("layers", _USUAL_LAYERS)
        if type(layers) is not int or not 2 <= layers <= _MOST_LAYERS:
            raise self._bad("layers", f"{shown(layers)} is not how many layers it counts as: 2 to {_MOST_LAYERS}")
        strides, widths = self._numbers("strides", layers), self._numbers("widths", layers)
        if any(math.log2(stride) % 1 for stride in strides) or list(strides) != sorted(strides):
            problem = f"{shown(list(strides))} are no strides of maps: powers of two, such as [4, 8, 16, 32]"
            raise self._bad("strides", problem)
        return packed_maps(layers, strides, widths)

    def _numbers(self, key: str, most: int) -> tuple[int, ...]:
        values = self.fields.get(key, [])
        if not isinstance(values, list) or not all(type(one) is int and 0 < one <= MOST_CHANNELS for one in values):
            raise self._bad(key, f"{shown(values)} is no list of whole numbers, one for each map")
        if len(values) > most:
            raise self._bad(key, f"{len(values)} numbers for what counts as {most} layers: one for each map")
        return tuple(values)

    def _width(self) -> str | None:
        if "width" not in self.fields:
            return None
        value = self.fields["width"]
        if isinstance(value, bool) or not re.fullmatch(WIDTH_RULE, str(value)):
            problem = f"{shown(value)} is no width: it is c, the width that comes in, such as '4*c' or 'c/2'"
            raise self._bad("width", f"{problem}, or a number")
        self._of_verbatim("width", "says its width in its rows")
        return str(value)

    def _args(self) -> tuple[Any, ...]:
        if "args" not in self.fields:
            return ()
        if not isinstance(self.fields["args"], list):
            raise self._bad("args", f"{shown(self.fields['args'])} is not a list of arguments, such as [[20, 20]]")
        self._of_verbatim("args", "has its arguments in its rows")
        return tuple(SOURCE_WIDTH if value == _SOURCE_WIDTH else value for value in self.fields["args"])

    def _drop(self) -> tuple[int, ...]:
        places = self.fields.get("drop", [])
        if not isinstance(places, list) or not all(map(_is_place, places)) or len(set(places)) < len(places):
            problem = f"{shown(places)} is not a list of places of arguments, counted from 0, such as [0]"
            raise self._bad("drop", problem)
        return tuple(places)

    def _replace(self) -> tuple[tuple[int, Any], ...]:
        values = self.fields.get("replace", {})
        if not isinstance(values, dict) or not all(key.isdecimal() and _is_place(int(key)) for key in values):
            problem = "is not a table from places of arguments, counted from 0, to values, such as { 0 = 'c2' }"
            raise self._bad("replace", f"{shown(values)} {problem}")
        if _SOURCE_WIDTH in values.values():
            self._of_verbatim("replace", "gets its widths from the parser")
        found = {int(key): SOURCE_WIDTH if value == _SOURCE_WIDTH else value for key, value in values.items()}
        return tuple(sorted(found.items()))

    def _of_verbatim(self, key: str, does: str) -> None:
        if self.like not in VERBATIM:
            raise self._bad(key, f"a block that is like {self.like} {does}: drop {key}")

    def _word(self, key: str, allowed: str) -> str:
        if key not in self.fields:
            raise self._bad("", f"it needs {key}: {allowed}")
        if not isinstance(self.fields[key], str):
            raise self._bad(key, f"{shown(self.fields[key])} is not a word in quotes: {allowed}")
        return str(self.fields[key])


def _is_place(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST_ARGUMENTS


def _read_toml(text: str) -> dict[str, Any]:
    """Python reads TOML from 3.11 on; here, for what needs no declaration needs no package for it either."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise needs("tomli", what="to read declared blocks, this Python") from error
    if re.search(_LONG_KEY, text):
        raise ValueError(f"it has a key of more than {_MOST_PARTS} parts")
    return tomllib.loads(text)


def _line_of(text: str, block: str, key: str) -> int:
    """The line of a field, from 1; of its table where the field can't be found. TOML readers keep no places."""
    lines = [re.sub(_COMMENT, r"\1", line) for line in text.splitlines()]
    start = 0
    if block:
        header = re.compile(rf"""^\s*(?:\[.*\bblocks\s*\.\s*)?["']?{re.escape(block)}["']?\s*[\]=.]""")
        start = next((number for number, line in enumerate(lines) if header.match(line)), 0)
    if not key:
        return start + 1
    wanted = re.compile(rf"""(?:^|[\s{{,.\[])["']?{re.escape(key)}["']?\s*[\]=.]""")
    for number in range(start, len(lines)):
        if number > start and block and lines[number].lstrip().startswith("["):
            break
        if wanted.search(lines[number]):
            return number + 1
    return start + 1


#: Carries the path of the declarations to processes that are started from here.
VARIABLE = "LSKA_SURGEON_BLOCKS"
_ACTIVE: ContextVar[Declarations | None] = ContextVar("declarations of the verb that is at work", default=None)
#: Beside it, who put that there: what a process tells its children, it is not told itself.
_TELLER = "LSKA_SURGEON_BLOCKS_TOLD_BY"
_said: set[tuple[Path, str]] = set()


def find_declarations(blocks: str | Path | None = None, near: Sequence[str | Path] = ()) -> Declarations:
    """The declarations that hold for a call.

    Args:
        blocks: the file that the user names; None to look for one.
        near: the files worked on; names of stock models, and what is not there, are passed over.

    Raises:
        DeclarationError: the file can't be read, or says something that is not allowed.
    """
    named = blocks or inherited()
    if named:
        try:
            return read_declarations(Path(named), trusted=True)
        except DeclarationError as error:
            raise error if blocks else DeclarationError(f"${VARIABLE}: {error}") from error
    found = _upwards(Path.cwd())
    if found is not None:
        return read_declarations(found, trusted=_is_ours(found))
    for path in map(Path, near):
        found = _upwards(path.resolve().parent) if path.exists() else None
        if found is not None:
            return read_declarations(found, trusted=False)
    return Declarations()


def inherited() -> str | None:
    """The path that whoever started this process left in the environment; not what `telling_children` put there."""
    return None if os.environ.get(_TELLER) == str(os.getpid()) else os.environ.get(VARIABLE)


@contextmanager
def telling_children(blocks: BlockTable) -> Iterator[None]:
    """Let processes that libraries start from here, as Ultralytics does for several GPUs, have a table's modules."""
    declarations = blocks.declarations
    told = {} if declarations.path is None or not declarations.trusted else {VARIABLE: str(declarations.path)}
    if not told or inherited() == told[VARIABLE]:
        yield
        return
    before = {name: os.environ.get(name) for name in (VARIABLE, _TELLER)}
    os.environ.update(told, **{_TELLER: str(os.getpid())})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def find_blocks(blocks: str | Path | None = None, near: Sequence[str | Path] = ()) -> BlockTable:
    """The table of blocks that holds for a call; arguments and errors as for `find_declarations`."""
    return _table(find_declarations(blocks, near))


def _table(declarations: Declarations) -> BlockTable:
    """The table with these custom modules, and with the parser that they name where they do."""
    if declarations.parser is None:
        return blocks_here().with_blocks(declarations)
    from ..core.installed_parser import parser_in  # here, for few declarations name one

    return STOCK.with_parser(parser_in(declarations.parser)).with_blocks(declarations)


@contextmanager
def building_with(blocks: BlockTable) -> Iterator[None]:
    """Let Ultralytics build with the custom modules of a table, for as long as this lasts and in this thread alone."""
    token = _ACTIVE.set(blocks.declarations)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def active_declarations() -> Declarations:
    """The declarations that hold for what is built now: those of the verb that is at work, else the nearest."""
    given = _ACTIVE.get()
    return find_declarations() if given is None else given


def active_blocks() -> BlockTable:
    """The table of blocks that holds for what is built now."""
    return _table(active_declarations())


def untrusted(declarations: Declarations) -> str:
    """Why nothing of a declaration was imported, and what to do."""
    return (
        f"{declarations.path}, which is not the working folder's own, so nothing of it was imported: "
        f"add --blocks {declarations.path} if you trust it, or set {VARIABLE} to that file"
    )


def for_children(blocks: BlockTable) -> dict[str, str]:
    """What the environment of a process has to say, so that the declarations of a table hold there.

    Raises:
        DeclarationError: they were found, but not vouched for; the process might take them for its own.
    """
    declarations = blocks.declarations
    if declarations.path is None:
        return {}
    if not declarations.trusted:
        raise DeclarationError(f"blocks are declared in {untrusted(declarations)}")
    return {VARIABLE: str(declarations.path)}


def announce(blocks: Sequence[CustomModule], path: Path) -> None:
    """Say once which modules of the user's are imported, unless whoever started this process has said it."""
    modules = dict.fromkeys(split_target(block.target)[0] for block in blocks)
    new = [module for module in modules if (path, module) not in _said]
    if new and inherited() != str(path):
        _said.update((path, module) for module in new)
        import logging  # here, for quick commands import nothing of the user's

        logging.getLogger("lska_surgeon").warning("Note: importing %s, as %s declares", ", ".join(new), path)


def _upwards(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        own, project = place / FILE_NAME, place / PROJECT_FILE
        if own.is_file():
            return own
        if project.is_file() and declares_blocks(project):
            return project
    return None


def _is_ours(path: Path) -> bool:
    """Whether the file belongs to the user who runs this, or to the system's administrator."""
    if not hasattr(os, "getuid"):
        return True
    return path.stat().st_uid in (os.getuid(), 0)
