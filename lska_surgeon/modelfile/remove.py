"""Plan a removal: from a variant to its base's text to be; nothing is written before it is told to."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ..core.blocks import STOCK, BlockTable
from ..core.graph import Graph, Layer
from ..core.operators import OtherOperator, read_attention, read_row_of_users
from ..core.surgery import Rewrite, remove
from ..errors import DocumentError, GraphError, KernelError, SurgeonError
from ..files import as_path, planned_target, target_path, write_text
from ..reports import Report, Result, ToldCosts
from ..wording import numbers, plural, printable
from .document import Document
from .model import Model, base_name, family_notes, model_of, read_source
from .rewriting import EditRecord, read_record, reread, rewrite_text, undone, unpin_scale
from .sources import STDIN, Source, scale_in_name
from .text import unified_diff


@dataclass(frozen=True, repr=False)
class Removal(Result):
    """A removal, worked out; nothing is written before `write`.

    Attributes:
        source: where the variant is.
        document: the variant, read.
        text: the base's text.
        rewrite: the variant's rows and the base's.
        output: the file to be; None for standard output.
        notes: what the user should be told.
        undone: the edit that was undone, in words; empty where operators alone were taken out.
        costs: what the variant and the base cost; None where that was not asked for.
    """

    source: Source
    document: Document
    text: str
    rewrite: Rewrite
    output: Path | None
    notes: tuple[str, ...] = ()
    undone: str = ""
    costs: ToldCosts | None = None

    @property
    def index_map(self) -> dict[int, int]:
        """Index in the variant -> index in the base, of the rows that stay."""
        return self.rewrite.index_map

    @property
    def diff(self) -> str:
        """The unified diff from the variant to the base."""
        name = self.output.name if self.output else "base"
        return unified_diff(self.document.text, self.text, self.source.path.name, name)

    def report(self) -> Report:
        """What is taken out, in one line, and the diff."""
        before, after, index_map = self.rewrite.before, self.rewrite.after, self.index_map
        gone = [layer.index for layer in before if layer.index not in index_map]
        hosts = [old for old, new in index_map.items() if after[new].block != before[old].block]
        parts = [f"{len(gone)} operator row{plural(gone)} ({numbers(gone)})"] if gone else []
        parts += [f"{len(hosts)} host{plural(hosts)} made plain ({numbers(hosts)})"] if hosts else []
        where = self.output or "standard output"
        if self.undone:
            parts = [self.undone]
        without = "as it was before" if self.undone else "without"
        done = printable(f"{where}: {self.source.path.name} {without} {' and '.join(parts)}")
        data = {
            "schema": self.schema,
            "variant": str(self.source.path),
            "output": str(self.output) if self.output else None,
            "index_map": self.rewrite.index_map_by_name,
            "costs": self.costs.data() if self.costs else None,
            "notes": list(self.notes),
            "diff": self.diff,
        }
        costs = [self.costs.in_totals] if self.costs else []
        return Report(done, (done, *costs, self.diff), self.notes, data)

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the base; arguments and errors as for `Insertion.write`."""
        if path is not None:
            return _removal(self.source, self.document, os.fspath(as_path(path))).write(force=force)
        target = planned_target(None, self.output, ".yaml")
        write_text(target, self.text, force=force)
        return target


def plan_remove(variant: str, output: str | None = None, blocks: BlockTable = STOCK) -> Removal:
    """Work out a removal: byte for byte what `insert` started from, or the plain network for a file that people wrote.

    Raises:
        SurgeonError: the file can't be read, or there is nothing to remove.
    """
    return _removal(*read_source(variant, blocks=blocks), output)


def _removal(source: Source, document: Document, output: str | None) -> Removal:
    record = read_record(document.text)
    if record is not None:
        return _undoing(source, document, record, output)
    rows = _rows_to_remove(document)
    rewrite = remove(document.graph, rows)
    text = unpin_scale(reread(rewrite_text(document, rewrite), rewrite.after))
    name = output or (STDIN if source.is_stdin else base_name(source, document.blocks))
    target = None if name == STDIN else target_path(name, ".yaml")
    notes = (*family_notes(document.graph, target), *_notes(source, document, target), *_unmarked(document, rows))
    return Removal(source, document, text, rewrite, target, notes)


def _undoing(source: Source, document: Document, record: EditRecord, output: str | None) -> Removal:
    """The removal of the last edit that was recorded, and of the operators that were put in behind it."""
    text, operators = document.text, None
    rows = _rows_to_remove(document)
    if len(document.layers) != record.rows and (rows or any(layer.kind.is_attention for layer in document.layers)):
        operators = remove(document.graph, rows)
        text = rewrite_text(document, operators)
    plain = reread(text, operators.after if operators else document.graph)
    written = read_record(unpin_scale(plain))
    assert written is not None, "an edit of rows changes no comment at the end"
    try:
        text = undone(record, written.body, document.name)
        base = Document(text, document.name, blocks=document.blocks)
        after = base.graph
    except GraphError as error:
        raise DocumentError(f"what {document.name} was before {record.done} can't be given back: {error}") from error
    origin = _origin(plain.graph, after)
    if operators:
        origin = tuple(None if old is None else operators.origin[old] for old in origin)
    name = output or (STDIN if source.is_stdin else Path(record.base).name)
    target = None if name == STDIN else target_path(name, ".yaml")
    notes = (*family_notes(after, target), *_notes(source, base, target))
    rewrite = Rewrite(document.graph, after, origin)
    return Removal(source, document, text, rewrite, target, notes, record.done)


def before_edits(model: Model) -> Model | None:
    """The model before all edits that its file records; None where it records none, or they can't be undone."""
    if model.document is None or read_record(model.text) is None:
        return None
    document = model.document
    try:
        while (record := read_record(document.text)) is not None:
            text = _undoing(model.source, document, record, STDIN).text
            document = Document(text, record.base, blocks=document.blocks)
        return model_of(document, model.scaling)
    except SurgeonError:  # lines were changed since
        return None


def _origin(before: Graph, after: Graph) -> tuple[int | None, ...]:
    """For each row of one graph the row of another that it is, or whose place it has."""
    import difflib  # here, for who only reads a file needs none of it

    one, other = ([(x.block, repr(x.args), len(x.raw_sources)) for x in graph] for graph in (before, after))
    origin: list[int | None] = [None] * len(after)
    for _, start, end, there, there_end in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        for step in range(min(end - start, there_end - there)):
            origin[there + step] = start + step
    return tuple(origin)


def rows_of_operators(document: Document) -> set[int] | None:
    """The rows to treat where some are of blocks that people write as well: CBAM, and what is declared like attention.

    Of those `insert` tells its own by their comments. None where there are none: then the blocks tell.
    """
    inserted = set()
    for layer, row in zip(document.layers, document.rows):
        theirs = read_row_of_users(layer)
        behind = document.text[row.whole.end :].partition("\n")[0]
        if theirs and re.match(rf"\s*,?\s*#\s*\d+ {re.escape(theirs.op)}, [a-z]", behind):
            inserted.add(layer.index)
    return inserted | {layer.index for layer in document.layers if layer.kind.is_attention} if inserted else None


def _rows_to_remove(document: Document) -> set[int] | None:
    """As `rows_of_operators`; where no comment tells, what may be told without.

    Those are rows that share a line, which has no room for comments, where a host holds the same operator; and all such
    rows in a file without any other operator.
    """
    rows = rows_of_operators(document)
    if rows:
        return rows
    ours = {layer.index for layer in document.layers if layer.kind.is_attention}
    held = {op for row in ours if (op := _held_by_host(document.layers[row]))}
    found = set()
    for layer in document.layers:
        theirs = read_row_of_users(layer) if len(layer.raw_sources) == 1 else None
        if theirs and (not ours or (theirs.op in held and document.shares_line(layer.index))):
            found.add(layer.index)
    return ours | found if found else None


def _held_by_host(layer: Layer) -> str | None:
    """The operator that a host row holds as papers have it."""
    if not layer.kind.is_host or layer.kind.handwritten:
        return None
    try:
        attention = read_attention(layer)
    except KernelError:
        return None
    kernel = attention.kernel if attention else None
    return kernel.op if isinstance(kernel, OtherOperator) and not kernel.gated else None


def tells_its_own(document: Document, inserted: Collection[int]) -> bool:
    """Whether `remove` will take the inserted rows of a variant for what they are, and none of the network's own."""
    theirs = {layer.index for layer in document.layers if read_row_of_users(layer) is not None}
    found, marked = _rows_to_remove(document) or set(), rows_of_operators(document) or set()
    return theirs & set(inserted) <= found and theirs & (found - marked) <= set(inserted)


def _unmarked(document: Document, rows: set[int] | None) -> tuple[str, ...]:
    """What to tell of rows that nothing but their block makes operators: they may be the network's own."""
    marked = rows_of_operators(document) or set()
    theirs = [document.layers[row] for row in sorted((rows or set()) - marked)]
    theirs = [layer for layer in theirs if not layer.kind.is_attention]
    if not theirs:
        return ()
    named = ", ".join(f"{layer.index} ({layer.block})" for layer in theirs)
    it, is_ = ("it", "is") if len(theirs) == 1 else ("they", "are")
    return (
        f"no comment says that insert wrote layer{plural(theirs)} {named}: {it} {is_} taken out as attention that "
        f"somebody put there; if {it} {is_} the network's own, there is nothing to remove",
    )


def _notes(source: Source, document: Document, target: Path | None) -> tuple[str, ...]:
    """What to tell of a name that does not say the scale that the variant's name says."""
    if target is None or source.scale not in document.scales or len(document.scales) < 2:
        return ()
    said = scale_in_name(target.name)
    if said == source.scale:
        return ()
    built = said if said in document.scales else next(iter(document.scales))
    note = (
        f"{source.name} says scale {source.scale} and {target.name} does not, so ultralytics builds it at scale "
        f"{built}: a name such as {base_name(source, document.blocks)} keeps it"
    )
    return (note,)
