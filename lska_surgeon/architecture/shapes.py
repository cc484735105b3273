"""Widths, strides and repeats of every layer, worked out from the rows alone as Ultralytics' parser would.

It knows the parser's rules by block name (ultralytics 8.3 to 8.4) and imports nothing of it; a block it does not
know gets no width, and a stride that is marked as a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .attention import OPERATOR_ROWS, read_attention
from .declared import ADD, ATTENTION, declared
from .graph import IMAGE, Graph, Layer
from .scaling import Scaling

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
        channels: width, or None when not known.
        stride: pixels of the picture per cell, or None when not known or not a map.
        guessed: True when the stride rests on a block that is not known.
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
    ratios = ratios or {}
    shapes: list[Shape] = []
    channels_in = graph.settings.get("channels", 3)
    image = Shape(channels_in if isinstance(channels_in, int) else None, 1.0)
    previous = image
    for layer in graph:
        sources = [image if source == IMAGE else shapes[source] for source in layer.sources]
        block, args = _plain(layer)
        channels = _channels(block, args, sources, previous, graph.settings, scaling)
        stride, guessed = _stride(block, args, sources)
        stride = _declared_stride(layer, sources[0].stride, stride)
        if guessed and layer.index in ratios and sources[0].stride is not None:
            stride = sources[0].stride * ratios[layer.index]
        previous = Shape(channels, stride, guessed or any(source.guessed for source in sources))
        shapes.append(previous)
    return tuple(shapes)


def size_problem(layer: Layer, scaling: Scaling) -> str | None:
    """Why a row's repeats or width, scaled, make no layer; None when they do. No repeats at all build as one.

    Raises:
        KernelError: a host's operator does not exist.
    """
    block, args = _plain(layer)
    if layer.repeats < 0 or scaling.repeats(layer.repeats) > MOST_REPEATS:
        return f"has {layer.repeats} repeats: it may have 1 to {MOST_REPEATS}"
    width = args[0] if block in WIDTH_SCALED and args else None
    if not isinstance(width, (int, float)) or not math.isfinite(width):
        return None
    if not 0 < scaling.channels(width) <= MOST_CHANNELS:
        return f"is {width} channels wide: it may be 1 to {MOST_CHANNELS}"
    return None


def stride_ratio(layer: Layer) -> float | None:
    """Stride out over stride in of a row, whatever it reads; None when not known, or when it gives no map."""
    block, args = _plain(layer)
    stride, guessed = _stride(block, args, [Shape(None, 1.0)])
    return None if guessed else _declared_stride(layer, 1.0, stride)


def _declared_stride(layer: Layer, stride_in: float | None, otherwise: float | None) -> float | None:
    """A row's stride where its block's declaration says it."""
    found = declared(layer.block)
    return otherwise if found is None or found.stride is None or stride_in is None else stride_in * found.stride


def _plain(layer: Layer) -> tuple[str, tuple[Any, ...]]:
    found = declared(layer.block)
    if found is not None:
        return found.like, layer.args
    attention = None if layer.block in OPERATOR_ROWS else read_attention(layer.block, layer.args)
    if attention is None or attention.host is None:
        return layer.block, layer.args
    return attention.host, attention.host_args


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
        return scaling.channels(first) if isinstance(first, (int, float)) and math.isfinite(first) else None
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


def _stride(block: str, args: tuple[Any, ...], sources: list[Shape]) -> tuple[float | None, bool]:
    """The stride of a block's output, and whether that is a guess."""
    source = sources[-1] if block == "CBFuse" else sources[0]
    if block in OUTPUTS or block == "ImagePoolingAttn" or source.stride is None:
        return None, False
    if block == "ResNetLayer" and len(args) > 3 and args[3]:
        return source.stride * 4, False
    if block in _STRIDE_ARG:
        return source.stride * _number(args, _STRIDE_ARG[block], 1), False
    if block in _UP_ARG:
        return source.stride / _number(args, _UP_ARG[block], 1), False
    if block in _FIXED_STRIDE:
        return source.stride * _FIXED_STRIDE[block], False
    if block in _KEEPS_SIZE or block in OPERATOR_ROWS or block in ("CBLinear", "CBFuse"):
        return source.stride, False
    # A block we do not know. People's own down-sampling blocks look like Conv ([c2, 3, 2]) or say so in their name.
    if "down" in block.lower() or ("conv" in block.lower() and _number(args, 2, 1) == 2):
        return source.stride * 2, True
    return source.stride, True


def _number(args: tuple[Any, ...], at: int, default: float) -> float:
    value = args[at] if len(args) > at else default
    return value if isinstance(value, (int, float)) and value > 0 else default
