"""Edits on a graph: operators asked for at positions, inserted, taken out, and a scale worked in; no text, no torch.

To insert and to remove is one computation. The new rows are laid out first, which gives the index map; then each source
of each kept row is mapped to the layer that now stands for it. A source keeps its style: one that was written relative
(-1) stays relative, one that was written absolute stays absolute. That makes `remove` the exact inverse of `insert`.

The arguments that Ultralytics' parser scales, and how (ultralytics 8.3 to 8.4):
  1. `repeats`: max(round(n * depth), 1) when n > 1;
  2. the first argument of the blocks whose width is `scaled`: make_divisible(min(c, max_channels) * width, 8);
  3. an embedding's channels and heads, and the prototype channels of segmentation heads.
Blocks that the parser builds by scale keep one entry in `scales`, with that letter: see `kept_letter`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Union

from ..errors import GraphError, PositionError
from ..wording import clean
from .blocks import PRIVATE, STOCK, BlockTable
from .graph import IMAGE, From, Graph, Layer, Scaling
from .operators import (
    DEFAULT_KERNEL,
    OP_BLOCKS,
    AnyOperator,
    OtherOperator,
    host_spec,
    is_like_attention,
    resolve_operator,
)
from .parts import Site
from .positions import parse_at, resolve_at
from .shapes import MOST_CHANNELS, Shape

#: Where a checkpoint's dictionary, and its model's YAML (which survives training), carry the record of a graft.
RECORD = "lska_surgeon"


class Edit(NamedTuple):
    """One operator at one site."""

    site: Site
    kernel: AnyOperator

    def to_dict(self) -> dict[str, Any]:
        """Where it goes and what it is, as plain data."""
        site, kernel = self.site, self.kernel
        return {
            "at": site.asked,
            "position": site.name,
            "layer": site.layer,
            "inside": site.inside,
            "op": kernel.op,
            "k": kernel.k,
            "d": kernel.d,
            **({"gated": True} if isinstance(kernel, OtherOperator) and kernel.gated else {}),
        }


@dataclass(frozen=True)
class Rewrite:
    """A graph before and after an edit.

    Attributes:
        before, after: the graphs.
        origin: for each layer of `after`, the index it had in `before`; None for an inserted layer.
        edits: for each inserted layer or changed host, by its index in `after`, the edit that made it.
    """

    before: Graph
    after: Graph
    origin: tuple[int | None, ...]
    edits: Mapping[int, Edit] = field(default_factory=dict)

    @cached_property
    def index_map(self) -> dict[int, int]:
        """Old index -> new index, for every layer that is still there."""
        return {old: new for new, old in enumerate(self.origin) if old is not None}

    @property
    def index_map_by_name(self) -> dict[str, int]:
        """The index map as JSON can hold it."""
        return {str(old): new for old, new in self.index_map.items()}

    @cached_property
    def inserted(self) -> tuple[int, ...]:
        """Indices, in `after`, of the inserted layers."""
        return tuple(new for new, old in enumerate(self.origin) if old is None)

    def rewired(self, inserted: int) -> tuple[int, ...]:
        """Indices, in `after`, of the kept layers that read an inserted layer, through further inserted ones too."""
        found: set[int] = set()
        through = [inserted]
        while through:
            for consumer in self.after.consumers(through.pop()):
                if self.origin[consumer] is None:
                    through.append(consumer)
                else:
                    found.add(consumer)
        return tuple(sorted(found))

    @property
    def stacked(self) -> tuple[tuple[int, int], ...]:
        """Pairs of operator rows, in `after`, of which the second reads the first and one alone was there before."""
        pairs = [(source, row.index) for row in self.after for source in row.sources if source != IMAGE]
        operators = [pair for pair in pairs if all(self.after[index].kind.is_operator for index in pair)]
        return tuple(pair for pair in operators if [self.origin[index] for index in pair].count(None) == 1)


def stacking_notes(rewrite: Rewrite) -> list[str]:
    """What to say where an operator comes to stand right before or behind one that was there."""
    pairs = ", ".join(f"{first} and {second}" for first, second in rewrite.stacked)
    had = f"{rewrite.before.name} had an operator in this place already, so that two follow each other"
    return [f"{had}: rows {pairs}"] if pairs else []


def naming_notes(rewrite: Rewrite) -> list[str]:
    """What to say where the installed Ultralytics has blocks of its own under the names of ours."""
    new = dict.fromkeys(row.block for row in map(rewrite.after.__getitem__, rewrite.edits) if row.kind.is_private)
    if not new:
        return []
    theirs, ours = ", ".join(block[len(PRIVATE) :] for block in new), ", ".join(new)
    return [f"this ultralytics has its own {theirs}, which its rows go on to name: the new rows name ours, {ours}"]


def insert(graph: Graph, edits: Sequence[Edit]) -> Rewrite:
    """Insert operators.

    Several edits behind one layer stack in the order given: first those for every consumer, each reading the one
    before; then, for each consumer that has edits of its own, a branch that this consumer alone reads.

    Raises:
        PositionError: two edits want the same place.
    """
    _refuse_duplicates(graph, edits)
    behind: dict[int, list[Edit]] = {}
    for edit in edits:
        if not edit.site.inside:
            behind.setdefault(edit.site.layer, []).append(edit)
    rows: list[Ref] = []
    trunk: dict[int, Ref] = {}
    branch: dict[tuple[int, int], Ref] = {}
    made: dict[NewRow, Edit] = {}

    def chain(end: Ref, section: str, wanted: Sequence[Edit]) -> Ref:
        for edit in wanted:
            # c2, which Ultralytics sets to the width of the row before, is right for a second branch too: all rows
            # since the source keep its width.
            block = graph.blocks.called(edit.kernel.block)
            row = NewRow(section, (end,), 1, block, edit.kernel.row_args)
            rows.append(row)
            made[row] = edit
            end = row
        return end

    for layer in graph:
        rows.append(layer.index)
        here = behind.get(layer.index, [])
        for_all = [edit for edit in here if edit.site.consumer is None]
        trunk[layer.index] = chain(layer.index, layer.section, for_all)
        for consumer in sorted({edit.site.consumer for edit in here if edit.site.consumer is not None}):
            own = [edit for edit in here if edit.site.consumer == consumer]
            branch[layer.index, consumer] = chain(trunk[layer.index], layer.section, own)
    hosted = {edit.site.layer: edit for edit in edits if edit.site.inside}

    def host(layer: Layer) -> Layer:
        edit = hosted.get(layer.index)
        if edit is None:
            return layer
        assert layer.kind.host is not None
        block = layer.blocks.called(layer.kind.host.block)
        return replace(layer, block=block, args=(*layer.args, host_spec(edit.kernel)))

    def stands_for(source: int, consumer: int) -> Ref:
        return branch.get((source, consumer), trunk.get(source, source))

    rewrite = assemble(graph, rows, stands_for, host)
    new = rewrite.index_map
    inserted = {at: made[row] for at, row in enumerate(rows) if isinstance(row, NewRow)}
    return replace(rewrite, edits={**inserted, **{new[index]: edit for index, edit in hosted.items()}})


def remove(graph: Graph, rows: Collection[int] | None = None) -> Rewrite:
    """Take operator rows out and turn host rows back into their plain blocks.

    Args:
        graph: the graph.
        rows: the indices of the rows to treat, where a row that is no host is taken out whatever its block is; None
            treats every operator and host.

    Raises:
        PositionError: there is nothing to take out.
    """
    chosen = {x.index for x in graph if (x.kind.is_attention if rows is None else x.index in rows)}
    if not chosen:
        unknown = next((f"; row {x.index} ({x.block}) is called one, but what it does is not known" for x in graph
                        if is_like_attention(x.kind)), "")  # fmt: skip
        raise PositionError(
            f"{graph.name} has no LSKA to remove: of its {len(graph)} rows none is an operator or a host{unknown}"
        )
    for layer in graph:
        if layer.index in chosen and layer.kind.is_operator and len(layer.raw_sources) > 1:
            found = ", ".join(map(str, layer.raw_sources))
            raise PositionError(
                f"{graph.name}: row {layer.index} ({layer.block}) reads {found}: an operator reads one layer, so it is "
                "not clear what its consumers should read instead"
            )
    gone = {index for index in chosen if not graph[index].kind.is_host}

    def plain(layer: Layer) -> Layer:
        if layer.index not in chosen:
            return layer
        return replace(layer, block=layer.kind.plain, args=layer.plain_args)

    return assemble(graph, [x.index for x in graph if x.index not in gone], past(graph, gone), plain)


def past(graph: Graph, gone: Collection[int]) -> Callable[[int, int], Ref]:
    """What stands for a source where rows that keep their shape are gone: what the first of them read."""

    def stands_for(source: int, _: int) -> Ref:
        while source in gone:
            source = graph[source].sources[0]
        return source

    return stands_for


def _refuse_duplicates(graph: Graph, edits: Sequence[Edit]) -> None:
    seen: dict[tuple[int, int | None, bool], Edit] = {}
    for edit in edits:
        other = seen.setdefault((edit.site.layer, edit.site.consumer, edit.site.inside), edit)
        if other is not edit:
            layer = graph[edit.site.layer]
            raise PositionError(
                f"--at {other.site.asked} and --at {edit.site.asked} both name layer {layer.index} ({layer.block}): "
                "name it once"
            )


@dataclass(frozen=True, eq=False)
class NewRow:
    """A row of a graph to be, which is itself wherever it is referred to.

    Attributes:
        section: "backbone" or "head".
        sources: what it reads: old rows by index, as they were, and new ones.
        repeats: before depth scaling.
        block: the module class.
        args: the arguments.
        place: index of the old row in whose place it stands, if any.
    """

    section: str
    sources: tuple[Ref, ...]
    repeats: int
    block: str
    args: tuple[Any, ...]
    place: int | None = None


#: A row of a graph to be: an old one, by its index, or a new one.
Ref = Union[int, NewRow]


def assemble(
    graph: Graph,
    rows: Sequence[Ref],
    stands_for: Callable[[int, int], Ref],
    change: Callable[[Layer], Layer] = lambda layer: layer,
) -> Rewrite:
    """The graph of these rows, in this order.

    Args:
        graph: the old one.
        rows: what stays and what comes.
        stands_for: old index of a source and of a kept row that reads it -> what that row shall read.
        change: what becomes of a kept row, but for its sources.
    """
    at: dict[Ref, int] = {row: index for index, row in enumerate(rows)}
    at |= {row.place: index for row, index in at.items() if isinstance(row, NewRow) and row.place is not None}
    layers = []
    for index, row in enumerate(rows):
        if isinstance(row, NewRow):
            raw = tuple(
                _raw(IMAGE if ref == IMAGE else at[ref], index, row, graph, n) for n, ref in enumerate(row.sources)
            )
            listed = len(raw) > 1 or (row.place is not None and isinstance(graph[row.place].frm, tuple))
            frm: From = raw if listed else raw[0]
            layers.append(Layer(index, row.section, frm, row.repeats, row.block, row.args, graph.blocks))
            continue
        layer = change(graph[row])
        kept = []
        for old, source in zip(layer.raw_sources, layer.sources):
            ref = stands_for(source, row) if source != IMAGE else IMAGE
            if ref == IMAGE:
                kept.append(IMAGE if index == 0 else old)
            else:
                kept.append(at[ref] - index if old < 0 else at[ref])
        layers.append(replace(layer, index=index, frm=tuple(kept) if isinstance(layer.frm, tuple) else kept[0]))
    origin = tuple(row.place if isinstance(row, NewRow) else row for row in rows)
    return Rewrite(graph, Graph(tuple(layers), graph.settings, graph.name), origin)


def _raw(target: int, index: int, row: NewRow, graph: Graph, slot: int) -> int:
    """A source as a new row writes it: as the row did whose place it has, else -1 for the row right before."""
    if target == IMAGE:
        return IMAGE
    old = graph[row.place].raw_sources if row.place is not None else ()
    if len(old) == len(row.sources):
        relative = old[slot] < -1 or (old[slot] == -1 and target == index - 1)
        return target - index if relative else target
    is_output = graph.blocks[row.block].is_output
    return -1 if target == index - 1 and not is_output else target


@dataclass(frozen=True)
class Placement:
    """Which operators go where; see `lska_surgeon.insert`.

    Attributes:
        at: positions, each as `--at` takes it.
        op: the operator.
        k: kernel size, where a position gives none of its own; None takes `DEFAULT_KERNEL` where the operator has one.
        dilation: None takes the paper's.
        gated: an operator that is not the paper's goes behind a gate, which makes it start as the identity.
    """

    at: tuple[str, ...]
    op: str = "lska"
    k: int | None = None
    dilation: int | None = None
    gated: bool = False

    def size_at(self, at: str) -> int | None:
        """The kernel size at one of the positions; None for an operator that has none."""
        own = parse_at(at).k
        return (own or self.k or DEFAULT_KERNEL) if self.op in OP_BLOCKS else None


def placement_of(
    at: str | Iterable[str], op: str, k: int | None, dilation: int | None, gated: bool = False
) -> Placement:
    """A placement at one position or several.

    Raises:
        PositionError: at none, or at something that is no text.
    """
    ats = (at,) if isinstance(at, str) else tuple(at)
    if not ats:
        raise PositionError('say where: a position such as "neck", or a list of them')
    wrong = next((one for one in ats if not isinstance(one, str)), None)
    if wrong is not None:
        raise PositionError(f'{clean(repr(wrong))} is no position: give text, such as "neck", or a list of such')
    return Placement(ats, op, _whole(k), _whole(dilation), gated)


def _whole(number: int | None) -> int | None:
    """A number as Python's own, of numpy's kinds too."""
    return None if number is None else operator.index(number)


def check_placement(placement: Placement, blocks: BlockTable = STOCK) -> None:
    """Check what is asked for as far as that goes without a model, where a table has the custom modules.

    Raises:
        PositionError: a position is misspelt.
        KernelError: a kernel does not exist.
    """
    for at in map(parse_at, placement.at):
        _operator(placement, at.k, blocks)


def edits_for(placement: Placement, graph: Graph, shapes: tuple[Shape, ...]) -> list[Edit]:
    """The edits that a placement asks for in a graph, in the order asked.

    Raises:
        PositionError: a position is misspelt or matches nothing.
        KernelError: a kernel does not exist.
    """
    ats = [parse_at(text) for text in placement.at]
    sites = [site for at in ats for site in resolve_at(at, graph, shapes)]
    return [Edit(site, _operator(placement, site.k, graph.blocks)) for site in sites]


def _operator(placement: Placement, k: int | None, blocks: BlockTable) -> AnyOperator:
    """The operator of a position that gives a kernel size of its own, or none."""
    size = placement.k if k is None else k
    return resolve_operator(placement.op, size, placement.dilation, placement.gated, blocks)


def resolve_scale(graph: Graph, shapes: tuple[Shape, ...], scaling: Scaling) -> Graph:
    """The graph whose rows, taken literally, build what `graph` builds at `scaling`.

    Raises:
        GraphError: a row's width is not a number.
    """
    layers = tuple(_resolve_layer(layer, graph, shapes, scaling) for layer in graph)
    return Graph(layers, graph.settings, graph.name)


def kept_letter(graph: Graph, scaling: Scaling) -> str | None:
    """The scale that the resolved file still has to carry, or None when its rows say everything."""
    by_letter = any(layer.kind.letters for layer in graph)
    return scaling.letter if by_letter and graph.settings.get("scales") else None


def _resolve_layer(layer: Layer, graph: Graph, shapes: tuple[Shape, ...], scaling: Scaling) -> Layer:
    args: list[Any] = list(layer.args)
    kind = layer.kind
    if kind.role == "operator" and kind.custom is None:
        if args and args[0] == "c2":
            args[0] = shapes[layer.index].channels
    elif kind.width == "scaled":
        width = shapes[layer.index].channels
        if width is None:
            found = args[0] if args else "missing"
            raise GraphError(f"--resolve needs real widths, and that of row {layer.index} ({layer.block}) is {found}")
        args[0] = width
        if kind.heads is not None:
            args[kind.heads - 1 : kind.heads + 1] = _attn_args(layer, kind.heads, scaling)
    elif kind.scaled is not None and len(args) > kind.scaled:
        args[kind.scaled] = scaling.channels(_number(layer, kind.scaled, "width of its prototypes"))
    return replace(layer, repeats=scaling.repeats(layer.repeats), args=tuple(args))


def _attn_args(layer: Layer, at: int, scaling: Scaling) -> list[int]:
    embedding, heads = _number(layer, at - 1, "embedding width"), _number(layer, at, "number of heads")
    most = scaling.max_channels
    if most != float("inf"):
        embedding = min(embedding, most // 2)
        heads = min(heads, most // 2 // 32) if heads > 1 else heads
    scaled_heads = int(max(round(heads) * scaling.width, 1)) if heads > 1 else int(heads)
    return [Scaling(width=scaling.width).channels(embedding), scaled_heads]


def _number(layer: Layer, at: int, what: str) -> float:
    """An argument that is scaled, of a row as it is written.

    Raises:
        GraphError: it is not there, or no number that a network could have.
    """
    value = layer.args[at] if len(layer.args) > at else "missing"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_CHANNELS:
        raise GraphError(
            f"--resolve needs real widths, and argument {at + 1} of row {layer.index} ({layer.block}), the {what}, "
            f"is {value}"
        )
    return value
