"""What a search tells: the numbers that are wrong in every likely reading, and the right ones where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ...core.graph import Layer, role_of
from ..alignment import Alignment
from .cost import (
    HARD,
    WEIGHTS,
    Broken,
    Expected,
    Fitted,
    WiringCost,
    WiringReading,
    cheapest,
    expected_numbers,
    first_ratios,
    guess_with_stock,
)
from .network import Slot, WiredRows, Wiring

if TYPE_CHECKING:
    from .search import Search

#: How much cheaper a reading has to be than the rows as written; than the next reading, and than one within a run; and
#: how near to the best a reading is that has to agree on what is wrong.
CLEARLY, NEXT, IN_RUN, LIKELY = 1.2, 0.6, 0.3, 1.0
#: What it takes to believe the likeliest story: no reading but the rows as written costs less.
LEAST = 0.4
#: The same two for the next reading, where comments are to be corrected as well.
NEAR_FOR_COMMENTS, NEAR_IN_RUN = 1.25, 0.25
_ALIKE = 0.85
#: No network has as many rows; the search takes as many looks as rows at as many rows.
_MOST_ROWS = 300
_WHOLE_COST, _MOST_OF_WRITTEN, _LESS_OF_WRITTEN = 3.0, 0.6, 0.3
#: What says no more of another row: a guess at what a block does, and a row that may be unread on purpose.
_DOUBTFUL = frozenset(("named_clash", "unread"))
_OF_THE_ROW = _DOUBTFUL | {"output_inside", "reads_upsample", "reads_fusion"}
#: What it takes, where no reading is whole, to call numbers wrong; and in any case.
_SOME = frozenset(("unread", "output_inside", "reads_upsample", "unlike_same_stock", "unlike_sure_stock"))
_ANY = HARD | _SOME | {"reads_fusion"}


class Verdict(NamedTuple):
    """What is wrong with the wiring of a network.

    Attributes:
        wrong: the numbers that are wrong in every likely reading.
        fixes: number -> what it should be; empty where there is no one right answer.
        best: the cheapest reading.
        rivals: readings between which a person has to choose, the cheapest first; empty where `fixes` is not.
        expected: what numbers would be if the file were the stock model with rows inserted.
        broken: all that speaks against the rows as written.
        renumber: whether index comments may be corrected with the numbers: they tell the same edit, and no other
            reading comes near it.
    """

    wrong: tuple[Slot, ...] = ()
    fixes: Mapping[Slot, int] = MappingProxyType({})
    best: WiringReading | None = None
    rivals: tuple[WiringReading, ...] = ()
    expected: Mapping[Slot, Expected] = MappingProxyType({})
    broken: tuple[Broken, ...] = ()
    renumber: bool = False


def infer(
    layers: Sequence[Layer],
    comments: Mapping[int, int],
    alignment: Alignment | None,
    of_stock: Mapping[int, float],
    weights: Mapping[str, float] = WEIGHTS,
    explain: bool = False,
) -> Verdict:
    """The verdict on a network.

    Args:
        layers: its rows.
        comments: row -> the number in its index comment.
        alignment: the stock model that the rows resemble, or None.
        of_stock: row -> the stride ratio of the stock model's row in whose place it stands.
        weights: term -> what it costs.
        explain: whether `best` is to be the cheapest reading also where nothing is wrong.
    """
    net = WiredRows(layers, comments, alignment)
    if net.size < 4 or not net.slots:
        return Verdict()
    expected = expected_numbers(net)
    cost = WiringCost(net, expected, weights)
    right = _as_it_stands(cost, of_stock)
    if right is not None:
        return Verdict(best=right, expected=expected, broken=_broken(cost, right))
    if net.size > _MOST_ROWS:
        as_is = WiringReading(cost.of(net.written, net.guess), 0.0, net.written, Fitted(net.guess, 0.0))
        return Verdict(best=as_is, expected=expected, broken=_broken(cost, as_is))
    ratios = first_ratios(cost, of_stock)
    if _is_rebuilt(cost, cheapest(cost, net.written, ratios)[1].ratios):
        cost = WiringCost(net, {}, weights)
    price, fitted = cheapest(cost, net.written, ratios)
    as_is = WiringReading(price, 0.0, net.written, fitted)
    broken = _broken(cost, as_is)
    if price < CLEARLY or not (explain or _may_be_wrong(net, price, broken)):
        return Verdict(best=as_is, expected=expected, broken=broken)
    from .search import Search  # here, for most files are right

    search = Search(cost, ratios)
    search.run()
    return _decide(search)._replace(expected=expected)


def _as_it_stands(cost: WiringCost, of_stock: Mapping[int, float]) -> WiringReading | None:
    """The rows as written, where they are right by the first guesses of what unknown rows do: most files are."""
    net = cost.net
    for ratios in dict.fromkeys((guess_with_stock(net, of_stock), net.guess)):
        price = cost.of(net.written, ratios)
        if price < CLEARLY:
            return WiringReading(price, 0.0, net.written, Fitted(ratios, 0.0))
    return None


def _may_be_wrong(net: WiredRows, price: float, broken: Sequence[Broken]) -> bool:
    """Whether any reading could make a number wrong: soft evidence never does, nor what is hardly more than a story.

    Where comments tell what was done, a story may cost less than it takes to believe it.
    """
    stale = sum(number != row for row, number in net.comments.items())
    return any(one.term in _ANY for one in broken) and (stale > 1 or price - LEAST >= CLEARLY)


def _broken(cost: WiringCost, reading: WiringReading) -> tuple[Broken, ...]:
    return tuple(cost.terms(reading.wiring, reading.ratios.ratios))


def _is_rebuilt(cost: WiringCost, ratios: tuple[float | str, ...]) -> bool:
    """Whether fusions or upsamples came or went, with nothing hard wrong: then the stock model tells nothing."""
    net, alignment = cost.net, cost.net.alignment
    if alignment is None or not cost.expected:
        return False
    came = {net.roles[i] for i in range(net.size) if i not in alignment.stock_row}
    went = {role_of(row, len(alignment.stock) - 1) for row in alignment.stock if row.index not in alignment.rows}
    terms = {term for term, _, _ in cost.terms(net.written, ratios)}
    return bool((came | went) & {"fuse", "up"}) and not terms & (HARD | {"unread", "absurd_stride"})


def _decide(search: Search) -> Verdict:
    net = search.net
    ranked = search.ranked()
    written, best = search.as_written, ranked[0]
    terms = search.cost.terms(net.written, written.ratios.ratios)
    facts = _facts(net, terms)
    unexplained = Verdict(best=best, broken=tuple(terms))
    if written.cost - best.cost < CLEARLY:
        return unexplained
    as_is, as_best = net.modulo_runs(net.written), net.modulo_runs(best.wiring)
    likely = [
        net.modulo_runs(reading.wiring)
        for reading in ranked
        if reading.cost <= best.cost + LIKELY and reading.cost < written.cost - 0.3
    ]
    numbers = (*net.slots, *net.relative)
    wrong = tuple((i, j) for i, j in numbers if all(wiring[i][j] != as_is[i][j] for wiring in likely))
    rivals = [reading for reading in ranked[1:] if _is_rival(net, reading, best, as_best)]
    broken = {term for term, _, _ in terms}
    if rivals or not _is_whole(search, best) or not _explains_enough(best, written):
        if not facts and not broken & _SOME:
            return unexplained
        choices = tuple(reading for reading in (best, *rivals) if _mends(search, reading, terms))
        hard = broken & (HARD | {"unread"})
        if not facts and hard and hard <= _DOUBTFUL:
            rows = {one.row for one in terms if one.term in _OF_THE_ROW}
            wrong = tuple(slot for slot in wrong if slot[0] in rows)
        return unexplained._replace(wrong=wrong, rivals=choices if wrong or facts else ())
    if not broken & _ANY:
        return unexplained
    least = _least_change(search, best, as_best, ranked)
    fixes = {(i, j): least.wiring[i][j] for i, j in numbers if least.wiring[i][j] != net.written[i][j]}
    renumber = _is_told_by_comments(net, least, ranked)
    told = least._replace(story=best.story)  # what was done is told by the likeliest
    return unexplained._replace(wrong=wrong or tuple(fixes), fixes=fixes, best=told, renumber=renumber)


def _is_told_by_comments(net: WiredRows, best: WiringReading, ranked: Sequence[WiringReading]) -> bool:
    """Whether the comments tell the edit of the best reading, or all but one are right, and no other comes near it.

    A comment that is corrected for the wrong edit no longer tells the right one.
    """
    stale = {number: row for row, number in net.comments.items() if number != row}
    if not (best.story and best.story.edit.commented):
        told = best.story.rows if best.story else {}
        if len(stale) > 1 or any(told.get(number, row) != row for number, row in stale.items()):
            return False
    others = [reading for reading in ranked if reading.wiring != best.wiring]
    near = [reading for reading in others if reading.cost < best.cost + NEAR_FOR_COMMENTS]
    as_best = net.modulo_runs(best.wiring)
    return all(
        reading.cost >= best.cost + NEAR_IN_RUN and net.modulo_runs(reading.wiring) == as_best for reading in near
    )


def _facts(net: WiredRows, terms: Sequence[Broken]) -> list[Broken]:
    """What is wrong whatever was meant: forward reads, and clashes between strides that are sure."""
    sure = [False] * net.size
    for i, layer in enumerate(net.layers):
        known = net.effects[i].ratio is not None or net.effects[i].joins or i in net.outputs
        fused = len(layer.sources) > 1 and net.fusion[i] not in ("joins", None)
        sure[i] = known and not fused and all(x == -1 or (0 <= x < i and sure[x]) for x in net.written[i])
    facts = []
    for one in terms:
        sources_are_sure = all(sure[x] for x in net.written[one.row] if 0 <= x < one.row)
        if one.term == "forward" or (one.term in ("clash", "no_map", "output_clash") and sources_are_sure):
            facts.append(one)
    return facts


def _is_rival(net: WiredRows, reading: WiringReading, best: WiringReading, as_best: Wiring) -> bool:
    if reading.cost >= best.cost + NEXT or net.modulo_runs(reading.wiring) == as_best:
        return False
    pairs = ((x, y) for a, b in zip(reading.wiring, best.wiring) for x, y in zip(a, b))
    return reading.cost < best.cost + IN_RUN or not all(net.in_one_run(x, y) for x, y in pairs)


def _mends(search: Search, reading: WiringReading, terms: Sequence[Broken]) -> bool:
    """Whether a reading breaks nothing that is not broken as written, and mends every row that it changes."""
    before = {(one.term, one.row) for one in terms}
    changed = {row for row, sources in enumerate(reading.wiring) if sources != search.net.written[row]}
    left = search.cost.terms(reading.wiring, reading.ratios.ratios)
    hard = {(one.term, one.row) for one in left if one.term in HARD or one.term == "unread"}
    return hard <= before and not any(row in changed and term in HARD for term, row in hard)


def _is_whole(search: Search, reading: WiringReading) -> bool:
    return not any(term in HARD for term, _, _ in search.cost.terms(reading.wiring, reading.ratios.ratios))


def _explains_enough(best: WiringReading, written: WiringReading) -> bool:
    share = _LESS_OF_WRITTEN if best.cost > _WHOLE_COST else _MOST_OF_WRITTEN
    return best.cost <= share * written.cost


def _least_change(
    search: Search, best: WiringReading, as_best: Wiring, ranked: Sequence[WiringReading]
) -> WiringReading:
    """Of the insertions that are one but for runs of attention, the one that changes the fewest numbers.

    What by its own story was inserted is read all the same: a number that passes it by is an old one.
    """
    net = search.net
    if best.story is None or not best.story.edit.inserted:
        return best
    alike = [
        reading
        for reading in ranked
        if _inserts(reading, net)
        and reading.cost <= best.cost + _ALIKE
        and net.modulo_runs(reading.wiring) == as_best
        and not _passes_by(net, best, reading)
    ]
    return min([best, *alike], key=lambda reading: (_changes(reading.wiring, net.written), reading.cost))


def _inserts(reading: WiringReading, net: WiredRows) -> bool:
    """Whether attention or 1x1 convolutions were inserted, as people do most."""
    inserted = reading.story.edit.inserted if reading.story else ()
    return bool(inserted) and all(net.refines[row] or net.narrows[row] for row in inserted)


def _passes_by(net: WiredRows, best: WiringReading, reading: WiringReading) -> bool:
    """Whether it keeps a number that reads around a row that by its own story was inserted."""
    assert reading.story is not None
    inserted = set(reading.story.edit.inserted)
    kept = [(i, j) for i, j in net.slots if reading.wiring[i][j] == net.written[i][j] != best.wiring[i][j]]
    return any(best.wiring[i][j] in inserted for i, j in kept)


def _changes(one: Wiring, other: Wiring) -> int:
    return sum(x != y for a, b in zip(one, other) for x, y in zip(a, b))
