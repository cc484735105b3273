"""Rows in the place of others, rows out, another backbone; no text, no torch.

Each edit gives a `Rewrite`, which is judged by its result: what stands behind the new rows gets maps of the size and,
but for fusions, of the width that it got before.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentError, MisfitError
from ..wording import clean, did_you_mean, few, numbers
from .blocks import Block
from .graph import IMAGE, SECTIONS, Graph, Layer, Scaling
from .parts import Parts
from .shapes import MOST_REPEATS, Shape, is_number, shapes_of, size_problem, width_problem
from .surgery import NewRow, Ref, Rewrite, assemble, past

_MOST_REPEATS_TRIED = 200


class ShapedGraph(NamedTuple):
    """A network as an edit finds it: its rows, what they give, and its scale."""

    graph: Graph
    shapes: Sequence[Shape]
    scaling: Scaling

    @property
    def parts(self) -> Parts:
        """Its parts."""
        return Parts(self.graph, self.shapes)

    def named(self, index: int) -> str:
        """`row 9 (SPPF)`."""
        return f"row {index} ({self.graph[index].block})"


def replace_rows(
    model: ShapedGraph,
    spans: Sequence[range],
    by: str,
    args: str | None = None,
    repeats: int | None = None,
    places: int | None = None,
) -> Rewrite:
    """Put one row of a block in the place of each span of rows.

    Args:
        model: the network.
        spans: rows that follow one another, of which those behind them read the last alone.
        by: the block.
        args: its arguments, in the words of `Block.new_args`; None takes those of the table.
        repeats: its repeats; None takes those of the row that was there, where the block repeats its inner blocks.
        places: how many arguments a custom module's class takes, where that is known.

    Raises:
        MisfitError: the block is not known, or does not do what these rows do.
    """
    graph, block = model.graph, model.graph.blocks[by]
    if repeats is not None and not 1 <= repeats <= MOST_REPEATS:
        raise ArgumentError(f"--repeats {repeats} is out of range: a row has 1 to {MOST_REPEATS}")
    _refuse_block(block, graph)
    last = {span[-1]: span for span in spans}
    inside = {index for span in spans for index in span}
    made: dict[int, NewRow] = {}

    def now(source: int, _: int = 0) -> Ref:
        return made[last[source].start] if source in last else source

    rows: list[Ref] = []
    for layer in graph:
        span = next((span for span in spans if span.start == layer.index), None)
        if span is not None:
            made[span.start] = _new_row(model, span, block, args, repeats, places, now)
            rows.append(made[span.start])
        elif layer.index not in inside:
            rows.append(layer.index)
    return _refuse_misfits(model, assemble(graph, rows, now), {span.start: span[-1] for span in spans})


def remove_rows(model: ShapedGraph, rows: Sequence[int]) -> Rewrite:
    """Take rows out that give maps of the width and size that they get.

    Raises:
        MisfitError: one does not, or is the output layer.
    """
    graph, shapes = model.graph, model.shapes
    for index in rows:
        layer = graph[index]
        source = layer.sources[0]
        if layer == graph.output or len(layer.raw_sources) != 1 or source == IMAGE:
            what = "is the output layer" if layer == graph.output else f"reads {numbers(layer.raw_sources)}"
            raise MisfitError(f"{model.named(index)} {what}: only a row that keeps its one source's shape can go")
        before, here = shapes[source], shapes[index]
        if layer.kind.same or (before.stride == here.stride and before.channels == here.channels is not None):
            continue
        raise MisfitError(
            f"{model.named(index)} makes {_shape_in_words(here)} of {_shape_in_words(before)}: only a row that keeps "
            "its source's shape can go; lska-surgeon replace puts another block in its place"
        )
    return refuse_unbuildable(
        model, assemble(graph, [x.index for x in graph if x.index not in rows], past(graph, rows))
    )


def swap_backbone(model: ShapedGraph, donor: ShapedGraph) -> Rewrite:
    """Put the backbone of another model in the place of this one's: each source of the head by its stride.

    Raises:
        MisfitError: the other backbone has no map of such a stride, or can't be written at this model's scale.
    """
    graph, other = model.graph, donor.graph
    old = [layer for layer in graph if layer.section == SECTIONS[0]]
    new = [layer for layer in other if layer.section == SECTIONS[0]]
    levels = _taps(model, donor, old, new)
    needed = {index for tap in levels.values() for index in ancestors(other, tap)}
    new = [layer for layer in new if layer.index in needed]
    made: dict[int, NewRow] = {}
    for place, layer in enumerate(new):
        sources = tuple(IMAGE if source == IMAGE else made[source] for source in layer.sources)
        repeats, args = _at_scale(donor, layer, model)
        at = old[place].index if place < len(old) else None
        made[layer.index] = NewRow(SECTIONS[0], sources, repeats, layer.block, args, at)
    rows: list[Ref] = [*made.values(), *(layer.index for layer in graph if layer.section != SECTIONS[0])]
    rewrite = assemble(graph, rows, lambda source, _: made[levels[source]] if source in levels else source)
    return refuse_unbuildable(model, rewrite)


# One row for others.


def _refuse_block(block: Block, graph: Graph) -> None:
    parser = graph.blocks.parser
    of_fork = parser is not None and parser.has(block.name)
    if not (block.is_known or block.custom or of_fork):
        names = [row.name for row in graph.blocks if row.new_args or row.custom]
        hint = did_you_mean(block.name, names)
        raise MisfitError(
            f"no block {block.name!r} is known{hint}: give a stock one, such as C3k2, or declare yours with "
            "lska-surgeon blocks FILE.py --write"
        )
    if block.is_attention:
        raise MisfitError(f"{block.name} is an operator, or holds one: lska-surgeon insert puts it in")
    if block.gives_a_list:
        raise MisfitError(
            f"{block.name} gives {block.gives}, not one feature map: it can't stand in another row's place"
        )


def _new_row(
    model: ShapedGraph,
    span: range,
    block: Block,
    args: str | None,
    repeats: int | None,
    places: int | None,
    now: Callable[[int], Ref],
) -> NewRow:
    graph = model.graph
    first, last = graph[span[0]], graph[span[-1]]
    _refuse_span(model, span)
    _refuse_role(model, span, block)
    width, before = model.shapes[last.index].channels, _before(model, first)
    needs = _needs(model, span)
    if width is not None and width % block.multiple:
        raise MisfitError(f"{needs}, and {block.name} takes multiples of {block.multiple}")
    if before.channels is not None and before.stride == model.shapes[last.index].stride and block.source_width == "c2":
        if before.channels != width:
            raise MisfitError(f"{needs} out of {before.channels}, and {block.name} keeps its source's width")
    elif before.channels is not None and block.source_width.isdigit() and before.channels % int(block.source_width):
        raise MisfitError(
            f"{model.named(first.index)} gets {before.channels} channels, and {block.name} takes multiples of "
            f"{block.source_width}"
        )
    template = args
    if template is None:
        if block.new_args is None and not _needs_no_arguments(block) and block.width != "scaled":
            raise MisfitError(f"what {block.name} is given is not known: say it with --args, such as --args 'w,3,2'")
        template = _template(block, first, places)
    words = _Words(model, span, before.channels, width)
    resizes = block.role in ("up", "down") or (block.new_args or ("",))[0].startswith("s")
    if args is None and resizes and before.stride is not None and before.stride == model.shapes[last.index].stride:
        raise MisfitError(f"{needs}, as it gets, and {block.name} is there to change the size")
    if words.ratio > block.most_stride:
        most = f"{block.most_stride:g}"
        raise MisfitError(
            f"{needs} where it gets stride {before.stride:g}, and {block.name} takes strides up to {most}"
        )
    row = tuple(words.value(word) for word in words_of(template))
    count = max(graph[index].repeats for index in span) if block.takes_repeats else 1
    if repeats is not None:
        count = repeats
    sources = tuple(now(source) for source in first.sources)
    return NewRow(first.section, sources, count, block.name, row, span.start)


def _template(block: Block, first: Layer, places: int | None) -> str:
    """What a block is given where nobody says it.

    A custom module gets what its like is given: as much as its class takes, and the width alone where it has a stride
    of its own; or nothing where its declaration says what a row without arguments stands for.
    """
    usual = {"scaled": "w", "sum": "1"}.get(block.width, "")
    template = block.new_args[first.section == SECTIONS[1]] if block.new_args else usual
    if block.custom is None:
        return template
    if block.width != "scaled":
        own = places is not None and places <= block.custom.channels_first
        return "" if block.custom.args or own else template
    words = [*words_of(template)]
    if block.custom.stride is not None:
        return words[0]
    taken = 1 + block.takes_repeats  # the source's width, and the repeats
    return ",".join(words if places is None else words[: max(places - taken, 1)])


def _needs_no_arguments(block: Block) -> bool:
    """Whether a row of it may be empty: it is a layer that keeps what it gets, or a custom module."""
    keeps = block.width == "source" and block.stride == ("fixed", 1.0) and "pads" not in block.traits
    return block.custom is not None or (keeps and block.new_args is None and not block.is_attention)


def _before(model: ShapedGraph, layer: Layer) -> Shape:
    return Shape(3, 1.0) if layer.sources[0] == IMAGE else model.shapes[layer.sources[0]]


def _refuse_span(model: ShapedGraph, span: range) -> None:
    graph = model.graph
    for index in (span[0], span[-1]):
        several = next((x for x in (index, *graph[index].sources) if x != IMAGE and graph[x].kind.gives_a_list), None)
        if several is not None:
            what = "gives" if several == index else f"reads {model.named(several)}, which gives"
            raise MisfitError(
                f"{model.named(index)} {what} {graph[several].kind.gives}, not one feature map: no block can take its "
                "place; --at backbone --by MODEL.yaml replaces a whole backbone"
            )
    for index in span:
        outside = [consumer for consumer in graph.consumers(index) if consumer not in span]
        if index != span[-1] and outside:
            raise MisfitError(
                f"rows {span[0]}-{span[-1]} can't become one: row {numbers(outside)} reads {model.named(index)} too"
            )
        others = [source for source in graph[index].sources if source not in span]
        if index != span[0] and others:
            raise MisfitError(
                f"rows {span[0]}-{span[-1]} can't become one: {model.named(index)} reads {numbers(others)} too"
            )


def _refuse_role(model: ShapedGraph, span: range, block: Block) -> None:
    first, last = model.graph[span[0]], model.graph[span[-1]]
    is_output = last == model.graph.output
    if is_output != block.is_output:
        what = "is the output layer" if is_output else "is no output layer"
        outputs = [row.name for row in model.graph.blocks if row.is_output and row.new_args]
        remedy = f"give one, such as {few(outputs)}" if is_output else "the output layer is --at head"
        raise MisfitError(f"{block.name} does not fit {model.named(last.index)}, which {what}: {remedy}")
    if is_output and block.model != last.kind.model and not isinstance(last.frm, tuple):
        raise MisfitError(f"{block.name} reads a list of levels, and {model.named(last.index)} reads one layer")
    several = len(first.raw_sources) > 1
    if several and not (block.is_fusion or block.custom or is_output):
        raise MisfitError(
            f"{block.name} reads one layer, and {model.named(first.index)} joins {len(first.raw_sources)}"
        )
    if not several and block.is_fusion:
        raise MisfitError(f"{block.name} joins several layers, and {model.named(first.index)} reads one")


class _Words:
    """The words of `Block.new_args`, for one place."""

    def __init__(self, model: ShapedGraph, span: range, before: int | None, width: int | None) -> None:
        self.model, self.span, self.before, self.width = model, span, before, width
        self.first, self.last = model.graph[span[0]], model.graph[span[-1]]

    def value(self, word: str) -> Any:
        """What stands in the row for a word."""
        scaled = re.fullmatch(r"(\d{0,5})([wW])(?:/0*([1-9]\d{0,4}))?", word)
        if scaled:
            times, divided = int(scaled[1] or 1), int(scaled[3] or 1)
            width = self._number() if scaled[2] == "w" else self._needed()
            return max(int(width * times / divided), 1)
        if word == "c1":
            if self.before is None:
                raise MisfitError(f"the width that {self.model.named(self.first.index)} gets is not known: say --args")
            return self.before
        if word == "k":
            args = self.last.args
            has_size = self.last.kind.role in ("conv", "down") and len(args) > 2 and self.ratio == args[2]
            return args[1] if has_size and isinstance(args[1], int) and args[1] % 2 else 3
        if word in ("s", "u"):
            ratio = self.ratio if word == "s" else 1 / self.ratio
            return int(ratio) if ratio >= 1 and ratio == int(ratio) else 1
        if re.fullmatch(r"[A-Za-z_][\w.]*", word) and word not in ("True", "False"):
            return word  # None too: so YAML reads it, and the parser evaluates it
        try:
            value = ast.literal_eval(word)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
        plain = isinstance(value, (bool, int, float, list)) or (
            isinstance(value, str) and re.fullmatch(r"[\w.]+", value)
        )
        if not plain:
            raise ArgumentError(
                f"can't read {clean(word, 30)!r} in --args: write numbers, words and lists, such as w,3,2"
            )
        return value

    @property
    def ratio(self) -> float:
        """Stride out over stride in."""
        before, here = _before(self.model, self.first).stride, self.model.shapes[self.last.index].stride
        return here / before if before and here else 1.0

    def _needed(self) -> int:
        if self.width is None:
            raise MisfitError(f"the width of {self.model.named(self.last.index)} is not known: say it with --args")
        return self.width

    def _number(self) -> float:
        args, scaling = self.last.args, self.model.scaling
        if self.last.kind.width == "scaled" and args and is_number(args[0]):
            return args[0]
        width = self._needed()
        by_all = shapes_of(self.model.graph, Scaling())[self.last.index].channels
        number = number_for(width, scaling, by_all)
        if number is None:
            raise MisfitError(
                f"{self.model.named(self.last.index)} gives {width} channels, which no number makes at scale "
                f"{scaling.letter}: say --args"
            )
        return number


def number_for(width: int, scaling: Scaling, first: float | None = None) -> int | None:
    """A number that a scale makes a width of; None where there is none.

    Args:
        width: channels.
        scaling: the scale.
        first: what is tried first.
    """
    near = width / scaling.width if scaling.width else 0
    tries = [first, near, *(near + step for step in (4, -4, 8, -8))]
    fits = (int(one) for one in tries if one and one == int(one) and scaling.channels(one) == width)
    return next(fits, None)


def words_of(template: str) -> Iterator[str]:
    """The words of `w,[5,9,13]`, or of `[w, 5]`."""
    text = template.strip()
    if text.startswith("[") and _closes(text) == len(text) - 1:
        text = text[1:-1]
    depth, start = 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "[({") - (sign in "])}")
        if sign == "," and not depth:
            yield text[start:at].strip()
            start = at + 1
    if text[start:].strip():
        yield text[start:].strip()


def _closes(text: str) -> int:
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "[({") - (sign in "])}")
        if not depth:
            return at
    return -1


# What the result has to be.


def _needs(model: ShapedGraph, span: range) -> str:
    rows = model.named(span[-1]) if len(span) == 1 else f"rows {span[0]}-{span[-1]}"
    verb = "gives" if len(span) == 1 else "give"
    return f"{rows} {verb} {_shape_in_words(model.shapes[span[-1]])}"


def _shape_in_words(shape: Shape) -> str:
    channels = "an unknown number of" if shape.channels is None else str(shape.channels)
    return f"{channels} channels at stride {'?' if shape.stride is None else f'{shape.stride:g}'}"


def _refuse_misfits(model: ShapedGraph, rewrite: Rewrite, ends: Mapping[int, int]) -> Rewrite:
    """Refuse new rows that give something else than the rows in whose place they stand."""
    after = shapes_of(rewrite.after, model.scaling)
    for start, end in ends.items():
        index = rewrite.index_map[start]
        layer, old = rewrite.after[index], model.graph[end]
        problem = size_problem(layer, model.scaling) or width_problem(layer, after)
        if problem:
            raise MisfitError(f"{layer.block} in the place of {model.named(end)} {problem}")
        before, here = model.shapes[end], after[index]
        if layer.kind.is_output:
            continue
        strides = here.stride is None or before.stride is None or here.stride == before.stride
        widths = old.kind.is_fusion or len(old.raw_sources) > 1 or None in (here.channels, before.channels)
        if not strides or not (widths or here.channels == before.channels):
            raise MisfitError(f"{_needs(model, range(start, end + 1))}, and {layer.block} {_shape_in_words(here)}")
    return refuse_unbuildable(model, rewrite)


def refuse_unbuildable(model: ShapedGraph, rewrite: Rewrite) -> Rewrite:
    """Refuse an edit after which maps of several sizes, or of several widths that are added, come together.

    And one after which modules that stand one behind another, as a row's repeats, get another width than they give.
    """
    after = shapes_of(rewrite.after, model.scaling)
    for layer in rewrite.after:
        read = [after[source] for source in layer.sources if source != IMAGE]
        kind, here = layer.kind, f"row {layer.index} ({layer.block})"
        if kind.levels is not None and len(layer.raw_sources) != kind.levels:
            raise MisfitError(
                f"{here} would read {len(layer.raw_sources)} levels, and takes {kind.levels} and no other"
            )
        if kind.is_fusion and len({one.stride for one in read} - {None}) > 1:
            found = ", ".join(f"{source} ({after[source].stride:g})" for source in layer.sources if source != IMAGE)
            raise MisfitError(f"{here} would join maps of several strides: {found}")
        if kind.is_fusion and kind.width != "sum" and len({one.channels for one in read} - {None}) > 1:
            found = ", ".join(f"{source} ({after[source].channels})" for source in layer.sources if source != IMAGE)
            raise MisfitError(f"{here} adds maps, which would have several widths: {found}")
        times, width = model.scaling.repeats(layer.repeats), after[layer.index].channels
        given = read[0].channels if read else None
        repeated = times > 1 and kind.width == "scaled" and not kind.takes_repeats
        if repeated and given is not None and width is not None and given != width:
            raise MisfitError(
                f"{here} would stand {times} times in a row, and gets {given} channels where it gives {width}: "
                "say --repeats 1"
            )
    return rewrite


# Another backbone.


def ancestors(graph: Graph, index: int) -> set[int]:
    """A row and all that it is made of."""
    found: set[int] = set()
    ahead = [index]
    while ahead:
        row = ahead.pop()
        if row != IMAGE and row not in found:
            found.add(row)
            ahead += graph[row].sources
    return found


def _taps(model: ShapedGraph, donor: ShapedGraph, old: Sequence[Layer], new: Sequence[Layer]) -> dict[int, int]:
    """Row of the old backbone that the head reads -> the row of the new one that has its stride."""
    strides, theirs = model.parts.strides, donor.parts.strides
    read = {source for layer in model.graph for source in layer.sources if layer.section != SECTIONS[0]}
    found = {}
    for layer in old:
        if layer.index not in read:
            continue
        stride = strides[layer.index]
        if layer == old[-1] and theirs[new[-1].index] == stride:
            found[layer.index] = new[-1].index
            continue
        alike = [row.index for row in new if stride is not None and theirs[row.index] == stride]
        in_use = [row for row in alike if any(x >= len(new) for x in donor.graph.consumers(row))]
        blocks = [row for row in alike if row in donor.parts.backbone]
        if not alike:
            raise MisfitError(
                f"the backbone of {donor.graph.name} has no row of stride {'?' if stride is None else f'{stride:g}'}, "
                f"which the head reads from {model.named(layer.index)}"
            )
        found[layer.index] = (in_use or blocks or alike)[-1 if layer == old[-1] else 0]
    return found


def _at_scale(donor: ShapedGraph, layer: Layer, model: ShapedGraph) -> tuple[int, tuple[Any, ...]]:
    """Repeats and arguments with which a row builds at this model's scale what it does at its own."""
    there, here = donor.scaling, model.scaling
    if there[1:] == here[1:]:
        return layer.repeats, layer.args
    built = there.repeats(layer.repeats)
    tries = (layer.repeats, built, *range(1, _MOST_REPEATS_TRIED))
    repeats = next((n for n in tries if here.repeats(n) == built), None)
    args = list(layer.args)
    kind = layer.kind
    if kind.heads is not None or kind.scaled is not None or repeats is None:
        raise MisfitError(
            f"{donor.named(layer.index)} of {donor.graph.name} can't be written at the scale of {model.graph.name}"
        )
    if kind.width == "scaled":
        width = donor.shapes[layer.index].channels
        number = number_for(width, here, layer.args[0] if is_number(layer.args[0]) else None) if width else None
        if number is None:
            raise MisfitError(
                f"{donor.named(layer.index)} of {donor.graph.name} gives {width} channels, which no number makes at "
                f"scale {here.letter} of {model.graph.name}: choose another scale of either"
            )
        args[0] = number
    if kind.letters and not any({there.letter, here.letter} <= set(group) for group in kind.letters):
        raise MisfitError(
            f"Ultralytics builds {layer.block} by the scale's letter, {there.letter} there and {here.letter} here: "
            "take the same scale of both"
        )
    return repeats, tuple(args)
