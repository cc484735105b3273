"""Rules about who reads whom, and whether the levels of what is read fit together; they know no row's arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..core.graph import IMAGE, MAY_BE_ATTENTION, packed_problem
from ..core.shapes import stride_argument
from .alignment import Alignment, Moved, clashes, input_shapes, shapes_or_none
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding

#: What `insert` writes behind an operator that one consumer alone is to read.
_FOR_ONE_CONSUMER = re.compile(r"#.*\b(?:head|before|edge)\b")


def sources(subject: Context) -> Iterator[Finding]:
    """A warning for a backbone in one row, which the numbers count as several."""
    packed = subject.packed_row
    if packed is not None:
        yield subject.finding(packed, packed_problem(subject.layers, packed), severity=WARNING)
        return
    intended = {(moved.row, moved.slot): moved.expected for moved in subject.moved}
    for layer in subject.layers:
        if not layer.raw_sources:
            yield subject.finding(layer.index, str(layer.problem()))
        for slot, number in enumerate(layer.raw_sources):
            problem = replace(layer, frm=number).problem()
            expected = intended.get((layer.index, slot))
            if problem and expected is None:
                yield subject.finding(layer.index, problem)
            elif problem and expected is not None:
                suggestion = f"write {expected} ({subject.layers[expected].block})"
                yield subject.finding(layer.index, problem, suggestion, Correction(layer.index, slot, expected))


def wiring(subject: Context) -> Iterator[Finding]:
    """A warning where the author may have chosen the source."""
    if subject.alignment is None:
        return
    wrong = _rows_for_sure_wrong(subject, subject.alignment)
    for moved in subject.moved:
        if _is_there(moved) and (not moved.around or _is_stale_bypass(subject, subject.alignment, moved)):
            yield _moved(subject, subject.alignment, moved, meant=not moved.around and moved.row not in wrong)


def bypass(subject: Context) -> Iterator[Finding]:
    """Attention that is read around, where no comment says that it is for one consumer alone."""
    if subject.alignment is None:
        return
    for moved in subject.moved:
        is_read = all(subject.consumers.get(index) for index in moved.around)
        stale = _is_stale_bypass(subject, subject.alignment, moved)
        if not _is_there(moved) or not moved.around or not is_read or stale:
            continue
        attention = [index for index in moved.around if subject.role(index) in MAY_BE_ATTENTION]
        if any(not _FOR_ONE_CONSUMER.search(subject.comment(index)) for index in attention):
            reads, around = subject.named(moved.reads), " and ".join(map(subject.named, moved.around))
            message = f"{subject.layers[moved.row].block} reads {reads} around {around}, inserted behind it"
            suggestion = f"write {moved.expected} if that is not meant"
            yield subject.finding(moved.row, message, suggestion)


def _is_there(moved: Moved) -> bool:
    """Whether what it reads exists; rule `source` reports what does not."""
    return 0 <= moved.reads < moved.row


def _rows_for_sure_wrong(subject: Context, alignment: Alignment) -> set[int]:
    return {moved.row for moved in subject.moved if not moved.around and not _may_be_meant(subject, alignment, moved)}


def _is_stale_bypass(subject: Context, alignment: Alignment, moved: Moved) -> bool:
    """Whether an inserted row is read around because the stock model's number was kept, as others were."""
    if not (moved.around and moved.stale):
        return False
    wrong = _rows_for_sure_wrong(subject, alignment)
    kept = any(one.stale and not one.around and one.row in wrong for one in subject.moved)
    return moved.row in wrong or (kept and not _renumbered(subject, alignment))


def _moved(subject: Context, alignment: Alignment, moved: Moved, *, meant: bool) -> Finding:
    stock = alignment.stock.name
    block, reads, expected = subject.layers[moved.row].block, subject.named(moved.reads), subject.named(moved.expected)
    if moved.stale:
        message = f"{block} reads {reads}: {stock}'s number, from before rows were inserted; here that is {expected}"
    else:
        message = f"{block} reads {reads}, where {stock} reads what is {expected} here"
    if meant:
        return subject.finding(moved.row, message, f"write {moved.expected} if that is not meant", severity=WARNING)
    fix = Correction(moved.row, moved.slot, moved.expected)
    return subject.finding(moved.row, message, f"write {moved.expected}", fix)


def _may_be_meant(subject: Context, alignment: Alignment, moved: Moved) -> bool:
    """True for a source that its author may have chosen.

    That is a source of a fusion block in a Concat's place, or an inserted layer that nobody would read if it were
    corrected.
    """
    if not _is_there(moved):
        return False
    old, new = alignment.stock[alignment.stock_row.get(moved.row, 0)], subject.layers[moved.row]
    other_fusion = subject.role(new.index) == "fuse" and new.block != old.block and not moved.stale
    is_read = any(moved.reads in layer.sources for layer in subject.corrected_layers)
    return other_fusion or (moved.reads not in alignment.stock_row and not is_read)


def _renumbered(subject: Context, alignment: Alignment) -> bool:
    """True where the author changed at least one of the stock model's numbers, and rightly."""
    moved = {(moved.row, moved.slot) for moved in subject.moved}
    pairs = [(alignment.stock[old], subject.layers[new]) for old, new in alignment.rows.items()]
    return any(
        min(number, usual) >= 0 and number != usual and (new.index, slot) not in moved
        for old, new in pairs
        for slot, (usual, number) in enumerate(zip(old.raw_sources, new.raw_sources))
    )


def inputs(subject: Context) -> Iterator[Finding]:
    """A warning for the output layer: it may be meant to have fewer levels."""
    for layer in subject.layers:
        count, usual = len(layer.raw_sources), _usual_inputs(subject, layer.index)
        if usual is None and (not _is_stock_fusion(subject, layer.index) or _may_give_several(subject, layer.sources)):
            continue
        if count < (usual or 2):
            where = f", where {subject.alignment.stock.name} has {usual}" if subject.alignment and usual else ""
            message = f"{layer.block} has {count} input{'s' if count > 1 else ''}{where}"
            severity = WARNING if layer is subject.output else ERROR
            yield subject.finding(layer.index, message, severity=severity)


def _usual_inputs(subject: Context, index: int) -> int | None:
    alignment = subject.alignment
    old = alignment.stock_row.get(index) if alignment and alignment.is_sure else None
    if alignment is None or old is None:
        return None
    same = alignment.stock[old].block == subject.layers[index].block or index == subject.output.index
    return len(alignment.stock[old].raw_sources) if same else None


def _is_stock_fusion(subject: Context, index: int) -> bool:
    """Whether a row's block joins maps, by Ultralytics' own rules; rule `row` reports custom modules."""
    kind = subject.layers[index].kind
    return kind.is_fusion and kind.custom is None


def _may_give_several(subject: Context, sources: tuple[int, ...]) -> bool:
    """Whether what is read first may give a list of maps, as blocks of other people's do; so too where nothing is."""
    first = sources[0] if sources else IMAGE
    if not 0 <= first < len(subject.layers):
        return True
    return subject.role(first) in ("fuse", "other") and not subject.layers[first].kind.is_fusion


def unread(subject: Context) -> Iterator[Finding]:
    """Every layer but the output layer has a consumer, unless the stock model's has none either."""
    if subject.bad_rows or subject.packed_row is not None:
        return
    explained = {moved.expected for moved in subject.moved if not moved.around}
    for layer in subject.layers[:-1]:
        index = layer.index
        if subject.consumers.get(index) or index in explained or _unread_in_stock(subject, index):
            continue
        severity = WARNING if layer.kind.same else ERROR
        message = f"nobody reads {subject.named(index)}: it feeds nothing"
        fix = _consumer_to_be(subject, index)
        if fix is None or fix.row is None:
            yield subject.finding(index, message, severity=severity)
        else:
            reads = subject.layers[fix.row].sources[fix.slot or 0]
            suggestion = f"{subject.named(fix.row)} reads {reads}: write {index} there"
            yield subject.finding(index, message, suggestion, fix, severity=severity)


def _unread_in_stock(subject: Context, index: int) -> bool:
    alignment = subject.alignment
    old = alignment.stock_row.get(index) if alignment else None
    return alignment is not None and old is not None and not alignment.stock.consumers(old)


def _consumer_to_be(subject: Context, index: int) -> Correction | None:
    """The slot that should read an unread layer: one that reads around it, or the output layer's on what it reads."""
    for moved in subject.moved:
        if index in moved.around:
            return Correction(moved.row, moved.slot, index)
    output = subject.output
    slots = [slot for slot, source in enumerate(output.sources) if source in subject.layers[index].sources]
    return Correction(output.index, slots[0], index) if len(slots) == 1 else None


def strides(subject: Context) -> Iterator[Finding]:
    """Wherever strides are known for sure and no moved source explains them."""
    slow = _left_at_stride_1(subject)
    yield from slow
    for index, known in [] if slow else _known_strides(subject):
        layer = subject.corrected_layers[index]
        if layer.kind.is_fusion and len(set(known)) > 1:
            listed = _listed(layer.sources, known)
            message = f"{layer.block} needs one stride, but its inputs have different ones: {listed}"
            yield subject.finding(index, message, _with_stride(subject, index, known[0]))


def outputs(subject: Context) -> Iterator[Finding]:
    """Coarse to fine works, and so may heads of other people's that read every level twice."""
    output = subject.output
    for index, known in [] if _left_at_stride_1(subject) else _known_strides(subject):
        if index == output.index and known != sorted(set(known)):
            yield from _out_of_order(subject, known)
    explained = {(moved.row, moved.slot) for moved in subject.moved if not moved.around}
    for slot, source in enumerate(output.sources if subject.packed_row is None else ()):
        behind = source + 1
        if source == IMAGE or behind >= output.index or (output.index, slot) in explained:
            continue
        is_fused = subject.layers[source].kind.is_fusion and subject.layers[behind].sources == (source,)
        if is_fused and subject.role(behind) in ("block", *MAY_BE_ATTENTION):
            message = f"{output.block} reads {subject.named(source)}, not {subject.named(behind)} behind it"
            yield subject.finding(output.index, message, f"write {behind}", Correction(output.index, slot, behind))


def _known_strides(subject: Context) -> Iterator[tuple[int, list[float]]]:
    """Each row whose inputs' strides are all known for sure and that no moved source explains, and those strides."""
    explained = {moved.row for moved in subject.moved if not moved.around}
    for layer in subject.corrected_layers if subject.shapes is not None else ():
        shapes = input_shapes(layer, subject.shapes or ())
        known = [shape.stride for shape in shapes if shape.stride is not None and not shape.guessed]
        if layer.index not in explained and len(known) == len(shapes):
            yield layer.index, known


def _left_at_stride_1(subject: Context) -> list[Finding]:
    """The down-sampling rows with another stride than the stock model's, where that alone makes strides clash."""
    alignment, shapes = subject.alignment, subject.shapes
    if alignment is None or shapes is None or not clashes(subject.corrected_layers, shapes):
        return []
    layers, findings = list(subject.corrected_layers), []
    for old, new in alignment.rows.items():
        stock, ours = alignment.stock[old], layers[new]
        at = stride_argument(ours.kind)
        if at is None or stock.block != ours.block or len(stock.args) <= at or len(ours.args) < at:
            continue
        usual, written = stock.args[at], ours.args[at] if len(ours.args) > at else 1
        if usual == written:
            continue
        layers[new] = replace(ours, args=(*ours.args[:at], usual, *ours.args[at + 1 :]))
        message = f"{ours.block} has stride {written}, where {alignment.stock.name} has {usual}"
        findings.append(subject.finding(new, message, f"write {usual} in its arguments"))
    corrected = shapes_or_none(layers, alignment) if findings else None
    return findings if corrected is not None and not clashes(layers, corrected) else []


def _out_of_order(subject: Context, known: list[float]) -> Iterator[Finding]:
    output, index, listed = subject.output, subject.output.index, _listed(subject.output.sources, known)
    message = f"{output.block}'s inputs do not get coarser one by one: their strides are {listed}"
    ours = output.kind.is_output and output.kind.custom is None
    times = {known.count(stride) for stride in known}
    if ours and len(set(known)) > 1 and times != {1} and len(times) == 1:
        message = (
            f"{output.block} reads each level {times.pop()} times: {listed}; plain Ultralytics "
            "trains every input as an output of its own, and predicts with all of them"
        )
        yield subject.finding(index, message, severity=WARNING)
        return
    if len(set(known)) < len(known):
        if ours or len(times) > 1:
            yield subject.finding(index, message, severity=ERROR if ours else WARNING)
        return
    order = [source for _, source in sorted(zip(known, output.sources))]
    suggestion = f"write [{', '.join(map(str, order))}]"
    if not ours or known == sorted(known, reverse=True):
        yield subject.finding(index, message, suggestion, severity=WARNING)
    else:
        fixes = (Correction(index, slot, source) for slot, source in enumerate(order))
        yield subject.finding(index, message, suggestion, *fixes)


def _with_stride(subject: Context, index: int, wanted: float) -> str | None:
    """Which layers would fit a fusion's first input, the nearest to its other ones first."""
    assert subject.shapes is not None
    first, *others = subject.layers[index].sources
    fitting = [i for i in range(index) if subject.shapes[i].stride == wanted and i != first]
    nearest = sorted(fitting, key=lambda i: min(abs(i - source) for source in others))[:3]
    return f"near it, stride {wanted:g} have {', '.join(map(subject.named, nearest))}" if nearest else None


def _listed(sources: tuple[int, ...], known: list[float]) -> str:
    return ", ".join(f"{source} ({stride:g})" for source, stride in zip(sources, known))
