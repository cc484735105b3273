"""The rule about widths that rows spell out for their sources'; it knows no wiring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..core.alignment import is_width
from ..core.attention import read_attention
from ..core.blocks import ATTENTION
from ..core.graph import IMAGE, Layer
from ..declarations.guess import names_attention
from ..errors import KernelError
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .known_blocks import is_unknown
from .rules_arguments import listed
from .taken import begins_with_source, has_own_width

#: Below, a number that stands in the place of a width is a kernel size, or another number.
_SMALLEST = 16


def channels(subject: Context) -> Iterator[Finding]:
    """Rule `channels`: a width that a row spells out for its source's is that, whatever the scale.

    An error where its class believes the number, and no scale has that width. A warning where a scale has; of the
    operators here, which take the width of their source, though the paper's own class believes the number; and of
    attention whose class is not known.
    """
    for layer in subject.layers:
        said = None if layer.sources[:1] in ((), (IMAGE,)) else _width_said(layer)
        if said is None:
            continue
        shapes = subject.shapes_by_letter.items()
        widths = {letter: there[layer.sources[0]].channels for letter, there in shapes}
        if None in widths.values() or set(widths.values()) <= {said}:
            continue
        is_own = not begins_with_source(layer.block) and not layer.kind.is_operator
        if is_own and said not in (*widths.values(), _unscaled(subject, layer.sources[0])):
            continue  # it may be any number
        where = ", ".join(f"{width} at scale {letter}" if letter else f"{width}" for letter, width in widths.items())
        message = f"{layer.block} says {said} channels, but {subject.named(layer.sources[0])} gives {where}"
        if begins_with_source(layer.block):
            yield _believed(subject, layer, said, widths, where, message)
        else:
            many = layer.args.count(said) > 1
            suggestion = f"write c2 in place of {f'each {said}' if many else 'the number'}"
            yield subject.finding(WARNING, "channels", layer.index, message, suggestion)


def _believed(
    subject: Context, layer: Layer, said: int, widths: Mapping[str | None, int | None], where: str, message: str
) -> Finding:
    """A width that its block believes."""
    source = layer.sources[0]
    severity = WARNING if said in widths.values() else ERROR
    # Where a block takes two widths, one alone is its own, which no scale applies to here: a guess, not to be written.
    is_own = has_own_width(layer.block) and not any(map(is_width, layer.args[1:2]))
    is_left_out = is_own or said < _SMALLEST
    if is_left_out:
        named = subject.named(source)
        message = f"{layer.block} takes its input's width first, so {said} is one, but {named} gives {where}"
    if source != layer.index - 1:
        hint = f"put the row right behind layer {source}, where c2 is its width"
        return subject.finding(severity, "channels", layer.index, message, hint)
    args = ("c2", *(layer.args if is_left_out else layer.args[1:]))
    suggestion = f"write {listed(args)}" if is_left_out else "write c2 in place of the number"
    is_sure = severity == ERROR and not is_own
    changed = [(at, value) for at, value in enumerate(args) if layer.args[at : at + 1] != (value,)]
    fixes = [Correction(layer.index, None, value, arg=at) for at, value in changed] if is_sure else []
    return subject.finding(severity, "channels", layer.index, message, suggestion, *fixes)


def _width_said(layer: Layer) -> int | None:
    """The number that a row has for its source's width; None where it has none, or where it may be anything."""
    first = layer.args[0] if layer.args else None
    if layer.kind.is_operator:
        try:
            attention = read_attention(layer)
        except KernelError:
            return None
        first = attention.channels if attention else None
    elif not begins_with_source(layer.block) and not _is_attention_of_ones_own(layer):
        return None
    return first if type(first) is int else None


def _is_attention_of_ones_own(layer: Layer) -> bool:
    """Whether a row's class is an attention that gets the arguments as they stand, by its declaration or its name."""
    own = layer.kind.custom
    if own is not None:
        return own.like == ATTENTION and not own.channels_first
    return len(layer.raw_sources) == 1 and is_unknown(layer.kind) and names_attention(layer.block)


def _unscaled(subject: Context, source: int) -> int | None:
    """The width that the rows say of a layer, before any scaling."""
    return subject.shapes[source].channels if subject.shapes else None
