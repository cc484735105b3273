"""Pyramid levels of a network, more or less: the neck's steps repeated, and the output layer's sources; no text.

A step up goes from one level to the next finer one (up-sampling, a fusion with the backbone's map of that size, what
refines it), a step down back again. A new level is a copy of the nearest step of each kind, with the widths that the
backbone has there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import MisfitError, PositionError
from .graph import IMAGE, SECTIONS, Graph, Layer, Scaling
from .replacing import ShapedGraph, ancestors, refuse_unbuildable, words_of
from .shapes import is_number, shapes_of
from .surgery import NewRow, Ref, Rewrite, assemble

#: Finest and coarsest level that may be added.
_LEVELS = range(1, 8)
_MOST_ROWS = 12  # of one step


def add_level(model: ShapedGraph, level: str) -> Rewrite:
    """Give the output layer one pyramid level more, next to its finest or coarsest.

    The rows of the neck's nearest step are repeated for it, and the widths scaled as the backbone's are.

    Raises:
        PositionError: the level is there already, or is none that is next to those.
        MisfitError: the neck does not go down and up again between its levels.
    """
    steps = _Levels(model)
    wanted = _stride_of(level)
    have = ", ".join(steps.names)
    if wanted in steps.by_stride:
        raise PositionError(f"{model.graph.name} has {level} already: its output layer reads {have}")
    if wanted == steps.strides[0] / 2:
        return refuse_unbuildable(model, steps.finer(level))
    if wanted == steps.strides[-1] * 2:
        return refuse_unbuildable(model, steps.coarser(level))
    near = [f"p{_exponent(one)}" for one in (steps.strides[0] / 2, steps.strides[-1] * 2) if _exponent(one) in _LEVELS]
    raise PositionError(f"{level} is not next to {have}: add {' or '.join(near)}")


def drop_levels(model: ShapedGraph, levels: Sequence[str]) -> Rewrite:
    """Take levels from the output layer, and the rows that nobody needs then.

    Raises:
        PositionError: the output layer does not read such a level, or reads no other.
    """
    steps = _Levels(model)
    gone = {_stride_of(level): level for level in levels}
    missing = next((level for stride, level in gone.items() if stride not in steps.by_stride), None)
    if missing:
        raise PositionError(f"{model.graph.name} has no {missing}: its output layer reads {', '.join(steps.names)}")
    kept = [steps.by_stride[stride] for stride in steps.strides if stride not in gone]
    if not kept:
        raise PositionError(f"the output layer reads {', '.join(steps.names)}: at least one of them has to stay")
    return refuse_unbuildable(model, _with_outputs(model.graph, [layer.index for layer in model.graph], kept, {}))


def _stride_of(level: str) -> float:
    found = re.fullmatch(r"p(\d)", level.strip().lower())
    if not found or int(found[1]) not in _LEVELS:
        raise PositionError(f"no pyramid level {level!r}: write p2, p3, ... p7")
    return float(2 ** int(found[1]))


def _exponent(stride: float) -> int:
    return max(int(stride).bit_length() - 1, 0)


def _with_outputs(graph: Graph, rows: Sequence[Ref], outputs: Sequence[Ref], stands_for: Mapping[int, Ref]) -> Rewrite:
    """The graph of these rows, whose output layer reads others; without the rows that nobody needs then."""
    old = graph.output
    output = NewRow(old.section, tuple(outputs), old.repeats, old.block, old.args, old.index)
    new_of = {row.place: row for row in rows if isinstance(row, NewRow) and row.place is not None}

    def sources_of(row: Ref) -> list[Ref]:
        if isinstance(row, NewRow):
            return [new_of.get(one, one) if isinstance(one, int) else one for one in row.sources]
        return [stands_for.get(one, one) for one in graph[row].sources]

    needed: set[Ref] = set()
    ahead: list[Ref] = [output]
    while ahead:
        row = ahead.pop()
        if row not in needed and row != IMAGE:
            needed.add(row)
            ahead += sources_of(row)
    before = ancestors(graph, old.index)
    kept = [row for row in rows[:-1] if row in needed or (isinstance(row, int) and row not in before)]
    return assemble(graph, [*kept, output], lambda source, _: stands_for.get(source, source))


class _Levels:
    """The levels that an output layer reads, and the neck's steps between them."""

    def __init__(self, model: ShapedGraph) -> None:
        self.model, self.graph = model, model.graph
        self.parts = model.parts
        strides = self.parts.strides
        output = self.graph.output
        read = [(strides[source], source) for source in output.sources if source != IMAGE]
        self.by_stride = {stride: source for stride, source in read if stride is not None}
        self.strides = sorted(self.by_stride)
        if (
            not output.kind.is_output
            or len(self.by_stride) < len(read)
            or output.kind.model in (None, "ClassificationModel")
        ):
            raise MisfitError(
                f"{self.graph.name}: what {model.named(output.index)} reads are no pyramid levels of known, different "
                "strides, so none can be added or dropped"
            )

    @property
    def names(self) -> list[str]:
        """`p3`, `p4`, `p5`."""
        return [f"p{_exponent(stride)}" for stride in self.strides]

    def finer(self, level: str) -> Rewrite:
        """One level in front of the finest."""
        graph, last = self.graph, self.by_stride[self.strides[0]]
        tap = self._tap(self.strides[0] / 2)
        down_to = self._next(self.strides[0] * 2)
        steps_up, start, old_tap = self._step_up(last)
        steps_down = self._between(last, down_to) if down_to in self._behind(last) else []
        factor = self._factor(last, start)
        copies: dict[int, Ref] = {start: last, old_tap: tap}
        new = self._copies(steps_up, copies, factor)
        finest = copies[last]
        moved = {**copies, start: last}
        # What the steps down join on the way is one level finer too.
        new += self._copies(steps_down, moved, factor)
        rows: list[Ref] = [layer.index for layer in graph]
        at = rows.index(last) + 1
        rows[at:at] = new
        newest = moved[down_to] if steps_down else last
        outputs = [finest, *(newest if source == last else source for source in graph.output.sources)]
        return _with_outputs(graph, rows, outputs, {last: newest})

    def coarser(self, level: str) -> Rewrite:
        """One level behind the coarsest: the backbone's last stage again, and a step of the neck up and down."""
        graph, coarsest = self.graph, self.by_stride[self.strides[-1]]
        stage = self._last_stage()
        end = stage[-1]  # the block that the new stage stands behind
        top = self._top(end)  # what the neck begins with: the pool stage, or the last block
        copies: dict[int, Ref] = {graph[stage[0]].sources[0]: end}
        extra = self._copies(stage, copies, 1.0)
        newest = copies[end]
        new_top: Ref = newest if top == end else top
        first_step = self._first_step_up(top)
        taps = self._shift_taps(first_step, end)
        up_copies: dict[int, Ref] = {top: new_top, **taps}
        up = self._copies(first_step, up_copies, self._factor(end, min(taps)) if taps else 1.0)
        joined = up_copies[first_step[-1]]
        finer = self.by_stride[self.strides[-2]]
        steps_down = self._between(finer, coarsest)
        down_copies: dict[int, Ref] = {finer: coarsest}
        for row in steps_down:
            for source in graph[row].sources:
                if source not in steps_down and source != finer:
                    down_copies[source] = up_copies.get(source, new_top)
        wider = self._factor(coarsest, finer)
        joins = next((at for at, row in enumerate(steps_down) if self.parts.is_fusion(graph[row])), len(steps_down) - 1)
        down = self._copies(steps_down[:joins], down_copies, wider)  # what follows is as wide as in the level before
        down += self._copies(steps_down[joins:], down_copies, 1.0)
        rows: list[Ref] = []
        for layer in graph:
            rows.append(layer.index)
            if layer.index == end:
                rows += extra
            if layer.index == first_step[0] - 1:
                rows += up
            if layer.index == coarsest:
                rows += down
        outputs = [*graph.output.sources, down_copies[coarsest]]
        old = graph.output
        output = NewRow(old.section, tuple(outputs), old.repeats, old.block, old.args, old.index)
        pool = set(self._between(end, top)) if top != end else set()

        def stands_for(source: int, consumer: int) -> Ref:
            """The pool stage stands behind the new stage, and the neck's old steps behind the new one."""
            if source == end and consumer in pool:
                return newest
            return joined if source == top else source

        return assemble(graph, [*rows[:-1], output], stands_for)

    # Where the steps are.

    def _tap(self, stride: float) -> int:
        """The backbone's last block of a stride."""
        strides = self.parts.strides
        blocks = [index for index in self.parts.backbone if strides[index] == stride]
        rows = [x.index for x in self.graph if x.section == SECTIONS[0] and strides[x.index] == stride]
        if not rows:
            raise MisfitError(f"{self.graph.name} has no backbone row of stride {stride:g} to take the level from")
        return (blocks or rows)[-1]

    def _next(self, stride: float) -> int:
        if stride not in self.by_stride:
            raise MisfitError(
                f"{self.graph.name}: its output layer reads one level, and a neck's step is needed to repeat"
            )
        return self.by_stride[stride]

    def _step_up(self, last: int) -> tuple[list[int], int, int]:
        """The rows of the step up to a level, the row of the coarser level that it starts from, and the tap.

        It starts from the row that stands as far behind its fusion as `last` behind its own.
        """
        refining = self._chain(last)
        fusion = refining[-1]
        if not self.parts.is_fusion(self.graph[fusion]):
            raise MisfitError(self._no_step(last))
        strides, sources = self.parts.strides, self.graph[fusion].sources
        chains = [self._chain(source) for source in sources if source != IMAGE]
        rising = [chain for chain in chains if any(strides[row] != strides[last] for row in chain)]
        lateral = [chain for chain in chains if chain not in rising]
        if len(rising) != 1 or len(lateral) != 1:
            raise MisfitError(self._no_step(last))
        chain = rising[0]
        behind = len(refining) - 1
        is_first = not self.parts.is_fusion(self.graph[chain[-1]])
        at = len(chain) - 1 - (0 if is_first else behind)
        larger = [row for row in chain if strides[row] != strides[last]]
        if not larger or at < chain.index(larger[0]):
            at = chain.index(larger[0]) if larger else 0
        return sorted({*refining, *chain[:at], *lateral[0][:-1]}), chain[at], lateral[0][-1]

    def _chain(self, row: int) -> list[int]:
        """A row and what it is made of, back to the first that joins several, or that stands in the backbone."""
        chain = [row]
        while len(chain) <= _MOST_ROWS:
            layer = self.graph[chain[-1]]
            if len(layer.raw_sources) > 1 or layer.section == SECTIONS[0]:
                return chain
            chain.append(layer.sources[0])
        raise MisfitError(self._no_step(row))

    def _between(self, start: int, end: int) -> list[int]:
        """The rows on the way from one row to another."""
        rows = sorted(self._behind(start) & ancestors(self.graph, end))
        if not rows or rows[-1] != end:
            raise MisfitError(self._no_step(end))
        return rows

    def _behind(self, start: int) -> set[int]:
        found: set[int] = set()
        for layer in self.graph:
            if any(source == start or source in found for source in layer.sources):
                found.add(layer.index)
        return found

    def _no_step(self, index: int) -> str:
        return (
            f"{self.graph.name}: {self.model.named(index)} is not reached by a step of the neck that could be repeated "
            "(up-sampling, fusion, block; down-sampling, fusion, block): add it by hand, and run lska-surgeon check"
        )

    def _last_stage(self) -> list[int]:
        strides = self.parts.strides
        end = self._tap(self.strides[-1])
        stage = [
            x.index
            for x in self.graph
            if x.section == SECTIONS[0] and strides[x.index] == strides[end] and x.index <= end
        ]
        chain = all(self.graph[row].sources == (row - 1,) for row in stage)
        if not chain or len(stage) < 2:
            raise MisfitError(
                f"{self.graph.name}: the backbone's last stage is no chain of rows that could be repeated"
            )
        return stage

    def _top(self, end: int) -> int:
        """The last row of the backbone's size, behind a block, that is not the convolution of the neck's first step."""
        top = end
        for layer in self.graph.layers[end + 1 :]:
            if layer.sources != (top,) or self.parts.strides[layer.index] != self.parts.strides[end]:
                break
            top = layer.index
        while top > end and self.graph[top].section != SECTIONS[0] and self.graph[top].kind.role == "conv":
            (top,) = self.graph[top].sources
        return top

    def _first_step_up(self, top: int) -> list[int]:
        neck = [index for index in self.parts.neck if index > top]
        if not neck:
            raise MisfitError(self._no_step(top))
        first, last = self._between(top, neck[0])[0], neck[0]
        needed = ancestors(self.graph, last)  # what stands beside the way up, too, such as a convolution of the tap
        return [row for row in range(first, last + 1) if row == last or row in needed]

    def _shift_taps(self, step: Sequence[int], end: int) -> dict[int, Ref]:
        """What the first step joins from the backbone -> the block of one level coarser."""
        outside = {source for row in step for source in self.graph[row].sources if source not in step}
        return {source: end for source in outside if self.parts.strides[source] == self.parts.strides[step[-1]]}

    # Copies.

    def _factor(self, tap: int, old_tap: int) -> float:
        shapes = shapes_of(self.graph, Scaling())
        new, old = shapes[tap].channels, shapes[old_tap].channels
        return new / old if new and old else 0.5

    def _copies(self, rows: Sequence[int], copies: dict[int, Ref], factor: float) -> list[Ref]:
        """Copies of rows, their sources as `copies` says, which gets the copies; widths are multiplied."""
        made: list[Ref] = []
        for index in rows:
            layer = self.graph[index]
            sources = tuple(IMAGE if source == IMAGE else copies.get(source, source) for source in layer.sources)
            args = _narrowed(layer, factor)
            width = args[0] if layer.kind.width == "scaled" and args and is_number(args[0]) else None
            if width is not None and self.model.scaling.channels(width) % layer.kind.multiple:
                args = layer.args  # no such width: the level keeps that of its neighbour
            row = NewRow(layer.section, sources, layer.repeats, layer.block, args)
            copies[index] = row
            made.append(row)
        return made


def _narrowed(layer: Layer, factor: float) -> tuple[Any, ...]:
    """A row's arguments with its widths multiplied."""
    words = [*words_of(layer.kind.new_args[0])] if layer.kind.new_args else []
    widths = {at for at, word in enumerate(words) if re.fullmatch(r"\d*[wW](/\d+)?", word)}
    if layer.kind.width == "scaled":
        widths.add(0)
    return tuple(
        int(value * factor) if at in widths and is_number(value) and not isinstance(value, bool) else value
        for at, value in enumerate(layer.args)
    )
