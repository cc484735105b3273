"""One file under check: its rows, however bad, and what can be worked out from them; it judges nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from ..core.graph import Layer, Scaling, consumers_of, outputs_of, role_of, scaling_of
from ..core.parts import as_backbone, unsaid_backbone
from ..core.shapes import Shape, stride_argument
from ..errors import GraphError
from ..modelfile.document import BAD_ROW, Document
from ..modelfile.rewriting import edits_in
from ..modelfile.sources import Source
from ..modelfile.text import line_end, line_number
from .alignment import Alignment, align, clashes, shapes_or_none
from .findings import Correction, Finding
from .wiring.decision import Verdict, infer

#: Below this confidence an alignment says nothing: the file is a network of its own.
_ENOUGH = 0.8
#: How much better the numbers have to be explained by a backbone in one row that nothing else speaks for.
_TO_BE_BELIEVED = 2.0


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
        document: what it says, bad rows included.
        unsaid_backbone: the row that by the numbers is a whole backbone, though nothing but this table says so.

    Raises:
        GraphError: it has no rows.
    """

    def __init__(self, source: Source, document: Document, unsaid_backbone: Layer | None = None) -> None:
        self.source, self.document, self.unsaid_backbone = source, document, unsaid_backbone
        self.bad_rows, self.layers = document.bad_rows, document.layers
        if not self.layers:
            raise GraphError(f"{self.document.name} has no rows under backbone and head")

    @property
    def likeliest(self) -> Context:
        """The same file with its first row as a whole backbone, where that explains the numbers better."""
        first = None if self.bad_rows else as_backbone(self.layers)
        if first is None:
            return self
        whole = unsaid_backbone(self.layers)
        row = whole or first
        counted = Document(self.document.text, self.document.name, [], blocks=row.blocks)
        other = Context(self.source, counted, row)
        return other if whole or other.cost + _TO_BE_BELIEVED < self.cost else self

    @property
    def cost(self) -> float:
        """What speaks against its numbers, by the reading that explains them best."""
        return self.verdict.best.cost if self.verdict.best else math.inf

    @property
    def output(self) -> Layer:
        """The output layer."""
        return self.layers[-1]

    @cached_property
    def outputs(self) -> tuple[Layer, ...]:
        """All output layers, of a network for several tasks."""
        return outputs_of(self.layers)

    @cached_property
    def edits(self) -> list[str]:
        """What the file says that lska-surgeon did to it, but for insertions."""
        return edits_in(self.document.text)

    @cached_property
    def alignment(self) -> Alignment | None:
        """The stock model that this file was made from, or None when it resembles none."""
        alignment = align(self.layers)
        return alignment if alignment and alignment.confidence >= _ENOUGH else None

    @property
    def stock_name(self) -> str | None:
        """The name of the stock model that it was made from."""
        return self.alignment.stock.name if self.alignment else None

    @cached_property
    def slow_rows(self) -> dict[int, tuple[int, Any]]:
        """Down-sampling rows with another stride than the stock model's, where that alone makes strides clash.

        Each with the place of its stride among its arguments, and the stock model's.
        """
        alignment = self.alignment
        shapes = shapes_or_none(self.layers, alignment) if alignment and not self.bad_rows else None
        if alignment is None or shapes is None or not clashes(self.layers, shapes):
            return {}
        layers, slow = list(self.layers), {}
        for old, new in alignment.rows.items():
            stock, ours = alignment.stock[old], layers[new]
            at = stride_argument(ours.kind)
            if at is None or stock.block != ours.block or len(stock.args) <= at or len(ours.args) < at:
                continue
            if (ours.args[at] if len(ours.args) > at else 1) != stock.args[at]:
                slow[new] = (at, stock.args[at])
                layers[new] = replace(ours, args=(*ours.args[:at], stock.args[at], *ours.args[at + 1 :]))
        corrected = shapes_or_none(layers, alignment) if slow else None
        return slow if corrected is not None and not clashes(layers, corrected) else {}

    @cached_property
    def verdict(self) -> Verdict:
        """What is wrong with its numbers, and what they should be."""
        is_readable = not self.bad_rows and all(layer.raw_sources for layer in self.layers)
        if not is_readable or self.slow_rows:
            return Verdict()
        comments = {layer.index: self.document.comment_index(layer.index) for layer in self.layers}
        numbers = {index: comment[0] for index, comment in comments.items() if comment}
        of_stock = self.alignment.ratios if self.alignment else {}
        return infer(self.layers, numbers, self.alignment, of_stock, explain=self.unsaid_backbone is not None)

    @cached_property
    def corrected_layers(self) -> list[Layer]:
        """The layers with the numbers that they should have, as far as these are known."""
        layers = list(self.layers)
        for (row, slot), source in self.verdict.fixes.items():
            numbers = layers[row].raw_sources
            numbers = (*numbers[:slot], source, *numbers[slot + 1 :])
            layers[row] = replace(layers[row], frm=numbers if isinstance(layers[row].frm, tuple) else numbers[0])
        return layers

    @cached_property
    def shapes(self) -> tuple[Shape, ...] | None:
        """Shapes of the corrected layers, so that one wrong source is not reported at every layer behind it.

        None when a source does not exist, or when a row can't be read.
        """
        return None if self.bad_rows else shapes_or_none(self.corrected_layers, self.alignment)

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
        """What each layer gives at each scale, its numbers as they should be; empty where that is not known."""
        by_scale = {scaling.letter: shapes_or_none(self.corrected_layers, None, scaling) for scaling in self.scalings}
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
