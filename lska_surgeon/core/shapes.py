"""Widths, strides and repeats of every layer, worked out from the rows alone as Ultralytics' parser would.

What the parser does with a block stands in the table of blocks; a block that is not known gets no width, and a stride
only where its neighbours leave one choice. What may stand beside the rows is judged here too, for sizes are made of it.

Strides, in three steps: 1. forwards, by the rules of the blocks; 2. there and back, until nothing changes: what joins
maps joins maps of one size, and the inputs of the output layer double from one to the next; 3. rows of one unknown
block do the same, and, where nothing else is known, the output layer reads strides 8, 16 and 32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..wording import clean, shown
from .blocks import ATTENTION, Block
from .graph import IMAGE, Graph, Layer, Scaling

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

    from .installed_parser import ParsedLayer

_SWEEPS = 16  # there and back; each settles whole chains, and no network is known that needs more than four
_USUAL = (8.0, 16.0, 32.0)
_FINEST, _COARSEST = 2.0**-20, 2.0**20  # beyond, no image has a cell


class Effect(NamedTuple):
    """What a row does to the size of its map.

    Attributes:
        ratio: stride out over stride in; None when not known.
        main: which of its sources that speaks of.
        joins: True when all inputs have to have one size, which is the output's.
        is_map: False for what is not a feature map.
        kind: rows of one kind do the same; for rows whose ratio is not known.
    """

    ratio: float | None = 1.0
    main: int = 0
    joins: bool = False
    is_map: bool = True
    kind: Hashable = None


def strides_of(
    layers: Sequence[Layer],
    effects: Sequence[Effect],
    ratios: Mapping[int, float],
    hints: Mapping[int, float] | None = None,
) -> list[tuple[float | None, bool]]:
    """Stride of each layer, and whether it is sure; (None, False) where it is not known, (None, True) for no map.

    Args:
        layers: the rows.
        effects: what each does.
        ratios: for rows that do something unknown, what the caller believes that they do.
        hints: the same, for where the rows around them do not say it.
    """
    found = _Strides(layers, effects, hints or {})
    found.forwards()
    found.sure = [stride is not None for stride in found.stride]
    found.fit(ratios)
    return [(stride, sure or not effect.is_map) for stride, sure, effect in zip(found.stride, found.sure, effects)]


class _Strides:
    def __init__(self, layers: Sequence[Layer], effects: Sequence[Effect], hints: Mapping[int, float]) -> None:
        self.layers, self.effects, self.hints = layers, effects, dict(hints)
        self.stride: list[float | None] = [None] * len(layers)
        self.sure: list[bool] = []
        self.changed = False

    def forwards(self) -> None:
        """Case 1."""
        for layer, effect in zip(self.layers, self.effects):
            if effect.is_map:
                self.stride[layer.index] = self._forwards(layer, effect)

    def fit(self, ratios: Mapping[int, float]) -> None:
        """Cases 2 and 3; what the caller believes counts as soon as a row's source is known."""
        ratios = dict(ratios)
        for _ in range(_SWEEPS):
            self.changed = False
            for layer, effect in zip(self.layers, self.effects):
                self._set(layer.index, self._forwards(layer, effect, ratios.get(layer.index)))
                if effect.ratio is None and len(layer.raw_sources) > 1:
                    read = {self._of(source) for source in layer.sources}
                    self._set(layer.index, read.pop() if len(read) == 1 else None)
            for layer, effect in zip(reversed(self.layers), reversed(self.effects)):
                self._backwards(layer, effect)
            if not self.changed and not self._learn(ratios) and not self._take_hints(ratios) and not self._usual():
                return

    def _forwards(self, layer: Layer, effect: Effect, believed: float | None = None) -> float | None:
        if effect.joins:
            return next((stride for stride in map(self._of, layer.sources) if stride is not None), None)
        ratio = believed if effect.ratio is None else effect.ratio
        stride = self._of(layer.sources[effect.main])
        if ratio is None or stride is None or not _FINEST <= stride * ratio <= _COARSEST:
            return None
        return stride * ratio

    def _backwards(self, layer: Layer, effect: Effect) -> None:
        if layer is self.layers[-1] or layer.kind.is_output:
            self._ladder(layer)
        here = self.stride[layer.index]
        if here is None:
            return
        if effect.ratio is not None and not effect.joins:
            self._set(layer.sources[effect.main], here / effect.ratio)
        elif len(layer.raw_sources) > 1:
            known = {stride for stride in map(self._of, layer.sources) if stride is not None}
            if effect.joins or known == {here}:
                for source in layer.sources:
                    self._set(source, here)

    def _ladder(self, layer: Layer) -> None:
        """The inputs of an output layer, where what is known of them doubles from one to the next."""
        known = {slot: stride for slot, stride in enumerate(map(self._of, layer.sources)) if stride is not None}
        first = {stride / 2**slot for slot, stride in known.items()}
        if len(first) == 1 and len(layer.raw_sources) > 2:
            base = first.pop()
            for slot, source in enumerate(layer.sources):
                self._set(source, base * 2**slot)

    def _learn(self, ratios: dict[int, float]) -> bool:
        """Case 3, the first half: a ratio that rows of one kind share."""
        seen: dict[Hashable, set[float]] = {}
        for layer, effect in zip(self.layers, self.effects):
            before, after = self._of(layer.sources[0]), self.stride[layer.index]
            if effect.ratio is None and len(layer.raw_sources) == 1 and before and after:
                seen.setdefault(effect.kind, set()).add(after / before)
        learnt = False
        for layer, effect in zip(self.layers, self.effects):
            one = seen.get(effect.kind, set()) if effect.ratio is None and len(layer.raw_sources) == 1 else set()
            if self.stride[layer.index] is None and len(one) == 1 and layer.index not in ratios:
                ratios[layer.index] = next(iter(one))
                learnt = learnt or self._of(layer.sources[0]) is not None
        return learnt

    def _take_hints(self, ratios: dict[int, float]) -> bool:
        """Between its halves: what the rows' own classes speak of."""
        taken = {index: ratio for index, ratio in self.hints.items() if index not in ratios}
        ratios.update(taken)
        self.hints.clear()
        return bool(taken)

    def _usual(self) -> bool:
        """Case 3, the other half."""
        sources = self.layers[-1].sources
        if len(sources) != len(_USUAL) or any(self._of(source) is not None for source in sources):
            return False
        self.changed = False
        for source, stride in zip(sources, _USUAL):
            self._set(source, stride)
        return self.changed

    def _of(self, source: int) -> float | None:
        return 1.0 if source == IMAGE else self.stride[source]

    def _set(self, index: int, stride: float | None) -> None:
        if index == IMAGE or stride is None or stride < 1 or not self.effects[index].is_map:
            return
        if self.stride[index] is None:
            self.stride[index] = stride
            self.changed = True


#: More than any network has: a slip of the keyboard.
MOST_REPEATS, MOST_CHANNELS = 1000, 65536


class Shape(NamedTuple):
    """What a layer gives.

    Attributes:
        channels: width, or None when not known; widths above `MOST_CHANNELS` are all one more than that, for a network
            could have them grow without measure.
        stride: pixels of the image per cell, or None when not known or not a map.
        guessed: True when the rows up to this one do not say the stride: it follows from what comes behind a block that
            is not known, or, where it is None, nothing says it.
    """

    channels: int | None
    stride: float | None
    guessed: bool = False

    @property
    def level(self) -> str | None:
        """Pyramid level: stride 8 is "p3"."""
        if not self.stride or not 1 <= self.stride < math.inf:
            return None
        exponent = math.log2(self.stride)
        return f"p{int(exponent)}" if exponent == int(exponent) else None


def shapes_of(graph: Graph, scaling: Scaling, ratios: Mapping[int, float] | None = None) -> tuple[Shape, ...]:
    """The shape of every layer's output, in order.

    Args:
        graph: the layers.
        scaling: the scale.
        ratios: for layers whose block is not known here, stride out over stride in, where the caller knows better.
    """
    parsed = None
    if graph.layers and graph.blocks.parser is not None:
        from .parsed import parsed_layers  # here, for of a release nothing is read

        parsed = parsed_layers(graph.layers, graph.settings, scaling)
    hints = dict(_hints(graph.layers, parsed)) if parsed else {}
    strides = strides_of(graph.layers, [effect_of(layer) for layer in graph], ratios or {}, hints)
    shapes: list[Shape] = []
    image = Shape(channels_in(graph.settings), 1.0)
    previous = image
    for layer, (stride, sure) in zip(graph, strides):
        sources = [image if source == IMAGE else shapes[source] for source in layer.sources]
        row = parsed[layer.index] if parsed else None
        channels = row.width if row else None
        if row is None or row.refused or (layer.map is not None and channels is None):
            channels = _channels(layer, sources, previous, graph.settings, scaling)
        previous = Shape(channels if channels is None else min(channels, MOST_CHANNELS + 1), stride, not sure)
        shapes.append(previous)
    return tuple(shapes)


def _hints(layers: Sequence[Layer], parsed: Sequence[ParsedLayer]) -> Iterator[tuple[int, float]]:
    """What the classes of a fork's rows speak of, for each that says it: stride out over stride in."""
    for layer, row in zip(layers, parsed):
        rule, number = layer.kind.hint if layer.kind.hint and len(layer.raw_sources) == 1 else ("", 0)
        if rule == "fixed":
            yield layer.index, number
        elif rule == "built":
            yield layer.index, _number(row.numbers, int(number), 1)


def channels_in(yaml: Mapping[str, Any], default: int = 3) -> int | None:
    """Channels of the image that a model reads, by its YAML; None where it says what is no number.

    Ultralytics reads `channels`, and stores it in what it has built; its older releases called it `ch`.
    """
    found = yaml.get("channels") or yaml.get("ch") or default
    return found if isinstance(found, int) else None


def stride_argument(block: Block) -> int | None:
    """Which of a down-sampling block's arguments is its stride, counted from 0; None for every other block."""
    rule, at = block.stride
    return int(at) if rule == "args" else 2 if rule == "resnet" else None


def size_problem(layer: Layer, scaling: Scaling) -> str | None:
    """Why a row's repeats, scaled width or other arguments make no layer; None when they do.

    No repeats at all build as one. What a block of the user's own may be given is not known here.
    """
    block, args = layer.kind, layer.plain_args
    if layer.repeats < 0 or scaling.repeats(layer.repeats) > MOST_REPEATS:
        return f"has {layer.repeats} repeats: it may have 1 to {MOST_REPEATS}"
    has_width = block.width == "scaled"
    width = args[0] if has_width and args else None
    is_one = isinstance(width, (int, float))
    if is_one and not (is_number(width) and 0 < scaling.channels(width) <= MOST_CHANNELS):
        return f"is {width} channels wide: it may be 1 to {MOST_CHANNELS}"
    if block.is_operator or block.custom or not block.is_known:
        return None
    absurd = next((one for one in numbers_in(args[has_width:]) if not abs(one) <= MOST_CHANNELS), None)
    return None if absurd is None else f"has the argument {absurd}: it may be at most {MOST_CHANNELS}"


def custom_row_problem(layer: Layer, last: int | None = None) -> str | None:
    """Why a row can't be built as what its custom module is declared like; None where it can, and for any other block.

    Args:
        layer: the row.
        last: index of the network's last row; None where that is not known.
    """
    kind = layer.kind
    if kind.custom is None:
        return None
    reads, is_like = ", ".join(map(str, layer.raw_sources)) or "nothing", f"{layer.block} is declared like {kind.plain}"
    if kind.is_fusion and len(layer.raw_sources) < 2:
        return f"{is_like}, which joins sources, and reads {reads}: give a list of two or more"
    if (kind.plain == ATTENTION or kind.width == "scaled") and len(layer.raw_sources) > 1:
        return f"{is_like} and reads {reads}: give one source"
    if kind.width == "scaled" and not _begins_with_a_width(layer):
        found = f"[{', '.join(map(str, layer.args))}]"
        return f"{is_like}, whose arguments begin with a width, and has {found}: write such as [256]"
    if kind.custom.width and layer.repeats > 1:
        return f"{layer.block} is declared to change its width, and stands {layer.repeats} times: give 1"
    if kind.is_output and last not in (None, layer.index):
        return f"{is_like}, an output layer, which is the last row: declare it like what it does here"
    return None


def width_problem(layer: Layer, shapes: Sequence[Shape]) -> str | None:
    """Why what a row makes of its inputs, such as a Concat of them, is no width; None when it is one, or not known.

    None, too, where one of its inputs has that problem already.
    """
    inputs = [shapes[source] for source in layer.sources if source != IMAGE]
    if _is_too_wide(shapes[layer.index]) and not any(map(_is_too_wide, inputs)):
        return f"is more than {MOST_CHANNELS} channels wide: it may be 1 to {MOST_CHANNELS}"
    return None


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that one can reckon with."""
    return isinstance(value, (int, float)) and -math.inf < value < math.inf


def numbers_in(value: Any) -> Iterator[float]:
    """All numbers in lists and mappings."""
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from numbers_in(part)
    elif isinstance(value, Mapping):
        yield from numbers_in(list(value.values()))
    elif isinstance(value, (int, float)):
        yield value


def stride_ratio(layer: Layer) -> float | None:
    """Stride out over stride in of a row, whatever it reads; None when not known, or when it gives no map."""
    effect = effect_of(layer)
    return (1.0 if effect.joins else effect.ratio) if effect.is_map else None


def _is_too_wide(shape: Shape) -> bool:
    return shape.channels is not None and shape.channels > MOST_CHANNELS


def _begins_with_a_width(layer: Layer) -> bool:
    """A number, or a word that the parser evaluates."""
    first = layer.plain_args[0] if layer.plain_args else None
    return isinstance(first, (int, float, str)) and not isinstance(first, bool)


def _channels(
    layer: Layer, sources: list[Shape], previous: Shape, settings: Mapping[str, Any], scaling: Scaling
) -> int | None:
    """The width that a row gives."""
    width, custom = _channels_by_rule(layer, sources, previous, settings, scaling), layer.kind.custom
    return custom.width_from(width) if custom else width


def _channels_by_rule(
    layer: Layer, sources: list[Shape], previous: Shape, settings: Mapping[str, Any], scaling: Scaling
) -> int | None:
    """The width that a row gives, by the rule of its block."""
    args, rule = layer.plain_args, layer.kind.width
    if rule == "scaled":
        return scaling.channels(args[0]) if args and is_number(args[0]) else None
    if rule == "sum":
        widths = [source.channels for source in sources]
        return None if None in widths else sum(width for width in widths if width is not None)
    if rule == "resnet":  # ResNetLayer, [c1, c2, stride, is_first, n, e]
        return args[1] * (1 if args[3:4] and args[3] else 4) if len(args) > 1 and isinstance(args[1], int) else None
    if rule.isdigit():
        return int(rule)
    if rule.startswith("args"):
        at = int(rule[len("args[") : -1])
        value = args[at] if len(args) > at else None
        value = settings.get(value) if isinstance(value, str) else value  # such as nc
        return value if isinstance(value, int) else None
    channels = {"source": sources[0].channels, "last": sources[-1].channels, "previous": previous.channels}
    return channels.get(rule)


def effect_of(layer: Layer) -> Effect:
    """What a row does to the size of its map, by the rule of its block."""
    args, (rule, number) = layer.plain_args, layer.kind.stride
    if rule == "fixed":
        return Effect(number)
    if rule == "-":
        return Effect(None, is_map=False)
    if rule == "joins":
        return Effect(joins=True)
    if rule == "last":
        return Effect(main=len(layer.raw_sources) - 1)
    if rule == "resnet":
        return Effect(4.0 if args[3:4] and args[3] else _number(args, 2, 1))
    if rule == "args":
        return Effect(_number(args, int(number), 1))
    if rule == "1/args":
        return Effect(1 / _number(args, int(number), 1))
    return Effect(None, kind=(layer.kind.plain, repr(args[1:])))


def _number(args: tuple[Any, ...], at: int, default: float) -> float:
    value = args[at] if len(args) > at else default
    return value if is_number(value) and 1 / MOST_CHANNELS <= value <= MOST_CHANNELS else default


#: Settings that a size is made of.
_SIZES = ("nc", "channels", "ch", "kpt_shape", "reg_max")
#: A value with words behind it, as it is left by a comment that lost its #.
_WORDS_BEHIND = r"(-?[\d.]+|True|true|False|false|\[.*\]) +\w.*"


def settings_problems(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every setting that has a wrong type, with what to write, or that makes no size, such as a million classes.

    Keys that Ultralytics does not read are their author's own.
    """
    for key, (is_right, what, example) in _SETTINGS.items():
        if key in settings and not is_right(settings[key]):
            value = settings[key]
            found = "empty" if value is None else clean(shown(value), 40)
            yield key, f"{key} is {found}, and has to be {what}{_remedy(key, value, example)}"
    for key in _SIZES:
        absurd = next((one for one in numbers_in([settings.get(key)]) if not abs(one) <= MOST_CHANNELS), None)
        if absurd is not None:
            yield key, f"{key} is {absurd}: it may be at most {MOST_CHANNELS}"


def _remedy(key: str, value: Any, example: str) -> str:
    """What to write: where a # was lost what was meant, else an example."""
    meant = re.fullmatch(_WORDS_BEHIND, value) if isinstance(value, str) else None
    if meant is None:
        return f", such as {key}: {example}"
    return f": write {key}: {clean(meant[1], 20)} # {clean(value[meant.end(1) :].strip(), 20)}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_factor(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_keypoints(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_whole, value)))


def _is_switch(value: Any) -> bool:
    return value is None or value in (False, True)


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _or_empty(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: not value or test(value)


#: What Ultralytics reads -> whether it is that, what it is, and an example.
_SETTINGS: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "nc": (_is_whole, "the number of classes", "80"),
    "scales": (_or_empty(lambda value: isinstance(value, Mapping)), "a mapping of letters", "{n: [0.33, 0.25, 1024]}"),
    "scale": (_or_empty(lambda value: isinstance(value, str)), "one letter of scales", "n"),
    "depth_multiple": (_is_factor, "a number", "0.33"),
    "width_multiple": (_is_factor, "a number", "0.25"),
    "max_channels": (_is_factor, "a number", "1024"),
    "ch": (_or_empty(_is_whole), "the number of the image's channels", "3"),
    "channels": (_or_empty(_is_whole), "the number of the image's channels", "3"),
    "kpt_shape": (_is_keypoints, "the number of keypoints, and 2 or 3 numbers for each", "[17, 3]"),
    "activation": (_is_word, "a module of torch", "nn.ReLU()"),
    "reg_max": (_is_whole, "a whole number from 1 on", "16"),
    "end2end": (_is_switch, "true or false", "true"),
    "text_model": (_is_word, "the name of a text encoder", "mobileclip:blt"),
    "inplace": (_is_switch, "true or false", "true"),
}
