"""Rules about a row's arguments: how many there are, and widths that they repeat; they know no wiring.

How many a block's row takes, and which, is what the installed parser reads of them, and the block's class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.alignment import is_width
from ..core.blocks import ATTENTION, SOURCE_WIDTH, SourceWidth, is_parsed, names_attention
from ..core.graph import IMAGE, Layer, yolov5_problem
from ..core.operators import read_attention
from ..errors import KernelError
from ..installed.names import constructor, is_installed, of_installed
from ..modelfile.document import BAD_ROW, format_value
from ..wording import clean, counted, numbers
from .alignment import stock_blocks, stock_graph
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .known import is_unknown, kept
from .rules_rows import lacks_text

if TYPE_CHECKING:
    from ..installed.facts import Constructor
    from ..installed.probing import Probe

#: What is wrong with the number of a row's arguments; SHIFTED where it builds, with a value that the parser adds in the
#: place of one that is missing.
FEW, MANY, SHIFTED = "few", "many", "shifted"
_REFUSED, _NOT_KNOWN = "refused", "not known"
_MOST = 24  # more than any block takes
_SOURCES_WIDTH, _UNNAMED = "width of its source", "?"
_IN_WORDS = {"c1": _SOURCES_WIDTH, "c2": "width"}
#: Rules of width by which the parser gives a block the widths of its sources itself, or needs none.
_OWN_WIDTH_FIRST = ("scaled", "sum")
#: Below, a number that stands in the place of a width is a kernel size, or another number.
_SMALLEST_WIDTH = 16


def arguments(subject: Context) -> Iterator[Finding]:
    """An error where the row can't be built; a warning where it can, with what the parser adds in a wrong place."""
    stock = subject.alignment.stock if subject.alignment else ()
    # What Ultralytics' own model has, its parser takes; and so it does what it takes in another row.
    known = {(layer.block, len(layer.args)) for layer in stock}
    for layer in subject.layers:
        # Other rules say what a row needs that lacks a text, or has anchors.
        elsewhere = lacks_text(subject, layer) or yolov5_problem(layer.block, layer.args) is not None
        block, args = (None, ()) if elsewhere else _as_parsed(layer)
        if block is None or (block, len(args)) in known:
            continue
        faults = {letter: fault_in(block, len(args), letter) for letter in subject.letters}
        letter, fault = next(filter(itemgetter(1), faults.items()), (None, None))
        if fault is None:
            known.add((block, len(args)))
        taken = taken_by(block, letter) if fault else None
        # With texts, lists or True in their places the parser may build it all the same.
        if fault and taken and _fault_of_row(block, args, letter) not in (None, _NOT_KNOWN):
            given = f"and is given {_listed(layer.args)}"
            given += "" if all(faults.values()) else f", at scale {letter}"
            yield _wrong_number(subject, layer, fault, taken, given)


def of_another_parser(subject: Context) -> Iterator[Finding]:
    """A row of a custom module, as its declaration reads what was written for another parser."""
    for layer in subject.layers:
        own = layer.kind.custom
        after = own.rewritten(layer.args) if own else layer.args
        if own is None or after == layer.args or (SOURCE_WIDTH in after and layer.sources[:1] != (layer.index - 1,)):
            continue
        drops = [Correction(layer.index, None, None, arg=at, drop=True) for at in own.drop if at < len(layer.args)]
        kept = [at for at in range(len(layer.args)) if at not in own.drop]
        changed = [(at, value) for at, value in zip(kept, after) if value != layer.args[at]]
        fixes = [Correction(layer.index, None, _in_a_row(value), arg=at) for at, value in changed]
        message = f"{layer.block} says {_listed(layer.args)}, written for another parser"
        suggestion = f"write {_listed([_in_a_row(value) for value in after])}, as its declaration reads it"
        yield subject.finding(layer.index, message, suggestion, *fixes, *drops, severity=WARNING)


def _in_a_row(value: Any) -> Any:
    return str(value) if isinstance(value, SourceWidth) else value


def _as_parsed(layer: Layer) -> tuple[str | None, tuple[Any, ...]]:
    """A row as the parser gets it; None for a block whose arguments are read elsewhere."""
    if layer.kind.is_operator or layer.block == BAD_ROW or layer.kind.custom:
        return None, ()
    theirs, plain = (layer.block, layer.args), (layer.kind.plain, layer.plain_args)
    is_ours = layer.kind.is_host and not layer.kind.handwritten
    return theirs if theirs != plain and not is_ours and is_parsed(layer.block) else plain


def _wrong_number(subject: Context, layer: Layer, fault: str, taken: Taken, given: str) -> Finding:
    block, args = _as_parsed(layer)
    assert block is not None
    if fault == MANY:
        return subject.finding(layer.index, f"{layer.block} takes at most {_named(taken.names)}, {given}")
    message = f"{layer.block} wants {_named(taken.names[: taken.required])}"
    example = _example(subject, layer, block)
    message += f", as {example[0]} has {_listed(example[1])}, {given}" if example else f", {given}"
    if fault == SHIFTED:
        message += ": it builds, and takes its repeats for what is missing"
        return subject.finding(layer.index, message, severity=WARNING)
    if block != layer.block:  # its last argument is the operator
        return subject.finding(layer.index, message)
    missing = _missing(subject, layer, block, args, taken)
    suggestion = f"write {_listed([*args, *missing])}" if missing else None
    fixes = (Correction(layer.index, None, value, arg=len(args) + at) for at, value in enumerate(missing))
    return subject.finding(layer.index, message, suggestion, *fixes)


def _missing(subject: Context, layer: Layer, block: str, args: tuple[Any, ...], taken: Taken) -> tuple[Any, ...]:
    """The arguments that are missing, where there is one right answer; else none.

    That is the width of the row before, or what all stock models have there whose row begins as this one does.
    """
    if not args and taken.names[: taken.required] == (_SOURCES_WIDTH,) and layer.sources == (layer.index - 1,):
        return ("c2",)
    settings = subject.document.settings

    def meant(values: tuple[Any, ...]) -> list[Any]:
        return [settings.get(value, value) if isinstance(value, str) else value for value in values]

    rows = [args for name in _stock_with(block) for args in _rows_of(name, block)]
    rests = {repr(row[len(args) :]) for row in rows}
    if len(rests) != 1 or any(meant(row[: len(args)]) != meant(args) for row in rows):
        return ()
    rest = rows[0][len(args) :]
    return () if any(isinstance(value, str) and value not in settings for value in rest) else rest


def _example(subject: Context, layer: Layer, block: str) -> tuple[str, tuple[Any, ...]] | None:
    """A stock model and a row of it: that in whose place this one stands, or the first of the model most like it."""
    alignment = subject.alignment
    old = alignment.stock_row.get(layer.index) if alignment else None
    if alignment and old is not None and alignment.stock[old].block == block:
        return alignment.stock.name, alignment.stock[old].args
    own = alignment.stock.name if alignment else subject.source.path.name
    names = [name for name in _stock_with(block) if _rows_of(name, block)]
    from difflib import SequenceMatcher  # here, for only an error needs it

    name = max(names, key=lambda name: SequenceMatcher(None, own, name).ratio(), default=None)
    return (name, _rows_of(name, block)[0]) if name else None


def _named(names: Sequence[str]) -> str:
    """`[nc, ne]`; how many they are, where the class does not say their names."""
    return counted(len(names), "argument") if _UNNAMED in names else f"[{', '.join(names)}]"


def _listed(args: Sequence[Any]) -> str:
    """Arguments as a row has them, in one line."""
    return clean(format_value(args))


def _stock_with(block: str) -> list[str]:
    return sorted(name for name, blocks in stock_blocks().items() if block in blocks)


def _rows_of(name: str, block: str) -> list[tuple[Any, ...]]:
    """The arguments of a stock model's rows of a block."""
    return [layer.args for layer in stock_graph(name) or () if layer.block == block]


def channels(subject: Context) -> Iterator[Finding]:
    """A width that a row repeats of its source is that, whatever the scale.

    An error where its class believes the number, and no scale has that width. A warning where a scale has; of the
    operators here, which take the width of their source, though the paper's own class believes the number; and, once
    for each block, of attention whose class is not known.
    """
    unknown: dict[str, list[tuple[int, str, str]]] = {}
    for layer in subject.corrected_layers:
        width = None if layer.sources[:1] in ((), (IMAGE,)) else _width_written(layer)
        if width is None:
            continue
        source, shapes = layer.sources[0], subject.shapes
        widths = {letter: there[source].channels for letter, there in subject.shapes_by_scale.items()}
        if None in widths.values() or set(widths.values()) <= {width}:
            continue
        believed, unscaled = begins_with_source(layer.block), shapes[source].channels if shapes else None
        if not believed and not layer.kind.is_operator and width not in (*widths.values(), unscaled):
            continue  # it may be any number
        where = ", ".join(f"{real} at scale {letter}" if letter else f"{real}" for letter, real in widths.items())
        message = f"{layer.block} says {width} channels, but {subject.named(source)} gives {where}"
        if believed:
            yield _believed(subject, layer, width, widths, where, message)
        else:
            many = layer.args.count(width) > 1
            suggestion = f"write c2 in place of {f'each {width}' if many else 'the number'}"
            if layer.kind.is_operator:
                fixes = [Correction(layer.index, None, "c2", arg=0)] if source == layer.index - 1 else []
                yield subject.finding(layer.index, message, suggestion, *fixes, severity=WARNING)
            else:
                unknown.setdefault(layer.block, []).append((layer.index, message, suggestion))
    for (index, message, suggestion), *others in unknown.values():
        if others:
            rows = numbers([row for row, _, _ in others])
            message += f"; so with row{'s' * (len(others) > 1)} {rows}"
        suggestion += " unless its class takes it for something else"
        yield subject.finding(index, message, suggestion, severity=WARNING)


def _believed(
    subject: Context, layer: Layer, width: int, widths: Mapping[str | None, int | None], where: str, message: str
) -> Finding:
    """A width that its block believes."""
    source = layer.sources[0]
    severity = WARNING if width in widths.values() else ERROR
    # Where a block takes two widths, one alone is its own, which no scale applies to here: a guess, not to be written.
    is_own = _has_own_width(layer.block) and not any(map(is_width, layer.args[1:2]))
    is_left_out = is_own or width < _SMALLEST_WIDTH
    if is_left_out:
        named = subject.named(source)
        message = (
            f"{layer.block} takes {width}, its first argument, for the width of its source, but {named} gives {where}"
        )
    if source != layer.index - 1:
        hint = f"put the row right behind layer {source}, where c2 is its width"
        return subject.finding(layer.index, message, hint, severity=severity)
    args = ("c2", *(layer.args if is_left_out else layer.args[1:]))
    suggestion = f"write {_listed(args)}" if is_left_out else "write c2 in place of the number"
    is_sure = severity == ERROR and not is_own
    changed = [(at, value) for at, value in enumerate(args) if layer.args[at : at + 1] != (value,)]
    fixes = [Correction(layer.index, None, value, arg=at) for at, value in changed] if is_sure else []
    return subject.finding(layer.index, message, suggestion, *fixes, severity=severity)


def _width_written(layer: Layer) -> int | None:
    """The number that a row has for its source's width; None where it has none, or where it may be anything."""
    first = layer.plain_args[0] if layer.plain_args else None
    if layer.kind.is_operator:
        try:
            attention = read_attention(layer)
        except KernelError:
            return None
        first = attention.channels if attention else None
    if type(first) is not int or layer.kind.width in _OWN_WIDTH_FIRST:
        return None
    is_of_source = layer.kind.is_operator or begins_with_source(layer.block) or _is_attention_of_ones_own(layer)
    return first if is_of_source else None


def _is_attention_of_ones_own(layer: Layer) -> bool:
    """Whether a row's class is an attention that gets the arguments as they stand, by its declaration or its name."""
    own = layer.kind.custom
    if own is not None:
        return own.like == ATTENTION and not own.channels_first
    if len(layer.raw_sources) != 1 or not is_unknown(layer.kind):
        return False
    return names_attention(layer.block)


class Taken(NamedTuple):
    """The arguments that a block's row takes.

    Attributes:
        names: what each is called; as many as there may be, or as there have to be where there may be any number.
        required: how many there have to be.
    """

    names: tuple[str, ...]
    required: int


@of_installed
def taken_by(block: str, letter: str | None) -> Taken | None:
    """The arguments that a block's row takes, at a scale; None where that is not known."""
    fine: list[int] = []
    for given in range(_MOST):
        fault = _fault(block, given, letter)
        if fault is None:
            fine.append(given)
        elif fine and fault == MANY:
            break
    if not fine:
        return None
    count = fine[0] if fine[-1] == _MOST - 1 else fine[-1]
    wanted = constructor(block)
    probe = next(probe for probe in built_from(block, count, letter) if _fault_of(probe, wanted) is None)
    names = [_IN_WORDS.get(name, name) for name in _names(probe, wanted, count)]
    return Taken((_SOURCES_WIDTH, *names[1:]) if begins_with_source(block) else tuple(names), fine[0])


def fault_in(block: str, given: int, letter: str | None) -> str | None:
    """What is wrong with so many arguments, at a scale; None for nothing, or where that is not known."""
    fault = _fault(block, min(given, _MOST), letter)
    taken = None if fault in (None, _NOT_KNOWN) else taken_by(block, letter)
    if fault == _REFUSED and taken:
        return FEW if given < taken.required else None
    return fault if taken else None


def built_from(block: str, given: int, letter: str | None) -> tuple[Probe, ...]:
    """What the parser makes of rows of a block with so many arguments; empty where it refuses them, or is not known."""
    return _built(block, given, letter) or ()


@of_installed
def begins_with_source(block: str) -> bool:
    """Whether a row's first argument is what the class believes to be the width of its source, whatever that has."""
    found: bool = kept(f"begins {block}", lambda: _begins_with_source(block), False, bool)
    return found


def _begins_with_source(block: str) -> bool:
    wanted = constructor(block)
    if wanted is None or not wanted.required or "." in block:
        return False
    from ..declarations.guess import WIDTH  # here, for few rows need it

    if not WIDTH.fullmatch(wanted.parameters[0]):
        return False
    ways = built_from(block, wanted.required, None)
    return bool(ways) and all(way.words[:1] == ("0",) for way in ways)


def _has_own_width(block: str) -> bool:
    """Whether a block's class takes a width of its own as well."""
    wanted = constructor(block)
    from ..declarations.guess import WIDTH_OUT  # here, for only an error needs it

    return wanted is not None and any(map(WIDTH_OUT.fullmatch, wanted.parameters[:2]))


@of_installed
def _fault(block: str, given: int, letter: str | None) -> str | None:
    question = f"fault {block} {given} {letter}"
    found: str | None = kept(question, lambda: _read_fault(block, given, letter), "." in block, str, type(None))
    return found


def _read_fault(block: str, given: int, letter: str | None) -> str | None:
    return _fault_of_all(_built(block, given, letter), constructor(block)) if is_installed(block) else _NOT_KNOWN


def _built(block: str, given: int, letter: str | None) -> tuple[Probe, ...] | None:
    at_any = _built_at(block, given, None)
    return _built_at(block, given, letter) if letter and any(probe.row.by_scale for probe in at_any or ()) else at_any


@of_installed
def _built_at(block: str, given: int, letter: str | None) -> tuple[Probe, ...] | None:
    return _probes(block, (0,) * given, letter)


def _probes(block: str, args: Sequence[Any], letter: str | None) -> tuple[Probe, ...] | None:
    """What the parser makes of rows with such arguments; None where that is not known."""
    from ..installed.parse_model import installed_parser  # here, for few rows need it
    from ..installed.probing import probes
    from ..installed.values import UnreadableParser

    parser = installed_parser()
    try:
        return probes(parser, block, args, letter) if parser else None
    except (UnreadableParser, RecursionError):
        return None


def _fault_of_row(block: str, args: Sequence[Any], letter: str | None) -> str | None:
    return _fault_of_all(_probes(block, args, letter), constructor(block))


def _fault_of_all(ways: Sequence[Probe] | None, wanted: Constructor | None) -> str | None:
    """What is wrong with all of them."""
    if ways is None:
        return _NOT_KNOWN
    faults = [_fault_of(probe, wanted) for probe in ways] or [_REFUSED]
    return None if None in faults else faults[0]


def _fault_of(probe: Probe, wanted: Constructor | None) -> str | None:
    if wanted is None or probe.row.doubtful:
        return None
    count = len(probe.row.arguments)
    if count > len(wanted.parameters):
        return MANY
    if count < wanted.required:
        return FEW
    astray = [
        word
        for word, origin, parameter in zip(probe.words, probe.origins, wanted.parameters)
        if origin is None and word.strip("[]") in {*wanted.parameters} - {parameter}
    ]
    if any(word.startswith("[") for word in astray):
        return FEW  # the widths of its sources, for a number
    return SHIFTED if astray else None


def _names(probe: Probe, wanted: Constructor | None, given: int) -> list[str]:
    """What the class calls each of the row's arguments, or the parser where it keeps one."""
    called = {probe.origin(value): name for name, value in reversed([*probe.row.variables.items()])}
    called.update(zip(probe.origins, wanted.parameters if wanted else ()))
    return [called.get(index, _UNNAMED) for index in range(given)]
