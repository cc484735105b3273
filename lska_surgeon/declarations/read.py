"""Reading a declaration file, each error with its file, line and field; it imports nothing that the file names.

`lska-surgeon.toml` has `[blocks.NAME]` tables, pyproject.toml the same under `[tool.lska-surgeon]`; editors complete
from `templates/blocks.schema.json`.
"""

from __future__ import annotations

import keyword
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..core.blocks import STOCK, VERBATIM, Block, CustomModule, Declarations
from ..core.kernel import OP_BLOCKS
from ..core.other_operators import CBAM
from ..errors import DeclarationError, needs
from ..files import no_file, read_within
from ..installed.names import parsed_names, stock_modules
from ..wording import clean, did_you_mean, one_line, shown

FILE_NAME, PROJECT_FILE = "lska-surgeon.toml", "pyproject.toml"
#: Before each table's name in pyproject.toml.
TOOL = "tool.lska-surgeon."
FIELDS = ("class", "like", "channels", "stride")


def _is_scaled(block: Block) -> bool:
    """Whether the parser knows it as a block whose width is scaled."""
    return block.width == "scaled" and block.plain == block.name and not block.name.startswith("nn.")


LIKES = (
    *VERBATIM,
    *sorted(block.name for block in STOCK if _is_scaled(block)),
    *sorted(block.name for block in STOCK if block.is_output),
)
#: What a row's text means to `parse_model`, which evaluates it among its own variables.
_PARSERS_WORDS = frozenset(
    "a act args base_modules block c1 c2 ch cm d default_act depth end2end f gd gw hidden_channels i j kpt_shape "
    "layers legacy m m_ max_channels n n_ nc reg_max repeat_modules restricted save scale scales t verbose "
    "width x".split()
)
_COMMENT = re.compile(r"""\A((?:[^#"']|"[^"]*"|'[^']*')*)#.*""")
#: A project has some dozen blocks; Python's reader of TOML takes memory by the square of a key's parts.
_MOST_BYTES = 2**17
_MOST_PARTS = 50
_LONG_KEY = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){{{_MOST_PARTS}}}""")
_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_MODULE_CLASS = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<cls>[A-Za-z_]\w*)\Z", re.ASCII)
_FILE_CLASS = re.compile(r"(?P<file>[^:]+\.py):(?P<cls>[A-Za-z_]\w*)\Z", re.ASCII)


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


def name_problem(name: str) -> str | None:
    """Why no declaration can be of a block of this name; None where one can."""
    if not _NAME.match(name):
        return "that is no name of a class: it is one word of letters (a-z), digits and _, such as C2f_EMA"
    if STOCK[name].is_attention:
        return "that is a block of lska-surgeon: give yours another name"
    if name in OP_BLOCKS or name == CBAM:
        return "that is an operator of --op: give yours another name"
    if keyword.iskeyword(name) or name in _PARSERS_WORDS:
        return "that is a word of Python's or of Ultralytics' parser, which reads rows: give yours another name"
    stock = parsed_names()
    if name in (LIKES if stock is None else stock | stock_modules()):
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
                raise self._bad("", key, f"no field {clean(key)!r} here{hint}: there is blocks")
        blocks = content.get("blocks", {})
        if not isinstance(blocks, dict):
            raise self._bad("", "blocks", "it is a table: write [blocks.NAME], and its fields below")
        return {name: self._block(name, fields) for name, fields in blocks.items()}

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
            raise self._bad("", "lska-surgeon", "it is a table: write [tool.lska-surgeon.blocks.NAME]")
        return ours

    def _block(self, name: str, fields: Any) -> CustomModule:
        problem = name_problem(name)
        if problem:
            raise self._bad(name, "", problem)
        if not isinstance(fields, dict):
            raise self._bad(name, "", 'it is a table with the fields class and like, such as class = "my_blocks:EMA"')
        for key in fields:
            if key not in FIELDS:
                problem = f"no field {clean(key)!r} here{did_you_mean(key, FIELDS)}: there are {', '.join(FIELDS)}"
                raise self._bad(name, key, problem)
        like = self._like(name, fields)
        return CustomModule(
            name, self._target(name, fields), like, self._channels(name, fields, like), self._stride(name, fields, like)
        )

    def _target(self, name: str, fields: Mapping[str, Any]) -> str:
        target = self._word(name, fields, "class", 'such as "my_blocks:EMA" or "path/to/file.py:EMA"')
        found = _FILE_CLASS.match(target.replace("\\", "/"))
        if found is None and _MODULE_CLASS.match(target):
            return target
        if found is None:
            problem = f"{clean(target)!r} is neither module:Class nor path/to/file.py:Class"
            raise self._bad(name, "class", problem)
        file = PurePosixPath(found["file"])
        folder = self.path.resolve().parent
        if file.is_absolute() or ".." in file.parts or not _is_below((folder / file).resolve(), folder):
            problem = f"{clean(target)!r} leaves the folder of {self.path.name}: name a file in it, or module:Class"
            raise self._bad(name, "class", problem)
        if not all(map(_NAME.match, file.with_suffix("").parts)):
            problem = f"{clean(target)!r} can't be imported: name its folders and file as Python names modules"
            raise self._bad(name, "class", problem)
        return f"{file}:{found['cls']}"

    def _like(self, name: str, fields: Mapping[str, Any]) -> str:
        allowed = "attention (keeps the shape), add, Concat, or a stock block such as C2f or Conv"
        like = self._word(name, fields, "like", allowed)
        if like not in LIKES:
            problem = f"nothing known is {clean(like)!r}{did_you_mean(like, LIKES)}: it is {allowed}"
            raise self._bad(name, "like", problem)
        return like

    def _channels(self, name: str, fields: Mapping[str, Any], like: str) -> bool:
        if "channels" not in fields:
            return False
        if fields["channels"] not in ("first", "none"):
            raise self._bad(name, "channels", f"{shown(fields['channels'])} is neither 'first' nor 'none'")
        if like not in VERBATIM:
            problem = f"a block that is like {like} gets its widths as {like} does: drop channels"
            raise self._bad(name, "channels", problem)
        return bool(fields["channels"] == "first")

    def _stride(self, name: str, fields: Mapping[str, Any], like: str) -> float | None:
        if "stride" not in fields:
            return None
        value = fields["stride"]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not (0 < value <= 64) or math.log2(value) % 1:
            problem = f"{shown(value)} is not stride out over stride in: a power of two, such as 0.5, 1 or 2"
            raise self._bad(name, "stride", problem)
        if STOCK[like].is_output:
            raise self._bad(name, "stride", f"a block that is like {like} gives no map: drop stride")
        return float(value)

    def _word(self, name: str, fields: Mapping[str, Any], key: str, allowed: str) -> str:
        if key not in fields:
            raise self._bad(name, "", f"it needs {key}: {allowed}")
        if not isinstance(fields[key], str):
            raise self._bad(name, key, f"{shown(fields[key])} is not a word in quotes: {allowed}")
        return str(fields[key])

    def _bad(self, block: str, key: str, problem: str) -> DeclarationError:
        field = ".".join(filter(None, [f"blocks.{clean(block)}" if block else "", clean(key)]))
        return DeclarationError(f"{self.path}, line {_line_of(self.text, block, key)}, {self.prefix}{field}: {problem}")


def _read_toml(text: str) -> dict[str, Any]:
    """Python reads TOML from 3.11 on; here, for what needs no declaration needs no package for it either."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise needs("tomli", what="to read declared blocks, this Python") from error
    if _LONG_KEY.search(text):
        raise ValueError(f"it has a key of more than {_MOST_PARTS} parts")
    return tomllib.loads(text)


def _is_below(path: Path, folder: Path) -> bool:
    return folder in path.parents


def _line_of(text: str, block: str, key: str) -> int:
    """The line of a field, from 1; of its table where the field can't be found. TOML readers keep no places."""
    lines = [_COMMENT.sub(r"\1", line) for line in text.splitlines()]
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
