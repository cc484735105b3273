"""What speaks against a wiring: a sum of terms, each a named function; and the stride ratios by which it is least.

A term says how often a row, or one of its numbers, has what the term is about; `WEIGHTS` says what that costs. The
unit is arbitrary: about 1 is what it takes to believe that one row was inserted. `tests/benchmarks/wiring.py` shows
what each weight is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ...core.graph import IMAGE
from ...core.shapes import strides_of
from .network import Ratio, Ratios, Slot, WiredRows, Wiring, is_forward

if TYPE_CHECKING:
    from .stories import Story

WEIGHTS: Mapping[str, float] = {
    # what no network can have
    "forward": 10,
    "no_map": 4,
    "clash": 4,
    "named_clash": 3,
    "twice": 4,
    "output_clash": 4,
    "unread": 3,
    "absurd_stride": 3,
    # what networks seldom have
    "own_clash": 0.6,
    "ladder": 0.3,
    "output_base": 0.7,
    "output_inside": 2.2,
    "reads_fusion": 2.0,
    "reads_upsample": 2.0,
    "reads_down": 2.0,
    "around_attention": 0.5,
    "around_block": 0.8,
    "moved_to_lateral": 0.4,
    # what the stock model has otherwise
    "unlike_same_stock": 4.0,
    "unlike_sure_stock": 2.0,
    "unlike_stock": 0.4,
    "stale": 0.8,
    # a block that does something else than its name and arguments say
    "kind": 0.5,
}
#: Terms after which a network can't be built, or trains less than is there.
HARD = frozenset(("forward", "no_map", "clash", "named_clash", "twice", "output_clash"))
_MOST_STRIDE = 128
_BASES = (4, 8)
_SAME = 0.95  # the confidence from which on a file is the stock model but for what was inserted
_RATIOS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class Broken(NamedTuple):
    """A term that a wiring has.

    Attributes:
        term: its name, a key of `WEIGHTS`.
        row: the row that has it.
        times: how often, or how much of it.
    """

    term: str
    row: int
    times: float = 1.0


class Inputs(NamedTuple):
    """A row and what it reads.

    Attributes:
        row: its index.
        sources: what it reads.
        strides: the strides of these; None where not known.
        stride: its own.
    """

    row: int
    sources: tuple[int, ...]
    strides: tuple[float | None, ...]
    stride: float | None

    @property
    def known(self) -> set[float]:
        """The different strides that it reads."""
        return {stride for stride in self.strides if stride}


# --- terms of a row -----------------------------------------------------------------------------------------------


def forward(net: WiredRows, has: Inputs) -> float:
    """A row can only read rows before it."""
    return sum(x >= has.row or x < IMAGE or (x == IMAGE and has.row > 0) for x in has.sources)


def no_map(net: WiredRows, has: Inputs) -> float:
    """What is no feature map, such as a list of maps, can't be joined or convolved; as written it may be meant."""
    row, effect = has.row, net.effects[has.row]
    others = [x for x in has.sources if 0 <= x < row and not net.effects[x].is_map]
    if effect.joins:
        return len(others)
    return len(others) if effect.ratio is not None and others and others[0] != net.written[row][0] else 0


def absurd_stride(net: WiredRows, has: Inputs) -> float:
    """No network has maps larger than its image, or 128 times smaller."""
    return has.stride is not None and not 1 <= has.stride <= _MOST_STRIDE


def twice(net: WiredRows, has: Inputs) -> float:
    """A row that reads one source twice has lost another; output layers may, for auxiliary outputs."""
    different, half = len(set(has.sources)), len(has.sources) // 2
    halves = has.sources[:half], has.sources[half:]
    if has.row in net.outputs and (2 * different == len(has.sources) or all(len(set(one)) == half for one in halves)):
        return 0
    return different < len(has.sources)


def clash(net: WiredRows, has: Inputs) -> float:
    """Concat joins maps of one stride."""
    return max(len(has.known) - 1, 0) if net.fusion[has.row] == "joins" else 0


def ladder(net: WiredRows, has: Inputs) -> float:
    """A fusion of three strides or more resizes them itself: it is built to."""
    return net.fusion[has.row] in ("named", "own") and len(has.known) > 2


def output_clash(net: WiredRows, has: Inputs) -> float:
    """An output layer has levels that double or halve, and seldom skip one; or it reads each equally often."""
    strides = has.strides
    if has.row not in net.outputs or _reads_each_level_often(strides):
        return 0
    pairs = [(a, b) for a, b in zip(strides, strides[1:]) if a is not None and b is not None]
    return sum(0 if b in (2 * a, a / 2) else 0.25 if b == 4 * a else 1 for a, b in pairs)


def output_base(net: WiredRows, has: Inputs) -> float:
    """The finest level of an output layer is stride 4 or 8."""
    first = has.strides[0] if has.strides else None
    return has.row in net.outputs and len(has.strides) > 1 and first is not None and first not in _BASES


def _reads_each_level_often(strides: Sequence[float | None]) -> bool:
    times = {strides.count(stride) for stride in strides}
    return len(strides) > 3 and None not in strides and len(times) == 1 and strides.count(strides[0]) > 1


# --- terms of a number: of a row that is read from afar -------------------------------------------------------------


class FarRead(NamedTuple):
    """A number that reads another row than the one right before.

    Attributes:
        row, slot: the row that reads, and which of its sources it is.
        source: what it reads.
        ratio, behind: the stride ratios of the source and of the row behind it.
    """

    row: int
    slot: int
    source: int
    ratio: Ratio
    behind: Ratio


def reads_upsample(net: WiredRows, at: FarRead) -> float:
    """What a neck reads from afar is a level, not the upsampled map on its way to the next fusion; all, where meant."""
    inner = net.roles[at.source] == "up" and net.taken[at.source] and at.row not in net.outputs
    return (0.25 if net.fusion[at.row] == "own" or net.fuses_all_ups else 1.0) if inner else 0


def reads_fusion(net: WiredRows, at: FarRead) -> float:
    """A fusion is refined by the block behind it; it is that block which is read."""
    return at.row not in net.outputs and net.roles[at.source] == "fuse" and _is_refined(net, at)


def around_attention(net: WiredRows, at: FarRead) -> float:
    """Attention is put in to be read; some authors read around it on purpose."""
    return _reads_around(net, at) and net.refines[at.source + 1]


def around_block(net: WiredRows, at: FarRead) -> float:
    """The last block of a stage is read, not one inside of it."""
    return _reads_around(net, at) and not net.refines[at.source + 1]


def output_inside(net: WiredRows, at: FarRead) -> float:
    """An output layer reads the end of a level: no fusion, upsampling or down-sampling row whose result goes on."""
    if at.row not in net.outputs:
        return 0
    if net.roles[at.source] == "up" or _is_down(net, at):
        return net.taken[at.source]
    if net.roles[at.source] != "fuse" or not net.followed[at.source]:
        return 0
    return 1.3 if _is_refined(net, at) else 0.5


def moved_to_lateral(net: WiredRows, at: FarRead) -> float:
    """A 1x1 convolution before an Upsample makes its input narrow; lateral connections take the wide one."""
    x = at.source
    before_up = net.narrows[x] and x + 1 < net.size and net.roles[x + 1] == "up" and net.taken[x]
    return before_up and at.row not in net.outputs and x != net.written[at.row][at.slot]


def _is_down(net: WiredRows, at: FarRead) -> bool:
    ratio, role = at.ratio, net.roles[at.source]
    return role not in ("fuse", "other") and not isinstance(ratio, str) and ratio > 1


def _is_refined(net: WiredRows, at: FarRead) -> bool:
    behind = at.source + 1
    refining = ("block", "psa", "pool", "operator", "other")
    return net.followed[at.source] and net.roles[behind] in refining and at.behind == 1.0


def _reads_around(net: WiredRows, at: FarRead) -> bool:
    inner = net.roles[at.source] in ("up", "fuse") and (net.roles[at.source] == "fuse" or net.taken[at.source])
    down = _is_down(net, at) and net.taken[at.source]
    return not inner and not down and _is_refined(net, at)


_ROW_TERMS: tuple[Callable[[WiredRows, Inputs], float], ...] = (
    forward, no_map, absurd_stride, twice, clash, ladder, output_clash, output_base,
)  # fmt: skip
_NUMBER_TERMS: tuple[Callable[[WiredRows, FarRead], float], ...] = (
    reads_upsample, reads_fusion, around_attention, around_block, output_inside, moved_to_lateral,
)  # fmt: skip


# --- the stock model ------------------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """What a number would be if the file were the stock model with rows inserted.

    Attributes:
        rows: the row that stands for the stock's source, and the inserted ones right behind it.
        term: how sure that is: the name of a term.
        stale: the stock model's own number, where keeping it is a sign of an edit that was not finished; else None.
    """

    rows: frozenset[int]
    term: str
    stale: int | None


def expected_numbers(net: WiredRows) -> dict[Slot, Expected]:
    """For each number of a row that the stock model has too, what it would be."""
    alignment = net.alignment
    if alignment is None:
        return {}
    expected: dict[Slot, Expected] = {}
    same, sure = alignment.confidence >= _SAME, alignment.is_sure
    term = "unlike_same_stock" if same else "unlike_sure_stock" if sure else "unlike_stock"
    for old, new in alignment.rows.items():
        theirs, numbers = alignment.stock[old], net.numbers[new]
        raw = theirs.raw_sources
        if len(raw) != len(numbers) or raw == numbers == (-1,):
            continue
        mixed = len(numbers) > 1 and -1 in numbers
        for slot, (usual, source, number) in enumerate(zip(raw, theirs.sources, numbers)):
            stand = alignment.stand_in(source) if not number == usual == -1 and not (usual < 0 and mixed) else None
            if stand is None or stand == IMAGE:
                continue
            rows, end = {stand}, stand
            while end + 1 < new and end + 1 not in alignment.stock_row and net.numbers[end + 1] == (-1,):
                if net.guess[end + 1] != 1:
                    break
                end += 1
                rows.add(end)
            stale = usual if usual >= 0 and alignment.is_sure else None
            expected[new, slot] = Expected(frozenset(rows), term, stale)
    return expected


# --- their sum ------------------------------------------------------------------------------------------------------


class _Priced(NamedTuple):
    """A row under one reading: its stride, what its own terms cost, and what it adds to the terms of the whole."""

    stride: float | None
    cost: float
    reads: int  # a bit for each row
    downs: tuple[float, ...]
    laterals: int
    pattern: tuple[float, ...] | None


class WiringCost:
    """What speaks against wirings of a network.

    Rows cost the same wherever they read the same from maps of the same strides, so a row is worked out once for that.

    Args:
        net: the network.
        expected: what the stock model would have; empty to leave it out of account.
        weights: term -> what it costs.
    """

    def __init__(
        self, net: WiredRows, expected: Mapping[Slot, Expected], weights: Mapping[str, float] = WEIGHTS
    ) -> None:
        self.net, self.expected, self.weights = net, expected, weights
        self._memo: list[dict[object, _Priced]] = [{} for _ in net.layers]
        self._written: dict[Ratios, list[_Priced]] = {}
        self._has_to_be_read = sum(
            1 << i
            for i in range(net.last)
            if i not in net.outputs and net.effects[i].is_map and not net.layers[i].kind.same
        )
        self._fusions: dict[str, int] = {}
        for layer, fusion in zip(net.layers, net.fusion):
            if fusion:
                self._fusions[layer.block] = self._fusions.get(layer.block, 0) + 1

    def of(self, wiring: Wiring, ratios: Ratios) -> float:
        """What a wiring costs where rows have these stride ratios."""
        rows = self._rows(wiring, ratios)
        weights = self.weights
        total = sum([row.cost for row in rows])
        read = 0
        for row in rows:
            read |= row.reads
        unread = self._has_to_be_read & ~read
        if unread:
            total += weights["unread"] * bin(unread).count("1")
        for term, _, times in self._shared(rows):
            total += weights[term] * times
        return total

    def terms(self, wiring: Wiring, ratios: Ratios) -> list[Broken]:
        """The same, term by term."""
        net, rows = self.net, self._rows(wiring, ratios)
        broken: list[Broken] = []
        read: set[int] = set()
        for i, sources in enumerate(wiring):
            read.update(sources)
            broken += [Broken(term, i, times) for term, times in self._of_row(self._inputs(i, sources, rows))]
            for j, x in enumerate(sources):
                broken += [Broken(term, i, times) for term, times in self.of_number(i, j, x, ratios)]
        broken += self._shared(rows)
        return broken + [
            Broken("unread", i) for i in range(net.last) if i not in read and self._has_to_be_read >> i & 1
        ]

    def strides(self, wiring: Wiring, ratios: Ratios) -> list[float | None]:
        """Stride of each row; None where it is not known."""
        return [row.stride for row in self._rows(wiring, ratios)]

    def _rows(self, wiring: Wiring, ratios: Ratios) -> list[_Priced]:
        base = self._written.get(ratios)
        same = 0
        if base is None:
            rows: list[_Priced] = []
        else:  # up to the first row that reads otherwise, all is as it was
            written = self.net.written
            while same < len(wiring) and wiring[same] is written[same]:
                same += 1
            rows = base[:same]
        strides = [row.stride for row in rows]
        for i in range(same, len(wiring)):
            sources = wiring[i]
            if len(sources) == 1:
                x = sources[0]
                read = 1.0 if x < 0 else strides[x] if x < i else None
                behind: object = (ratios[x], ratios[x + 1]) if 0 <= x < i - 1 else ()
                key: object = (x, read, ratios[i], behind)
            else:
                ins = tuple([strides[x] if 0 <= x < i else 1.0 if x == IMAGE else None for x in sources])
                around = tuple([(ratios[x], ratios[x + 1]) for x in sources if 0 <= x < i - 1])
                key = (sources, ins, ratios[i], around)
            row = self._memo[i].get(key)
            if row is None:
                row = self._memo[i][key] = self._priced(i, sources, strides, ratios)
            rows.append(row)
            strides.append(row.stride)
        if wiring is self.net.written:
            self._written[ratios] = rows
        return rows

    def _priced(self, i: int, sources: tuple[int, ...], strides: Sequence[float | None], ratios: Ratios) -> _Priced:
        net, weights = self.net, self.weights
        ins = tuple(strides[x] if 0 <= x < i else 1.0 if x == IMAGE else None for x in sources)
        has = Inputs(i, sources, ins, self._stride(i, ins, ratios[i]))
        cost = sum(weights[term] * times for term, times in self._of_row(has))
        downs: list[float] = []
        laterals = 0
        for j, x in enumerate(sources):
            cost += sum(weights[term] * times for term, times in self.of_number(i, j, x, ratios))
            if 0 <= x < i and x + 1 != i and i not in net.outputs:
                laterals += net.layers[x].section == "backbone" and net.layers[i].section == "head"
                if net.taken[x] and net.roles[x] != "up" and _is_down(net, FarRead(i, j, x, ratios[x], ratios[x + 1])):
                    downs.append(1.0 if len(sources) > 1 else 0.3)
        reads = sum(1 << x for x in set(sources) if 0 <= x < net.size)
        return _Priced(has.stride, cost, reads, tuple(downs), laterals, self._pattern(has))

    def _stride(self, i: int, ins: tuple[float | None, ...], ratio: Ratio) -> float | None:
        if len(ins) == 1:
            return ins[0] * ratio if ins[0] and not isinstance(ratio, str) else None
        effect, fusion = self.net.effects[i], self.net.fusion[i]
        if fusion is None and effect.ratio is not None:
            read = ins[effect.main]
            return read * effect.ratio if read else None
        known = [stride for stride in ins if stride]
        if not known:
            return None
        if min(known) == max(known):
            return known[0]
        if isinstance(ratio, str):
            return min(known) if ratio == "min" else max(known)
        if fusion == "own" or (fusion == "named" and len(set(known)) > 2):
            return None
        return max(known, key=known.count)

    def _inputs(self, i: int, sources: tuple[int, ...], rows: Sequence[_Priced]) -> Inputs:
        ins = tuple(rows[x].stride if 0 <= x < i else 1.0 if x == IMAGE else None for x in sources)
        return Inputs(i, sources, ins, rows[i].stride)

    def _of_row(self, has: Inputs) -> Iterator[tuple[str, float]]:
        for term in _ROW_TERMS:
            times = term(self.net, has)
            if times:
                yield term.__name__, float(times)

    def of_number(self, i: int, j: int, x: int, ratios: Ratios) -> Iterator[tuple[str, float]]:
        net = self.net
        if not 0 <= x < i:
            return
        if x + 1 < i:
            at = FarRead(i, j, x, ratios[x], ratios[x + 1])
            for term in _NUMBER_TERMS:
                times = term(net, at)
                if times:
                    yield term.__name__, float(times)
        expected = self.expected.get((i, j))
        if expected is not None and x not in expected.rows and not self._leads_to(x, i, expected.rows):
            yield expected.term, 1.0
            if x == expected.stale:
                yield "stale", 1.0

    def _leads_to(self, x: int, row: int, rows: frozenset[int]) -> bool:
        """Whether the way down from a row through inserted ones leads to one of `rows`."""
        alignment, written = self.net.alignment, self.net.written
        assert alignment is not None
        while 0 <= x < row and x not in alignment.stock_row and len(written[x]) == 1 and written[x][0] < x:
            x = written[x][0]
            if x in rows:
                return True
        return False

    def _pattern(self, has: Inputs) -> tuple[float, ...] | None:
        """How the strides compare that an unsure fusion reads, where there are two."""
        if self.net.fusion[has.row] not in ("named", "own") or len(has.known) != 2:
            return None
        first = has.strides[0]
        return tuple(stride / first if stride and first else 0 for stride in has.strides)

    def reads_down(self, wiring: Wiring, ratios: Ratios) -> dict[int, float]:
        """Row -> what it costs that it reads down-sampling rows on their way to the next level."""
        downs: dict[int, float] = {}
        for _, row, times in self._reads_down(self._rows(wiring, ratios)):
            downs[row] = downs.get(row, 0.0) + self.weights["reads_down"] * times
        return downs

    def _shared(self, rows: Sequence[_Priced]) -> Iterator[Broken]:
        """Terms that speak of several rows together."""
        yield from self._fusion_patterns(rows)
        yield from self._reads_down(rows)

    def _reads_down(self, rows: Sequence[_Priced]) -> Iterator[Broken]:
        """A down-sampling row begins a level, it does not end one; where most laterals read one, that is meant."""
        downs = [(i, times) for i, row in enumerate(rows) for times in row.downs]
        if downs:
            usual = len(downs) >= max(2, sum(row.laterals for row in rows) - 1)
            for i, times in downs:
                yield Broken("reads_down", i, 0.25 if usual else times)

    def _fusion_patterns(self, rows: Sequence[_Priced]) -> Iterator[Broken]:
        """Fusions of two strides: where all rows of a block have one pattern, the block resizes them itself."""
        blocks: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            if row.pattern is not None:
                blocks.setdefault(self.net.layers[i].block, []).append(i)
        for block, which in blocks.items():
            one = len({rows[i].pattern for i in which}) == 1 and len(which) > 1 and len(which) == self._fusions[block]
            for i in which:
                yield Broken("ladder" if one else f"{self.net.fusion[i]}_clash", i)


# --- stride ratios --------------------------------------------------------------------------------------------------


class Fitted(NamedTuple):
    """Stride ratios, and what it costs to believe them.

    Attributes:
        ratios: one for each row.
        cost: for the kinds that are off their guess.
    """

    ratios: Ratios
    cost: float


class WiringReading(NamedTuple):
    """A wiring that may be what the author meant.

    Attributes:
        cost: of story, slips, and what is broken in it.
        belief: of story and slips alone.
        wiring: for each row what it reads.
        ratios: the stride ratios under which it costs least.
        story: what was done; None for the rows as written.
        old: the numbers that the story takes for old ones.
        slips: the numbers that are wrong by themselves, in words of `SLIPS`.
    """

    cost: float
    belief: float
    wiring: Wiring
    ratios: Fitted
    story: Story | None = None
    old: frozenset[Slot] = frozenset()
    slips: tuple[str, ...] = ()


def cheapest(cost: WiringCost, wiring: Wiring, several: Sequence[Fitted]) -> tuple[float, Fitted]:
    """What a wiring costs where any of several stride ratios may hold, and those under which it does."""
    return min(((cost.of(wiring, fitted.ratios) + fitted.cost, fitted) for fitted in several), key=itemgetter(0))


def guess_with_stock(net: WiredRows, of_stock: Mapping[int, float]) -> Ratios:
    """The guess, but for rows of unknown ratio the stock model's where one of its rows stood in their place."""
    unknown = {i for i, effect in enumerate(net.effects) if effect.ratio is None and len(net.numbers[i]) == 1}
    return tuple(of_stock.get(i, ratio) if i in unknown else ratio for i, ratio in enumerate(net.guess))


def fit(cost: WiringCost, wiring: Wiring, start: Fitted) -> tuple[float, Fitted]:
    """The ratios of unknown kinds under which a wiring costs least, by coordinate descent; and what it costs then."""
    net = cost.net
    best, fitted = cost.of(wiring, start.ratios) + start.cost, start
    for _ in range(2):
        before = best
        for kind, rows in net.kinds.items():
            for ratio in _possible(net, kind, rows):
                if fitted.ratios[rows[0]] == ratio:
                    continue
                changed = list(fitted.ratios)
                for i in rows:
                    changed[i] = ratio
                tried = Fitted(tuple(changed), fitted.cost + cost.weights["kind"])
                price = cost.of(wiring, tried.ratios) + tried.cost
                if price < best - 1e-9:
                    best, fitted = price, tried
        if best == before:
            break
    return best, fitted


def _possible(net: WiredRows, kind: tuple[object, ...], rows: Sequence[int]) -> Iterator[Ratio]:
    if kind[1] == "fusion":
        yield from (1.0, "min", "max")
        return
    yield from (1.0, 2.0)
    if net.layers[rows[0]].section != "backbone":
        yield 0.5
    if rows[0] == 0:
        yield 4.0


def solve(net: WiredRows, wiring: Wiring, start: Ratios, weights: Mapping[str, float] = WEIGHTS) -> Fitted | None:
    """The ratios of unknown kinds that follow from their neighbours in a wiring; None where there are none to find."""
    if not net.kinds or is_forward(wiring):
        return None
    layers = [
        replace(layer, frm=sources if len(sources) > 1 else max(sources[0], IMAGE))
        for layer, sources in zip(net.layers, wiring)
    ]
    strides = [stride for stride, _ in strides_of(layers, net.effects, {})]
    kind_of = {i: kind for kind, rows in net.kinds.items() if kind[1] != "fusion" for i in rows}
    ratios, off = list(start), set()
    known: list[float | None] = []
    for i, sources in enumerate(wiring):
        before, after = 1.0 if sources[0] < 0 else known[sources[0]], strides[i]
        if i in kind_of and before and after and after / before != ratios[i] and after / before in _RATIOS:
            ratios[i] = after / before
            off.add(kind_of[i])
        ratio = ratios[i]
        follows = before * ratio if before and len(sources) == 1 and not isinstance(ratio, str) else before
        known.append(after or follows)
    return Fitted(tuple(ratios), len(off) * weights["kind"] / 2)


def first_ratios(cost: WiringCost, of_stock: Mapping[int, float]) -> list[Fitted]:
    """The ratios to begin with: the guess with the stock model's, the guess alone, both fitted to the rows as written.

    Args:
        cost: what speaks against a wiring.
        of_stock: row -> the ratio of the stock model's row in whose place it stands.
    """
    net = cost.net
    alike, written = guess_with_stock(net, of_stock), net.written
    by_stock, by_guess = (fit(cost, written, Fitted(start, 0.0))[1] for start in (alike, net.guess))
    solved = solve(net, written, alike, cost.weights)
    fitted = fit(cost, written, solved)[1] if solved else None
    kept: dict[object, Fitted] = {}
    for one in filter(None, (Fitted(alike, 0.0), fitted, Fitted(net.guess, 0.0), by_stock, by_guess)):
        kept.setdefault(one.ratios, one)
    return list(kept.values())
