"""Rules about pyramid levels: a Concat joins maps of one size, an output layer's get coarser; they compare no files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..core.graph import IMAGE, MAY_BE_ATTENTION
from ..core.shapes import stride_argument
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .strides import clashes, input_shapes, shapes_or_none


def strides(subject: Context) -> Iterator[Finding]:
    """Rules `stride` and `output`, wherever strides are known for sure and no moved tap explains them."""
    shapes = subject.shapes
    if shapes is None:
        return
    told = {moved.row for moved in subject.moved if not moved.around}
    slow = _left_at_stride_1(subject)
    yield from slow
    for layer in () if slow else subject.put_right:
        read = input_shapes(layer, shapes)
        known = [shape.stride for shape in read if shape.stride is not None and not shape.guessed]
        if layer.index in told or len(known) < len(read):
            continue
        if layer.block == "Concat" and len(set(known)) > 1:
            message = f"Concat needs one stride, but its inputs have different ones: {_listed(layer.sources, known)}"
            yield subject.finding(ERROR, "stride", layer.index, message, _with_stride(subject, layer.index, known[0]))
        if layer.index == subject.output.index and known != sorted(set(known)):
            yield from _output(subject, known)


def _left_at_stride_1(subject: Context) -> list[Finding]:
    """The down-sampling rows with another stride than the stock model's, where that alone makes strides clash."""
    alignment, shapes = subject.alignment, subject.shapes
    if alignment is None or shapes is None or not clashes(subject.put_right, shapes):
        return []
    layers, found = list(subject.put_right), []
    for old, new in alignment.rows.items():
        stock, ours = alignment.stock[old], layers[new]
        at = stride_argument(ours.kind)
        if at is None or stock.block != ours.block or len(stock.args) <= at or len(ours.args) < at:
            continue
        usual, said = stock.args[at], ours.args[at] if len(ours.args) > at else 1
        if usual == said:
            continue
        layers[new] = replace(ours, args=(*ours.args[:at], usual, *ours.args[at + 1 :]))
        message = f"{ours.block} has stride {said}, where {alignment.stock.name} has {usual}"
        found.append(subject.finding(ERROR, "stride", new, message, f"write {usual} in its arguments"))
    right = shapes_or_none(layers, alignment) if found else None
    return found if right is not None and not clashes(layers, right) else []


def bare_concat(subject: Context) -> Iterator[Finding]:
    """Rule `output`: an output layer reads the block behind a Concat, not the Concat."""
    told = {(moved.row, moved.tap) for moved in subject.moved if not moved.around}
    output = subject.output
    for tap, source in enumerate(output.sources):
        behind = source + 1
        if source == IMAGE or behind >= output.index or (output.index, tap) in told or subject.has_packed_backbone:
            continue
        is_fused = subject.layers[source].block == "Concat" and subject.layers[behind].sources == (source,)
        if is_fused and subject.role(behind) in ("block", *MAY_BE_ATTENTION):
            message = f"{output.block} reads {subject.named(source)}, not {subject.named(behind)} behind it"
            fix = Correction(output.index, tap, behind)
            yield subject.finding(ERROR, "output", output.index, message, f"write {behind}", fix)


def _output(subject: Context, known: list[float]) -> Iterator[Finding]:
    """What is wrong with an output layer's strides.

    Coarse to fine works, and so may heads of other people's that read every level twice.
    """
    output = subject.output
    message = (
        f"{output.block}'s inputs do not get coarser one by one: their strides are {_listed(output.sources, known)}"
    )
    ours = output.kind.is_output and output.kind.custom is None
    times = {known.count(stride) for stride in known}
    if ours and len(set(known)) > 1 and times != {1} and len(times) == 1:
        message = (
            f"{output.block} reads each level {times.pop()} times: {_listed(output.sources, known)}; plain Ultralytics "
            "trains every input as an output of its own, and predicts with all of them"
        )
        yield subject.finding(WARNING, "output", output.index, message)
        return
    if len(set(known)) < len(known):
        if ours or len(times) > 1:
            yield subject.finding(ERROR if ours else WARNING, "output", output.index, message)
        return
    order = [source for _, source in sorted(zip(known, output.sources))]
    suggestion = f"write [{', '.join(map(str, order))}]"
    if not ours or known == sorted(known, reverse=True):
        yield subject.finding(WARNING, "output", output.index, message, suggestion)
    else:
        fixes = (Correction(output.index, tap, source) for tap, source in enumerate(order))
        yield subject.finding(ERROR, "output", output.index, message, suggestion, *fixes)


def _with_stride(subject: Context, index: int, wanted: float) -> str | None:
    """Which layers would fit a Concat's first input, the nearest to its other ones first."""
    assert subject.shapes is not None
    first, *others = subject.layers[index].sources
    fitting = [i for i in range(index) if subject.shapes[i].stride == wanted and i != first]
    nearest = sorted(fitting, key=lambda i: min(abs(i - source) for source in others))[:3]
    return f"near it, stride {wanted:g} have {', '.join(map(subject.named, nearest))}" if nearest else None


def _listed(sources: tuple[int, ...], known: list[float]) -> str:
    return ", ".join(f"{source} ({stride:g})" for source, stride in zip(sources, known))
