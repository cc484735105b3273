"""Whether a file can be what Ultralytics takes as a data YAML, or as a YAML of arguments; it imports none of it.

Ultralytics reads whatever it is given, and says of most errors only that an assertion failed. What stands in the file
it looks at itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import DocumentError, EncodingError, EndlessError, TrainingError
from ..files import no_file
from ..modelfile.encoding import decoded
from ..modelfile.find import YAML_SUFFIXES
from ..yaml_nodes import MappingNode, Node, ScalarNode, UnreadableYaml, compose, plain_value, value_of

#: What Ultralytics unpacks, and looks for a data YAML in.
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".txz", ".tbz2")
#: No list of names is so long; reading one takes half a minute.
_MOST_BYTES = 4_000_000
_DATA = ("no data YAML", "train, val and names")


def data_problem(path: Path) -> str | None:
    """What is wrong with data that are there; None for a folder, an archive, and a YAML that may be one of data."""
    if path.is_dir() or path.suffix.lower() in _ARCHIVES:
        return None
    return yaml_problem(path, *_DATA)


def classes_in(path: Path) -> int | None:
    """How many classes a data YAML names; None where that can't be read."""
    try:
        root = _mapping(path, *_DATA)
    except _NotRead:
        return None
    found = {key.value: value for key, value in root.value}
    names, number = found.get("names"), found.get("nc")
    if names is not None and not isinstance(names, ScalarNode):
        return len(names.value)
    number = plain_value(number) if isinstance(number, ScalarNode) else None
    return number if isinstance(number, int) and number > 0 else None


def missing_images(path: Path) -> Path | None:
    """Images to train on or to validate with that a data YAML names and that are not here.

    None also for a folder, an archive, and a relative `path`, which lies where Ultralytics' settings say.
    """
    try:
        found = value_of(_mapping(path, *_DATA))
    except (_NotRead, DocumentError, RecursionError):
        return None
    root = Path(str(found.get("path") or path.absolute().parent))
    if not root.is_absolute():
        return None
    splits = [found.get("train"), found.get("val", found.get("validation"))]
    named = [name for split in splits for name in (split if isinstance(split, list) else [split])]
    # A `../` too many is usual: Ultralytics passes over it.
    return next((root / name for name in named if isinstance(name, str) and not _there(root, name)), None)


def _there(root: Path, name: str) -> bool:
    # Unlike Path.exists, this takes a name that no file can have for one that is not there.
    return os.path.exists(root / name) or os.path.exists(root / name.removeprefix("../"))


def yaml_problem(path: Path, kind: str, keys: str) -> str | None:
    """What is wrong with a file that is there.

    Args:
        path: the file.
        kind: what it is then, "no data YAML".
        keys: such as it should have.
    """
    try:
        _mapping(path, kind, keys)
    except _NotRead as error:
        return str(error)
    return None


def settings_in(path: Path, name: str) -> dict[str, Any]:
    """What a YAML of arguments says.

    Args:
        path: the file.
        name: what to call it in an error.

    Raises:
        TrainingError: it is none, or can't be read.
    """
    try:
        root = _mapping(path, "no YAML of arguments", "epochs and imgsz")
        return {str(key): value for key, value in value_of(root).items()}
    except (_NotRead, DocumentError) as error:
        raise TrainingError(f"{name} {error}: give a YAML of arguments, or drop it") from error
    except RecursionError as error:
        raise TrainingError(f"{name} is no YAML of arguments: it contains itself") from error


class _NotRead(Exception):
    """What is wrong with a file, such as "is a folder"."""


def _mapping(path: Path, kind: str, keys: str) -> Node:
    """The root of a YAML that is a mapping; see `yaml_problem` for the words."""
    found = no_file(path)
    if found:
        raise _NotRead(f"is {found}")
    if path.suffix.lower() not in YAML_SUFFIXES:
        raise _NotRead(f"is {kind}, whose name would end in .yaml")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _NotRead(f"is {kind}: it has more than {_MOST_BYTES:,} bytes")
        root = compose(decoded(path.read_bytes(), "it"))
    except OSError as error:
        raise _NotRead(f"can't be read: {error.strerror or error}") from error
    except (EncodingError, EndlessError) as error:
        raise _NotRead(f"is {kind}: {error}") from error
    except UnreadableYaml as error:
        raise _NotRead(f"is {kind}: {f'line {error.line}: ' if error.line else ''}{error}") from error
    except RecursionError as error:
        raise _NotRead(f"is {kind}: it is nested too deep") from error
    if not isinstance(root, MappingNode):
        raise _NotRead(f"is {kind}: it has no keys such as {keys}")
    return root
