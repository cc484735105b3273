"""Whether a checkpoint is where it is said to be, told without opening it; it imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import CheckpointError
from ..files import no_file
from ..modelfile.find import YAML_SUFFIXES, is_checkpoint, stock_models, without_scale


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


def _where_from(path: Path) -> str:
    stock = f"{without_scale(path.stem)}.yaml" in stock_models() and path.parent == Path()
    if not stock:
        return "nothing is downloaded"
    return f"graft --download fetches Ultralytics' own, and so does yolo predict model={path.name}"


def check_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        CheckpointError: there is nothing, or no file.
    """
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
