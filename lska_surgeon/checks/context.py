"""One file under check: its rows, however bad, and what can be worked out from them; it judges nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ..architecture.graph import Layer
from ..architecture.roles import role_of
from ..architecture.shapes import NOT_A_MAP, Shape
from ..errors import GraphError
from ..model_yaml.document import BAD_ROW, RowError
from ..model_yaml.find import FoundModel
from ..model_yaml.lines import line_end
from ..model_yaml.load import read_model
from .findings import Correction, Finding
from .moved_taps import Moved, moved_taps, put_right
from .stock_alignment import Alignment, align
from .strides import shapes_or_none

#: Below this confidence an alignment says nothing: the file is a network of its own.
_ENOUGH = 0.8
#: How many layers a patched parser counts a whole backbone for, when one row holds it.
_BACKBONE_LAYERS = 5


class Context:
    """A model YAML and what is known of it.

    Args:
        name: a path, a stock name, or "-" for standard input.

    Raises:
        DocumentError: there is no such file, or it is no model YAML.
        GraphError: it has no rows.
    """

    def __init__(self, name: str) -> None:
        self.bad_rows: list[RowError] = []
        self.found: FoundModel
        self.found, self.document = read_model(name, bad_rows=self.bad_rows)
        self.layers = self.document.layers
        if not self.layers:
            raise GraphError(f"{self.document.name} has no rows under backbone and head")

    @property
    def path(self) -> Path:
        """The file."""
        return self.found.path

    @property
    def output(self) -> Layer:
        """The output layer."""
        return self.layers[-1]

    @cached_property
    def alignment(self) -> Alignment | None:
        """The stock model that this file was made from, or None when it resembles none."""
        found = None if self.has_packed_backbone else align(self.layers)
        return found if found and found.confidence >= _ENOUGH else None

    @cached_property
    def moved(self) -> list[Moved]:
        """The taps that read another layer than the stock model's."""
        return moved_taps(self.layers, self.alignment) if self.alignment else []

    @cached_property
    def put_right(self) -> list[Layer]:
        """The layers with the taps put right that read another layer, not those that read around one."""
        return put_right(self.layers, [moved for moved in self.moved if not moved.around])

    @cached_property
    def shapes(self) -> tuple[Shape, ...] | None:
        """Strides of the layers put right, so that one wrong tap is not told again of every layer behind it.

        None when a source does not exist, or when a row can't be read.
        """
        return None if self.bad_rows or self.has_packed_backbone else shapes_or_none(self.put_right, self.alignment)

    @cached_property
    def has_packed_backbone(self) -> bool:
        """True when row 0 is a whole backbone that the numbers count as several layers.

        Some copies of Ultralytics have a parser patched for that. Plain Ultralytics can't build such a file.
        """
        first = shapes_or_none(self.layers[:1])
        if first is None or not first[0].guessed or self.layers[0].block in NOT_A_MAP:
            return False
        shift = _BACKBONE_LAYERS - 1
        shifted = [replace(layer, index=layer.index + shift) for layer in self.layers[1:]]
        return any(layer.problem() for layer in self.layers) and not any(layer.problem() for layer in shifted)

    def readers(self, index: int) -> list[int]:
        """Indices of the layers that read layer `index`."""
        return [layer.index for layer in self.layers if index in layer.sources]

    def finding(
        self, severity: str, rule: str, index: int, message: str, suggestion: str | None = None, *fixes: Correction
    ) -> Finding:
        """A finding about row `index`."""
        return Finding(severity, rule, self.document.line_of(index), index, message, suggestion, fixes)

    def comment(self, index: int) -> str:
        """The text of the line behind row `index`."""
        text, end = self.document.text, self.document.rows[index].whole.end
        return text[end : line_end(text, end)]

    def named(self, index: int) -> str:
        """`layer 7 (C2f)`."""
        return f"layer {index} ({self.layers[index].block})" if 0 <= index < len(self.layers) else f"layer {index}"

    def role(self, index: int) -> str:
        """What row `index` does."""
        return "unread" if self.layers[index].block == BAD_ROW else role_of(self.layers[index], len(self.layers) - 1)
