"""What the parser of the installed Ultralytics makes of a model's rows, where the table of blocks has that parser.

It has one where that is a fork, or another release than the one whose rules stand in `parser_rules`: then the widths of
all rows are read from its source, on the model at hand, and no rule is asked. Rows of ours and of custom modules are
read as what is built in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .blocks import ADD, ATTENTION, BYPASS
from .graph import SECTIONS, Layer, Scaling
from .installed_parser import InstalledParser, ParsedLayer

if TYPE_CHECKING:
    from ..installed.parse_model import ParsedRow

#: What keeps its source's width in every parser.
_SAME = "nn.Identity"
_NO_LETTER = "?"  # a scale that is none of Ultralytics'
_SCALE = ("depth_multiple", "width_multiple")


def parsed_layers(
    layers: Sequence[Layer], settings: Mapping[str, Any], scaling: Scaling
) -> tuple[ParsedLayer, ...] | None:
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
    model, channels, told, changed = _asked(layers, settings, scaling, parser)
    parsed = parser.layers(model, channels, told, changed)
    return None if parsed is None else tuple(_of_layers(layers, iter(parsed)))


def parsed_row(index: int, layers: Sequence[Layer], settings: Mapping[str, Any], scaling: Scaling) -> ParsedRow | None:
    """All that the parser makes of the row of one layer, to build it; None where that can't be read."""
    parser = layers[0].blocks.parser if layers else None
    if parser is None:
        return None
    model, channels, told, changed = _asked(layers, settings, scaling, parser)
    rows = parser.rows(model, channels, told, {at: function for at, (_, function) in changed.items()})
    return rows[sum(layer.has_row for layer in layers[:index])] if rows else None


def _asked(
    layers: Sequence[Layer], settings: Mapping[str, Any], scaling: Scaling, parser: InstalledParser
) -> tuple[dict[str, Any], int, dict[int, list[int]], dict[int, tuple[str, Callable[[int], int | None]]]]:
    """What the parser is given."""
    model = {**settings, **_scaled(settings, scaling), **{section: [] for section in SECTIONS}}
    rows = [layer for layer in layers if layer.has_row]
    for layer in rows:
        model[layer.section].append(_as_built(layer, parser))
    channels = settings.get("channels") or settings.get("ch") or 3
    customs = {at: layer.kind.custom for at, layer in enumerate(rows) if layer.kind.custom}
    changed: dict[int, tuple[str, Callable[[int], int | None]]] = {
        at: (str(module.width), module.width_from) for at, module in customs.items() if module.width
    }
    return model, channels if isinstance(channels, int) else 3, dict(_told(rows)), changed


def _told(rows: Sequence[Layer]) -> Iterator[tuple[int, list[int]]]:
    """The widths of whole backbones, where declarations say all of them."""
    for at, layer in enumerate(rows):
        widths = [one.width for one in layer.kind.packed] if layer.kind.custom else []
        known = [width for width in widths[widths.count(None) :] if width is not None]
        if known and widths == [*[None] * widths.count(None), *known]:
            yield at, known


def _of_layers(layers: Sequence[Layer], parsed: Iterator[ParsedLayer]) -> Iterator[ParsedLayer]:
    row = None
    for layer in layers:
        row = next(parsed) if layer.has_row or row is None else row
        if layer.map is None:
            yield row
        else:
            yield row._replace(width=row.maps[layer.map] if len(row.maps) > layer.map else None)


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


def _as_built(layer: Layer, parser: InstalledParser) -> list[Any]:
    """A row as the parser gets it."""
    frm: Any = list(layer.frm) if isinstance(layer.frm, tuple) else layer.frm
    kind, args = layer.kind, list(layer.plain_args)
    if kind.is_operator or layer.block == BYPASS or (kind.custom and kind.plain in (ATTENTION, ADD)):
        return [layer.raw_sources[0] if layer.raw_sources else frm, 1, _SAME, []]
    is_other = (kind.is_host or kind.custom) and not (kind.packed and parser.has(layer.block))
    return [frm, layer.repeats, kind.plain if is_other else layer.block, args]
