"""One file under check: its rows, however bad, and what can be worked out from them; it judges nothing."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from ..core.blocks import STOCK, BlockTable
from ..core.graph import Layer, Scaling, consumers_of, packed_row, role_of, scaling_of
from ..core.shapes import Shape
from ..errors import GraphError
from ..modelfile.document import BAD_ROW, Document, RowError
from ..modelfile.sources import Source
from ..modelfile.text import line_end
from .findings import Correction, Finding
from .moved_taps import Moved, moved_taps, put_right
from .stock_alignment import Alignment, align
from .strides import is_whole, shapes_or_none

#: Below this confidence an alignment says nothing: the file is a network of its own.
_ENOUGH = 0.8


class Context:
    """A model YAML and what is known of it.

    Args:
        source: the file.
        text: what to take for its text; None reads it.
        blocks: the table that says what the rows' blocks are.

    Raises:
        DocumentError: it is no model YAML.
        GraphError: it has no rows.
    """

    def __init__(self, source: Source, text: str | None = None, blocks: BlockTable = STOCK) -> None:
        self.source = source
        self.blocks = blocks
        self.bad_rows: list[RowError] = []
        if text is None:
            self.document = Document.read(source.path, bad_rows=self.bad_rows, blocks=blocks)
        else:
            self.document = Document(text, source.path.name, self.bad_rows, blocks=blocks)
        self.layers = self.document.layers
        if not self.layers:
            raise GraphError(f"{self.document.name} has no rows under backbone and head")

    def with_text(self, text: str) -> Context:
        """The same file with another text."""
        return Context(self.source, text, self.blocks)

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

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
        if self.alignment is None:
            return []
        moved = moved_taps(self.layers, self.alignment)
        return [one for one in moved if one.around] if self._is_a_neck_of_its_own else moved

    @cached_property
    def _is_a_neck_of_its_own(self) -> bool:
        """Whether fusions came or went and the whole fits as it stands: then its author meant every number of it."""
        alignment = self.alignment
        assert alignment is not None
        came = [self.role(layer.index) for layer in self.layers if layer.index not in alignment.stock_row]
        went = [
            role_of(layer, len(alignment.stock) - 1) for layer in alignment.stock if layer.index not in alignment.rows
        ]
        shapes = shapes_or_none(self.layers) if {"fuse", "up"} & {*came, *went} else None
        return shapes is not None and is_whole(self.layers, shapes)

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
    def packed_row(self) -> int | None:
        """The row that is a whole backbone, which the numbers count as several layers; see `packed`."""
        return packed_row(self.layers)

    @property
    def has_packed_backbone(self) -> bool:
        """True when there is such a row."""
        return self.packed_row is not None

    @cached_property
    def letters(self) -> list[str | None]:
        """The scale of the file's name, or every scale where the name leaves it open."""
        scales = self.document.settings.get("scales")
        if not scales or not isinstance(scales, dict):
            return [None]
        return [self.source.scale] if self.source.scale else list(scales)

    @cached_property
    def scalings(self) -> list[Scaling]:
        """What the scales of `letters` mean; none where that can't be read, which rule `scale` tells."""
        try:
            return [scaling_of(self.document.settings, letter) for letter in self.letters]
        except GraphError:
            return []

    @cached_property
    def shapes_by_letter(self) -> dict[str | None, tuple[Shape, ...]]:
        """What each layer gives at each scale that the file may be built at; empty where that is not known."""
        found = [(scaling.letter, shapes_or_none(self.layers, None, scaling)) for scaling in self.scalings]
        return {letter: shapes for letter, shapes in found if shapes is not None}

    def consumers(self, index: int) -> list[int]:
        """Indices of the layers that read layer `index`."""
        return list(self._consumers.get(index, ()))

    @cached_property
    def _consumers(self) -> dict[int, tuple[int, ...]]:
        return consumers_of(self.layers)

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
