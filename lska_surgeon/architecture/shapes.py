"""Widths, strides and repeats of every layer, worked out from the rows alone as Ultralytics' parser would.

It knows the parser's rules by block name (ultralytics 8.3 to 8.4) and imports nothing of it; a block it does not
know gets no width, and a stride only where its neighbours leave one choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .attention import OPERATOR_ROWS, plain_row, read_host
from .declared import ADD, ATTENTION, FUSIONS, declared, like
from .graph import IMAGE, Graph, Layer
from .scaling import Scaling
from .strides import Effect, strides_of

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

#: Blocks whose first argument is an output width that width scaling applies to.
WIDTH_SCALED = frozenset(
    """
    Conv ConvTranspose GhostConv DWConv Focus nn.ConvTranspose2d DWConvTranspose2d ADown AConv SCDown
    Bottleneck GhostBottleneck BottleneckCSP C1 C2 C2f C2fAttn C2fCIB C2fPSA C2PSA C3 C3TR C3Ghost C3x C3k2 A2C2f
    RepC3 RepNCSPELAN4 ELAN1 PSA SPP SPPF SPPELAN
    """.split()
)
#: More than any network has: a slip of the keyboard.
MOST_REPEATS, MOST_CHANNELS = 1000, 65536
#: Output layers: what they give is not a feature map.
OUTPUTS = frozenset(
    """
    Detect WorldDetect YOLOEDetect v10Detect Segment Segment26 YOLOESegment YOLOESegment26 Pose Pose26 OBB OBB26
    Depth SemanticSegment RTDETRDecoder Classify
    """.split()
)
#: Blocks that give something else than one feature map.
NOT_A_MAP = {"CBLinear": "a list of maps", "ImagePoolingAttn": "text features", "TorchVision": "a model's features"}
#: Blocks that may keep their input's width and size.
_SAME = frozenset(
    """
    nn.Identity nn.BatchNorm2d nn.ReLU nn.SiLU nn.Dropout nn.ZeroPad2d Silence AIFI CBAM
    """.split()
) | {ATTENTION, ADD}
_KEEPS_SIZE = (WIDTH_SCALED | _SAME | frozenset({"HGBlock", "Concat"})) - frozenset({"Focus", "ADown", "AConv"})
# Where each down-sampling block keeps its stride, counted in the row's arguments.
_STRIDE_ARG = {"Conv": 2, "GhostConv": 2, "DWConv": 2, "SCDown": 2, "GhostBottleneck": 2, "nn.MaxPool2d": 1,
               "nn.AvgPool2d": 1, "ResNetLayer": 2}  # fmt: skip
_UP_ARG = {"nn.Upsample": 1, "nn.ConvTranspose2d": 2, "ConvTranspose": 2, "DWConvTranspose2d": 2}
_FIXED_STRIDE = {"Focus": 2, "ADown": 2, "AConv": 2, "HGStem": 4}


@dataclass(frozen=True)
class Shape:
    """What a layer gives.

    Attributes:
        channels: width, or None when not known; widths above `MOST_CHANNELS` are all one more than that, for a network
            could have them grow without measure.
        stride: pixels of the picture per cell, or None when not known or not a map.
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
    strides = strides_of(graph.layers, [_effect_of(layer) for layer in graph], ratios or {})
    shapes: list[Shape] = []
    image = Shape(channels_in(graph.settings), 1.0)
    previous = image
    for layer, (stride, sure) in zip(graph, strides):
        block, args = _plain(layer)
        sources = [image if source == IMAGE else shapes[source] for source in layer.sources]
        channels = _channels(block, args, sources, previous, graph.settings, scaling)
        previous = Shape(channels if channels is None else min(channels, MOST_CHANNELS + 1), stride, not sure)
        shapes.append(previous)
    return tuple(shapes)


def channels_in(yaml: Mapping[str, Any], default: int = 3) -> int | None:
    """Channels of the picture that a model reads, by its YAML; None where it says what is no number.

    Ultralytics reads `channels`, and stores it in what it has built; its older releases called it `ch`.
    """
    found = yaml.get("channels") or yaml.get("ch") or default
    return found if isinstance(found, int) else None


def stride_argument(block: str) -> int | None:
    """Which of a down-sampling block's arguments is its stride, counted from 0; None for every other block."""
    return _STRIDE_ARG.get(block)


def is_known(block: str) -> bool:
    """Whether the parser's rules for a block are known here."""
    plain = read_host(block) or like(block)
    return plain in NOT_A_MAP or plain in OPERATOR_ROWS or _effect(plain, (), 1).kind is None


def size_problem(layer: Layer, scaling: Scaling) -> str | None:
    """Why a row's repeats, scaled width or other arguments make no layer; None when they do.

    No repeats at all build as one. What a block of the user's own may be given is not known here.
    """
    block, args = _plain(layer)
    if layer.repeats < 0 or scaling.repeats(layer.repeats) > MOST_REPEATS:
        return f"has {layer.repeats} repeats: it may have 1 to {MOST_REPEATS}"
    has_width = block in WIDTH_SCALED
    width = args[0] if has_width and args else None
    is_one = isinstance(width, (int, float))
    if is_one and not (is_number(width) and 0 < scaling.channels(width) <= MOST_CHANNELS):
        return f"is {width} channels wide: it may be 1 to {MOST_CHANNELS}"
    if block in OPERATOR_ROWS or declared(layer.block) or not is_known(block):
        return None
    absurd = next(filter(_is_absurd, numbers_in(args[has_width:])), None)
    return None if absurd is None else f"has the argument {absurd}: it may be at most {MOST_CHANNELS}"


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
    effect = _effect_of(layer)
    return (1.0 if effect.joins else effect.ratio) if effect.is_map else None


def _is_too_wide(shape: Shape) -> bool:
    return shape.channels is not None and shape.channels > MOST_CHANNELS


def _is_absurd(number: float) -> bool:
    return not abs(number) <= MOST_CHANNELS


def _plain(layer: Layer) -> tuple[str, tuple[Any, ...]]:
    """A row as that of the stock block that its own stands for, or is declared to be like."""
    found = declared(layer.block)
    return plain_row(found.like if found else layer.block, layer.args)


def _effect_of(layer: Layer) -> Effect:
    """What a row does to the size of its map: what its block's declaration says, else what the block does."""
    found = declared(layer.block)
    if found is not None and found.stride is not None:
        return Effect(found.stride)
    block, args = _plain(layer)
    return _effect(block, args, len(layer.taps))


def _channels(
    block: str,
    args: tuple[Any, ...],
    sources: list[Shape],
    previous: Shape,
    settings: Mapping[str, Any],
    scaling: Scaling,
) -> int | None:
    first = args[0] if args else None
    if block in WIDTH_SCALED:
        return scaling.channels(first) if is_number(first) else None
    if block == "Concat":
        widths = [source.channels for source in sources]
        return None if None in widths else sum(width for width in widths if width is not None)
    if block in ("HGStem", "HGBlock"):
        return args[1] if len(args) > 1 and isinstance(args[1], int) else None
    if block == "ResNetLayer" and len(args) > 3 and isinstance(args[1], int):
        return args[1] if args[3] else args[1] * 4
    if block in ("TorchVision", "Index"):
        return first if isinstance(first, int) else None
    if block == "CBFuse":
        return sources[-1].channels
    if block in NOT_A_MAP or block in OUTPUTS:
        return settings.get("nc") if block == "Classify" else previous.channels
    if block in OPERATOR_ROWS or block in _SAME or block in _UP_ARG or block in _STRIDE_ARG:
        return sources[0].channels
    return None


def _effect(block: str, args: tuple[Any, ...], taps: int) -> Effect:
    """What a block does to the size of its map."""
    if block in OUTPUTS or block in ("ImagePoolingAttn", "TorchVision"):
        return Effect(None, is_map=False)
    if block in FUSIONS:
        return Effect(joins=True)
    if block == "CBFuse":
        return Effect(main=taps - 1)
    if block == "ResNetLayer" and len(args) > 3 and args[3]:
        return Effect(4.0)
    if block in _STRIDE_ARG:
        return Effect(_number(args, _STRIDE_ARG[block], 1))
    if block in _UP_ARG:
        return Effect(1 / _number(args, _UP_ARG[block], 1))
    if block in _FIXED_STRIDE:
        return Effect(_FIXED_STRIDE[block])
    if block in _KEEPS_SIZE or block in OPERATOR_ROWS or block == "CBLinear":
        return Effect()
    return Effect(None, kind=(block, repr(args[1:])))


def _number(args: tuple[Any, ...], at: int, default: float) -> float:
    value = args[at] if len(args) > at else default
    return value if is_number(value) and 1 / MOST_CHANNELS <= value <= MOST_CHANNELS else default
