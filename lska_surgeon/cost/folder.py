"""Which models lie in a folder, in the order to compare them in; it counts none, builds none, and imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..declarations.find import active_blocks
from ..errors import DocumentError, NotAModelError, SurgeonError
from ..modelfile.document import Document
from ..modelfile.model import base_stem
from ..modelfile.sources import YAML_SUFFIXES, find_source, is_checkpoint


@dataclass(frozen=True)
class FolderModels:
    """What lies in a folder.

    Attributes:
        models: names to count: first the bases that others are named after, then models without operators, then
            variants. A base that is not here is the stock model of its name, where there is one.
        others: YAML files that are no models.
        unread: file -> why it can't be read as a model.
    """

    models: tuple[str, ...]
    others: tuple[str, ...]
    unread: Mapping[str, str]


def models_in(folder: Path) -> FolderModels:
    """The model YAMLs and checkpoints of a folder; what lies in folders below it, and hidden files, do not count.

    Raises:
        DocumentError: there is none; the message says what to give.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    plain: list[Path] = []
    variants: list[Path] = []
    others, unread = [], {}
    for path in files:
        if is_checkpoint(path):
            (variants if base_stem(path.stem, active_blocks()) else plain).append(path)
        elif path.suffix.lower() in YAML_SUFFIXES:
            try:
                layers = Document.read(path).layers
            except NotAModelError:
                others.append(path.name)
            except SurgeonError as error:
                unread[path.name] = str(error)
            else:
                (variants if any(layer.kind.is_attention for layer in layers) else plain).append(path)
    bases = list(dict.fromkeys(filter(None, map(_base_of, variants))))
    models = [*map(str, bases), *(str(path) for path in (*plain, *variants) if str(path) not in bases)]
    if not models:
        raise DocumentError(f"{_nothing(others, unread)}: give models, such as yolov8s.yaml")
    return FolderModels(tuple(models), tuple(others), unread)


def _base_of(variant: Path) -> str | None:
    """The model that a variant is named after, the file beside it or else the stock model; None where there is none."""
    stem = base_stem(variant.stem, active_blocks())
    if stem is None:
        return None
    beside = variant.with_name(f"{stem}{variant.suffix}")
    if beside.is_file():
        return str(beside)
    if is_checkpoint(variant):
        return None
    try:
        find_source(f"{stem}.yaml")
    except DocumentError:
        return None
    return f"{stem}.yaml"


def _nothing(others: list[str], unread: Mapping[str, str]) -> str:
    found = f" ({', '.join([*others, *unread])} can't be read as one)" if others or unread else ""
    return f"no model YAML and no checkpoint in this folder{found}"
