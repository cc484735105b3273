"""What our own reader says of a YAML that Ultralytics is to build; what it can't read, it leaves to Ultralytics.

Sizes are looked at before a build, for an absurd one keeps it busy for hours. Sources only behind a build that failed:
a block or a parser of the user's own may make sense of what we do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..architecture.graph import Layer
from ..architecture.scaling import Scaling, scaling_of
from ..architecture.shapes import size_problem
from ..errors import EncodingError, EndlessError, GraphError, SurgeonError
from ..model_yaml.document import Document
from ..model_yaml.find import FoundModel, find_model, is_stock


def refuse_sizes(name: str | Path, scale: str | None = None) -> None:
    """Refuse a model YAML with a row that is far too large to be built.

    Args:
        name: a path, or a stock name.
        scale: scale letter; None takes that of the name.

    Raises:
        EncodingError: the file is not UTF-8.
        EndlessError: the file contains itself, or its aliases stand for too much.
        GraphError: a row has too many repeats, or is too wide.
    """
    found, document = _read(name)
    if document is None:
        return
    try:
        scaling = scaling_of(document.settings, scale or (found.scale if document.scales else None))
    except GraphError:
        return
    _refuse(found, ((layer, _size_problem(layer, scaling)) for layer in document.layers))


def refuse_sources(name: str | Path) -> None:
    """Refuse a model YAML that can't be read, or with a source that does not exist.

    Raises:
        DocumentError: it is no model YAML.
        GraphError: a source is missing, or looks forward.
    """
    found = find_model(str(name))
    document = _document(found)
    if document is not None:
        _refuse(found, ((layer, layer.problem()) for layer in document.layers))


def _read(name: str | Path) -> tuple[FoundModel, Document | None]:
    """The file, read as far as it can be."""
    found = FoundModel(Path(name), str(name), None)
    try:
        found = find_model(str(name))
        return found, _document(found)
    except (EncodingError, EndlessError):
        raise
    except SurgeonError:
        return found, None


def _document(found: FoundModel) -> Document | None:
    """The file, its rows however bad; None for stock models, which are sound, and reading one takes time."""
    return None if is_stock(found) else Document.read(found.path, found.asked, bad_rows=[])


def _refuse(found: FoundModel, problems: Iterator[tuple[Layer, str | None]]) -> None:
    for layer, problem in problems:
        if problem:
            raise GraphError(f"{found.asked}: row {layer.index} ({layer.block}) {problem}")


def _size_problem(layer: Layer, scaling: Scaling) -> str | None:
    try:
        return size_problem(layer, scaling) if layer.repeats > 0 else None
    except SurgeonError:  # a block that has the name of one of ours, or a row that the build will refuse
        return None
