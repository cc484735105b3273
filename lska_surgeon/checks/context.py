"""One file under check: its rows, however bad, and what can be worked out from them; it judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

from ..core.blocks import STOCK, BlockTable
from ..core.graph import Layer, Scaling, consumers_of, packed_row, role_of, scaling_of
from ..core.shapes import Shape
from ..errors import GraphError
from ..modelfile.document import BAD_ROW, Document, RowError
from ..modelfile.sources import Source
from ..modelfile.text import line_end, line_number
from .alignment import Alignment, Moved, align, is_whole, moved_sources, rewired, shapes_or_none
from .findings import Correction, Finding

#: Below this confidence an alignment says nothing: the file is a network of its own.
_ENOUGH = 0.8


class Rule(NamedTuple):
    """One rule of `check`.

    Attributes:
        code: its name, which stays: people filter by it.
        severity: of what it finds, unless that says otherwise.
        doc: what it finds, in one sentence.
        functions: what finds it; none for a rule that another command applies.
    """

    code: str
    severity: str
    doc: str
    functions: tuple[Callable[[Context], Iterator[Finding]], ...] = ()


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
        self.source, self.blocks = source, blocks
        self.bad_rows: list[RowError] = []
        if text is None:
            self.document = Document.read(source.path, bad_rows=self.bad_rows, blocks=blocks)
        else:
            self.document = Document(text, source.path.name, self.bad_rows, blocks=blocks)
        self.layers = self.document.layers
        if not self.layers:
            raise GraphError(f"{self.document.name} has no rows under backbone and head")
        #: The row that is a whole backbone, which the numbers count as several layers.
        self.packed_row = packed_row(self.layers)

    def with_text(self, text: str) -> Context:
        """The same file with another text."""
        return Context(self.source, text, self.blocks)

    @property
    def output(self) -> Layer:
        """The output layer."""
        return self.layers[-1]

    @cached_property
    def alignment(self) -> Alignment | None:
        """The stock model that this file was made from, or None when it resembles none."""
        alignment = align(self.layers) if self.packed_row is None else None
        return alignment if alignment and alignment.confidence >= _ENOUGH else None

    @cached_property
    def moved(self) -> list[Moved]:
        """The sources that are another layer than the stock model's."""
        if self.alignment is None:
            return []
        moved = moved_sources(self.layers, self.alignment)
        return [one for one in moved if one.around] if self._is_a_neck_of_its_own(self.alignment) else moved

    def _is_a_neck_of_its_own(self, alignment: Alignment) -> bool:
        """Whether fusions came or went and the whole fits as it stands: then its author meant every number of it."""
        last = len(alignment.stock) - 1
        came = {self.role(layer.index) for layer in self.layers if layer.index not in alignment.stock_row}
        went = {role_of(layer, last) for layer in alignment.stock if layer.index not in alignment.rows}
        shapes = shapes_or_none(self.layers) if {"fuse", "up"} & (came | went) else None
        return shapes is not None and is_whole(self.layers, shapes)

    @cached_property
    def corrected_layers(self) -> list[Layer]:
        """The layers with the sources fixed that are another layer, not those that read around one."""
        return rewired(self.layers, [moved for moved in self.moved if not moved.around])

    @cached_property
    def shapes(self) -> tuple[Shape, ...] | None:
        """Shapes of the corrected layers, so that one wrong source is not reported at every layer behind it.

        None when a source does not exist, or when a row can't be read.
        """
        is_readable = not self.bad_rows and self.packed_row is None
        return shapes_or_none(self.corrected_layers, self.alignment) if is_readable else None

    @cached_property
    def letters(self) -> list[str | None]:
        """The scale of the file's name, or every scale where the name leaves it open."""
        scales = self.document.settings.get("scales")
        if not scales or not isinstance(scales, dict):
            return [None]
        return [self.source.scale] if self.source.scale else list(scales)

    @cached_property
    def scalings(self) -> list[Scaling]:
        """What the scales of `letters` mean; none where that can't be read, which rule `scale` reports."""
        try:
            return [scaling_of(self.document.settings, letter) for letter in self.letters]
        except GraphError:
            return []

    @cached_property
    def shapes_by_scale(self) -> dict[str | None, tuple[Shape, ...]]:
        """What each layer gives at each scale that the file may be built at; empty where that is not known."""
        by_scale = {scaling.letter: shapes_or_none(self.layers, None, scaling) for scaling in self.scalings}
        return {letter: shapes for letter, shapes in by_scale.items() if shapes is not None}

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """Index of a layer -> indices of those that read it."""
        return consumers_of(self.layers)

    def finding(
        self, index: int, message: str, suggestion: str | None = None, *fixes: Correction, severity: str = ""
    ) -> Finding:
        """A finding about row `index`; whoever runs the rule fills in its code, and the severity that is not given."""
        return Finding(severity, "", self.document.line_of(index), index, message, suggestion, fixes)

    def of_setting(
        self, key: str, message: str, suggestion: str | None = None, *fixes: Correction, severity: str = ""
    ) -> Finding:
        """The same about what stands beside the rows."""
        line = line_number(self.document.text, self.document.setting_span(key).start)
        return Finding(severity, "", line, None, message, suggestion, fixes)

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
