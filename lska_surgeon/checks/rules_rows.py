"""Rules that look at one row at a time: its columns, its numbers, its comment; they know no block and no wiring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..core.graph import NO_HEAD, packed_problem, scaling_of
from ..core.shapes import settings_problems, size_problem, width_problem
from ..errors import GraphError
from ..modelfile.text import line_number
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding

_ANOTHER_NUMBER = re.compile(r"[ \t]+\d")


def bad_rows(subject: Context) -> Iterator[Finding]:
    """Rule `row`: a row has four columns; rule `setting`: what stands beside the rows can be read."""
    for error in subject.bad_rows:
        yield Finding(ERROR, "setting" if error.index is None else "row", error.line, error.index, error.problem)


def head(subject: Context) -> Iterator[Finding]:
    """Rule `row`: the last row, which is the output layer, stands under head."""
    document = subject.document
    if all(layer.section != "head" for layer in subject.layers):
        line = line_number(document.text, document.setting_span("head").start)
        yield Finding(ERROR, "row", line, None, f"the file {NO_HEAD}")


def settings(subject: Context) -> Iterator[Finding]:
    """Rule `setting`: the number of classes, and its like, is one that a network can have."""
    document = subject.document
    for key, problem in settings_problems(document.settings):
        line = line_number(document.text, document.setting_span(key).start)
        yield Finding(ERROR, "setting", line, None, problem)


def sizes(subject: Context) -> Iterator[Finding]:
    """Rule `row`: its repeats, its width and its inputs' make a layer, at each scale."""
    shapes = subject.shapes_by_letter.values()
    for layer in subject.layers:
        found = [size_problem(layer, scaling) for scaling in subject.scalings]
        found += [width_problem(layer, of_scale) for of_scale in shapes]
        problem = next(filter(None, found), None)
        if problem:
            yield subject.finding(ERROR, "row", layer.index, problem)


def sources(subject: Context) -> Iterator[Finding]:
    """Rule `source`: what a row reads exists and comes before it."""
    packed = subject.packed_row
    if packed is not None:
        yield subject.finding(WARNING, "source", packed, packed_problem(subject.layers, packed))
        return
    intended = {(moved.row, moved.tap): moved.expected for moved in subject.moved}
    for layer in subject.layers:
        if not layer.raw_sources:
            yield subject.finding(ERROR, "source", layer.index, str(layer.problem()))
        for tap, number in enumerate(layer.raw_sources):
            problem = replace(layer, frm=number).problem()
            expected = intended.get((layer.index, tap))
            if problem and expected is None:
                yield subject.finding(ERROR, "source", layer.index, problem)
            elif problem and expected is not None:
                fix = Correction(layer.index, tap, expected)
                suggestion = f"write {expected} ({subject.layers[expected].block})"
                yield subject.finding(ERROR, "source", layer.index, problem, suggestion, fix)


def scale(subject: Context) -> Iterator[Finding]:
    """Rule `scale`: the scale that the file's name asks for is there, and is three numbers."""
    document, asked = subject.document, subject.source.scale
    if document.settings.get("scales"):
        line = line_number(document.text, document.scales_at)
        if document.scales and asked and asked not in document.scales:
            message = (
                f"the name {subject.source.name} asks for scale {asked}, and scales has {', '.join(document.scales)}"
            )
            yield Finding(ERROR, "scale", line, None, message, "rename the file, or add the entry")
            return
        try:
            for letter in subject.letters:
                scaling_of(document.settings, letter)
        except GraphError as error:
            yield Finding(ERROR, "scale", line, None, str(error))


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
