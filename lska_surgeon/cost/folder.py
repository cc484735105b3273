"""Which models lie in a folder, in the order to compare them in; it counts none, builds none, and imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.blocks import BlockTable
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


def models_in(folder: Path, blocks: BlockTable) -> FolderModels:
    """The model YAMLs and checkpoints of a folder; what lies in folders below it, and hidden files, do not count.

    Args:
        folder: the folder.
        blocks: the table that says what the rows' blocks are.

    Raises:
        DocumentError: there is none; the message says what to give.
    """
    plain: list[Path] = []
    variants: list[Path] = []
    others, unread = [], {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        if is_checkpoint(path):
            (variants if base_stem(path.stem, blocks) else plain).append(path)
        elif path.suffix.lower() in YAML_SUFFIXES:
            try:
                layers = Document.read(path, blocks=blocks).layers
            except NotAModelError:
                others.append(path.name)
            except SurgeonError as error:
                unread[path.name] = str(error)
            else:
                (variants if any(layer.kind.is_attention for layer in layers) else plain).append(path)
    bases = list(dict.fromkeys(filter(None, (_base_of(variant, blocks) for variant in variants))))
    models = [*bases, *(str(path) for path in (*plain, *variants) if str(path) not in bases)]
    if not models:
        seen = f" ({', '.join([*others, *unread])} can't be read as one)" if others or unread else ""
        raise DocumentError(f"no model YAML and no checkpoint in this folder{seen}: give models, such as yolov8s.yaml")
    return FolderModels(tuple(models), tuple(others), unread)


def _base_of(variant: Path, blocks: BlockTable) -> str | None:
    """The model that a variant is named after, the file beside it or else the stock model; None where there is none."""
    stem = base_stem(variant.stem, blocks)
    if stem is None:
        return None
    beside = variant.with_name(f"{stem}{variant.suffix}")
    if beside.is_file():
        return str(beside)
    try:
        return None if is_checkpoint(variant) else find_source(f"{stem}.yaml").name
    except DocumentError:
        return None
