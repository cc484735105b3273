"""Writing into a document's text: only what an edit concerns changes, all else stays byte for byte.

Each change is a replacement of one span; together they are applied once, from the end of the text to its start.

Ultralytics takes the scale from the file NAME: `yolov8s-x.yaml` builds scale s, `x.yaml` builds the first entry of
`scales`. So a variant under a name that does not say its scale needs `scales` changed: the entry is moved to the
front, or, where the name says another letter, that letter gets its values. A comment line above `scales` records
the change, so that `unpin_scale` undoes it to the byte.

An edit whose rows do not tell what was there before leaves a record at the end of the file, so that it can be undone
byte for byte:

    # lska-surgeon: C3k2 at neck, from yolov8s.yaml (23 rows); lska-surgeon remove gives back:
    # @ 27
    # -  - [-1, 3, C3k2, [512, False]] # 12
    # +  - [-1, 3, C2f, [512]] # 12

Each `@` names a line of the file as it was written, `-` the lines that stand there, `+` those that stood there. A line
that has changed its place since is found by what it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.graph import Graph, Layer
from ..errors import DocumentError, TargetError
from ..wording import clean, printable
from .document import AFTER_ROW, IS_ALIAS, Document, format_row, format_value
from .sources import scale_in_name
from .text import BREAKS, Span, line_end, line_start, newline_at

if TYPE_CHECKING:
    from ..core.surgery import Rewrite


def rewrite_text(document: Document, rewrite: Rewrite, labels: Mapping[int, str] | None = None) -> str:
    """The document's text after a rewrite.

    Args:
        document: the text that `rewrite.before` was read from.
        rewrite: the edit.
        labels: by index, what a row's comment says after the index, or with a # the whole of it: of an inserted row,
            which has no comment else, or of one whose comment no longer holds.
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


class _Writer:
    def __init__(self, document: Document, rewrite: Rewrite, labels: Mapping[int, str]) -> None:
        self.document, self.rewrite, self.labels = document, rewrite, labels
        self.changes: list[tuple[Span, str]] = []

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
            self._insert(anchor, [new for new in inserted if anchor >= 0 and new.section == self._section(anchor)])
            self._insert_before(origin, [new for new in inserted if anchor < 0 or new.section != self._section(anchor)])
            anchor, inserted = origin, []
            self._change(self.rewrite.before[origin], layer)
        self._insert(anchor, inserted)
        return splice(self.document.text, self.changes)

    # Rows that stay.

    def _change(self, before: Layer, after: Layer) -> None:
        row = self.document.rows[before.index]
        if len(before.raw_sources) != len(after.raw_sources) or isinstance(before.frm, tuple) != isinstance(
            after.frm, tuple
        ):
            self._put(*self._first_column(before.index, after.frm), before.index)
        else:
            for span, old, new in zip(row.raw_sources, before.raw_sources, after.raw_sources):
                if old != new:
                    self._put(span, str(new), before.index)
        if before.repeats != after.repeats:
            self._put(row.repeats, str(after.repeats), before.index)
        if before.block != after.block:
            quote = self.document.text[row.block.start]
            quote = quote if quote in "'\"" else ""
            self._put(row.block, f"{quote}{after.block}{quote}", before.index)
        if before.args != after.args or before.block != after.block:  # True is 1 to Python, and not to a block
            for span, text in changes_of_args(self.document, before.index, before.args, after.args):
                self._put(span, text, before.index)
        if after.index in self.labels:
            label = self.labels[after.index]
            self._relabel(before.index, label if label.startswith("#") else f"# {after.index} {label}".rstrip())
        else:
            self._renumber(before.index, after.index)

    def _first_column(self, index: int, frm: int | tuple[int, ...]) -> tuple[Span, str]:
        """The first column with its brackets, or its dashes, and what it is to be, written as it was.

        Raises:
            DocumentError: there are comments between its sources.
        """
        row, text = self.document.rows[index], self.document.text
        first, last = row.raw_sources[0].start, row.raw_sources[-1].end
        if not isinstance(self.document.layers[index].frm, tuple):
            return Span(first, last), format_value(frm)
        opening = re.search(r"\[\s*\Z", text[:first])
        closing = re.match(r"\s*,?\s*\]", text[last:])
        if opening is not None and closing is not None:
            return Span(opening.start(), last + closing.end()), format_value(frm)
        dash = re.search(r"-[ \t]+\Z", text[:first])
        if dash is None or not re.fullmatch(r"(?:-?\d+|-(?=\s)|\s)+", text[first:last]):
            where = f"{self.document.name}, line {self.document.line_of(index)} (row {index})"
            raise DocumentError(f"{where} has more than numbers in its list of sources: write them as [15, 18, 21]")
        between = re.search(r"\r?\n[ \t]*", text[first:last])
        items = (f"- {source}" for source in frm) if isinstance(frm, tuple) and between else ()
        return Span(dash.start(), last), (between[0] if between else "").join(items) or format_value(frm)

    def _relabel(self, index: int, comment: str) -> None:
        """Give a row another comment, if it has a line to itself."""
        text, whole = self.document.text, self.document.rows[index].whole
        tail = AFTER_ROW.match(text, whole.end)
        assert tail is not None
        if tail.group(2):
            self._put(Span(*tail.span(2)), comment)
        elif text[tail.end() : tail.end() + 1] in BREAKS and not self.document.shares_line(index):
            self._put(Span(tail.end(), tail.end()), f" {comment}")

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
        labels = {layer.index: self.labels.get(layer.index) for layer in layers}
        notes = ["" if label is None else f" # {index} {label}".rstrip() for index, label in labels.items()]
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

    def _insert_before(self, index: int, layers: list[Layer]) -> None:
        """Insert rows in front of the first row of their section."""
        if not layers:
            return
        row, text = self.document.rows[index], self.document.text
        start = line_start(text, row.whole.start)
        rows = [format_row(layer) for layer in layers]
        if self._inline(index) or self.document.shares_line(index):
            self._put(Span(row.whole.start, row.whole.start), "".join(f"{one}, " for one in rows))
            return
        lead = text[start : row.whole.start]
        comma = "" if row.dash is not None else ","
        newline = newline_at(text, start)
        self._put(Span(start, start), "".join(f"{lead}{one}{comma}{newline}" for one in rows))

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

    def _put(self, span: Span, text: str, index: int | None = None) -> None:
        """Replace a span; of a row, where one is given, unless a YAML alias has it stand elsewhere."""
        document = self.document
        if index is not None:
            whole = document.rows[index].whole
            if not whole.start < span.start <= span.end <= whole.end:
                where = f"{document.name}, line {document.line_of(index)} (row {index})"
                raise DocumentError(f"{where} {IS_ALIAS} where it would have to change: write the row out")
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
    if before and not after and row.args_column is not None:
        return [(Span(row.args.start, row.each_arg[-1].end), "[]")]
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


_MARK = "# lska-surgeon:"
_EOL = rf"(?:\r\n|[{BREAKS}])\Z"
_FRONT = rf"{_MARK} (\S+) stands first, so that a name without a scale builds it \(was ([^\r\n]+)\){_EOL}"
_ALIAS = rf"{_MARK} (\S+) holds the values of (\S+), the scale of this file; its name says \1 \(was ([^\r\n]+)\){_EOL}"


class Pinned(NamedTuple):
    """A text and what was done to it: None when nothing had to be."""

    text: str
    note: str | None


def pin_scale(document: Document, scale: str | None, name: str | None) -> Pinned:
    """The document's text, changed where that is needed so that it builds `scale` under the file name `name`.

    Args:
        document: a model YAML.
        scale: the scale; None when the model has no scales.
        name: the file's name to be; None when it is not known (standard output).

    Raises:
        TargetError: the name says another letter, and no text could make that build `scale`.
    """
    if names_scale(document, scale, name):
        return Pinned(document.text, None)
    assert scale is not None
    scales = list(document.scales)
    said = scale_in_name(name) if name else None
    if said is not None:
        return _alias(document, said, scale, name or "")
    if scales[0] == scale:
        return Pinned(document.text, None)
    order = [scale, *(letter for letter in scales if letter != scale)]
    mark = f"{_MARK} {scale} stands first, so that a name without a scale builds it (was {', '.join(scales)})"
    text = _reorder(document, order, _mark_line(document, mark))
    return Pinned(text, f"scale {scale} was moved to the front of scales, for the file's name has no scale")


def names_scale(document: Document, scale: str | None, name: str | None) -> bool:
    """True when the file name says all about the scale that has to be said."""
    return scale is None or not document.scales or (name is not None and scale_in_name(name) == scale)


def pinned_scale(document: Document) -> str | None:
    """The scale that `pin_scale` put first, for the file's name says none; None where it did not."""
    if not document.scales:
        return None
    front = re.search(_FRONT, document.text[: _mark_place(document).start])
    return front.group(1) if front and front.group(1) == next(iter(document.scales)) else None


def unpin_scale(document: Document) -> str:
    """The document's text with what `pin_scale` did undone; the same text when it did nothing."""
    if not document.scales:
        return document.text
    above = document.text[: _mark_place(document).start]
    front, alias = re.search(_FRONT, above), re.search(_ALIAS, above)
    if front:
        order = front.group(2).split(", ")
        if sorted(order) != sorted(document.scales):
            return document.text
        return _reorder(document, order, (Span(*front.span()), ""))
    if alias and alias.group(1) in document.scales:
        value = document.scales[alias.group(1)].value
        return splice(document.text, [(Span(*alias.span()), ""), (value, alias.group(3))])
    return document.text


def without_scaling(document: Document, letter: str | None) -> str:
    """The document's text with nothing left to scale: for rows that hold real widths and repeats.

    Args:
        document: such rows, under the scales of their base.
        letter: the one scale to keep, with neutral values, for blocks that Ultralytics builds by letter; None for none.
    """
    changes: list[tuple[Span, str]] = []
    text = document.text
    if document.scales:
        span = document.setting_span("scales")
        start, end = _mark_place(document).start, line_end(text, span.end)
        kept = f"scales: {{{letter}: [1.0, 1.0, 65536]}}" if letter else ""
        if text[start : span.start].strip() or text[span.end : end].lstrip()[:1] not in ("", "#"):
            changes.append((span, kept or "scales: null"))  # beside other keys, as in a JSON file
        elif letter:
            note = "# the rows hold real widths and repeats; the letter is for the blocks that Ultralytics builds by it"
            changes.append((Span(span.start, end), f"{kept} {note}"))
        else:
            changes.append((Span(start, document.whole_lines(span).end), ""))
    for key in ("depth_multiple", "width_multiple"):
        if document.settings.get(key, 1.0) != 1.0:
            changes.append((document.setting_span(key), f"{key}: 1.0"))
    return splice(text, changes)


def _alias(document: Document, said: str, scale: str, name: str) -> Pinned:
    if said not in document.scales:
        letters = ", ".join(document.scales)
        raise TargetError(
            f"the name {name} says scale {said}, and {document.name} has {letters}: "
            f"choose a name with {scale} in that place"
        )
    by_letter = {layer.kind.plain: layer.kind.letters for layer in document.layers if layer.kind.letters}
    for block, groups in sorted(by_letter.items()):
        if not any(said in group and scale in group for group in groups):
            raise TargetError(
                f"the name {name} says scale {said}, and Ultralytics builds {block} by that letter, so the file can't "
                f"be {scale}: choose a name with {scale} in that place, or with no scale"
            )
    value = document.scales[said].value
    old = document.text[value.start : value.end]
    new = document.text[document.scales[scale].value.start : document.scales[scale].value.end]
    if old == new:
        return Pinned(document.text, None)
    if len(old.splitlines()) > 1 or len(new.splitlines()) > 1:
        raise TargetError(f"the name {name} says scale {said}, not {scale}: choose a name with {scale} in that place")
    mark = f"{_MARK} {said} holds the values of {scale}, the scale of this file; its name says {said} (was {old})"
    text = splice(document.text, [_mark_line(document, mark), (value, new)])
    return Pinned(text, f"the name says scale {said}: in this file {said} holds the values of {scale}")


def _reorder(document: Document, order: list[str], mark: tuple[Span, str]) -> str:
    """Put the entries of `scales` in another order; what stands between them (newlines, commas) keeps its place."""
    slots = [_entry(document, letter) for letter in document.scales]
    texts = {letter: document.text[slot.start : slot.end] for letter, slot in zip(document.scales, slots)}
    return splice(document.text, [mark, *((slot, texts[letter]) for slot, letter in zip(slots, order))])


def _entry(document: Document, letter: str) -> Span:
    """The entry's key and value; with the comment behind it when it has the line to itself."""
    entry, text = document.scales[letter], document.text
    eol = line_end(text, entry.value.end)
    comment = text[entry.value.end : eol].lstrip().startswith("#")
    return Span(entry.key.start, eol if comment and entry.on_lines else entry.value.end)


def _mark_line(document: Document, mark: str) -> tuple[Span, str]:
    place = _mark_place(document)
    return place, mark + newline_at(document.text, document.scales_at)


def _mark_place(document: Document) -> Span:
    """The start of the line with the key `scales`; a byte order mark stays first in the file."""
    start = line_start(document.text, document.scales_at)
    start += document.text.startswith("\ufeff", start)
    return Span(start, start)


_HEAD = re.compile(
    r"# lska-surgeon: (?P<done>.+), from (?P<base>.+) \((?P<rows>\d{1,9}) rows\); "
    r"lska-surgeon remove gives back(?P<bare> the last line's end)?:"
)
_OPEN = "\\"  # behind a line that ended the file without a line ending


class Hunk(NamedTuple):
    """Lines of a file, with their endings, and those that stood there before.

    Attributes:
        at: the first of them, counted from 0.
        now: the lines.
        before: the others.
    """

    at: int
    now: tuple[str, ...]
    before: tuple[str, ...]


class EditRecord(NamedTuple):
    """What an edit left.

    Attributes:
        base: the name of the file before it.
        done: the edit, in words.
        rows: how many rows the network has after it.
        hunks: what it changed.
        body: the text without the record.
    """

    base: str
    done: str
    rows: int
    hunks: tuple[Hunk, ...]
    body: str


def with_record(text: str, before: str, base: str, done: str, rows: int) -> str:
    """A text with the record of an edit at its end.

    Args:
        text: the text after the edit.
        before: the text before it.
        base: the file before it.
        done: the edit, in words; one line.
        rows: how many rows the network has now.
    """
    import difflib  # here, for who only reads a file needs none of it

    now, was = _lines(text), _lines(before)
    newline = newline_at(text, len(text))
    bare = "" if not text or text[-1] in BREAKS else " the last line's end"
    lines = [f"# lska-surgeon: {done}, from {base} ({rows} rows); lska-surgeon remove gives back{bare}:{newline}"]
    for tag, start, end, old_start, old_end in difflib.SequenceMatcher(None, now, was, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        lines.append(f"# @ {start + 1}{newline}")
        for sign, part in (("-", now[start:end]), ("+", was[old_start:old_end])):
            for line in part:
                closed = line[-1] in BREAKS
                lines.append(f"# {sign}{line}" if closed else f"# {sign}{line}{newline}# {_OPEN}{newline}")
    return f"{text}{newline if bare else ''}{''.join(lines)}"


def read_record(text: str) -> EditRecord | None:
    """The record of the last edit; None where the file does not end with one."""
    lines = _lines(text)
    at = len(lines)
    while at and re.match(r"# [@+\-\\]", lines[at - 1]):
        at -= 1
    head = _HEAD.match(lines[at - 1]) if 0 < at < len(lines) else None
    if head is None:
        return None
    body = "".join(lines[: at - 1])
    if head["bare"]:
        body = body[: -len(_ending(body))]
    return EditRecord(head["base"], head["done"], int(head["rows"]), tuple(_hunks(lines[at:])), body)


def edits_in(text: str) -> list[str]:
    """What the records of a text say was done, in that order: `C3k2 at neck, from yolov8s.yaml`."""
    found: list[str] = []
    record = read_record(text)
    while record is not None:
        found.insert(0, printable(f"{record.done}, from {record.base}"))
        record = read_record(record.body)
    return found


def undone(record: EditRecord, body: str, name: str) -> str:
    """A text with an edit undone.

    Args:
        record: the edit.
        body: the text, without the record.
        name: what messages call the file.

    Raises:
        DocumentError: lines that it wrote are not there any more.
    """
    lines = _lines(body)
    shift = 0
    for hunk in record.hunks:
        at = _place(lines, hunk, hunk.at + shift)
        if at is None:
            missing = clean("".join((*hunk.now, *hunk.before)[:1]).strip(), 60)
            raise DocumentError(
                f"{name}: line {hunk.at + 1}, {missing!r}, was changed since {record.done}, so {record.base} can't be "
                "given back; the lines that it had stand at the end of the file, behind # +"
            )
        lines[at : at + len(hunk.now)] = hunk.before
        shift = at - hunk.at + len(hunk.before) - len(hunk.now)
    return "".join(lines)


def _place(lines: Sequence[str], hunk: Hunk, near: int) -> int | None:
    """Where the lines of a hunk stand."""
    size = len(hunk.now)
    if not size:
        return near if 0 <= near <= len(lines) else None
    places = [at for at in range(len(lines) - size + 1) if tuple(lines[at : at + size]) == hunk.now]
    return min(places, key=lambda at: abs(at - near)) if places else None


def _hunks(lines: Sequence[str]) -> list[Hunk]:
    found: list[Hunk] = []
    for line in lines:
        sign, rest = line[2], line[3:]
        if sign == "@":
            number = re.match(r" (\d{1,9})", rest)
            found.append(Hunk(int(number[1]) - 1 if number else 0, (), ()))
        elif found and sign == _OPEN:
            last = found[-1]
            found[-1] = (
                last._replace(before=_opened(last.before)) if last.before else last._replace(now=_opened(last.now))
            )
        elif found and sign == "-":
            found[-1] = found[-1]._replace(now=(*found[-1].now, rest))
        elif found:
            found[-1] = found[-1]._replace(before=(*found[-1].before, rest))
    return found


def _opened(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines, the last without its ending."""
    return (*lines[:-1], *(line[: -len(_ending(line))] for line in lines[-1:]))


def _lines(text: str) -> list[str]:
    """The lines with their endings."""
    return re.findall(rf"[^{BREAKS}]*(?:\r\n|[{BREAKS}])|[^{BREAKS}]+\Z", text)


def _ending(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else line[-1:]
