"""What can be told of the files that a graft or a training names before torch is imported, which takes seconds.

Whoever does the work looks again, and at the rest; nothing here opens a checkpoint or a model.
"""

from __future__ import annotations

import glob
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NO_DATA, CheckpointError, TrainingError
from ..files import MOST_IMAGE_BYTES, no_file, read_within
from ..modelfile.sources import CHECKPOINT_SUFFIXES, YAML_SUFFIXES, find_source
from ..wording import first_line

if TYPE_CHECKING:
    import numpy
import os

from ..errors import DocumentError, EncodingError, EndlessError
from ..modelfile.text import MappingNode, Node, ScalarNode, UnreadableYaml, compose, decoded, plain_value, value_of

#: Arguments of Ultralytics that may name one more checkpoint.
CHECKPOINTS = ("pretrained", "distill_model")
#: Arguments that name a file, or a folder, whatever its name ends in.
_FILES = ("cfg", "data", "model", "resume", *CHECKPOINTS)
#: Arguments that Ultralytics takes from what is trained, whatever a `cfg` file says.
_OF_THE_MODEL = ("model", "task", "mode")
#: Arguments that are words, whatever they end in.
_WORDS = ("name", "project", "save_dir")
#: Arguments that say what to train on, or where that is said.
_NAMES_DATA = ("data", "cfg", "resume")
_NO_NAMES = ("", "none", "true", "false", "0", "1")


def pixels_of(path: Path) -> numpy.ndarray:
    """An image's pixels, of shape (H, W, 3), blue first.

    Raises:
        CheckpointError: there is no such file, or it can't be read as an image.
    """
    found = no_file(path)
    if found:
        raise CheckpointError(f"{path} is {found}: give a JPEG or PNG with --image")
    import cv2
    import numpy

    try:
        pixels = cv2.imdecode(numpy.frombuffer(read_within(path, MOST_IMAGE_BYTES), numpy.uint8), cv2.IMREAD_COLOR)
    except OSError as error:
        raise CheckpointError(f"can't read the image {path}: {error.strerror}") from error
    except cv2.error as error:  # of an empty file
        raise CheckpointError(f"can't read the image {path}: {first_line(error)}") from error
    if pixels is None:
        raise CheckpointError(f"{path} is not an image: give a JPEG or PNG with --image")
    return pixels


def with_settings(options: Mapping[str, Any], folder: Path = Path()) -> dict[str, Any]:
    """Ultralytics' arguments, with those that a `cfg` file says in its place.

    As for Ultralytics, the others go before them, and what it says of a model says nothing.

    Args:
        options: the arguments, by name.
        folder: where a relative path begins.

    Raises:
        TrainingError: the `cfg` file can't be read.
    """
    inside = {} if options.get("cfg") is None else settings_in(folder / str(options["cfg"]), f"cfg={options['cfg']}")
    said = {key: value for key, value in inside.items() if key not in _OF_THE_MODEL}
    return {key: value for key, value in {**said, **options}.items() if key != "cfg"}


def file_arguments(options: Mapping[str, Any], folder: Path = Path()) -> dict[str, Path]:
    """Argument -> the file, or the folder, that it names, of all that a training may open.

    What a `cfg` file names is among them, and so is that file itself. None need be there: a name may be one of
    Ultralytics' own.

    Args:
        options: Ultralytics' arguments, by name.
        folder: where a relative path begins.

    Raises:
        TrainingError: the `cfg` file can't be read.
    """
    named = {**with_settings(options, folder), "cfg": options.get("cfg")}
    return {key: folder / value for key, value in sorted(named.items()) if _names_file(key, value)}


def _names_file(key: str, value: Any) -> bool:
    if not isinstance(value, (str, Path)) or str(value).lower() in _NO_NAMES or key in _WORDS:
        return False
    return key in _FILES or Path(value).suffix.lower() in (*CHECKPOINT_SUFFIXES, *YAML_SUFFIXES)


def check_words(words: Sequence[str], *, model: str) -> None:
    """Check the files that a training's `key=value` words name.

    Args:
        words: Ultralytics' arguments.
        model: what is to be trained, for a message.

    Raises:
        TrainingError: no data are named, or a file is not there.
        CheckpointError: a further checkpoint is not there.
    """
    if not any(word.split("=")[0].strip() in _NAMES_DATA for word in words):
        raise TrainingError(NO_DATA)
    for key, value in _values(words):
        if key in CHECKPOINTS:
            _check_further(key, value)
        elif key == "resume":
            raise TrainingError(f"give the file to resume as the model: lska-surgeon train {value} resume=True")
        elif key == "cfg":
            remedy = f"give a YAML of arguments, or drop it: lska-surgeon train {model} data=FILE.yaml"
            _check_file(key, value, remedy)
            problem = yaml_problem(Path(value), "no YAML of arguments", "epochs and imgsz")
            if problem:
                raise TrainingError(f"{key}={value} {problem}: {remedy}")
        elif key == "data":
            _check_data(value)


def _values(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Words that may name a file; where `=` stands apart, or a value is no name, Ultralytics' own reader decides."""
    for word in words:
        key, equals, value = (part.strip() for part in word.partition("="))
        value = value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] else value
        if key and equals and value.lower() not in _NO_NAMES:
            yield key, value


def _check_further(key: str, value: str) -> None:
    try:
        find_source(Path(value), "checkpoint")
    except CheckpointError as error:
        raise CheckpointError(f"{key}={value}: {error}") from error


def _check_data(value: str) -> None:
    """A data YAML is at its path, or one of Ultralytics' own; a folder, or an archive, may lie in its data folder."""
    if "://" in value or value.endswith(".ndjson"):
        raise TrainingError(
            f"data={value} is not here, and nothing is downloaded for you: fetch it first, and give its path"
        )
    remedy = "give the path of a data YAML that is here"
    if Path(value).suffix.lower() in YAML_SUFFIXES and not any(True for _ in _stock_data(value)):
        _check_file("data", value, remedy)
    problem = data_problem(Path(value)) if Path(value).exists() else None
    if problem:
        raise TrainingError(f"data={value} {problem}: {remedy}")


def _check_file(key: str, value: str, remedy: str) -> None:
    path = Path(value)
    found = no_file(path)
    if found:
        raise TrainingError(f"{key}={value} is {found}: {remedy}")
    if not path.exists():
        raise TrainingError(f"{key}={value}: there is no such file; {remedy}")


def _stock_data(name: str) -> Iterator[Path]:
    """Files of that name among Ultralytics' own, found as it finds them, without importing it."""
    spec = importlib.util.find_spec("ultralytics")
    if not Path(name).is_absolute() and ".." not in Path(name).parts:
        for root in (spec.submodule_search_locations if spec else None) or ():
            yield from Path(root, "cfg").rglob(glob.escape(name))


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
