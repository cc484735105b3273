"""What is known of each block that a row may name: one row of a table for each; it knows no graph and reads no file.

The table holds Ultralytics' own blocks, the operators and hosts of lska-surgeon, and the names that people gave to
those. What Ultralytics' parser makes of a row (its width, and whether the scale counts) stands in
`parser_rules`, which was read from the parser's own source. Custom modules are rows that are added:
`STOCK.with_blocks(declarations)`. So are the blocks of a fork of Ultralytics, and of a release that the rules are not
of: `blocks_here()`; what is not known of them is read from its source text when it is asked for. A table is a value: it
travels with the layers that were read by it, and nothing in this process changes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..installed.package import Package, installed_package
from .parser_rules import RELEASE, RULES

if TYPE_CHECKING:  # of a release nothing is read
    from .installed_parser import BlockReading, InstalledParser

#: In front of the name of each block of ours, what rows call it where the installed Ultralytics has one of that name.
PRIVATE = "Surgeon"
#: Kernel size of hosts that people wrote without one.
_POOLING_KERNEL, _RESIDUAL_KERNEL = 11, 7
_SMALLEST_WIDTH = 32  # in a row; smaller numbers are kernel sizes, groups and reductions
_SMALLEST = 5  # an odd number from here on is no number of groups, in the blocks that have those
#: What a custom module may be like beside a stock block: it keeps its source's width, joins several of one width, or is
#: a whole backbone in one row.
ATTENTION, ADD, BACKBONE = "attention", "add", "whole-backbone"
#: Those whose arguments the parser passes on as they are; a declaration may ask for the input's width before them.
VERBATIM = (ATTENTION, ADD, "Concat")
#: What joins an old map and a new one by a gate that starts closed; a row reads the old one first.
BYPASS = "Bypass"

# NAME ROLE STRIDE [KEY=VALUE...]
#
# ROLE    what a row of it does in a network: conv, block, psa, pool, down, up, fuse, operator, output, other.
# STRIDE  stride out over stride in: a number, `args[N]` or `1/args[N]` (1 without that argument), `joins` (all sources
#         have one stride, which it keeps), `last` (that of the last source), `resnet`; - where it gives no map, ? when
#         it can't be told.
# gives   what it gives, where that is not one feature map.
# model   for an output layer, the task model that holds it; scaled, which of its arguments is a width that is scaled.
# levels  for an output layer, how many it reads, where it takes no other number.
# heads   which of its arguments is a number of attention heads that is scaled, with the width before it.
# op      the operator that a row of it is; `other` where its arguments say which.
# holds   the operator that a row of it is, where that is not one of the paper's: cbam, timm (any of timm's), gated.
# by      `people`: it is a name that they gave to such an operator.
# is      what else is true of it: `same` (it gives what it gets, bit for bit), `text` (it reads a text beside its map),
#         `pads` (it makes its map larger by what its first argument says), `fetches` (it may download weights), `ours`
#         (it is of this package, and no operator), `newer` (with it Ultralytics builds the class branches of output
#         layers that are `either` of depth-wise convolutions, as YOLO11 has them; without, of plain ones, as YOLOv8).
# drawn   how it is drawn, where not as its role says.
# new     the arguments of a row that takes the place of another, `backbone|head` where they differ: `w` is the number
#         that gives the needed width, as the parser scales it, `W` the needed width itself, `c1` the source's width,
#         `k` the kernel size that stood there (else 3), `s` the needed stride, `u` the needed factor of up-sampling.
# of      what its width has to be a multiple of.
# most    the largest stride that it takes, where it does not take any.
# in      what its source's width has to be: a multiple of a number, or `c2`, its own width, where it keeps the size.
_TABLE = """
Conv               conv     args[2]      new=w,k,s
DWConv             conv     args[2]      new=w,k,s
GhostConv          conv     args[2]      new=w,k,s
Focus              down     2            new=w,3
ADown              down     2            new=w in=2
AConv              down     2            new=w
SCDown             down     args[2]      new=w,k,s
HGStem             down     4            new=W/2,W
ConvTranspose      up       1/args[2]    new=w,u,u
DWConvTranspose2d  up       1/args[2]    new=w,u,u
nn.ConvTranspose2d up       1/args[2]    new=w,u,u
nn.Upsample        up       1/args[1]    new=None,u,'nearest'

C1                 block    1            new=w
C2                 block    1            new=w,True|w,False
C2f                block    1            new=w,True|w
C2fAttn            block    1         heads=2 is=text
C2fCIB             block    1            new=w,True is=newer
C3                 block    1            new=w|w,False
C3Ghost            block    1            new=w,True|w
C3TR               block    1            new=w|w,False of=8
C3x                block    1            new=w|w,False
C3k2               block    1            new=w,False is=newer
A2C2f              block    1            new=w,False,-1 of=64 is=newer
RepC3              block    1            new=w
RepNCSPELAN4       block    1            new=w,W,W/2,1
ELAN1              block    1            new=w,W,W/2
Bottleneck         block    1            new=w|w,False
BottleneckCSP      block    1            new=w|w,False
GhostBottleneck    block    args[2]      new=w,3,s in=c2 most=2
HGBlock            block    1            new=W/4,W,3
ResNetLayer        block    resnet       new=c1,W/4,s,False,1
C2PSA              psa      1            new=w of=128 in=c2
C2fPSA             psa      1            new=w of=128 in=c2
PSA                psa      1            new=w of=128 in=c2
SPP                pool     1            new=w,[5,9,13]
SPPF               pool     1            new=w,5
SPPELAN            pool     1            new=w,W/2
AIFI               pool     1         drawn=psa new=4W,8 of=8

Concat             fuse     joins        new=1
CBFuse             other    last
CBLinear           other    1         gives=maps
Silence            other    1         is=same
Index              other    ?
TorchVision        other    -         gives=features is=fetches
TimmFeatures       other    -         gives=features is=ours
Bypass             fuse     joins     is=ours
ImagePoolingAttn   other    -         gives=text
nn.Identity        other    1         is=same
nn.BatchNorm2d     other    1
nn.ReLU            other    1
nn.SiLU            other    1
nn.Dropout         other    1
nn.ZeroPad2d       other    1         is=pads
nn.MaxPool2d       other    args[1]   drawn=conv new=s,s
nn.AvgPool2d       other    args[1]   drawn=conv new=s,s

Detect             output   -         model=DetectionModel new=nc is=either
WorldDetect        output   -         model=WorldModel is=text
YOLOEDetect        output   -         model=YOLOEModel levels=3 is=either
v10Detect          output   -         model=DetectionModel new=nc
Segment            output   -         model=SegmentationModel scaled=2 new=nc,32,256 is=either
Segment26          output   -         model=SegmentationModel scaled=2 new=nc,32,256 is=either
YOLOESegment       output   -         model=YOLOESegModel scaled=2 levels=3 is=either
YOLOESegment26     output   -         model=YOLOESegModel scaled=2 levels=3 is=either
Pose               output   -         model=PoseModel new=nc,kpt_shape is=either
Pose26             output   -         model=PoseModel new=nc,kpt_shape is=either
OBB                output   -         model=OBBModel new=nc,1 is=either
OBB26              output   -         model=OBBModel new=nc,1 is=either
Depth              output   -         model=DepthModel
SemanticSegment    output   -         model=SemanticSegmentationModel
RTDETRDecoder      output   -         model=RTDETRDetectionModel new=nc
Classify           output   -         model=ClassificationModel

LSKA               operator 1         op=lska
LSKATrivial        operator 1         op=lska-trivial
LKA                operator 1         op=lka
LKATrivial         operator 1         op=lka-trivial
Strip              operator 1         op=strip
DilatedReparam     operator 1         op=dilated-reparam
LSKAAttention      operator 1         op=lska-attention
Timm               operator 1         op=other holds=timm
Gated              operator 1         op=other holds=gated
CBAM               operator 1         holds=cbam
LSKAttention       operator 1         op=lska by=people
LSKA_Attention     operator 1         op=lska-attention by=people

attention          operator 1
add                fuse     joins
whole-backbone     other    ?         gives=maps
"""


class PackedMap(NamedTuple):
    """One of the layers that a row counts as which is a whole backbone: one of the maps that it gives, or none.

    Attributes:
        width: its channels; None where that is not known.
        stride: pixels of the image per cell.
    """

    width: int | None
    stride: float


def packed_maps(layers: int, strides: Sequence[float] = (), widths: Sequence[int] = ()) -> tuple[PackedMap, ...]:
    """What each layer is that a whole backbone in one row counts as; the last ones are its maps.

    Args:
        layers: how many there are.
        strides: those of its maps, each after the one before; those that are missing halve, and the last is 32.
        widths: theirs.
    """
    coarsest = strides[-1] if strides else 32.0
    usual = [coarsest / 2 ** (layers - 1 - at) for at in range(layers)]
    known = [*usual[: layers - len(strides)], *strides]
    channels = [*[None] * (layers - len(widths)), *widths]
    return tuple(PackedMap(width, max(float(stride), 1.0)) for width, stride in zip(channels, known))


class HostRow(NamedTuple):
    """What a row gives its host: its own arguments, without the operator's, at a scale.

    Attributes:
        args: the host's own arguments, as they are written.
        c1, c2: channels in and out.
        n: repeats.
        deep: whether Ultralytics builds it as it does at its larger scales.
    """

    args: tuple[Any, ...]
    c1: Any = None
    c2: Any = None
    n: int = 1
    deep: bool = False

    def arg(self, at: int, default: Any) -> Any:
        """An argument, counted from 0."""
        return self.args[at] if len(self.args) > at else default

    def says_no(self, first: int, last: int | None = None) -> bool:
        """Whether one of these arguments is False."""
        return any(value is False for value in self.args[first:last])

    def part(self, at: int) -> int:
        """A share of the width out, a half where that argument does not say another."""
        return int(self.c2 * self.arg(at, 0.5))

    def maps(self, kept: int) -> int:
        """The width of so many maps and the input, each of half the width in."""
        width: int = (kept + 1) * (self.c1 // 2)
        return width


class HostRule(NamedTuple):
    """How a plain block may hold operators.

    Attributes:
        name: the plain block.
        args: how many arguments rows give it, the width among them.
        inside: width and number of the operators in a row.
        adds: whether its bottlenecks add their input, where it has any; None for a block that pools.
        has: whether it has a bottleneck at all.
        also: what people write behind its name for such a block of their own.
        size_last: whether they may write the kernel size last where arguments are missing before it.
    """

    name: str
    args: int
    inside: Callable[[HostRow], tuple[int, int]]
    adds: Callable[[HostRow], bool] | None = None
    has: Callable[[HostRow], bool] = lambda row: True
    also: tuple[str, ...] = ("_LSKA",)
    size_last: bool = True

    @property
    def block(self) -> str:
        """The block that stands for it with an operator inside."""
        return f"{self.name}LSKA"


_BOTH = ("_LSKA", "_LSKA_Attention")
#: The plain blocks that may hold operators, one row each; the expansions are the blocks' own defaults.
_HOSTS = (
    HostRule("C2f", 4, lambda row: (row.part(3), row.n), lambda row: bool(row.arg(1, False)), also=_BOTH),
    HostRule("C3", 4, lambda row: (row.part(3), row.n), lambda row: bool(row.arg(1, True)), also=_BOTH),
    HostRule(
        "C3k2",
        6,
        lambda row: (
            (int(row.part(2) * 0.5), 2 * row.n)
            if (row.deep or row.arg(1, False)) and row.arg(3, False) is not True
            else (row.part(2), row.n)
        ),
        # The shortcut is argument 4 up to ultralytics 8.3 and argument 5 from 8.4 on, the only booleans there.
        lambda row: not row.says_no(4),
        also=_BOTH,
    ),
    HostRule(  # with area attention it has no bottlenecks
        "A2C2f", 8, lambda row: (int(row.part(5) * 0.5), 2 * row.n), lambda row: True, lambda row: row.says_no(1, 2)
    ),
    HostRule(
        *("RepNCSPELAN4", 4, lambda row: (int(row.args[2] * 0.5), 2 * row.arg(3, 1)), lambda row: True), size_last=False
    ),
    HostRule(
        "Bottleneck",
        5,
        lambda row: (row.c2, row.n),
        lambda row: (row.n > 1 or row.c1 == row.c2) and bool(row.arg(1, True)),
    ),
    HostRule("SPP", 2, lambda row: (row.maps(len(row.arg(1, (5, 9, 13)))), row.n), also=_BOTH, size_last=False),
    HostRule("SPPF", 2, lambda row: (row.maps(row.arg(2, 3)), row.n), also=_BOTH, size_last=False),
    HostRule("SPPELAN", 3, lambda row: (4 * row.args[1], row.n), size_last=False),
)
_GIVES = {"maps": "a list of maps", "features": "a model's features", "text": "text features"}
# Of a name that is not in the table, what it speaks of; tried in this order.
_ROLES_BY_NAME = (
    ("up", r"upsample|carafe|dysample|dy_sample|eucb|transpose2?d?$|^up|up$"),
    ("psa", r"psa"),
    ("pool", r"spp|^rfb|aifi"),
    ("block", r"c2|c3|csp|elan|vov|bottleneck|hgblock|^c1$|resnetlayer|repblock"),
    ("down", r"down|aconv|focus|stem|spd|patchmerging|patchembed"),
    ("conv", r"conv"),
)
# `MyAttention`, `CoordAtt`, `GAM_Attn`; and those that people know by their letters.
_ATTENTION = r"(?:Att|(?:^|_)att)(?:n|ention)?(?![a-z])|^(?:SE|ECA|EMA|CA|SA|BAM|CBAM|GAM|NAM|SimAM|ELA|MLCA|CPCA)$"


#: What a declaration says of the width that comes out, by that which `like` gives: c, 4*c, c/2, 256.
WIDTH_RULE = r"(?:(?P<times>[1-9]\d{0,4}) ?\* ?)?c(?: ?(?P<sign>[*/]) ?(?P<by>[1-9]\d{0,4}))?|[1-9]\d{0,4}"


class SourceWidth:
    """Stands in a declaration's arguments for the width of what a row reads; all are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourceWidth)

    def __hash__(self) -> int:
        return hash(SourceWidth)

    def __repr__(self) -> str:
        return "c2"


#: The one there is.
SOURCE_WIDTH = SourceWidth()


@dataclass(frozen=True)
class CustomModule:
    """One module of the user's own, as it is declared.

    Attributes:
        name: what rows call it.
        target: where the class is: "module:Class", or "path/to/file.py:Class" relative to the declaration.
        like: "attention", "add", or the stock block whose row it has: widths, repeats and arguments as there; or the
            file of a fork's parser, relative to the declaration, whose reading of its rows holds.
        channels_first: the input's width (for a fusion, the list of widths) comes before the row's arguments.
        stride: stride out over stride in, where the declaration says it; 0.5 doubles the map.
        packed: the layers that a row of it counts as, where it is a whole backbone.
        width: the width out, by `WIDTH_RULE`, where that is not what `like` gives.
        args: the arguments of a row that has none.
        drop: places of arguments that only another parser takes; the first of them is a width there.
        replace: places of arguments, and what stands there for this class.
    """

    name: str
    target: str
    like: str
    channels_first: bool = False
    stride: float | None = None
    packed: tuple[PackedMap, ...] = ()
    width: str | None = None
    args: tuple[Any, ...] = ()
    drop: tuple[int, ...] = ()
    replace: tuple[tuple[int, Any], ...] = ()

    @property
    def has_parser(self) -> bool:
        """Whether a fork's parser says what its rows are."""
        return self.like.endswith(".py")

    @property
    def keeps_shape(self) -> bool:
        """Whether it gives what it gets, so that it may be inserted anywhere."""
        return self.like == ATTENTION and self.stride in (None, 1) and self.width in (None, "c")

    def rewritten(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row's arguments as this class takes them, where the row was written for another parser."""
        first = args[self.drop[0]] if self.drop and len(args) > self.drop[0] else None
        if self.drop and not (type(first) is int and first >= _SMALLEST_WIDTH):
            return args
        new = {at: value for at, value in self.replace if args[at : at + 1] != (str(value),)}
        return tuple(new.get(at, value) for at, value in enumerate(args) if at not in self.drop)

    def width_from(self, width: int | None) -> int | None:
        """The width out, from that which `like` gives."""
        rule = re.fullmatch(WIDTH_RULE, self.width or "c")
        assert rule is not None
        if "c" not in rule[0]:
            return int(rule[0])
        if width is None:
            return None
        by = int(rule["by"] or 1)
        return width * int(rule["times"] or 1) * by if rule["sign"] == "*" else width * int(rule["times"] or 1) // by


@dataclass(frozen=True)
class Declarations:
    """All custom modules that one file declares.

    Attributes:
        blocks: by name.
        path: the file, absolute; None for no file at all.
        trusted: its classes may be imported: the file is the user's own, or was named by the user.
    """

    blocks: Mapping[str, CustomModule] = field(default_factory=dict)
    path: Path | None = None
    trusted: bool = False

    def __bool__(self) -> bool:
        return bool(self.blocks)

    @property
    def parser(self) -> Path | None:
        """The file of the parser that says what rows of some of them are; None where there is none."""
        likes = [block.like for block in self.blocks.values() if block.has_parser]
        return self.path.parent / likes[0] if likes and self.path else None


@dataclass(frozen=True)
class Block:
    """One row of the table; what the words mean stands above it.

    Attributes:
        name: what rows call it.
        role: what a row of it does in a network.
        width: rule for channels out: `scaled` (the first argument, by the scale), `source`, `last` and `sum` (of the
            sources), `args[N]` as it stands, `resnet`, `previous` (that of the row before), a number; ? when it can't
            be told.
        stride: rule for stride out over stride in, and its number.
        plain: the block whose rows it has: the plain block of a host, what a custom module is like, the operator that
            a private name stands for, or itself.
        gives: what it gives where that is not one feature map.
        host: how it may hold operators; None where it can't.
        is_host: whether it is such a block with an operator inside, whoever named it.
        other: the operator that a row of it is, where that is not one of the paper's.
        letters: groups of scales that Ultralytics builds alike, where it builds the block by letter.
        model: the task model that an output layer belongs to.
        scaled: which argument is a width that is scaled, for output layers that have one.
        levels: how many maps an output layer reads that takes no other number of them.
        heads: which argument is a number of heads that is scaled, with the width before it.
        op: the operator that a row of it is, "other" where its arguments say which; None for other rows.
        handwritten: whether it is a name that people gave to an operator or a host.
        traits: what else is true of it, as the column `is` has it.
        drawn: how it is drawn, where not as its role says.
        custom: the declaration of a custom module.
        packed: the layers that a row of it counts as, where it is a whole backbone.
        new_args: what a row of it is given that takes the place of another, in the backbone and in the head; None where
            it can't be told.
        multiple: what its width has to be a multiple of.
        most_stride: the largest stride out over stride in that it takes.
        source_width: what its source's width has to be, as the column `in` has it.
        takes_repeats: whether it repeats its inner blocks itself; else its modules stand one behind another.
        hint: of a fork's block, a rule for stride out over stride in that its class speaks of, where nothing else says
            it: `fixed`, or `built`, the constructor's argument of that number (1 without that argument).
    """

    name: str
    role: str
    width: str = "?"
    stride: tuple[str, float] = ("?", 0)
    plain: str = ""
    gives: str | None = None
    host: HostRule | None = None
    is_host: bool = False
    other: str | None = None
    letters: tuple[str, ...] = ()
    model: str | None = None
    scaled: int | None = None
    levels: int | None = None
    heads: int | None = None
    op: str | None = None
    handwritten: bool = False
    traits: frozenset[str] = frozenset()
    drawn: str | None = None
    custom: CustomModule | None = None
    packed: tuple[PackedMap, ...] = ()
    new_args: tuple[str, str] | None = None
    multiple: int = 1
    most_stride: float = math.inf
    source_width: str = "1"
    takes_repeats: bool = False
    hint: tuple[str, float] | None = None

    def of_map(self, at: int) -> Block:
        """What the layer is that stands for one of a backbone's maps."""
        width, stride = self.packed[at]
        before = self.packed[at - 1].stride if at else 1.0
        return replace(
            self,
            role="other",
            width="?" if width is None else str(width),
            stride=("fixed", stride / before),
            gives=_GIVES["maps"],
            packed=(),
        )

    @property
    def is_known(self) -> bool:
        """Whether the parser's rules for it are known here."""
        return self.stride[0] != "?"

    @property
    def same(self) -> bool:
        """Whether it gives what it gets, bit for bit."""
        return "same" in self.traits

    @property
    def reads_text(self) -> bool:
        """Whether it reads a text beside its maps."""
        return "text" in self.traits

    @property
    def is_output(self) -> bool:
        """Whether it is an output layer: what it gives is no feature map."""
        return self.role == "output"

    @property
    def gives_a_list(self) -> bool:
        """Whether it gives something else than one feature map, and is no output layer."""
        return self.gives is not None and not self.is_output

    @property
    def is_fusion(self) -> bool:
        """Whether it joins maps of one size."""
        return self.stride[0] == "joins"

    @property
    def is_operator(self) -> bool:
        """Whether its rows are an operator of ours and nothing else."""
        return self.op is not None

    @property
    def is_attention(self) -> bool:
        """Whether rows of it hold an operator of ours."""
        return self.is_operator or self.is_host

    @property
    def is_ours(self) -> bool:
        """Whether the name stands for a class of this package."""
        return self.is_attention or self.other is not None

    @property
    def is_private(self) -> bool:
        """Whether it is the name of ours that nobody else gives a block."""
        return self.is_ours and self.name.startswith(PRIVATE)

    @property
    def keeps_shape(self) -> bool:
        """True for a custom module that gives the shape that it gets."""
        return self.custom is not None and self.custom.keeps_shape

    @property
    def may_hold(self) -> bool:
        """Whether an operator may go inside of it."""
        return self.host is not None and not self.is_host and self.custom is None

    @property
    def is_pooling(self) -> bool:
        """Whether it pools at several sizes, as SPP and its kin do."""
        return self.role == "pool" and self.host is not None

    def split(self, args: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        """A hand-written host's own arguments, and the kernel size."""
        assert self.host is not None
        own = self.host.args
        if len(args) > own:
            return tuple(args[:own]), args[own]
        last = args[-1] if len(args) > 1 else None
        if self.host.size_last and type(last) is int and last % 2 and last >= _SMALLEST:
            return tuple(args[:-1]), last
        return tuple(args), _POOLING_KERNEL if self.is_pooling else _RESIDUAL_KERNEL

    def plain_args(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row's arguments as those of the plain block that it stands for, whatever they say of an operator."""
        if self.custom:
            return self.custom.rewritten(args) or self.custom.args
        if self.is_host and self.handwritten:
            return self.split(args)[0]
        return args[:-1] if self.is_host and args and isinstance(args[-1], Mapping) else args

    @property
    def is_beside(self) -> bool:
        """Whether its rows are attention on its own, which any block could do without."""
        return self.is_operator or self.keeps_shape or (self.role == "operator" and self.custom is None)


@dataclass(frozen=True)
class BlockTable:
    """Every block that is known, by name.

    Attributes:
        rows: those of Ultralytics and of lska-surgeon.
        declarations: the user's own, which come first.
        parser: that of the Ultralytics that is installed, where the rules are not its own: it says what a model's rows
            are, and its blocks come before ours of the same name.
    """

    rows: Mapping[str, Block]
    declarations: Declarations = Declarations()
    parser: InstalledParser | None = None

    def __getitem__(self, name: str) -> Block:
        """The row of a block; of one that is not known, a row that says so, and what its name speaks of."""
        found = self._custom.get(name) or self._of_parser(name) or self.rows.get(name)
        return found or _unknown(name)

    def __iter__(self) -> Iterator[Block]:
        yield from self._custom.values()
        yield from self.rows.values()

    def with_rows(self, *blocks: Block) -> BlockTable:
        """The table with further blocks, and with those that stand for them with an operator inside."""
        return replace(self, rows={**self.rows, **{row.name: row for block in blocks for row in _with_hosts(block)}})

    def with_blocks(self, declarations: Declarations) -> BlockTable:
        """The table with these custom modules in the place of those that it has."""
        return replace(self, declarations=declarations)

    def with_parser(self, parser: InstalledParser | None) -> BlockTable:
        """The table with the blocks that this parser knows, and with what it makes of all rows."""
        return replace(self, parser=parser)

    def called(self, block: str) -> str:
        """What rows call a block of ours: its name, or, where the installed Ultralytics has such a one, its private."""
        is_taken = self.parser is not None and self.parser.has(block)
        return f"{PRIVATE}{block}" if is_taken and f"{PRIVATE}{block}" in self.rows else block

    def custom(self, name: str) -> CustomModule | None:
        """The declaration of a custom module; None for any other block."""
        return self.declarations.blocks.get(name)

    @cached_property
    def _custom(self) -> dict[str, Block]:
        return {name: self._row_of(one) for name, one in self.declarations.blocks.items()}

    def _of_parser(self, name: str) -> Block | None:
        """A block of the installed Ultralytics' own; None where the table has its row, and where there is none."""
        if self.parser is None or (name in self.rows and not self.rows[name].is_ours):
            return None
        if name not in self._read:
            found = self.parser.block(name)
            self._read[name] = self._row_of_class(name, found) if found else None
        return self._read[name]

    @cached_property
    def _read(self) -> dict[str, Block | None]:
        return {}

    def _row_of_class(self, name: str, found: BlockReading) -> Block:
        extends = (self.rows[base] for base in found.extends if base in self.rows)
        base = next((row for row in extends if not row.is_attention), None)
        if base is not None and base.is_output:
            return replace(base, name=name, plain=name, width="previous", scaled=None)
        role = base.role if base else _role_by_name(name)
        hint = None if found.stride is None else ("built", found.stride)
        if hint is None and found.keeps_size and role not in ("up", "down"):
            hint = "fixed", 1
        is_attention = found.keeps_size and found.width == "source" and not found.takes_list
        if role == "other" and base is None and is_attention:
            role = "operator"
        packed = packed_maps(found.layers) if found.layers > 1 else ()
        return Block(name, role, found.width, plain=name, letters=found.letters, packed=packed, hint=hint)

    def _row_of(self, module: CustomModule) -> Block:
        name = module.name
        like = self.rows.get(name, _unknown(name)) if module.has_parser else self.rows[module.like]
        stride = like.stride if module.stride is None else ("fixed", module.stride)
        return replace(like, name=name, stride=stride, op=None, other=None, custom=module, packed=module.packed)


def blocks_here() -> BlockTable:
    """The table that holds for the Ultralytics that is installed: with its parser, where the rules are not its own."""
    package = installed_package()
    if package is None or _has_rules(package):
        return STOCK
    from .installed_parser import parser_here

    return STOCK.with_parser(parser_here())


def is_parsed(name: str) -> bool | None:
    """Whether the parser of the Ultralytics that is installed finds a block of that name; None where there is none."""
    package = installed_package()
    is_told = package is not None and _has_rules(package)
    if is_told and name in _RULES:
        return True
    from .installed_parser import parser_here

    parser = parser_here()
    return parser.has(name) if parser else None


def names_attention(name: str) -> bool:
    """Whether a block's name says that it is an attention."""
    return bool(re.search(_ATTENTION, name))


def scale_numbers() -> tuple[str, ...]:
    """What the parser of the Ultralytics that is installed calls the numbers of a scale, in order."""
    parser = blocks_here().parser
    return parser.scale_numbers if parser else ("depth", "width", "max_channels")


def _has_rules(package: Package) -> bool:
    return package.version == RELEASE and not package.is_fork


@cache
def _unknown(name: str) -> Block:
    return Block(name, _role_by_name(name), plain=name)


def _role_by_name(name: str) -> str:
    return next((role for role, pattern in _ROLES_BY_NAME if re.search(pattern, name, re.IGNORECASE)), "other")


def _stock() -> Iterator[Block]:
    """The table's rows with what the parser makes of them, and the hosts of its blocks."""
    hosts = {host.name: host for host in _HOSTS}
    for line in filter(None, _TABLE.splitlines()):
        name, role, stride, *pairs = line.split()
        width, letters, *given = _RULES.get(name, ["source", "-"])
        more = dict(pair.split("=") for pair in pairs)
        new = more.get("new", "").split("|")
        block = Block(
            *(name, role, width, _stride(stride), name),
            gives="the model's output" if role == "output" else _GIVES.get(more.get("gives", "")),
            host=hosts.get(name),
            letters=() if letters == "-" else tuple(letters.split(",")),
            model=more.get("model"),
            scaled=int(more["scaled"]) if "scaled" in more else None,
            levels=int(more["levels"]) if "levels" in more else None,
            heads=int(more["heads"]) if "heads" in more else None,
            op=more.get("op"),
            other=more.get("holds"),
            handwritten="by" in more,
            traits=frozenset(more.get("is", "").split(",")),
            drawn=more.get("drawn"),
            new_args=(new[0], new[-1]) if new[0] else None,
            multiple=int(more.get("of", 1)),
            most_stride=float(more.get("most", "inf")),
            source_width=more.get("in", "1"),
            takes_repeats="n" in given,
        )
        if block.is_ours and not block.handwritten:
            yield _private(block)
        yield from _with_hosts(block)


def _with_hosts(block: Block) -> Iterator[Block]:
    """A block, and what it is called with an operator inside, by us and by people."""
    yield block
    if block.host:
        host = replace(block, name=block.host.block, is_host=True)
        yield from (host, _private(host))
        for ending in block.host.also:
            yield replace(block, name=block.name + ending, is_host=True, handwritten=True)


def _private(block: Block) -> Block:
    """What is ours under the name that nobody else gives."""
    return replace(block, name=f"{PRIVATE}{block.name}", op=block.op or (None if block.is_host else "other"))


def _stride(rule: str) -> tuple[str, float]:
    argument = re.fullmatch(r"(1/)?args\[(\d)\]", rule)
    if argument:
        return f"{argument[1] or ''}args", int(argument[2])
    return ("fixed", float(rule)) if rule[0].isdigit() else (rule, 0)


_RULES = {line.split()[0]: line.split()[1:] for line in filter(None, RULES.splitlines())}
#: Every block that is known without a declaration.
STOCK = BlockTable({block.name: block for block in _stock()})
