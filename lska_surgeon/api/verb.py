"""What all verbs share: types of arguments, how an error is worded, the table of blocks; it knows no verb."""

from __future__ import annotations

import inspect
import math
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast

from ..core.blocks import BlockTable
from ..declarations.find import building_with, find_blocks
from ..errors import ArgumentError, SurgeonError, UnsafeCheckpointError, UnsafeModelError, missing_package
from ..modelfile.sources import find_source
from ..wording import clean, did_you_mean, message, shown

PathLike = Union[str, "os.PathLike[str]"]
#: A declaration of custom modules; inside of a verb, the table of blocks that was made of it.
Blocks = Union[PathLike, BlockTable, None]
Verb = TypeVar("Verb", bound=Callable[..., Any])
#: Parameters that hold the files worked on: custom modules may be declared beside them.
_FILES = frozenset("after base before checkpoint into model models recipe source variant".split())
_PATHS = ("PathLike", "Path", "Blocks")
_SEVERAL = re.compile(r"(?:Iterable|Sequence)\[(.*)\]")

if TYPE_CHECKING:
    from ..checkpoints.contents import Checkpoint

    #: A path, a Checkpoint, a `YOLO` object, or the module in it.
    Trained = Union[PathLike, Checkpoint, Any]


def verb(function: Verb) -> Verb:
    """Make a function a verb.

    1. An argument of a type that the signature does not allow is refused before all else.
    2. `blocks`, a path or None, becomes the `BlockTable` that holds: of the declaration named, or of the nearest.
       While the verb is at work, Ultralytics builds by it.
    3. An error of the user names parameters as Python does, and advises trust only where the verb has that.
    """
    signature = inspect.signature(function)
    takes_trust = "trust" in signature.parameters
    takes_table = any(parameter.annotation == "Blocks" for parameter in signature.parameters.values())

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs)
            check_types(signature, given.arguments)
            if not takes_table:
                return function(*args, **kwargs)
            table = given.arguments.get("blocks")
            if not isinstance(table, BlockTable):
                table = find_blocks(table and os.fspath(table), _files_in(given.arguments))
            given.arguments["blocks"] = table
            with building_with(table):
                return function(*given.args, **given.kwargs)
        except ModuleNotFoundError as error:
            missing = missing_package(error)
            if missing is None:
                raise
            missing.in_python = True
            raise missing from error
        except SurgeonError as error:
            if not takes_trust and isinstance(error, (UnsafeCheckpointError, UnsafeModelError)):
                error.args = (error.problem,)
            error.in_python = True
            raise

    return cast(Verb, called)


def table_of(blocks: Blocks) -> BlockTable:
    """`blocks` inside of a verb."""
    assert isinstance(blocks, BlockTable)
    return blocks


def _files_in(given: Mapping[str, Any]) -> list[str]:
    files = [path for name in given if name in _FILES for path in _paths(given[name])]
    if "recipe" in given:
        from ..recipes.recipe import bases_of  # here, for quick commands read no recipe

        files += [base for recipe in _paths(given["recipe"]) for base in bases_of(recipe)]
    return files


def _paths(value: Any) -> Iterator[str]:
    for path in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(path, (str, os.PathLike)):
            yield os.fspath(path)


def as_name(path: PathLike) -> str:
    """A path as the rest of the package takes it."""
    return os.fspath(path)


def name_or_none(path: PathLike | None) -> str | None:
    """The same where there may be none."""
    return None if path is None else os.fspath(path)


def listed(value: Any) -> tuple[Any, ...]:
    """One or several, as several."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else (value,)


def look_at(
    source: Any, kind: Literal["yaml", "checkpoint", "either"] = "either", blocks: BlockTable | None = None
) -> None:
    """Refuse a source that leads nowhere before torch is imported; of what is in memory there is nothing to say.

    Args:
        source: a path, a stock name, or what is in memory.
        kind: what it may be.
        blocks: where Ultralytics will build it, the table that says what the rows' blocks are.

    Raises:
        SurgeonError: there is no such file, or, where it will be built, a row is too large for that.
    """
    if isinstance(source, (str, os.PathLike)) and not find_source(os.fspath(source), kind).is_checkpoint and blocks:
        from ..yolo.build import refuse_sizes

        refuse_sizes(os.fspath(source), blocks)


def checkpoint_from(source: Trained, trust: bool) -> Checkpoint:
    """The checkpoint that a source is; torch and Ultralytics are imported by now.

    Raises:
        CheckpointError: it can't be read, or is none.
    """
    from ..checkpoints.checkpoint import read_checkpoint
    from ..checkpoints.contents import Checkpoint, checkpoint_of

    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read_checkpoint(source, trust=trust)
    return checkpoint_of(source)


def split(words: str | Iterable[str]) -> list[str]:
    """Words with commas between them, in one text or in several, as a list: `p3,p4`.

    Raises:
        ArgumentError: a text has commas alone.
    """
    found: list[str] = []
    for text in listed(words):
        named = [word.strip() for word in text.split(",") if word.strip()]
        if text.strip() and not named:
            raise ArgumentError(f"{shown(text)} names nothing: give a word, or several with commas between them")
        found += named
    return found


def log_warning(text: str) -> None:
    """Say on standard error what is no part of the result."""
    import logging  # here, for quick commands seldom warn

    logging.getLogger("lska_surgeon").warning("Note: %s", message(text))


def check_types(signature: inspect.Signature, given: Mapping[str, Any]) -> None:
    """Refuse an argument that is not of the type that its verb's signature says.

    Types that say more than a path, text, a number, a few words or a list of these are for the verb to look at.

    Args:
        signature: the verb's, with the annotations as text.
        given: the arguments, by name.

    Raises:
        ArgumentError: one is not.
    """
    for name, value in given.items():
        parameter = signature.parameters[name]
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        kinds = kinds_of(parameter)
        if any(_fits(value, kind) for kind in kinds):
            continue
        words = choices_of(parameter)
        if isinstance(value, str) and words:
            raise ArgumentError(f"no {name} {value!r}{did_you_mean(value, words)}: there are {', '.join(words)}")
        raise ArgumentError(f"{name} is {clean(repr(value), 60)}, and has to be {_in_words(kinds)}")


def kinds_of(parameter: inspect.Parameter) -> list[str]:
    """What a parameter may be: the parts of `A | B[C | D]` between its outer bars."""
    return _alternatives(str(parameter.annotation))


def item_kinds_of(parameter: inspect.Parameter) -> list[str]:
    """The same of one of several, where it may be several; else nothing."""
    return [
        one for kind in kinds_of(parameter) if (found := _SEVERAL.fullmatch(kind)) for one in _alternatives(found[1])
    ]


def choices_of(parameter: inspect.Parameter) -> tuple[str, ...]:
    """The words that it may be, where it may be a few words alone."""
    return tuple(word for kind in kinds_of(parameter) for word in _words(kind))


def _alternatives(annotation: str) -> list[str]:
    return re.findall(r"(?:[^\[\]| ]|\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\])+", annotation)


def _words(kind: str) -> list[str]:
    return re.findall(r"[\"']([^\"']*)[\"']", kind) if kind.startswith("Literal[") else []


def _fits(value: Any, kind: str) -> bool:
    several = _SEVERAL.fullmatch(kind)
    if several:
        kinds = _alternatives(several[1])
        items = value if isinstance(value, (list, tuple, set, frozenset)) else ()  # others can be gone through once
        fits = all(any(_fits(item, one) for one in kinds) for item in items)
        return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)) and fits
    if kind in _PATHS:
        return _is_path(value) or (kind == "Blocks" and (value is None or isinstance(value, BlockTable)))
    if kind.startswith("Literal["):
        return value in _words(kind)
    return _TYPES[kind][0](value) if kind in _TYPES else True


def _in_words(kinds: Collection[str]) -> str:
    paths = not {*kinds}.isdisjoint(_PATHS)
    return " or ".join(dict.fromkeys(_one_in_words(kind) for kind in kinds if not (paths and kind == "str")))


def _one_in_words(kind: str) -> str:
    several = _SEVERAL.fullmatch(kind)
    if several:
        return f"a list of such, each {_in_words(_alternatives(several[1]))}"
    if kind.startswith("Literal["):
        return ", ".join(_words(kind))
    if kind == "Blocks":
        return "a path or None"
    return "a path" if kind in _PATHS else _TYPES[kind][1] if kind in _TYPES else kind


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and isinstance(os.fspath(value), str)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, numbers.Integral)) or type(value).__module__ == "numpy"  # numpy has its own bool


#: What a signature says -> whether a value is such, and what it is called.
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "text"),
    "int": (_is_whole, "a whole number"),
    "float": (_is_number, "a number"),
    "bool": (_is_flag, "True or False"),
    "None": (lambda value: value is None, "None"),
}
