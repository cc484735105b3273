"""Writing a Rewrite into a document's text: only what the edit concerns changes, all else stays byte for byte.

Each change is a replacement of one span; together they are applied once, from the end of the text to its start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.graph import Graph, Layer
from ..core.surgery import Rewrite
from ..errors import DocumentError
from ..yaml_nodes import Span
from .document import AFTER_ROW, Document, format_row, format_value
from .lines import BREAKS, line_end, line_start, newline_at


def rewrite_text(document: Document, rewrite: Rewrite, labels: Mapping[int, str] | None = None) -> str:
    """The document's text after a rewrite.

    Args:
        document: the text that `rewrite.before` was read from.
        rewrite: the edit.
        labels: for each inserted row, by index, what its comment says after the index.
    """
    return _Writer(document, rewrite, labels or {}).text()


def reread(text: str, graph: Graph) -> Document:
    """The text as a document again, which has to hold the graph that was to be written: nothing is written wrong.

    Raises:
        DocumentError: it does not.
    """
    try:
        document = Document(text, graph.name, blocks=graph.blocks)
        right = document.layers == graph.layers
    except DocumentError:
        right = False
    if not right:
        raise DocumentError(
            f"{graph.name} is laid out in a way that can't be edited safely (aliases?): write its rows and scales out"
        )
    return document


@dataclass
class _Writer:
    document: Document
    rewrite: Rewrite
    labels: Mapping[int, str]
    changes: list[tuple[Span, str]] = field(default_factory=list)

    def text(self) -> str:
        removed = set(range(len(self.rewrite.before))) - set(self.rewrite.index_map)
        for run in self._runs(sorted(removed)):
            if any(map(self._inline, run)):
                self._put(self._inline_span(run), "")
            else:
                for index in run:
                    self._remove_lines(index, removed)
        anchor, inserted = -1, []
        for layer, origin in zip(self.rewrite.after, self.rewrite.origin):
            if origin is None:
                inserted.append(layer)
                continue
            self._insert(anchor, inserted)
            anchor, inserted = origin, []
            self._change(self.rewrite.before[origin], layer)
        self._insert(anchor, inserted)
        return splice(self.document.text, self.changes)

    # Rows that stay.

    def _change(self, before: Layer, after: Layer) -> None:
        row = self.document.rows[before.index]
        for span, old, new in zip(row.raw_sources, before.raw_sources, after.raw_sources):
            if old != new:
                self._put(span, str(new))
        if before.repeats != after.repeats:
            self._put(row.repeats, str(after.repeats))
        if before.block != after.block:
            quote = self.document.text[row.block.start]
            quote = quote if quote in "'\"" else ""
            self._put(row.block, f"{quote}{after.block}{quote}")
        if before.args != after.args:
            self.changes += changes_of_args(self.document, before.index, before.args, after.args)
        self._renumber(before.index, after.index)

    def _renumber(self, old: int, new: int) -> None:
        # A right comment stays right. The swap's other half keeps the inverse exact: a comment that was wrong and
        # would now be right by accident takes the old number, so that removing the rows turns it back.
        found = self.document.comment_index(old)
        joined = new + 1 in self.rewrite.inserted and self._inline(old)
        if found and not joined and old != new and found[0] in (old, new):
            self._put(found[1], str(new if found[0] == old else old))

    # Rows that come.

    def _insert(self, anchor: int, layers: list[Layer]) -> None:
        if not layers:
            return
        row, text = self.document.rows[anchor], self.document.text
        end = row.whole.end
        eol, newline = line_end(text, end), newline_at(text, end)
        notes = [f" # {layer.index} {self.labels[layer.index]}" for layer in layers]
        if row.dash is not None:
            lead = f"{newline}{' ' * row.dash}- "
            self._put(Span(eol, eol), "".join(lead + format_row(x) + note for x, note in zip(layers, notes)))
            return
        if self._inline(anchor):
            self._put(Span(end, end), "".join(f", {format_row(layer)}" for layer in layers))
            return
        lead = newline + text[line_start(text, row.whole.start) : row.whole.start]
        commas = [","] * len(layers)
        if not self._comma_after(anchor):
            self._put(Span(end, end), ",")
            commas[-1] = ""
        lines = (lead + format_row(x) + comma + note for x, comma, note in zip(layers, commas, notes))
        self._put(Span(eol, eol), "".join(lines))

    # Rows that go.

    def _runs(self, removed: list[int]) -> list[list[int]]:
        """The removed rows, those that follow one another in a section together."""
        runs: list[list[int]] = []
        for index in removed:
            if runs and runs[-1][-1] == index - 1 and self._section(index - 1) == self._section(index):
                runs[-1].append(index)
            else:
                runs.append([index])
        return runs

    def _remove_lines(self, index: int, removed: set[int]) -> None:
        rows, text = self.document.rows, self.document.text
        row = rows[index]
        start = line_start(text, row.whole.start)
        newline = 2 if text[max(start - 2, 0) : start] == "\r\n" else 1
        self._put(Span(start - newline, line_end(text, row.whole.end)), "")
        if row.dash is None and not self._comma_after(index):
            new_last = next(row for row in range(index - 1, -1, -1) if row not in removed)
            comma = text.index(",", rows[new_last].whole.end)
            self._put(Span(comma, comma + 1), "")

    def _inline_span(self, run: list[int]) -> Span:
        """What goes with a run of rows on shared lines: the comma before it, or the one behind it."""
        rows, first, last = self.document.rows, run[0], run[-1]
        start, end = rows[first].whole.start, rows[last].whole.end
        leads = first == 0 or self._section(first - 1) != self._section(first)
        trails = last + 1 == len(rows) or self._section(last) != self._section(last + 1)
        if not leads and (trails or line_end(self.document.text, rows[first - 1].whole.end) > start):
            return Span(rows[first - 1].whole.end, end)
        return Span(start, end if trails else rows[last + 1].whole.start)

    # Where things are.

    def _put(self, span: Span, text: str) -> None:
        self.changes.append((span, text))

    def _inline(self, index: int) -> bool:
        """True when rows come and go behind this one on its line: in a flow section, where it shares that line."""
        text, whole = self.document.text, self.document.rows[index].whole
        if self.document.rows[index].dash is not None:
            return False
        tail = AFTER_ROW.match(text, whole.end)
        at_line_end = tail is not None and text[tail.end() : tail.end() + 1] in BREAKS
        last = index + 1 == len(self.document.rows) or self._section(index) != self._section(index + 1)
        comma_fits = last or self._comma_after(index)
        return not (at_line_end and comma_fits and not text[line_start(text, whole.start) : whole.start].strip())

    def _section(self, index: int) -> str:
        return self.document.layers[index].section

    def _comma_after(self, index: int) -> bool:
        tail = AFTER_ROW.match(self.document.text, self.document.rows[index].whole.end)
        return bool(tail and tail.group(1))


def changes_of_args(
    document: Document, index: int, before: Sequence[Any], after: Sequence[Any]
) -> list[tuple[Span, str]]:
    """What to replace in a document, so that row `index` has other arguments than before."""
    row = document.rows[index]
    changes = [
        (span, format_value(new))
        for span, old, new in zip(row.each_arg, before, after)
        if old != new or type(old) is not type(new)
    ]
    kept = len(after)
    if kept < len(before):
        start = row.each_arg[kept - 1].end if kept else row.each_arg[0].start
        changes.append((Span(start, row.each_arg[-1].end), ""))
    added = [format_value(value) for value in after[len(before) :]]
    if added and row.each_arg:
        end = row.each_arg[-1].end
        newline = newline_at(document.text, end)
        separator = ", " if row.args_column is None else f"{newline}{' ' * row.args_column}- "
        changes.append((Span(end, end), "".join(separator + text for text in added)))
    elif added:
        changes.append((Span(row.args.start + 1, row.args.start + 1), ", ".join(added)))
    return changes


def splice(text: str, changes: list[tuple[Span, str]]) -> str:
    """`text` with each span replaced; changes at one place keep their order."""
    parts: list[str] = []
    at = 0
    for span, new in sorted(changes, key=lambda change: (change[0].start, change[0].end)):
        assert span.start >= at, "changes overlap"
        parts += [text[at : span.start], new]
        at = span.end
    return "".join([*parts, text[at:]])
