"""What unknown blocks may be like, guessed from how a network's rows use them; a guess is for the user to check.

1. The last row is an output layer; a row that reads several layers joins them.
2. A name that has a stock block's in it (C2f_Faster, SPPF_LSKA) is like that one, if its arguments begin with a width.
3. Arguments that begin with the width of what it reads, and a name that speaks of attention: attention.
4. Arguments that begin with any other width: a convolution, or with repeats or a boolean a C2f.
5. Anything else keeps its source's width. Its stride is the one with which most fusions join maps of one size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from ..core.alignment import is_width
from ..core.blocks import (
    ADD,
    ATTENTION,
    BACKBONE,
    SOURCE_WIDTH,
    STOCK,
    VERBATIM,
    CustomModule,
    Declarations,
    names_attention,
)
from ..core.graph import IMAGE, Graph, Layer, Scaling, role_of
from ..core.shapes import shapes_of
from .find import LIKES

_MOST_TOGETHER = 5  # blocks whose strides are tried together: 3 for each
_MOST_ROWS = 100_000  # that all tries together look at
_PLACE = "my_blocks:{name}"
#: What rows that stand for no more than a name may do to the stride, the likeliest first.
_STRIDES = {"up": (0.5, 1.0, 2.0), "down": (2.0, 1.0, 0.5)}


def guess_blocks(graph: Graph, names: Sequence[str]) -> dict[str, CustomModule]:
    """A declaration for each of the unknown blocks of a network, where `my_blocks` stands for their module."""
    rows: dict[str, list[Layer]] = {name: [] for name in names}
    for row in graph:
        if row.block in rows:
            rows[row.block].append(row)
    found = {name: _from_rows(name, rows[name], graph) for name in names}
    together = min(_MOST_TOGETHER, int(math.log(max(_MOST_ROWS / len(graph), 1), 3)))
    open_ones = [name for name, block in found.items() if _may_stride(block, rows[name][0])][:together]
    if not open_ones:
        return found
    tries = [_STRIDES.get(role_of(rows[name][0], graph.output.index), (1.0, 0.5, 2.0)) for name in open_ones]
    best = max(product(*tries), key=lambda strides: _fitting(graph, _with_strides(found, open_ones, strides)))
    return _with_strides(found, open_ones, best)


def like_by_name(name: str) -> str | None:
    """The stock block whose name a name begins with, or has between its parts: C3k2_Faster, MyC2f, SPPF_LSKA."""
    parts = [part for part in re.split(r"_|(?<=[a-z0-9])(?=[A-Z])", name) if part]
    stock = sorted((one for one in LIKES if one not in (*VERBATIM, BACKBONE)), key=len, reverse=True)
    for one in stock:
        if name.startswith(one) or one in parts:
            return one
    return None


def _width_before(row: Layer, graph: Graph) -> int | None:
    """The width that the rows say of what a row reads, before any scaling: through those that say none of their own."""
    source = row.sources[0]
    while source != IMAGE and len(graph[source].raw_sources) == 1:
        first = graph[source].args[:1]
        if any(map(is_width, first)):
            return int(first[0])
        source = graph[source].sources[0]
    return shapes_of(graph, Scaling())[source].channels if source != IMAGE else None


def _from_rows(name: str, rows: Sequence[Layer], graph: Graph) -> CustomModule:
    target = _PLACE.format(name=name)
    row = rows[0]
    named = like_by_name(name)
    if row.index == graph.output.index:
        return CustomModule(name, target, named if named and STOCK[named].is_output else _output_like(row))
    if len(row.raw_sources) > 1:
        fuses = "Concat" if re.search("cat", name, re.IGNORECASE) else ADD
        return CustomModule(name, target, fuses)
    if row.args and is_width(row.args[0]):
        if names_attention(name) and not named and row.args[0] == _width_before(row, graph):
            spelt = ((at, SOURCE_WIDTH) for at, value in enumerate(row.args) if value == row.args[0])
            return CustomModule(name, target, ATTENTION, replace=tuple(spelt))
        if named and not STOCK[named].is_output:
            return CustomModule(name, target, named)
        block = any(row.repeats > 1 for row in rows) or any(isinstance(arg, bool) for arg in row.args)
        return CustomModule(name, target, "C2f" if block else "Conv")
    return CustomModule(name, target, ATTENTION, channels_first=True)


def _may_stride(block: CustomModule, first: Layer) -> bool:
    """Whether a block may change the map's size without its arguments saying so."""
    return block.like == ATTENTION or (STOCK[block.like].role == "conv" and len(first.args) < 3)


def _output_like(row: Layer) -> str:
    if len(row.args) > 2:
        return "Segment"
    return "Pose" if len(row.args) > 1 and isinstance(row.args[1], (list, tuple)) else "Detect"


def _with_strides(
    blocks: dict[str, CustomModule], names: Sequence[str], strides: Sequence[float]
) -> dict[str, CustomModule]:
    changed = {
        name: replace(blocks[name], stride=None if stride == 1 else stride) for name, stride in zip(names, strides)
    }
    return {**blocks, **changed}


def _fitting(graph: Graph, blocks: dict[str, CustomModule]) -> int:
    """How many rows join maps of one size; an output layer whose inputs get coarser counts for all that it reads."""
    table = graph.blocks.with_blocks(Declarations({**graph.blocks.declarations.blocks, **blocks}))
    layers = tuple(replace(layer, blocks=table) for layer in graph)
    shapes = shapes_of(Graph(layers, graph.settings, graph.name), Scaling())
    fitting = 0
    for row in graph:
        strides = [shapes[source].stride for source in row.sources if source != IMAGE]
        if len(strides) < 2 or None in strides:
            continue
        if row.index == graph.output.index:
            known = [stride for stride in strides if stride is not None]
            fitting += len(known) * (known == sorted(set(known)))
        else:
            fitting += len(set(strides)) == 1
    return fitting


#: What people call the input's width, and the output's.
_CHANNELS = "(c|ch|chs|chn|channels?|planes|dims?|features?|feats?|filters?|width|chans?)"
WIDTH = re.compile(
    rf"c1?|ch|chn?|channels?|chans?|dims?|d_model|planes|filters|features|c_?in|{_CHANNELS}_?in|in(put)?_?{_CHANNELS}|nin"
    rf"|in_?size|n_{_CHANNELS}|num_?{_CHANNELS}|embed(ding)?_?dims?|inc|inp",
    re.I,
)
WIDTH_OUT = re.compile(rf"c2|c_?out|{_CHANNELS}_?out|out(put)?_?{_CHANNELS}|oup|ouc|outc|nout|out_?size|planes", re.I)
