"""Opening a model YAML at a scale; it edits nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..core.blocks import STOCK, BlockTable
from ..core.scaling import Scaling, scaling_of
from ..core.settings import settings_problems
from ..core.shapes import Shape, shapes_of, size_problem, width_problem
from ..errors import DocumentError, GraphError
from .document import Document, RowError
from .encoding import content_of, decoded
from .find import STDIN, FoundModel, find_model


@dataclass(frozen=True)
class OpenModel:
    """A model YAML, read, at a scale.

    Attributes:
        found: where it is.
        document: its text and rows.
        scaling: its scale.
        asked_scale: the scale that was asked for; None takes the one of the name.
        notes: what the user should be told.
    """

    found: FoundModel
    document: Document
    scaling: Scaling
    asked_scale: str | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """What each layer gives."""
        return shapes_of(self.document.graph, self.scaling)

    @property
    def classes(self) -> object:
        """How many classes the output layer has, as the file says it, be that a number or not."""
        return self.document.graph.settings.get("nc")


def read_model(
    name: str, folder: Path | None = None, bad_rows: list[RowError] | None = None, *, blocks: BlockTable = STOCK
) -> tuple[FoundModel, Document]:
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
        found = FoundModel(Path(STDIN), "standard input", None)
        return found, Document(decoded(_standard_input(), found.asked), found.asked, bad_rows, blocks=blocks)
    found = find_model(name, folder)
    return found, Document.read(found.path, found.asked, bad_rows, blocks=blocks)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise DocumentError("standard input is closed: pipe a model YAML into it, or give a file in place of -")
    try:
        return content_of(sys.stdin.buffer)
    except OSError as error:
        raise DocumentError(
            f"can't read standard input: {error.strerror or error}: give a file in place of -"
        ) from error


def open_model(
    name: str, scale: str | None = None, folder: Path | None = None, *, blocks: BlockTable = STOCK
) -> OpenModel:
    """Find and read a model YAML and settle its scale.

    Args:
        name: a path, a stock name with its scale, or "-" for standard input.
        scale: scale, where the name does not say it.
        folder: where a relative path starts; None for the working folder.
        blocks: the table that says what the rows' blocks are.

    Raises:
        SurgeonError: no such file, not a model YAML, no such scale, or a row or a setting whose numbers make no layer.
    """
    found, document = read_model(name, folder, blocks=blocks)
    if scale and not document.scales:
        raise GraphError(f"{found.asked} has no scales, so there is no scale {scale}: leave it out")
    letter = scale or (found.scale if document.scales else None)
    for _, wrong in settings_problems(document.settings):
        raise GraphError(f"{found.asked}: {wrong}")
    scaling = scaling_of(document.settings, letter)
    note = None if scale else scale_note(found, document)
    model = OpenModel(found, document, scaling, scale, (note,) if note else ())
    for layer in document.graph:
        problem = size_problem(layer, scaling) or width_problem(layer, model.shapes)
        if problem:
            raise GraphError(f"{found.asked}: row {layer.index} ({layer.block}) {problem}")
    return model


def scale_note(found: FoundModel, document: Document) -> str | None:
    """What to tell of a name that leaves it open which of several scales is built."""
    if found.scale or len(document.scales) < 2:
        return None
    letters = list(document.scales)
    return f"{found.asked} names no scale, so this is {letters[0]}, the first of {', '.join(letters)}"
