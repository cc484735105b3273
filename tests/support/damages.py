"""Right networks, and what people do to them by hand: rows put in, taken out or copied, and numbers that stayed old.

A damaged network knows what each of its rows should read, so that a linter can be measured on it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.graph import Graph, Scaling
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.modelfile.model import load

ATTENTION = ("CBAM", "EMA", "SimAM", "MyAttention")


@dataclass(frozen=True)
class Row:
    """A row: what it should read, and what it says.

    Attributes:
        sources: the rows that it should read, -1 for the image.
        numbers: what is written, -1 for the row before.
        block, args, repeats, section: the rest.
        ratio: stride out over stride in.
        comment: the number in its comment; None for no comment.
    """

    sources: tuple[int, ...]
    numbers: tuple[int, ...]
    block: str
    args: tuple[object, ...]
    repeats: int
    section: str
    ratio: float
    comment: int | None = None


@dataclass(frozen=True)
class Damaged:
    """A network after an edit.

    Attributes:
        kind: what was done.
        rows: its rows.
        inserted: rows that were put in; whoever reads one or its source reads the same network but for attention.
    """

    kind: str
    rows: tuple[Row, ...]
    inserted: frozenset[int] = field(default=frozenset())

    @property
    def text(self) -> str:
        """The file."""
        lines = ["nc: 80", "kpt_shape: [17, 3]"]
        for section in ("backbone", "head"):
            lines += ["", f"{section}:"]
            lines += [_line(row) for row in self.rows if row.section == section]
        return "\n".join(lines) + "\n"

    def wrong(self, sources: Sequence[Sequence[int]]) -> int:
        """How many sources are not what they should be."""
        pairs = (
            (i, one, right)
            for i, (read, row) in enumerate(zip(sources, self.rows))
            for one, right in zip(read, row.sources)
        )
        return sum(self._plain(i, one) != self._plain(i, right) for i, one, right in pairs)

    @property
    def wrong_as_written(self) -> int:
        """The same of what is written."""
        return self.wrong([[i + n if n < 0 else n for n in row.numbers] for i, row in enumerate(self.rows)])

    def _plain(self, reader: int, source: int) -> int:
        while source in self.inserted and reader != source + 1:
            source -= 1
        return source


def _line(row: Row) -> str:
    numbers = str(row.numbers[0]) if len(row.numbers) == 1 else str(list(row.numbers))
    args = ", ".join(repr(arg) if isinstance(arg, str) and arg not in ("nc", "None") else str(arg) for arg in row.args)
    comment = "" if row.comment is None else f" # {row.comment}"
    return f"  - [{numbers}, {row.repeats}, {row.block}, [{args}]]{comment}"


@cache
def right(name: str) -> Damaged:
    """A stock model, with its numbers in comments."""
    graph: Graph = load(name).graph
    shapes = shapes_of(graph, Scaling())
    rows = []
    for layer in graph:
        first = 1.0 if layer.sources[0] < 0 else shapes[layer.sources[0]].stride or 1.0
        stride = shapes[layer.index].stride or first
        numbers = tuple(n if n == -1 or n >= 0 else layer.index + n for n in layer.raw_sources)
        rows.append(
            Row(
                layer.sources,
                numbers,
                layer.block,
                layer.args,
                layer.repeats,
                layer.section,
                stride / first,
                layer.index,
            )
        )
    return Damaged("right", tuple(rows))


Renumbered = Callable[[int, int], bool]
Kept = tuple[tuple[int, ...], "Row | None"]


def edited(
    kind: str,
    net: Damaged,
    rows: Sequence[Kept],
    renumbered: Renumbered = lambda row, slot: False,
    kept: Sequence[int] = (),
) -> Damaged:
    """A network with rows put in, taken out or merged.

    Args:
        kind: what it is called.
        net: the network.
        rows: for each row to be, the old rows that it stands for (none for one that is put in), and the row, None for
            the old one.
        renumbered: whether a number of a row to be was brought up to date.
        kept: rows put in that do not take over what reads their source.
    """
    place = {old: new for new, (olds, _) in enumerate(rows) for old in olds}
    inserted = frozenset(new for new, (olds, _) in enumerate(rows) if not olds)

    def now(source: int) -> int:
        while source >= 0 and source not in place:
            source = net.rows[source].sources[0]
        if source < 0:
            return -1
        end = place[source]
        while end + 1 in inserted and end + 1 not in kept:
            end += 1
        return end

    made = []
    for new, (olds, row) in enumerate(rows):
        if not olds:
            assert row is not None
            made.append(replace(row, sources=(new - 1,), numbers=(-1,)))
            continue
        first, old = net.rows[olds[0]], row or net.rows[olds[-1]]
        reads = old if row is None and len(olds) == 1 else first
        sources = tuple(new - 1 if n == -1 else now(s) for n, s in zip(reads.numbers, reads.sources))
        numbers = tuple(
            -1 if n == -1 else right_one if renumbered(new, slot) else n
            for slot, (n, right_one) in enumerate(zip(reads.numbers, sources))
        )
        made.append(replace(old, sources=sources, numbers=numbers, comment=net.rows[olds[-1]].comment))
    return Damaged(kind, tuple(made), inserted)


def _passes(row: Row) -> bool:
    return row.ratio == 1 and STOCK[row.block].role in ("block", "psa", "pool")


def as_they_are(net: Damaged) -> list[Kept]:
    """The rows for `edited`, nothing changed."""
    return [((i,), None) for i in range(len(net.rows))]


def with_attention(
    net: Damaged, rng: random.Random, count: int
) -> tuple[list[tuple[tuple[int, ...], Row | None]], int]:
    """Rows with attention behind some blocks, and where the first stands."""
    places = [i for i, row in enumerate(net.rows[:-2]) if _passes(row) and len(row.numbers) == 1]
    block = rng.choice(ATTENTION)
    chosen = sorted(rng.sample(places, min(count, len(places))))
    rows = as_they_are(net)
    for at in reversed(chosen):
        rows.insert(at + 1, ((), Row((), (), block, (), 1, net.rows[at].section, 1.0)))
    return rows, chosen[0] + 1


def _attention(net: Damaged, rng: random.Random, count: int) -> Damaged:
    return edited(f"{count} attention", net, with_attention(net, rng, count)[0])


def _one_short(net: Damaged, rng: random.Random) -> Damaged | None:
    rows, first = with_attention(net, rng, 1)
    whole = edited("one short", net, rows, lambda row, slot: True)
    choices = [
        (i, j)
        for i, row in enumerate(whole.rows)
        for j, n in enumerate(row.numbers)
        if n > first and i not in whole.inserted and len(row.numbers) > 1
    ]
    if not choices:
        return None
    stays = rng.choice(choices)
    return edited("one short", net, rows, lambda row, slot: (row, slot) != stays)


def _output_stale(net: Damaged, rng: random.Random) -> Damaged:
    rows, _ = with_attention(net, rng, rng.choice((1, 2)))
    return edited("output stale", net, rows, lambda row, slot: row != len(rows) - 1)


def _half(net: Damaged, rng: random.Random) -> Damaged:
    rows, first = with_attention(net, rng, 1)
    cut = rng.randrange(first + 2, len(rows) - 1)
    return edited("half renumbered", net, rows, lambda row, slot: row < cut)


def _deleted(net: Damaged, rng: random.Random) -> Damaged:
    choices = [i for i, row in enumerate(net.rows[1:-1], 1) if row.numbers == (-1,) and _passes(row)]
    gone = rng.choice(choices)
    return edited("row deleted", net, [row for row in as_they_are(net) if row[0] != (gone,)])


def _merged(net: Damaged, rng: random.Random) -> Damaged | None:
    read = [source for row in net.rows for source in row.sources]
    choices = [
        i
        for i in range(1, len(net.rows) - 2)
        if net.rows[i].ratio * net.rows[i + 1].ratio == 2
        and read.count(i) == 1
        and net.rows[i + 1].numbers == (-1,)
        and len(net.rows[i].numbers) == 1
        and net.rows[i].section == net.rows[i + 1].section
    ]
    if not choices:
        return None
    at = rng.choice(choices)
    width = next((arg for arg in net.rows[at + 1].args if isinstance(arg, int)), 256)
    merged = Row((), (), "MergeBlock", (width, 3, 2), 1, net.rows[at].section, 2.0)
    rows = as_they_are(net)
    rows[at : at + 2] = [((at, at + 1), merged)]
    return edited("rows merged", net, rows)


def _swapped(net: Damaged, rng: random.Random) -> Damaged | None:
    fusions = [
        i
        for i, row in enumerate(net.rows[:-1])
        if row.block == "Concat" and len(row.numbers) == 2 and row.numbers[0] == -1 and row.numbers[1] >= 0
    ]
    pairs = [
        (a, b)
        for a in fusions
        for b in fusions
        if a < b and net.rows[a].numbers != net.rows[b].numbers and net.rows[b].numbers[1] < a - 1
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    rows = list(net.rows)
    rows[a] = replace(rows[a], numbers=net.rows[b].numbers)
    rows[b] = replace(rows[b], numbers=net.rows[a].numbers)
    return Damaged("swapped", tuple(rows))


def _first_rows(net: Damaged, rng: random.Random) -> Damaged | None:
    count = rng.choice((2, 3))
    later = {source for row in net.rows[count:] for source in row.sources}
    if later & set(range(count - 1)):
        return None
    ratio = 1.0
    for row in net.rows[:count]:
        ratio *= row.ratio
    stem = Row((), (), "PatchStem", (32, 3, int(ratio)), 1, "backbone", ratio)
    return edited("first rows replaced", net, [(tuple(range(count)), stem), *as_they_are(net)[count:]])


def _lateral(net: Damaged, rng: random.Random) -> Damaged | None:
    ups = [i for i, row in enumerate(net.rows) if row.block == "nn.Upsample" and row.numbers == (-1,)]
    if not ups:
        return None
    at = rng.choice(ups)
    rows = as_they_are(net)
    rows.insert(at, ((), Row((), (), "Conv", (256, 1, 1), 1, "head", 1.0)))
    return edited("lateral put in", net, rows, lambda row, slot: False, kept=(at,))


_KINDS: tuple[Callable[[Damaged, random.Random], Damaged | None], ...] = (
    lambda net, rng: _attention(net, rng, 1),
    lambda net, rng: _attention(net, rng, 2),
    lambda net, rng: _attention(net, rng, 3),
    _one_short, _output_stale, _half, _deleted, _merged, _swapped, _first_rows, _lateral,
)  # fmt: skip


def renamed(net: Damaged, rng: random.Random) -> Damaged:
    """The same with one or two blocks under names that nobody knows."""
    names = sorted({row.block for row in net.rows[:-1]} - {"Concat", "Conv", "nn.Upsample"})
    own = set(rng.sample(names, min(len(names), 2)))
    rows = tuple(replace(row, block=f"{row.block}_Own") if row.block in own else row for row in net.rows)
    return replace(net, rows=rows)


def damages(names: Sequence[str], seed: int) -> Iterator[Damaged]:
    """Every kind of damage to every network, with and without comments, half of them with blocks of unknown names."""
    rng = random.Random(seed)
    for name in names:
        for number, kind in enumerate(_KINDS):
            damaged = kind(right(name), rng)
            if damaged is None or not damaged.wrong_as_written:
                continue
            if number % 2:
                damaged = replace(damaged, rows=tuple(replace(row, comment=None) for row in damaged.rows))
            yield renamed(damaged, rng) if rng.random() < 0.5 else damaged
