"""Stories: what an author may have done to a network without renumbering it, each a map from old numbers to rows.

A story costs what it takes to believe it. That of the rows as written costs nothing; one inserted attention costs half
a unit; what the file's comments or the stock model say costs less than what nothing speaks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from .network import WiredRows

#: What believing a story costs.
COSTS: Mapping[str, float] = {
    "attention in": 0.5,
    "narrow in": 0.8,
    "block in": 1.1,
    "more attention in": 0.25,
    "more in": 0.6,
    "adjacent in": 0.3,
    "in stock too": 0.8,
    "row gone": 1.0,
    "more gone": 0.2,
    "sure stock": 0.4,
    "stock": 0.8,
    "comments": 0.4,
    "few comments": 0.8,
    "against comments": 0.8,
    "head copied": 1.4,
}
_MOST_ADJACENT, _MOST_GONE, _MOST_SETS, _ALL_SUBSETS = 4, 4, 120, 6
_MOST_SHIFT = 12  # rows by which backbones differ in length

#: Old number -> the row that it means now; None where the story does not say.
Map = Callable[[int], "int | None"]


class AuthorEdit(NamedTuple):
    """What was done to a network.

    Attributes:
        inserted: the rows that were inserted.
        gone: how many rows are gone, and the old number of the first.
        evidence: "comments" or "stock" where these alone tell the edit.
        commented: whether the index comments tell just this.
        head: by how many rows the backbone is shorter than the one for which the head was written.
    """

    inserted: tuple[int, ...] = ()
    gone: tuple[int, int] | None = None
    evidence: str = ""
    commented: bool = False
    head: int = 0


class Story(NamedTuple):
    """What may have been done, and what it makes of the numbers.

    Attributes:
        cost: what it takes to believe it.
        rows: number as written -> the row that it means, for each number of the file; None where it can't be told.
        edit: what was done.
    """

    cost: float
    rows: Mapping[int, int | None]
    edit: AuthorEdit


def stories(net: WiredRows) -> list[Story]:
    """Every story that changes what some number means, the cheapest of those that mean the same."""
    numbers = sorted({net.numbers[i][j] for i, j in net.slots if net.numbers[i][j] >= 0})
    kept: dict[tuple[int | None, ...], Story] = {}
    comments = Comments(net)
    for cost, mapping, edit in _all(net, comments, numbers):
        agree = comments.agree(edit, net)
        if agree:
            cost, edit = min(cost, comments.cost), edit._replace(commented=True)
        elif agree is False and not edit.evidence:
            cost += COSTS["against comments"]
        rows = tuple(map(mapping, numbers))
        if rows != tuple(numbers) and (rows not in kept or kept[rows].cost > cost):
            kept[rows] = Story(cost, dict(zip(numbers, rows)), edit)
    return list(kept.values())


_Told = tuple[float, Map, AuthorEdit]


def _all(net: WiredRows, comments: Comments, numbers: Sequence[int]) -> Iterator[_Told]:
    there = _in_stock_too(net)
    for rows in _insertions(net):
        adjacent = COSTS["adjacent in"] if len(rows) > 1 and not all(net.refines[i] for i in rows) else 0
        cost = _cost_of_insertion(net, rows) + COSTS["in stock too"] * len(there.intersection(rows))
        yield cost + adjacent, _by_insertion(net, rows), AuthorEdit(tuple(rows))
    highest = min(max(net.size, numbers[-1]), net.size + _MOST_GONE)  # that a row had with those that are gone
    for count in range(1, _MOST_GONE + 1):
        cost = COSTS["row gone"] + COSTS["more gone"] * (count - 1)
        for before in range(1, highest + 1):
            yield cost, _by_deletion(before, count), AuthorEdit(gone=(count, before))
    if net.alignment is not None:
        yield COSTS["sure stock" if net.alignment.is_sure else "stock"], _by_stock(net), AuthorEdit(evidence="stock")
    yield from _by_comments(net, comments)
    yield from _by_copied_head(net)


def _insertions(net: WiredRows) -> Iterator[list[int]]:
    """Rows that may have been inserted: any one, up to four adjacent ones, any that refine."""
    rows = [i for i in range(1, net.last) if len(net.numbers[i]) == 1 and net.layers[i].map is None]
    for i in rows:
        yield [i]
        for count in range(2, _MOST_ADJACENT + 1):
            if i + count < net.last:
                yield list(range(i, i + count))
    refining = [i for i in rows if net.refines[i]]
    groups: dict[str, list[int]] = {}
    for i in refining:
        groups.setdefault(net.layers[i].block, []).append(i)
    sets = [group for group in (*groups.values(), refining) if len(group) > 1]
    yield from _unique([*sets, *(part for group in sets for part in _parts(group))])[:_MOST_SETS]


def _parts(group: list[int]) -> Iterator[list[int]]:
    if len(group) <= _ALL_SUBSETS:
        for count in range(2, len(group)):
            yield from map(list, combinations(group, count))
    else:
        yield from (group[:count] for count in range(2, len(group)))
        yield from (group[count:] for count in range(1, len(group) - 1))


def _unique(lists: Iterable[list[int]]) -> list[list[int]]:
    return [list(key) for key in dict.fromkeys(map(tuple, lists))]


def _cost_of_insertion(net: WiredRows, rows: Sequence[int]) -> float:
    first = rows[0]
    kind = "attention in" if net.refines[first] else "narrow in" if net.narrows[first] else "block in"
    more = sum(COSTS["more attention in" if net.refines[i] else "more in"] for i in rows[1:])
    return COSTS[kind] + more


def _in_stock_too(net: WiredRows) -> set[int]:
    if net.alignment is None:
        return set()
    pairs = ((net.alignment.stock[old], new) for old, new in net.alignment.rows.items())
    return {new for old, new in pairs if old.block == net.layers[new].block or net.roles[new] != "other"}


def _by_insertion(net: WiredRows, rows: Iterable[int]) -> Map:
    """An inserted attention hands its source's consumers to the end of its run; a 1x1 convolution does not."""
    inserted = set(rows)
    kept = [i for i in range(net.size) if i not in inserted]

    def row(number: int) -> int | None:
        if number >= len(kept):
            return None
        end = kept[number]
        while end + 1 in inserted and net.keeps(end + 1):
            end += 1
        return end

    return row


def _by_deletion(before: int, count: int) -> Map:
    return lambda number: number if number < before else number - count if number >= before + count else before - 1


def _by_stock(net: WiredRows) -> Map:
    alignment = net.alignment
    assert alignment is not None

    def row(number: int) -> int | None:
        while number not in alignment.rows:
            if not 0 <= number < len(alignment.stock) or len(alignment.stock[number].raw_sources) != 1:
                return None
            number = alignment.stock[number].sources[0]
        end = alignment.rows[number]
        while end + 1 < net.size and end + 1 not in alignment.stock_row and net.keeps(end + 1):
            end += 1
        return end

    return row


def _by_comments(net: WiredRows, comments: Comments) -> Iterator[_Told]:
    """What the comments call rows; between two, the offset of the one before is carried on."""
    if not comments.tell:
        return
    cost = comments.cost
    for rows in comments.insertions(net):
        yield cost, _by_insertion(net, rows), AuthorEdit(tuple(rows), evidence="comments")
    yield cost, comments.row, AuthorEdit(evidence="comments")


def _by_copied_head(net: WiredRows) -> Iterator[_Told]:
    """A head from a network whose backbone has another length: numbers move by as much, levels stand for levels."""
    start = next((i for i, layer in enumerate(net.layers) if layer.section == "head"), 0)
    highest = max(net.numbers[net.last], default=0)
    ends = list(net.ends_of_levels(start).values())
    for shift in {highest - end for end in (net.last - 1, net.last - 2)} - {0}:
        border = start + shift
        below = sorted({net.numbers[i][j] for i, j in net.slots if i >= start and 0 <= net.numbers[i][j] < border})
        if border < 1 or not 0 < len(below) <= len(ends) or abs(shift) > _MOST_SHIFT:
            continue
        for levels in combinations(ends, len(below)):
            yield COSTS["head copied"], _by_levels(dict(zip(below, levels)), shift), AuthorEdit(head=shift)


def _by_levels(levels: Mapping[int, int], shift: int) -> Map:
    return lambda number: levels.get(number, number - shift)


class Comments:
    """What the index comments say of rows that came or went since they were written.

    Attributes:
        row_of: number in a comment -> row.
        tell: whether they say anything: at least two of them are not their row's number.
    """

    def __init__(self, net: WiredRows) -> None:
        self.row_of: dict[int, int] = {}
        for i in sorted(net.comments):
            self.row_of.setdefault(net.comments[i], i)
        self._numbered = sorted(self.row_of)
        self._size = net.size
        ordered = [number for _, number in sorted((i, number) for number, i in self.row_of.items())]
        self.tell = sum(number != i for number, i in self.row_of.items()) >= 2 and ordered == self._numbered

    @property
    def cost(self) -> float:
        """What it takes to believe them."""
        return COSTS["comments" if len(self.row_of) > 0.4 * self._size else "few comments"]

    def row(self, number: int) -> int:
        """The row that a number means; between two comments, the offset of the one before is carried on."""
        if number in self.row_of:
            return self.row_of[number]
        below = [other for other in self._numbered if other < number]
        return number + self.row_of[below[-1]] - below[-1] if below else number

    @property
    def gaps(self) -> Iterator[tuple[tuple[int, int], tuple[int, int], int]]:
        """Neighbouring comments, each as (number, row), and how many rows have come between the two."""
        before = (-1, -1)
        for number in self._numbered:
            here = (number, self.row_of[number])
            yield before, here, here[1] - before[1] - (number - before[0])
            before = here

    def agree(self, edit: AuthorEdit, net: WiredRows) -> bool | None:
        """Whether an edit is just what they say; None where they say nothing of it, False where they contradict it."""
        if not self.tell or edit.head:
            return None
        if edit.evidence == "stock" and net.alignment is not None:
            known = net.alignment.rows
            return all(known[number] == row for number, row in self.row_of.items() if number in known) or None
        if edit.evidence == "comments":
            return True
        inserted, gone = edit.inserted, edit.gone
        exact = True
        for (low, first), (high, last), more in self.gaps:
            came = sum(first < i < last for i in inserted)
            went = gone[0] if gone and low < gone[1] < high else 0
            if came - went > max(more, 0) or came - went < min(more, 0) or any(i == last for i in inserted):
                return False
            exact = exact and came - went == more
        return True if exact else None

    def insertions(self, net: WiredRows) -> Iterator[list[int]]:
        """The rows that they say were inserted; among several in a gap, those of a block that came elsewhere too."""
        gaps = [(first, last, more) for (_, first), (_, last), more in self.gaps if more]
        if any(more < 0 for _, _, more in gaps):
            return
        choices = []
        for first, last, more in gaps:
            rows = [i for i in range(first + 1, last) if len(net.numbers[i]) == 1]
            refining = [i for i in rows if net.refines[i]]
            choices.append((refining if len(refining) >= more else rows, more))
        if any(len(rows) < more for rows, more in choices):
            return
        votes: dict[str, float] = {}
        for rows, more in choices:
            for i in rows:
                votes[net.layers[i].block] = votes.get(net.layers[i].block, 0) + more / len(rows)
        inserted: list[int] = []
        for rows, more in choices:
            inserted += sorted(sorted(rows, key=lambda i: -votes[net.layers[i].block])[:more])
        yield inserted
        end = max(self.row_of.values())
        blocks = {net.layers[i].block for i in inserted}
        behind = [i for i in range(end + 1, net.last) if net.refines[i] and net.layers[i].block in blocks]
        if behind:
            yield [*inserted, *behind]
