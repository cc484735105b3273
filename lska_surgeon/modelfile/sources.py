"""What a user's source is: a model YAML, a stock name, a checkpoint; what leads nowhere is refused unopened.

It imports neither torch nor ultralytics.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import CheckpointError, DocumentError
from ..files import no_file
from ..installed.package import NAME, Package, installed_package, root_of

# Ultralytics' own reading of a file name, widened by the `e-` that its newer releases accept.
_SCALE_IN_NAME = re.compile(r"yolo(?:e-)?v?\d+([nslmx])")
#: Files that hold a built model; all others are read as YAMLs.
CHECKPOINT_SUFFIXES = (".pt", ".pth")
YAML_SUFFIXES = (".yaml", ".yml")
#: The name under which some commands read a model YAML from standard input; no file is found by it.
STDIN = "-"
_SCALE_IN_PATH = re.compile(r"(\d+)([nslmx])(.+)?$")


class Source(NamedTuple):
    """Where a model is, and which scale its name asks for.

    Attributes:
        path: the file.
        name: the file name that was asked for, scale included ("yolov8s.yaml").
        scale: the scale in that name, or None.
    """

    path: Path
    name: str
    scale: str | None = None

    @property
    def is_stdin(self) -> bool:
        """Whether it is standard input, which has no name and no folder."""
        return self.path == Path(STDIN)

    @property
    def is_stock(self) -> bool:
        """Whether it is one of the files that releases of ultralytics ship, which are right."""
        return self.path in released_models().values()

    @property
    def is_checkpoint(self) -> bool:
        """Whether it holds a built model."""
        return is_checkpoint(self.path)


def is_checkpoint(name: str | Path) -> bool:
    """Whether a name is that of a checkpoint, in capitals or not."""
    return Path(name).suffix.lower() in CHECKPOINT_SUFFIXES


def scale_in_name(name: str | Path) -> str | None:
    """The scale that Ultralytics reads from a file name: `yolov8s-x.yaml` -> "s"; None when it finds none."""
    found = _SCALE_IN_NAME.search(Path(name).stem)
    return found.group(1) if found else None


def with_scale(name: str, letter: str) -> str | None:
    """A file name with another scale in the place of its own; None where no letter of Ultralytics' fits."""
    found = _SCALE_IN_NAME.search(Path(name).stem)
    if found is None:
        return None
    changed = f"{name[: found.start(1)]}{letter}{name[found.end(1) :]}"
    return changed if scale_in_name(changed) == letter else None


def without_scale(name: str) -> str:
    """The name of the file that serves all scales: `yolov8s-seg.yaml` -> `yolov8-seg.yaml`."""
    return _SCALE_IN_PATH.sub(r"\1\3", name)


def stock_models() -> Mapping[str, Path]:
    """Name -> path of every model YAML in the installed ultralytics.

    Where it is not installed, of those that lska-surgeon-light, and a checkout, have with them; else none.
    """
    root, ours = root_of(NAME), Path(__file__).parents[1]
    shipped = ours / "stock" if (ours / "stock").is_dir() else ours.resolve().parent / "light" / "stock"
    return _models_in(root / "cfg" / "models" if root else shipped)


@cache
def _models_in(folder: Path) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names if name.endswith(".yaml"))
    for path in sorted(paths):
        found.setdefault(path.name, path)
    return found


def released_models() -> Mapping[str, Path]:
    """Those of them that a release has, whatever a fork has put beside them."""
    package, models = installed_package(), stock_models()
    return _released(package, tuple(models.items())) if package and package.is_fork else models


@cache
def _released(fork: Package, models: tuple[tuple[str, Path], ...]) -> Mapping[str, Path]:
    def ask() -> list[str]:
        return [name for name, path in models if fork.is_released_model(path.read_text("utf-8", "replace"))]

    from ..core.installed_parser import parser_here, words_in  # here, for only a fork has models that are not released

    parser = parser_here()
    stamps = [
        (name, found.st_size, found.st_mtime_ns) for name, found in ((name, os.stat(path)) for name, path in models)
    ]
    names = parser.kept(f"released {stamps}", ask, words_in) if parser else ask()
    return {name: path for name, path in models if name in names}


def find_source(
    name: str | Path, kind: Literal["yaml", "checkpoint", "either"] = "yaml", folder: Path | None = None
) -> Source:
    """Find a model, a YAML as Ultralytics does.

    Args:
        name: a path, or a stock name ("yolov8s.yaml", "yolov8s"). A name with a scale also finds the file
            without it.
        kind: what it may be.
        folder: where a relative path starts; None for the working folder.

    Raises:
        DocumentError: there is no such YAML, and the message names the nearest; or what is there is no file.
        CheckpointError: there is no such checkpoint.
    """
    if kind == "checkpoint" or (kind == "either" and is_checkpoint(name)):
        path = Path(name)
        _refuse_no_checkpoint(path)
        return Source(path, path.name)
    return _find_yaml(str(name), folder)


def _find_yaml(name: str, folder: Path | None) -> Source:
    if not name.strip():
        raise DocumentError("the model's name is empty: give a model YAML, such as yolov8s.yaml")
    if name == STDIN:
        raise DocumentError("- is standard input, which this can't read a model from: save it to a file, and give that")
    path = folder / name if folder else Path(name)
    _refuse_no_file(name, path)
    if is_checkpoint(path):
        raise DocumentError(
            f"{name} is a checkpoint, and this takes a model YAML: graft puts LSKA into a checkpoint, ungraft takes it "
            "out, and inspect shows what it holds"
        )
    if path.suffix.lower() not in YAML_SUFFIXES:
        if path.is_file():
            raise DocumentError(f"{name} is not a YAML file: give a model YAML, such as yolov8s.yaml")
        path = path.with_name(f"{path.name}.yaml")
    unified = path.with_name(without_scale(path.name))
    for candidate in (path, unified):
        _refuse_no_file(str(candidate), candidate)
        if candidate.is_file():
            return Source(candidate, path.name, scale_in_name(path))
    if path.parent == (folder or Path()):
        for candidate in (path, unified):
            if candidate.name in stock_models():
                return Source(stock_models()[candidate.name], path.name, scale_in_name(path))
    raise DocumentError(_not_found(name, path))


def _refuse_no_file(name: str, path: Path) -> None:
    found = no_file(path)
    if found:
        raise DocumentError(f"{name} is {found}: give a model YAML, such as yolov8s.yaml")


def _not_found(name: str, path: Path) -> str:
    stock = list(stock_models())
    if not stock:
        return f"no file {name}, and ultralytics is not installed to look for a stock model: give the path of a YAML"
    import difflib  # here, for only an error needs it

    near = difflib.get_close_matches(without_scale(path.name), stock, n=3, cutoff=0.6)
    hint = f"near it: {', '.join(near)}" if near else "such as yolov8s.yaml"
    return f"no file {name}, and no stock model of that name: give a path or one of ultralytics' {len(stock)} ({hint})"


def means_yaml(name: str) -> bool:
    """Whether a model that may be a checkpoint or a YAML is a YAML, by its ending or as a stock model's bare name.

    Raises:
        CheckpointError: a bare name that a checkpoint here may mean as well.
    """
    path = Path(name)
    if is_checkpoint(path) or path.suffix.lower() in YAML_SUFFIXES:
        return not is_checkpoint(path)
    if path.exists():
        return False
    beside = path.with_name(f"{path.name}.pt")
    if beside.is_file():
        raise CheckpointError(f"{name} may be {beside}, which is here, or {name}.yaml: say which of the two")
    return True


def _refuse_no_checkpoint(path: Path) -> None:
    found = no_file(path)
    if found == "a directory":
        inside = sorted(one.name for one in path.glob("*") if is_checkpoint(one))
        example = inside[0] if inside else "weights/best.pt"
        raise CheckpointError(f"{path} is a directory: give the checkpoint in it, such as {path / example}")
    if found:
        raise CheckpointError(f"{path} is {found}: give the path of a .pt")
    refuse_yaml(path)
    if not path.exists():
        raise CheckpointError(f"no file {path}: give the path of a .pt that is here; {_where_from(path)}")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"can't read {path}: Permission denied")


def _where_from(path: Path) -> str:
    stock = f"{without_scale(path.stem)}.yaml" in stock_models() and path.parent == Path()
    if not stock:
        return "nothing is downloaded"
    return f"graft --download fetches Ultralytics' own, and so does yolo predict model={path.name}"


def refuse_yaml(path: Path) -> None:
    """Refuse a YAML in a checkpoint's place, by its name.

    Raises:
        CheckpointError: it is one.
    """
    if path.suffix.lower() in YAML_SUFFIXES:
        raise CheckpointError(
            f"{path} is a YAML by its name, and this takes a trained checkpoint: give its .pt; insert puts operators "
            f"into a model YAML, and graft FILE.pt --into {path} puts a checkpoint into one"
        )
