"""What our own reader says of a YAML that Ultralytics is to build; what it can't read, it leaves to Ultralytics.

Sizes are looked at before a build, for an absurd one keeps it busy for hours. Sources only behind a build that failed:
a block or a parser of the user's own may make sense of what we do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.blocks import BlockTable
from ..core.graph import Graph, Layer, as_from, graph_of
from ..core.scaling import AbsurdScaleError, Scaling, scaling_of
from ..core.settings import settings_problems
from ..core.shapes import shapes_of, size_problem, width_problem
from ..declarations.find import active_blocks
from ..errors import EncodingError, EndlessError, GraphError, SurgeonError
from ..modelfile.document import Document, RowError
from ..modelfile.sources import Source, find_source


def refuse_sizes(name: str | Path, scale: str | None = None) -> None:
    """Refuse a model YAML with a row that is far too large to be built.

    Args:
        name: a path, or a stock name.
        scale: scale; None takes that of the name.

    Raises:
        EncodingError: the file is not UTF-8.
        EndlessError: the file contains itself, or its aliases stand for too much.
        GraphError: a row has too many repeats, or is too wide, or another number is absurd.
        RowError: a number is too large to be one.
    """
    source, document = _read(name)
    if document is not None:
        letter = scale or (source.scale if document.scales else None)
        _refuse_sizes(source.name, document.settings, letter, document.layers, lambda: document.graph)


def refuse_sizes_in(yaml: Mapping[str, Any], name: str) -> None:
    """The same of a model dictionary, as far as its rows can be read: a checkpoint stores one that nobody has seen.

    Args:
        yaml: the model dictionary.
        name: what to call it in the error.

    Raises:
        GraphError: as `refuse_sizes`.
    """
    letter = yaml.get("scale")
    _refuse_sizes(
        name,
        yaml,
        str(letter) if letter else None,
        list(_layers_in(yaml, active_blocks())),
        lambda: graph_of(yaml, name, active_blocks()),
    )


def _layers_in(yaml: Mapping[str, Any], blocks: BlockTable) -> Iterator[Layer]:
    rows = [(section, row) for section in ("backbone", "head") for row in yaml.get(section) or ()]
    for index, (section, row) in enumerate(rows):
        with suppress(TypeError, ValueError, OverflowError, IndexError):  # Ultralytics will say what is wrong with it
            yield Layer(index, section, as_from(row[0]) or -1, int(row[1]), str(row[2]), tuple(row[3]), blocks)


def _refuse_sizes(
    name: str, settings: Mapping[str, Any], letter: str | None, layers: Sequence[Layer], graph: Callable[[], Graph]
) -> None:
    for _, problem in settings_problems(settings):
        raise GraphError(f"{name}: {problem}")
    try:
        scaling = scaling_of(settings, letter)
    except AbsurdScaleError as error:
        raise GraphError(f"{name}: {error}") from error
    except GraphError:
        return
    _refuse(name, ((layer, _size_problem(layer, scaling)) for layer in layers))
    try:
        shapes = shapes_of(graph(), scaling)
    except (SurgeonError, TypeError, ValueError, OverflowError):
        return
    _refuse(name, ((layer, width_problem(layer, shapes)) for layer in layers))


def refuse_sources(name: str | Path) -> None:
    """Refuse a model YAML that can't be read, or with a source that does not exist.

    Raises:
        DocumentError: it is no model YAML.
        GraphError: a source is missing, or looks forward.
    """
    try:
        source = find_source(str(name))
    except SurgeonError:  # Ultralytics said it
        return
    document = _document(source, bad_rows=[])
    if document is not None:
        _refuse(source.name, ((layer, layer.problem()) for layer in document.layers))


def _read(name: str | Path) -> tuple[Source, Document | None]:
    """The file, read as far as it can be."""
    source = Source(Path(name), str(name))
    bad_rows: list[RowError] = []
    try:
        source = find_source(str(name))
        document = _document(source, bad_rows)
    except (EncodingError, EndlessError):
        raise
    except SurgeonError:
        return source, None
    huge = next((error for error in bad_rows if error.is_huge), None)
    if huge:
        raise huge
    return source, document


def _document(source: Source, bad_rows: list[RowError]) -> Document | None:
    """The file, its rows however bad; None for stock models, which are sound, and reading one takes time."""
    return None if source.is_stock else Document.read(source.path, source.name, bad_rows, blocks=active_blocks())


def _refuse(name: str, problems: Iterator[tuple[Layer, str | None]]) -> None:
    for layer, problem in problems:
        if problem:
            raise GraphError(f"{name}: row {layer.index} ({layer.block}) {problem}")


def _size_problem(layer: Layer, scaling: Scaling) -> str | None:
    try:
        return size_problem(layer, scaling) if layer.repeats > 0 else None
    except SurgeonError:  # a block that has the name of one of ours, or a row that the build will refuse
        return None
