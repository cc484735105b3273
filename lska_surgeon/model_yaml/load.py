"""Opening a model YAML at a scale; it edits nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..architecture.scaling import Scaling, scaling_of
from ..architecture.shapes import Shape, shapes_of, size_problem
from ..errors import GraphError
from .document import Document
from .find import FoundModel, find_model


@dataclass(frozen=True)
class OpenModel:
    """A model YAML, read, at a scale.

    Attributes:
        found: where it is.
        document: its text and rows.
        scaling: its scale.
        asked_scale: the scale letter that was asked for; None takes the one of the name.
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


def open_model(name: str, scale: str | None = None, folder: Path | None = None) -> OpenModel:
    """Find and read a model YAML and settle its scale.

    Args:
        name: a path, or a stock name with its scale letter.
        scale: scale letter, where the name does not say it.
        folder: where a relative path starts; None for the working folder.

    Raises:
        SurgeonError: no such file, not a model YAML, no such scale, or a row whose repeats or width make no layer.
    """
    found = find_model(name, folder)
    document = Document.read(found.path, found.asked)
    if scale and not document.scales:
        raise GraphError(f"{found.asked} has no scales, so there is no scale {scale}: leave it out")
    letter = scale or (found.scale if document.scales else None)
    scaling = scaling_of(document.settings, letter)
    for layer in document.graph:
        problem = size_problem(layer, scaling)
        if problem:
            raise GraphError(f"{found.asked}: row {layer.index} ({layer.block}) {problem}")
    note = None if scale else scale_note(found, document, "--scale takes")
    return OpenModel(found, document, scaling, scale, (note,) if note else ())


def scale_note(found: FoundModel, document: Document, others: str = "it is the first of") -> str | None:
    """What to tell of a name that leaves it open which of several scales is built, and of the others."""
    if found.scale or len(document.scales) < 2:
        return None
    letters = list(document.scales)
    return f"{found.asked} names no scale, so this is {letters[0]}; {others} {', '.join(letters)}"
