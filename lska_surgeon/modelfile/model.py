"""A model as a value: its rows, its scale, and where it came from; `load` is the one way from a user's source to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, BlockTable
from ..core.graph import Graph, graph_of
from ..core.packed_backbone import packed_row, told
from ..core.scaling import Scaling, scaling_of
from ..core.settings import settings_problems
from ..core.shapes import Shape, shapes_of, size_problem, width_problem
from ..errors import DocumentError, GraphError
from .document import Document, RowError
from .encoding import content_of, decoded
from .sources import STDIN, Source, find_source


@dataclass(frozen=True)
class Model:
    """A network at a scale.

    Attributes:
        source: where it came from.
        graph: its rows and settings; they carry the table of blocks that they were read by.
        scaling: its scale.
        document: its text and where the rows stand in it; None for what a checkpoint stores.
        asked_scale: the scale that was asked for; None takes the one of the name.
        notes: what the user should be told.
        classes: how many classes the output layer has, as the model says it, be that a number or not.
        measure: gives the shape of each layer, None where it gives no map; asked where the rules know no block.
    """

    source: Source
    graph: Graph
    scaling: Scaling
    document: Document | None = None
    asked_scale: str | None = None
    notes: tuple[str, ...] = ()
    classes: object = None
    measure: Callable[[], list[Shape | None]] | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def name(self) -> str:
        """The file name that was asked for, scale included."""
        return self.source.name

    @property
    def blocks(self) -> BlockTable:
        """The table that says what the rows' blocks are."""
        return self.graph.blocks

    @property
    def written(self) -> Document:
        """Its text and where the rows stand in it.

        Raises:
            DocumentError: it has none, for a checkpoint stores its rows.
        """
        if self.document is None:
            raise DocumentError(f"{self.name} stores rows without their text: give a model YAML")
        return self.document

    @property
    def text(self) -> str:
        """Its text."""
        return self.written.text

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """What each layer gives: by the rules, and as measured where they know no block."""
        by_rule = shapes_of(self.graph, self.scaling)
        unknown = [shape.guessed or shape.channels is None for shape in by_rule]
        if self.measure is None or not any(unknown):
            return by_rule
        return tuple(real if real and ask else rule for rule, real, ask in zip(by_rule, self.measure(), unknown))


def model_of(document: Document, scaling: Scaling, source: Source | None = None) -> Model:
    """The model of a text at a scale.

    Raises:
        GraphError: its rows make no network.
    """
    source = source or Source(Path(document.name), document.name, scaling.letter)
    return Model(source, document.graph, scaling, document, classes=document.settings.get("nc"))


def stored_model(yaml: Mapping[str, Any], path: Path, blocks: BlockTable = STOCK) -> Model:
    """The model that a checkpoint stores, at the scale that it was built at.

    Raises:
        BuildError: it has no rows, or they are no rows.
        GraphError: its rows make no network, or it has no such scale.
    """
    graph, letter = graph_of(yaml, path.name, blocks), yaml.get("scale") or None
    packed = packed_row(graph.layers)
    if packed is not None:
        raise GraphError(f"{path.name}: {told(graph.layers, packed)}")
    return Model(Source(path, path.name, letter), graph, scaling_of(graph.settings, letter), classes=yaml.get("nc"))


def read_source(
    name: str, folder: Path | None = None, bad_rows: list[RowError] | None = None, *, blocks: BlockTable = STOCK
) -> tuple[Source, Document]:
    """Find and read a model YAML, at no scale.

    Args:
        name: a path, a stock name, or "-" for standard input, which can be read once.
        folder: where a relative path starts; None for the working folder. There, "-" is no name.
        bad_rows: as for `Document`.
        blocks: the table that says what the rows' blocks are.

    Raises:
        DocumentError: there is no such file, or it is no model YAML.
    """
    if name == STDIN and folder is None:
        source = Source(Path(STDIN), "standard input")
        return source, Document(decoded(_standard_input(), source.name), source.name, bad_rows, blocks=blocks)
    source = find_source(name, folder=folder)
    return source, Document.read(source.path, source.name, bad_rows, blocks=blocks)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise DocumentError("standard input is closed: pipe a model YAML into it, or give a file in place of -")
    try:
        return content_of(sys.stdin.buffer)
    except OSError as error:
        raise DocumentError(
            f"can't read standard input: {error.strerror or error}: give a file in place of -"
        ) from error


def load(name: str, scale: str | None = None, folder: Path | None = None, *, blocks: BlockTable = STOCK) -> Model:
    """Find and read a model YAML and settle its scale.

    Args:
        name: a path, a stock name with its scale, or "-" for standard input.
        scale: scale, where the name does not say it.
        folder: where a relative path starts; None for the working folder.
        blocks: the table that says what the rows' blocks are.

    Raises:
        SurgeonError: no such file, not a model YAML, no such scale, or a row or a setting whose numbers make no layer.
    """
    source, document = read_source(name, folder, blocks=blocks)
    if scale and not document.scales:
        raise GraphError(f"{source.name} has no scales, so there is no scale {scale}: leave it out")
    letter = scale or (source.scale if document.scales else None)
    for _, wrong in settings_problems(document.settings):
        raise GraphError(f"{source.name}: {wrong}")
    scaling = scaling_of(document.settings, letter)
    note = None if scale else scale_note(source, document)
    notes, classes = (note,) if note else (), document.settings.get("nc")
    model = Model(source, document.graph, scaling, document, scale, notes, classes)
    for layer in model.graph:
        problem = size_problem(layer, scaling) or width_problem(layer, model.shapes)
        if problem:
            raise GraphError(f"{source.name}: row {layer.index} ({layer.block}) {problem}")
    return model


def scale_note(source: Source, document: Document) -> str | None:
    """What to tell of a name that leaves it open which of several scales is built."""
    if source.scale or len(document.scales) < 2:
        return None
    letters = list(document.scales)
    return f"{source.name} names no scale, so this is {letters[0]}, the first of {', '.join(letters)}"
