"""What can be told of the files that a graft or a training names before torch is imported, which takes seconds.

Whoever does the work looks again, and at the rest; nothing here opens a checkpoint or a model. Ultralytics reads
whatever data YAML it is given, and says of most errors only that an assertion failed; what stands in the file it looks
at itself.
"""

from __future__ import annotations

import glob
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NO_DATA, CheckpointError, DocumentError, TrainingError
from ..files import MOST_IMAGE_BYTES, no_file, read_within
from ..modelfile.sources import CHECKPOINT_SUFFIXES, YAML_SUFFIXES, find_source
from ..modelfile.text import MappingNode, ScalarNode, plain_value, value_of
from ..modelfile.typed_yaml import UnusableYaml, read_mapping
from ..wording import first_line

if TYPE_CHECKING:
    import numpy

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
#: What Ultralytics unpacks, and looks for a data YAML in.
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".txz", ".tbz2")
#: No list of names is so long; reading one takes half a minute.
_MOST_BYTES = 4_000_000
#: What a YAML is to be -> what it is not, and keys that it should have.
_DATA, _ARGUMENTS = ("no data YAML", "train, val and names"), ("no YAML of arguments", "epochs and imgsz")


def pixels_of(path: Path) -> numpy.ndarray:
    """An image's pixels, of shape (H, W, 3), blue first.

    Raises:
        CheckpointError: there is no such file, or it can't be read as an image.
    """
    kind = no_file(path)
    if kind:
        raise CheckpointError(f"{path} is {kind}: give a JPEG or PNG with --image")
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
    cfg, inside = options.get("cfg"), {}
    if cfg is not None:
        try:
            values = value_of(_mapping(folder / str(cfg), *_ARGUMENTS)).items()
            inside = {str(key): value for key, value in values if str(key) not in _OF_THE_MODEL}
        except (UnusableYaml, DocumentError) as error:
            raise TrainingError(f"cfg={cfg} {error}: give a YAML of arguments, or drop it") from error
    return {key: value for key, value in {**inside, **options}.items() if key != "cfg"}


def file_arguments(options: Mapping[str, Any], folder: Path = Path()) -> dict[str, Path]:
    """Argument -> the file, or the folder, that it names, of all that a training may open.

    What a `cfg` file names is among them, and so is that file itself. None need be there: a name may be one of
    Ultralytics' own. Arguments and errors as for `with_settings`.
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
            try:
                find_source(Path(value), "checkpoint")
            except CheckpointError as error:
                raise CheckpointError(f"{key}={value}: {error}") from error
        elif key == "resume":
            raise TrainingError(f"give the file to resume as the model: lska-surgeon train {value} resume=True")
        elif key == "cfg":
            remedy = f"give a YAML of arguments, or drop it: lska-surgeon train {model} data=FILE.yaml"
            _check_yaml(key, value, _ARGUMENTS, remedy)
        elif key == "data":
            _check_data(value)


def _values(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Words that may name a file; where `=` stands apart, or a value is no name, Ultralytics' own reader decides."""
    for word in words:
        key, equals, value = (part.strip() for part in word.partition("="))
        value = value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] else value
        if key and equals and value.lower() not in _NO_NAMES:
            yield key, value


def _check_data(value: str) -> None:
    """A data YAML is at its path, or one of Ultralytics' own; a folder, or an archive, may lie in its data folder."""
    if "://" in value or value.endswith(".ndjson"):
        raise TrainingError(
            f"data={value} is not here, and nothing is downloaded for you: fetch it first, and give its path"
        )
    path = Path(value)
    if path.suffix.lower() in YAML_SUFFIXES and not any(True for _ in _stock_data(value)):
        _check_yaml("data", value, _DATA, "give the path of a data YAML that is here")
    elif path.exists() and (problem := data_problem(path)):
        raise TrainingError(f"data={value} {problem}: give the path of a data YAML that is here")


def _check_yaml(key: str, value: str, kind: tuple[str, str], remedy: str) -> None:
    path = Path(value)
    if not no_file(path) and not path.exists():
        raise TrainingError(f"{key}={value}: there is no such file; {remedy}")
    try:
        _mapping(path, *kind)
    except UnusableYaml as error:
        raise TrainingError(f"{key}={value} {error}: {remedy}") from error


def _stock_data(name: str) -> Iterator[Path]:
    """Files of that name among Ultralytics' own, found as it finds them, without importing it."""
    spec = importlib.util.find_spec("ultralytics")
    if not Path(name).is_absolute() and ".." not in Path(name).parts:
        for root in (spec.submodule_search_locations if spec else None) or ():
            yield from Path(root, "cfg").rglob(glob.escape(name))


def data_problem(path: Path) -> str | None:
    """What is wrong with data that are there; None for a folder, an archive, and a YAML that may be one of data."""
    if path.is_dir() or path.suffix.lower() in _ARCHIVES:
        return None
    try:
        _mapping(path, *_DATA)
    except UnusableYaml as error:
        return str(error)
    return None


def classes_in(path: Path) -> int | None:
    """How many classes a data YAML names; None where that can't be read."""
    try:
        nodes = {key.value: value for key, value in _mapping(path, *_DATA).value}
    except UnusableYaml:
        return None
    names, number = nodes.get("names"), nodes.get("nc")
    if names is not None and not isinstance(names, ScalarNode):
        return len(names.value)
    number = plain_value(number) if isinstance(number, ScalarNode) else None
    return number if isinstance(number, int) and number > 0 else None


def missing_images(path: Path) -> Path | None:
    """Images to train on or to validate with that a data YAML names and that are not here.

    None also for a folder, an archive, and a relative `path`, which lies where Ultralytics' settings say.
    """
    try:
        values = value_of(_mapping(path, *_DATA))
    except (UnusableYaml, DocumentError):
        return None
    root = Path(str(values.get("path") or path.absolute().parent))
    if not root.is_absolute():
        return None
    named = (_there(root, name) for split in ("train", "val") for name in _split(values, split))
    return next((one for one in named if not os.path.exists(one)), None)


def named_for_training(path: Path) -> list[Path]:
    """The folders and lists of images to train on that a data YAML names.

    Raises:
        CheckpointError: it can't be read, or names none that is here.
    """
    remedy = "give its path, or the folder of images itself, with --images"
    try:
        values = value_of(_mapping(path, *_DATA))
    except (UnusableYaml, DocumentError) as error:
        raise CheckpointError(f"{path} {error}: {remedy}") from error
    root = Path(str(values.get("path") or path.absolute().parent))
    if not root.exists() and not root.is_absolute():  # beside the file, or where Ultralytics' settings say
        root = path.absolute().parent / root
    named = [_there(root, name) for name in _split(values, "train")]
    missing = next((one for one in named if not os.path.exists(one)), None)
    if missing is not None or not named:
        what = f"names {missing} to train on, which is not here" if named else "names no images to train on"
        raise CheckpointError(f"{path} {what}: {remedy}")
    return named


def _split(values: Mapping[str, Any], split: str) -> list[str]:
    """What a data YAML names as the images of a split."""
    named = values.get("val", values.get("validation")) if split == "val" else values.get(split)
    return [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str)]


def _there(root: Path, name: str) -> Path:
    """A `../` too many is usual: Ultralytics passes over it. Unlike Path.exists, os.path.exists takes any name."""
    fallback = root / name.removeprefix("../")
    return fallback if not os.path.exists(root / name) and os.path.exists(fallback) else root / name


def _mapping(path: Path, kind: str, keys: str) -> MappingNode:
    """The root of a YAML that is there.

    Args:
        path: the file.
        kind: what it is where it is not that, "no data YAML".
        keys: such as it should have.

    Raises:
        UnusableYaml: it is none; the problem is in the words of `kind`.
    """
    if no_file(path):
        return read_mapping(path)
    if path.suffix.lower() not in YAML_SUFFIXES:
        raise UnusableYaml(f"is {kind}, whose name would end in .yaml")
    if os.path.exists(path) and path.stat().st_size > _MOST_BYTES:
        raise UnusableYaml(f"is {kind}: it has more than {_MOST_BYTES:,} bytes")
    try:
        return read_mapping(path, lenient=True)
    except UnusableYaml as error:
        if error.problem.startswith("can't be read"):
            raise
        line = f"line {error.line}: " if error.line else ""
        wrong = error.problem.replace("has no keys", f"has no keys such as {keys}").partition("is not YAML: ")
        raise UnusableYaml(f"is {kind}: {line}{wrong[2] or f'it {wrong[0]}'}", error.line) from error
