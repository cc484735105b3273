"""What the parser of the installed Ultralytics makes of a model's rows, where the table of blocks has that parser.

It has one where that is a fork, or another release than the one whose rules stand in `parser_rules`: then the widths of
all rows are read from its source, on the model at hand, and no rule is asked. Rows of ours and of custom modules are
read as what is built in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .blocks import ADD, ATTENTION, CustomModule
from .graph import SECTIONS, Layer, Scaling

if TYPE_CHECKING:
    from ..installed.parse_model import ParsedRow, ParserSource

#: What keeps its source's width in every parser.
_SAME = "nn.Identity"
_NO_LETTER = "?"  # a scale that is none of Ultralytics'
_SCALE = ("depth_multiple", "width_multiple")


def parsed_rows(layers: Sequence[Layer], settings: Mapping[str, Any], scaling: Scaling) -> tuple[ParsedRow, ...] | None:
    """What the parser makes of the row of each layer; None where the table has no parser, or that can't be read.

    A layer that is one map of a whole backbone has that map's width.

    Args:
        layers: the layers; their sources may be wrong.
        settings: what stands beside the rows.
        scaling: the scale.
    """
    parser = layers[0].blocks.parser if layers else None
    if parser is None:
        return None
    model = {**settings, **_scaled(settings, scaling), **{section: [] for section in SECTIONS}}
    rows = [layer for layer in layers if layer.has_row]
    for layer in rows:
        model[layer.section].append(_as_built(layer, parser))
    channels = settings.get("channels") or settings.get("ch") or 3
    customs = {at: layer.kind.custom for at, layer in enumerate(rows) if layer.kind.custom}
    parsed = _read(parser, _Asked(model, channels if isinstance(channels, int) else 3, customs))
    return None if parsed is None else tuple(_of_layers(layers, iter(parsed)))


def _of_layers(layers: Sequence[Layer], parsed: Iterator[ParsedRow]) -> Iterator[ParsedRow]:
    row = None
    for layer in layers:
        row = next(parsed) if layer.has_row or row is None else row
        if layer.map is None:
            yield row
        else:
            widths = row.width if isinstance(row.width, list) else []
            yield replace(row, width=widths[layer.map] if len(widths) > layer.map else None)


def _scaled(settings: Mapping[str, Any], scaling: Scaling) -> dict[str, Any]:
    """The settings by which the parser comes to this scaling; what a scale says beyond three numbers stays."""
    scales = settings.get("scales")
    factors = [scaling.depth, scaling.width, scaling.max_channels]
    if not scales or not isinstance(scales, Mapping):
        return {**dict(zip(_SCALE, factors)), "scale": scaling.letter or ""}
    entries = {str(letter): entry for letter, entry in scales.items() if isinstance(entry, (list, tuple))}
    letter = scaling.letter or _NO_LETTER
    entry = entries.get(letter) or next(iter(entries.values()), [])
    return {"scale": letter, "scales": {letter: [*factors, *entry[3:]]}}


def _as_built(layer: Layer, parser: ParserSource) -> list[Any]:
    """A row as the parser gets it."""
    frm: Any = list(layer.frm) if isinstance(layer.frm, tuple) else layer.frm
    kind, args = layer.kind, list(layer.plain_args)
    if kind.is_operator or (kind.custom and kind.plain in (ATTENTION, ADD)):
        return [layer.raw_sources[0] if layer.raw_sources else frm, 1, _SAME, []]
    is_other = (kind.is_host or kind.custom) and not (kind.packed and parser.tasks.has(layer.block))
    return [frm, layer.repeats, kind.plain if is_other else layer.block, args]


class _Asked:
    """A model that is asked about, told from others by all that it says."""

    def __init__(self, model: Mapping[str, Any], channels: int, customs: Mapping[int, CustomModule]) -> None:
        self.model, self.channels, self.customs = model, channels, customs
        self._said = repr((model, channels, customs))

    def __hash__(self) -> int:
        return hash(self._said)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self._said == other._said

    def told(self) -> Iterator[tuple[int, list[int]]]:
        """The widths of whole backbones, where declarations say all of them."""
        for at, module in self.customs.items():
            widths = [one.width for one in module.packed]
            known = [width for width in widths[widths.count(None) :] if width is not None]
            if known and widths == [*[None] * widths.count(None), *known]:
                yield at, known


@lru_cache(maxsize=64)
def _read(parser: ParserSource, asked: _Asked) -> tuple[ParsedRow, ...] | None:
    changed = {at: module.width_from for at, module in asked.customs.items() if module.width}
    with suppress(Exception):  # it is not understood, or refuses what stands beside the rows
        return tuple(
            parser.read(
                *(asked.model, asked.channels),
                told=dict(asked.told()),
                changed=changed,
                registered=parser.tasks.modules,
            )
        )
    return None
