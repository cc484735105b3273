"""Rules that look at one row at a time: its columns, its block, its numbers; they know no other row's wiring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..architecture.attention import BLOCK_OPS, read_attention
from ..architecture.graph import IMAGE
from ..architecture.scaling import Scaling, scaling_of
from ..architecture.shapes import size_problem
from ..errors import GraphError, KernelError
from ..model_yaml.document import BAD_ROW
from ..model_yaml.lines import line_number
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .known_blocks import is_slip, is_unknown, nearest
from .strides import shapes_or_none

_ANOTHER_NUMBER = re.compile(r"[ \t]+\d")


def bad_rows(subject: Context) -> Iterator[Finding]:
    """Rule `row`: a row has four columns."""
    for error in subject.bad_rows:
        yield Finding(ERROR, "row", error.line, error.index, error.problem)


def sizes(subject: Context) -> Iterator[Finding]:
    """Rule `row`: its repeats and its width make a layer, at each scale."""
    for layer in subject.layers:
        try:
            found = [size_problem(layer, scaling) for scaling in _scalings(subject)]
        except KernelError:
            continue  # rule `kernel` tells that
        problem = next(filter(None, found), None)
        if problem:
            yield subject.finding(ERROR, "row", layer.index, problem)


def sources(subject: Context) -> Iterator[Finding]:
    """Rule `source`: what a row reads exists and comes before it."""
    if subject.has_packed_backbone:
        message = f"the numbers count row 0 ({subject.layers[0].block}) as 5 layers: plain Ultralytics can't build that"
        yield subject.finding(WARNING, "source", 0, message)
        return
    intended = {(moved.row, moved.tap): moved.expected for moved in subject.moved}
    for layer in subject.layers:
        if not layer.taps:
            yield subject.finding(ERROR, "source", layer.index, str(layer.problem()))
        for tap, number in enumerate(layer.taps):
            problem = replace(layer, frm=number).problem()
            expected = intended.get((layer.index, tap))
            if problem and expected is None:
                yield subject.finding(ERROR, "source", layer.index, problem)
            elif problem and expected is not None:
                fix = Correction(layer.index, tap, expected)
                suggestion = f"write {expected} ({subject.layers[expected].block})"
                yield subject.finding(ERROR, "source", layer.index, problem, suggestion, fix)


def modules(subject: Context) -> Iterator[Finding]:
    """Rule `module`: a block's name is known; each name is told once.

    A name that is surely misspelt is an error. Any other is a warning: it may be a class of the user's own that is put
    into Ultralytics before the model is built.
    """
    first = {layer.block: layer.index for layer in reversed(subject.layers)}
    for block, index in first.items():
        if block == BAD_ROW or not is_unknown(block):
            continue
        near = nearest(block)
        message = f"the installed ultralytics knows no block {block}"
        if near and is_slip(block, near):
            yield subject.finding(ERROR, "module", index, message, f"write {near}")
        else:
            hint = f"; the nearest name is {near}" if near else ""
            suggestion = f"it must be registered before the model is built{hint}"
            yield subject.finding(WARNING, "module", index, message, suggestion)


def kernels(subject: Context) -> Iterator[Finding]:
    """Rule `kernel`: an operator's numbers make an operator."""
    for layer in subject.layers:
        try:
            read_attention(layer.block, layer.args)
        except KernelError as error:
            yield subject.finding(ERROR, "kernel", layer.index, str(error))


def scale(subject: Context) -> Iterator[Finding]:
    """Rule `scale`: the scale that the file's name asks for is there, and is three numbers."""
    document, asked = subject.document, subject.found.scale
    if document.settings.get("scales"):
        line = line_number(document.text, document.scales_at)
        if document.scales and asked and asked not in document.scales:
            message = (
                f"the name {subject.found.asked} asks for scale {asked}, and scales has {', '.join(document.scales)}"
            )
            yield Finding(ERROR, "scale", line, None, message, "rename the file, or add the entry")
            return
        try:
            for letter in _letters(subject):
                scaling_of(document.settings, letter)
        except GraphError as error:
            yield Finding(ERROR, "scale", line, None, str(error))


def channels(subject: Context) -> Iterator[Finding]:
    """Rule `channels`: a width that an operator row spells out is its source's width, whatever the scale.

    A warning: the operators here take the width of their source, but the paper's own class believes the number.
    """
    for layer in subject.layers:
        said = layer.args[0] if layer.block in BLOCK_OPS and len(layer.args) > 1 else None
        if not isinstance(said, int) or layer.sources[:1] in ((), (IMAGE,)):
            continue
        widths = _widths(subject, layer.sources[0])
        if set(widths.values()) <= {said}:
            continue
        where = ", ".join(f"{width} at scale {letter}" if letter else f"{width}" for letter, width in widths.items())
        message = f"{layer.block} says {said} channels, but {subject.named(layer.sources[0])} gives {where}"
        yield subject.finding(WARNING, "channels", layer.index, message, "write c2 in place of the number")


def comments(subject: Context) -> Iterator[Finding]:
    """Rule `comment`: the number in an index comment is the row's index."""
    if subject.has_packed_backbone:
        return
    for layer in subject.layers:
        found = subject.document.comment_index(layer.index)
        if found is None or found[0] == layer.index:
            continue
        number, span = found
        # A number larger than any index is a width or a size, and so is the first of several.
        if number > len(subject.layers) + 9 or _ANOTHER_NUMBER.match(subject.document.text, span.end):
            continue
        message = f"the comment says {number}, the row's index is {layer.index}"
        fix = Correction(layer.index, None, layer.index)
        yield subject.finding(WARNING, "comment", layer.index, message, f"write {layer.index}", fix)


def _letters(subject: Context) -> list[str | None]:
    """The scale of the file's name, or every scale where the name leaves it open."""
    scales = subject.document.settings.get("scales")
    if not scales or not isinstance(scales, dict):
        return [None]
    return [subject.found.scale] if subject.found.scale else list(scales)


def _scalings(subject: Context) -> list[Scaling]:
    """What the scales of `_letters` mean; none where that can't be read, which rule `scale` tells."""
    try:
        return [scaling_of(subject.document.settings, letter) for letter in _letters(subject)]
    except GraphError:
        return []


def _widths(subject: Context, source: int) -> dict[str | None, int]:
    """The width of a layer at each scale that the file may be built at; empty where it is not known."""
    widths: dict[str | None, int] = {}
    for letter in _letters(subject):
        try:
            scaling = scaling_of(subject.document.settings, letter)
        except GraphError:
            return {}
        shapes = shapes_or_none(subject.layers, None, scaling)
        width = shapes[source].channels if shapes else None
        if width is None:
            return {}
        widths[letter] = width
    return widths
