"""The rules about how many arguments a row has, and what it takes from beside the rows; they know no wiring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache
from operator import itemgetter
from typing import Any

from ..core.graph import Layer, yolov5_problem
from ..installed.names import parsed_names
from ..modelfile.document import BAD_ROW, format_value
from ..wording import clean, counted
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .stock_alignment import stock_blocks, stock_graph
from .taken import MANY, SHIFTED, SOURCES_WIDTH, UNNAMED, Taken, fault_in, is_fine, taken_by

#: What rows take from beside them, and stock models have there.
_SETTINGS = {"nc": "80", "kpt_shape": "[17, 3]"}


def arguments(subject: Context) -> Iterator[Finding]:
    """Rule `arguments`: a row has the arguments that the parser reads and its block's class needs, and no more.

    An error where the row can't be built; a warning where it can, with what the parser adds in a wrong place.
    """
    for layer in subject.layers:
        block, args = _as_parsed(layer)
        if block is None or _is_told_otherwise(subject, layer):
            continue
        faults = {letter: fault_in(block, len(args), letter) for letter in subject.letters}
        letter, fault = next(filter(itemgetter(1), faults.items()), (None, None))
        taken = taken_by(block, letter) if fault else None
        if fault and taken and not is_fine(block, args, letter):
            found = f"and is given {listed(layer.args)}"
            found += "" if all(faults.values()) else f", at scale {letter}"
            yield _finding(subject, layer, fault, taken, found)


def absent_settings(subject: Context) -> Iterator[Finding]:
    """Rule `setting`: what the output layer takes from beside the rows is there."""
    output = subject.output
    for key, example in _SETTINGS.items():
        if key in output.args and key not in subject.document.settings and not subject.bad_rows:
            message = f"{output.block} takes {key}, and the file has no such key"
            suggestion = f"write {key}: {example} beside the rows, or what your data have"
            yield subject.finding(ERROR, "setting", output.index, message, suggestion)


def _is_told_otherwise(subject: Context, layer: Layer) -> bool:
    """Whether another rule says what a row of its block needs: texts, or no anchors."""
    reads_no_text = layer.block == "C2fAttn" and subject.output.block != "WorldDetect"
    return reads_no_text or yolov5_problem(layer.block, layer.args) is not None


def _as_parsed(layer: Layer) -> tuple[str | None, tuple[Any, ...]]:
    """A row as the parser gets it; None for a block whose arguments are read elsewhere."""
    if layer.kind.is_operator or layer.block == BAD_ROW or layer.kind.custom:
        return None, ()
    is_ours = layer.kind.is_host and not layer.kind.handwritten
    is_theirs = layer.block in (parsed_names() or ()) and not is_ours
    return (layer.block, layer.args) if is_theirs else (layer.kind.plain, layer.plain_args)


def _finding(subject: Context, layer: Layer, fault: str, taken: Taken, found: str) -> Finding:
    block, args = _as_parsed(layer)
    assert block is not None
    if fault == MANY:
        message = f"{layer.block} takes at most {_named(taken.names)}, {found}"
        return subject.finding(ERROR, "arguments", layer.index, message)
    message = f"{layer.block} wants {_named(taken.names[: taken.required])}"
    example = _example(subject, layer, block)
    message += f", as {example[0]} has {listed(example[1])}, {found}" if example else f", {found}"
    if fault == SHIFTED:
        message += ": it builds, and takes its repeats for what is missing"
        return subject.finding(WARNING, "arguments", layer.index, message)
    missing = _missing(subject, layer, block, args, taken)
    suggestion = f"write {listed([*args, *missing])}" if missing else None
    fixes = (Correction(layer.index, None, value, arg=len(args) + at) for at, value in enumerate(missing))
    if block != layer.block:  # its last argument is the operator
        return subject.finding(ERROR, "arguments", layer.index, message)
    return subject.finding(ERROR, "arguments", layer.index, message, suggestion, *fixes)


def _missing(subject: Context, layer: Layer, block: str, args: tuple[Any, ...], taken: Taken) -> tuple[Any, ...]:
    """The arguments that are missing, where there is one right answer; else none.

    That is the width of the row before, or what all stock models have there whose row begins as this one does.
    """
    if not args and taken.names[: taken.required] == (SOURCES_WIDTH,) and layer.sources == (layer.index - 1,):
        return ("c2",)
    settings = subject.document.settings

    def said(values: tuple[Any, ...]) -> list[Any]:
        return [settings.get(value, value) if isinstance(value, str) else value for value in values]

    rows = _stock_rows(block)
    rests = {repr(row[len(args) :]) for row in rows}
    if len(rests) != 1 or any(said(row[: len(args)]) != said(args) for row in rows):
        return ()
    rest = rows[0][len(args) :]
    return () if any(isinstance(value, str) and value not in settings for value in rest) else rest


def _example(subject: Context, layer: Layer, block: str) -> tuple[str, tuple[Any, ...]] | None:
    """A stock model and a row of it: that in whose place this one stands, or the first of the model most like it."""
    alignment = subject.alignment
    old = alignment.stock_row.get(layer.index) if alignment else None
    if alignment and old is not None and alignment.stock[old].block == block:
        return alignment.stock.name, alignment.stock[old].args
    own = alignment.stock.name if alignment else subject.path.name
    names = [name for name in _stock_with(block) if _rows_of(name, block)]
    name = max(names, key=lambda name: SequenceMatcher(None, own, name).ratio(), default=None)
    return (name, _rows_of(name, block)[0]) if name else None


def _named(names: Sequence[str]) -> str:
    """`[nc, ne]`; how many they are, where the class does not say their names."""
    return counted(len(names), "argument") if UNNAMED in names else f"[{', '.join(names)}]"


def listed(args: Sequence[Any]) -> str:
    """Arguments as a row has them, in one line."""
    return clean(format_value(args))


@cache
def _stock_rows(block: str) -> list[tuple[Any, ...]]:
    """The arguments of all stock rows of a block."""
    return [args for name in _stock_with(block) for args in _rows_of(name, block)]


def _stock_with(block: str) -> list[str]:
    return sorted(name for name, blocks in stock_blocks().items() if block in blocks)


def _rows_of(name: str, block: str) -> list[tuple[Any, ...]]:
    """The arguments of a stock model's rows of a block."""
    return [layer.args for layer in stock_graph(name) or () if layer.block == block]
