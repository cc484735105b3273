"""Rules about who reads whom: taps that moved, layers with too few inputs or no consumer; they know no strides."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..core.graph import IMAGE, MAY_BE_ATTENTION
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .moved_taps import Moved

#: What `insert` writes behind an operator that one consumer alone is to read.
_FOR_ONE_CONSUMER = re.compile(r"#.*\b(?:head|before|edge)\b")


def taps(subject: Context) -> Iterator[Finding]:
    """Rules `tap` and `bypass`: each tap reads the stock model's source, or the layers inserted on it."""
    wrong = [moved for moved in subject.moved if not moved.around and not _may_be_meant(subject, moved)]
    rows = {moved.row for moved in wrong}
    kept = any(moved.stale for moved in wrong) and not _renumbered(subject)
    for moved in subject.moved:
        if not 0 <= moved.reads < moved.row:
            continue  # rule `source` tells it
        if not moved.around or (moved.stale and (kept or moved.row in rows)):
            yield _tap(subject, moved, meant=not moved.around and moved.row not in rows)
        elif all(map(subject.consumers, moved.around)) and _is_bypass(subject, moved):
            yield _bypass(subject, moved)


def inputs(subject: Context) -> Iterator[Finding]:
    """Rule `inputs`: a Concat has several inputs, and a stock model's fusion as many as there.

    A warning for the output layer: it may be meant to have fewer levels.
    """
    for layer in subject.layers:
        is_output = layer.index == subject.output.index
        usual = _usual_inputs(subject, layer.index)
        if usual is None and (layer.block != "Concat" or _may_give_several(subject, layer.sources[0])):
            continue
        if len(layer.raw_sources) < (usual or 2):
            where = f", where {subject.alignment.stock.name} has {usual}" if subject.alignment and usual else ""
            message = (
                f"{layer.block} has {len(layer.raw_sources)} input{'s' if len(layer.raw_sources) > 1 else ''}{where}"
            )
            yield subject.finding(WARNING if is_output else ERROR, "inputs", layer.index, message)


def unread(subject: Context) -> Iterator[Finding]:
    """Rule `unread`: every layer but the output layer has a consumer, unless the stock model's has none either."""
    if subject.bad_rows or subject.has_packed_backbone:
        return
    explained = {moved.expected for moved in subject.moved if not moved.around}
    for layer in subject.layers[:-1]:
        if subject.consumers(layer.index) or layer.index in explained or _unread_in_stock(subject, layer.index):
            continue
        severity = WARNING if layer.kind.same else ERROR
        message = f"nobody reads {subject.named(layer.index)}: it feeds nothing"
        fix = _consumer_to_be(subject, layer.index)
        if fix is None or fix.row is None:
            yield subject.finding(severity, "unread", layer.index, message)
        else:
            reads = subject.layers[fix.row].sources[fix.tap or 0]
            suggestion = f"{subject.named(fix.row)} reads {reads}: write {layer.index} there"
            yield subject.finding(severity, "unread", layer.index, message, suggestion, fix)


def _tap(subject: Context, moved: Moved, *, meant: bool) -> Finding:
    assert subject.alignment is not None
    stock = subject.alignment.stock.name
    block, reads, expected = subject.layers[moved.row].block, subject.named(moved.reads), subject.named(moved.expected)
    if moved.stale:
        message = f"{block} reads {reads}: {stock}'s number, from before rows were inserted; here that is {expected}"
    else:
        message = f"{block} reads {reads}, where {stock} reads what is {expected} here"
    if meant:
        return subject.finding(WARNING, "tap", moved.row, message, f"write {moved.expected} if that is not meant")
    fix = Correction(moved.row, moved.tap, moved.expected)
    return subject.finding(ERROR, "tap", moved.row, message, f"write {moved.expected}", fix)


def _bypass(subject: Context, moved: Moved) -> Finding:
    block, reads = subject.layers[moved.row].block, subject.named(moved.reads)
    around = " and ".join(map(subject.named, moved.around))
    message = f"{block} reads {reads} around {around}, inserted behind it"
    return subject.finding(WARNING, "bypass", moved.row, message, f"write {moved.expected} if that is not meant")


def _may_be_meant(subject: Context, moved: Moved) -> bool:
    """True for a tap that its author may have chosen.

    That is a tap of a fusion block in a Concat's place, or one whose layer, an inserted one, nobody would read if it
    were put right.
    """
    assert subject.alignment is not None
    if not 0 <= moved.reads < moved.row:
        return False
    stock_row = subject.alignment.stock_row
    old, new = subject.alignment.stock[stock_row.get(moved.row, 0)], subject.layers[moved.row]
    other_fusion = subject.role(new.index) == "fuse" and new.block != old.block and not moved.stale
    unread = moved.reads not in stock_row and not any(moved.reads in layer.sources for layer in subject.put_right)
    return other_fusion or unread


def _renumbered(subject: Context) -> bool:
    """True where the author changed at least one of the stock model's numbers, and rightly."""
    if subject.alignment is None:
        return False
    told = {(moved.row, moved.tap) for moved in subject.moved}
    pairs = [(subject.alignment.stock[old], subject.layers[new]) for old, new in subject.alignment.rows.items()]
    return any(
        min(number, usual) >= 0 and number != usual and (new.index, tap) not in told
        for old, new in pairs
        for tap, (usual, number) in enumerate(zip(old.raw_sources, new.raw_sources))
    )


def _is_bypass(subject: Context, moved: Moved) -> bool:
    """True where attention is read around, and no comment says that it is for one consumer alone."""
    attention = [index for index in moved.around if subject.role(index) in MAY_BE_ATTENTION]
    return any(not _FOR_ONE_CONSUMER.search(subject.comment(index)) for index in attention)


def _usual_inputs(subject: Context, index: int) -> int | None:
    alignment = subject.alignment
    old = alignment.stock_row.get(index) if alignment and alignment.is_sure else None
    if alignment is None or old is None:
        return None
    same = alignment.stock[old].block == subject.layers[index].block or index == subject.output.index
    return len(alignment.stock[old].raw_sources) if same else None


def _may_give_several(subject: Context, index: int) -> bool:
    """True for blocks of other people's that may give a list of maps."""
    return index == IMAGE or (subject.role(index) in ("fuse", "other") and subject.layers[index].block != "Concat")


def _unread_in_stock(subject: Context, index: int) -> bool:
    alignment = subject.alignment
    old = alignment.stock_row.get(index) if alignment else None
    return alignment is not None and old is not None and not alignment.stock.consumers(old)


def _consumer_to_be(subject: Context, index: int) -> Correction | None:
    """The tap that should read an unread layer: one that reads around it, or the output layer's on what it reads."""
    for moved in subject.moved:
        if index in moved.around:
            return Correction(moved.row, moved.tap, index)
    output = subject.output
    found = [tap for tap, source in enumerate(output.sources) if source in subject.layers[index].sources]
    return Correction(output.index, found[0], index) if len(found) == 1 else None
