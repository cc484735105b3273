"""What our own reader says of a YAML that Ultralytics is to build; what it can't read, it leaves to Ultralytics.

Sizes are looked at before a build, for an absurd one keeps it busy for hours. Sources only behind a build that failed:
a block or a parser of the user's own may make sense of what we do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..architecture.graph import Layer
from ..architecture.scaling import AbsurdScaleError, Scaling, scaling_of
from ..architecture.settings import settings_problems
from ..architecture.shapes import shapes_of, size_problem, width_problem
from ..errors import EncodingError, EndlessError, GraphError, SurgeonError
from ..model_yaml.document import Document, RowError
from ..model_yaml.find import FoundModel, find_model, is_stock


def refuse_sizes(name: str | Path, scale: str | None = None) -> None:
    """Refuse a model YAML with a row that is far too large to be built.

    Args:
        name: a path, or a stock name.
        scale: scale letter; None takes that of the name.

    Raises:
        EncodingError: the file is not UTF-8.
        EndlessError: the file contains itself, or its aliases stand for too much.
        GraphError: a row has too many repeats, or is too wide, or another number is absurd.
        RowError: a number is too large to be one.
    """
    found, document = _read(name)
    if document is None:
        return
    for _, problem in settings_problems(document.settings):
        raise GraphError(f"{found.asked}: {problem}")
    try:
        scaling = scaling_of(document.settings, scale or (found.scale if document.scales else None))
    except AbsurdScaleError as error:
        raise GraphError(f"{found.asked}: {error}") from error
    except GraphError:
        return
    _refuse(found, ((layer, _size_problem(layer, scaling)) for layer in document.layers))
    try:
        shapes = shapes_of(document.graph, scaling)
    except SurgeonError:
        return
    _refuse(found, ((layer, width_problem(layer, shapes)) for layer in document.layers))


def refuse_sources(name: str | Path) -> None:
    """Refuse a model YAML that can't be read, or with a source that does not exist.

    Raises:
        DocumentError: it is no model YAML.
        GraphError: a source is missing, or looks forward.
    """
    try:
        found = find_model(str(name))
    except SurgeonError:  # Ultralytics said it
        return
    document = _document(found, bad_rows=[])
    if document is not None:
        _refuse(found, ((layer, layer.problem()) for layer in document.layers))


def _read(name: str | Path) -> tuple[FoundModel, Document | None]:
    """The file, read as far as it can be."""
    found = FoundModel(Path(name), str(name), None)
    bad_rows: list[RowError] = []
    try:
        found = find_model(str(name))
        document = _document(found, bad_rows)
    except (EncodingError, EndlessError):
        raise
    except SurgeonError:
        return found, None
    huge = next((error for error in bad_rows if error.is_huge), None)
    if huge:
        raise huge
    return found, document


def _document(found: FoundModel, bad_rows: list[RowError]) -> Document | None:
    """The file, its rows however bad; None for stock models, which are sound, and reading one takes time."""
    return None if is_stock(found) else Document.read(found.path, found.asked, bad_rows)


def _refuse(found: FoundModel, problems: Iterator[tuple[Layer, str | None]]) -> None:
    for layer, problem in problems:
        if problem:
            raise GraphError(f"{found.asked}: row {layer.index} ({layer.block}) {problem}")


def _size_problem(layer: Layer, scaling: Scaling) -> str | None:
    try:
        return size_problem(layer, scaling) if layer.repeats > 0 else None
    except SurgeonError:  # a block that has the name of one of ours, or a row that the build will refuse
        return None
