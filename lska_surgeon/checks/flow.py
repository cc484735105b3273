"""Rules about what flows where: taps that moved, layers that nobody reads, strides that do not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..channels import OUTPUTS
from ..graph import IMAGE
from .findings import ERROR, WARNING, Correction, Finding
from .strides import input_shapes
from .subject import Subject
from .wiring import Moved

#: What `insert` writes behind an operator that one reader alone is to read.
_FOR_ONE_READER = re.compile(r"#.*\b(?:head|before|edge)\b")
_ATTENTION = ("operator", "other", "psa")


def taps(subject: Subject) -> Iterator[Finding]:
    """Rules `tap` and `bypass`: each tap reads the stock model's source, or the layers inserted on it."""
    wrong = {moved.row for moved in subject.moved if not moved.around and not _may_be_meant(subject, moved)}
    for moved in subject.moved:
        if _has_source_error(subject, moved):
            continue
        if not moved.around:
            yield _tap(subject, moved, meant=moved.row not in wrong)
        elif moved.stale and moved.row in wrong:
            yield _tap(subject, moved, meant=False)
        elif all(map(subject.readers, moved.around)) and _is_bypass(subject, moved):
            yield _bypass(subject, moved)


def inputs(subject: Subject) -> Iterator[Finding]:
    """Rule `inputs`: a Concat has several inputs, and no row has fewer than the stock model's.

    A warning for an output layer: it may be meant to have fewer levels.
    """
    for layer in subject.layers:
        old = subject.alignment.stock_row.get(layer.index) if subject.alignment else None
        usual = len(subject.alignment.stock[old].taps) if subject.alignment and old is not None else 1
        is_output = layer.index == subject.output.index
        if layer.block != "Concat" and not is_output:
            continue
        if len(layer.taps) < max(usual, 1 if is_output else 2):
            stock = f", where {subject.alignment.stock.name} has {usual}" if subject.alignment and usual > 1 else ""
            message = f"{layer.block} has {len(layer.taps)} input{'' if len(layer.taps) == 1 else 's'}{stock}"
            severity = WARNING if is_output else ERROR
            yield Finding(severity, "inputs", subject.line(layer.index), layer.index, message)


def unread(subject: Subject) -> Iterator[Finding]:
    """Rule `unread`: every layer but the output layer has a reader, unless the stock model's has none either."""
    if subject.bad_rows or subject.has_packed_backbone:
        return
    expected = {moved.expected for moved in subject.moved if not moved.around}
    for layer in subject.layers[:-1]:
        if subject.readers(layer.index) or layer.index in expected or _unread_in_stock(subject, layer.index):
            continue
        severity = WARNING if layer.block == "nn.Identity" else ERROR
        fix = _reader_to_be(subject, layer.index)
        hint = None
        if fix:
            reader = subject.named(fix.row)
            hint = f"{reader} reads {subject.layers[fix.row].sources[fix.tap or 0]}: write {layer.index} there"
        message = f"nobody reads {subject.named(layer.index)}: it feeds nothing"
        yield Finding(
            severity, "unread", subject.line(layer.index), layer.index, message, hint, (fix,) if fix else ()
        )


def strides(subject: Subject) -> Iterator[Finding]:
    """Rules `stride` and `output`: a Concat's inputs have one stride; an output layer's get coarser one by one."""
    shapes = subject.shapes
    if shapes is None:
        return
    told = {moved.row for moved in subject.moved if not moved.around}
    for layer in subject.layers:
        inputs = input_shapes(layer, shapes)
        known = [shape.stride for shape in inputs if shape.stride is not None and not shape.guessed]
        if layer.index in told or len(known) < len(inputs):
            continue
        if layer.block == "Concat" and len(set(known)) > 1:
            said = ", ".join(f"{source} ({stride:g})" for source, stride in zip(layer.sources, known))
            message = f"Concat needs one stride, but its inputs have different ones: {said}"
            yield Finding(ERROR, "stride", subject.line(layer.index), layer.index, message, _with_stride(subject, layer.index))
        if layer is subject.output:
            yield from _output(subject, known)


def fused_output(subject: Subject) -> Iterator[Finding]:
    """Rule `output`: an output layer reads the block behind a Concat, not the Concat."""
    told = {(moved.row, moved.tap) for moved in subject.moved if not moved.around}
    output = subject.output
    if subject.shapes is None:
        return
    for tap, source in enumerate(output.sources):
        behind = source + 1
        if source == IMAGE or behind >= output.index or (output.index, tap) in told:
            continue
        is_fused = subject.layers[source].block == "Concat" and subject.layers[behind].sources == (source,)
        if is_fused and subject.kind(behind) in ("block", *_ATTENTION):
            message = f"{output.block} reads {subject.named(source)}, not {subject.named(behind)} behind it"
            fix = (Correction(output.index, tap, behind),)
            yield Finding(ERROR, "output", subject.line(output.index), output.index, message, f"write {behind}", fix)


def _tap(subject: Subject, moved: Moved, *, meant: bool) -> Finding:
    assert subject.alignment is not None
    stock = subject.alignment.stock.name
    block, reads, expected = subject.layers[moved.row].block, subject.named(moved.reads), subject.named(moved.expected)
    if moved.stale:
        message = f"{block} reads {reads}: {stock}'s number, from before rows were inserted; here that is {expected}"
    else:
        message = f"{block} reads {reads}, where {stock} reads what is {expected} here"
    line = subject.line(moved.row)
    if meant:
        return Finding(WARNING, "tap", line, moved.row, message, f"write {moved.expected} if that is not meant")
    fix = Correction(moved.row, moved.tap, moved.expected)
    return Finding(ERROR, "tap", line, moved.row, message, f"write {moved.expected}", (fix,))


def _bypass(subject: Subject, moved: Moved) -> Finding:
    block, reads = subject.layers[moved.row].block, subject.named(moved.reads)
    around = " and ".join(subject.named(index) for index in moved.around)
    message = f"{block} reads {reads} around {around}, inserted behind it"
    suggestion = f"write {moved.expected} if that is not meant"
    return Finding(WARNING, "bypass", subject.line(moved.row), moved.row, message, suggestion)


def _may_be_meant(subject: Subject, moved: Moved) -> bool:
    """True for a tap that its author may have chosen.

    That is a tap of a fusion block in a Concat's place, or one whose layer nobody would read if it were put right.
    """
    if _has_source_error(subject, moved):
        return False
    layer = subject.layers[moved.row]
    other_fusion = subject.kind(layer.index) == "fuse" and layer.block != "Concat" and not moved.stale
    return other_fusion or not any(moved.reads in right.sources for right in subject.right)


def _is_bypass(subject: Subject, moved: Moved) -> bool:
    """True where attention is read around, and no comment says that it is for one reader alone."""
    return any(
        subject.kind(index) in _ATTENTION and not _FOR_ONE_READER.search(subject.comment(index)) for index in moved.around
    )


def _has_source_error(subject: Subject, moved: Moved) -> bool:
    return not 0 <= moved.reads < moved.row


def _unread_in_stock(subject: Subject, index: int) -> bool:
    alignment = subject.alignment
    old = alignment.stock_row.get(index) if alignment else None
    return alignment is not None and old is not None and not alignment.stock.readers(old)


def _reader_to_be(subject: Subject, index: int) -> Correction | None:
    """The tap that should read an unread layer: one that reads around it, or the output layer's on what it reads."""
    for moved in subject.moved:
        if index in moved.around:
            return Correction(moved.row, moved.tap, index)
    output = subject.output
    taps = [tap for tap, source in enumerate(output.sources) if source in subject.layers[index].sources]
    return Correction(output.index, taps[0], index) if len(taps) == 1 else None


def _output(subject: Subject, known: list[float]) -> Iterator[Finding]:
    output = subject.output
    if known == sorted(set(known)):
        return
    said = ", ".join(f"{source} ({stride:g})" for source, stride in zip(output.sources, known))
    message = f"{output.block}'s inputs do not get coarser one by one: their strides are {said}"
    line = subject.line(output.index)
    if len(set(known)) == len(known):
        order = [source for _, source in sorted(zip(known, output.sources))]
        severity = WARNING if known == sorted(known, reverse=True) or output.block not in OUTPUTS else ERROR
        fix = tuple(Correction(output.index, tap, source) for tap, source in enumerate(order))
        suggestion = f"write [{', '.join(map(str, order))}]"
        yield Finding(severity, "output", line, output.index, message, suggestion, fix if severity == ERROR else ())
    elif output.block in OUTPUTS:
        yield Finding(ERROR, "output", line, output.index, message)
    elif any(known.count(stride) != known.count(known[0]) for stride in known):
        # Heads of other people's may read every level twice, so only an uneven number of inputs is worth a word.
        yield Finding(WARNING, "output", line, output.index, message)


def _with_stride(subject: Subject, index: int) -> str | None:
    """Which layers would fit a Concat's first input, the nearest to its other ones first."""
    assert subject.shapes is not None
    layer = subject.layers[index]
    wanted = input_shapes(layer, subject.shapes)[0].stride
    fitting = [i for i in range(index) if subject.shapes[i].stride == wanted and i != layer.sources[0]]
    nearest = sorted(fitting, key=lambda i: min(abs(i - source) for source in layer.sources[1:]))[:3]
    return f"near it, stride {wanted:g} have {', '.join(map(subject.named, nearest))}" if nearest else None
