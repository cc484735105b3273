"""Rules about pyramid levels: a Concat joins maps of one size, an output layer's get coarser; they compare no files."""

from __future__ import annotations

from collections.abc import Iterator

from ..architecture.graph import IMAGE
from ..architecture.roles import ATTENTION
from ..architecture.shapes import OUTPUTS
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .strides import input_shapes


def strides(subject: Context) -> Iterator[Finding]:
    """Rules `stride` and `output`, wherever strides are known for sure and no moved tap explains them."""
    shapes = subject.shapes
    if shapes is None:
        return
    told = {moved.row for moved in subject.moved if not moved.around}
    for layer in subject.put_right:
        read = input_shapes(layer, shapes)
        known = [shape.stride for shape in read if shape.stride is not None and not shape.guessed]
        if layer.index in told or len(known) < len(read):
            continue
        if layer.block == "Concat" and len(set(known)) > 1:
            message = f"Concat needs one stride, but its inputs have different ones: {_listed(layer.sources, known)}"
            yield subject.finding(ERROR, "stride", layer.index, message, _with_stride(subject, layer.index, known[0]))
        if layer.index == subject.output.index and known != sorted(set(known)):
            yield from _output(subject, known)


def bare_concat(subject: Context) -> Iterator[Finding]:
    """Rule `output`: an output layer reads the block behind a Concat, not the Concat."""
    told = {(moved.row, moved.tap) for moved in subject.moved if not moved.around}
    output = subject.output
    for tap, source in enumerate(output.sources):
        behind = source + 1
        if source == IMAGE or behind >= output.index or (output.index, tap) in told or subject.has_packed_backbone:
            continue
        is_fused = subject.layers[source].block == "Concat" and subject.layers[behind].sources == (source,)
        if is_fused and subject.role(behind) in ("block", *ATTENTION):
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
    ours = output.block in OUTPUTS
    if len(set(known)) < len(known):
        if ours or len({known.count(stride) for stride in known}) > 1:
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
