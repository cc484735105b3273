"""The wirings that stories give, and what each costs in all: the story, what it leaves unexplained, and what is broken.

A story need not hold for the whole file: an author renumbers the output layer and not the neck, or stops half-way. So
each is tried with all numbers old, with the output layer's alone, with all but these, and the best also with every
beginning and every end old, and with single rows the other way. What is left is a single number that was mistyped, two
that were swapped, or an output layer to be written anew.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from ...core.graph import MAY_BE_ATTENTION
from .cost import Fitted, WiringCost, WiringReading, cheapest, fit, solve
from .network import Slot, WiredRows, Wiring
from .stories import Story, stories

#: What it takes to believe that an author went on otherwise.
SLIPS: Mapping[str, float] = {
    "switch between rows": 0.6,
    "switch before the output": 0.3,
    "switch within a row": 1.2,
    "one number, by one": 1.6,
    "one number": 2.2,
    "without hard evidence": 1.0,
    "swapped": 1.4,
    "output anew": 1.6,
}
_MOST_STORIES, _MOST_REFINED = 14, 5
_FAR = 1.5  # more than what sets rivals apart
_MOST_EXPLAINED = 1.0
_AROUND = frozenset(("around_attention", "around_block", "moved_to_lateral"))
_EVIDENCE = frozenset(
    ("forward", "no_map", "clash", "named_clash", "own_clash", "twice", "output_clash", "output_inside",
     "unlike_same_stock", "unlike_sure_stock", "unread")
)  # fmt: skip


class Search:
    """All readings of a network that were looked at.

    Attributes:
        cost: what speaks against a wiring.
        ratios: stride ratios that may hold; a wiring's cost is the least over them.
        readings: wiring -> the cheapest reading that gives it.
    """

    def __init__(self, cost: WiringCost, ratios: list[Fitted]) -> None:
        self.cost, self.ratios = cost, ratios
        self.readings: dict[Wiring, WiringReading] = {}
        self._prices: dict[Wiring, tuple[float, Fitted]] = {}
        self.net: WiredRows = cost.net
        self._least = math.inf
        self.see(self.net.written, 0.0)

    @property
    def as_written(self) -> WiringReading:
        """The rows as they stand."""
        return self.readings[self.net.written]

    def ranked(self, most: int | None = None) -> list[WiringReading]:
        """The readings, the cheapest first."""
        return sorted(self.readings.values(), key=lambda reading: reading.cost)[:most]

    def price(self, wiring: Wiring) -> tuple[float, Fitted]:
        """What a wiring costs, and the ratios under which it does."""
        if wiring not in self._prices:
            self._prices[wiring] = cheapest(self.cost, wiring, self.ratios)
        return self._prices[wiring]

    def is_hopeless(self, belief: float) -> bool:
        """Whether a reading that takes so much belief is too far from the best to count, whatever it explains."""
        return belief > self._least + _FAR

    def see(
        self,
        wiring: Wiring,
        belief: float,
        story: Story | None = None,
        old: Collection[Slot] = (),
        slips: tuple[str, ...] = (),
    ) -> WiringReading:
        """Look at a wiring, and keep it where no cheaper reading gives it."""
        price, fitted = self.price(wiring)
        reading = WiringReading(belief + price, belief, wiring, fitted, story, frozenset(old), slips)
        there = self.readings.get(wiring)
        if there is None or reading.cost < there.cost:
            self.readings[wiring] = reading
            self._least = min(self._least, reading.cost)
        return reading

    def _explained(self, story: Story, wiring: Wiring, old: Iterable[Slot]) -> float:
        """What a wiring costs that the edit itself explains.

        Where the comments tell the edit, each number read before it what it reads now, however odd; and what read a row
        that is gone now reads that row's source, which need not be the end of a level.
        """
        if not story.edit.commented:
            return 0.0
        net, cost, total = self.net, self.cost, 0.0
        _, fitted = self.price(wiring)
        gone = story.edit.gone[1] if story.edit.gone and story.edit.gone[0] == 1 else None
        downs = cost.reads_down(wiring, fitted.ratios) if gone is not None else {}
        for i, j in old:
            number, source = net.numbers[i][j], wiring[i][j]
            if story.rows[number] == source:
                total += sum(
                    cost.weights[term] * times
                    for term, times in cost.of_number(i, j, source, fitted.ratios)
                    if term in _AROUND
                )
                total += downs.pop(i, 0.0) if number == gone else 0.0
        return total

    def run(self) -> None:
        """Look at every wiring that a story gives, and at what is like the best of them."""
        cheapest_first = sorted(stories(self.net), key=lambda story: story.cost)
        starts = sorted(filter(None, map(self._whole, cheapest_first)), key=lambda start: start[0])
        self._fit_to_best()
        for _, story in starts[:_MOST_STORIES]:
            self._parts(story)
        self._output_anew()
        for _ in range(2):
            self._slips()
        self._fit_again()

    # --- stories ----------------------------------------------------------------------------------------------------

    def _whole(self, story: Story) -> tuple[float, Story] | None:
        """What a story costs at best where all numbers are old, or all of the output layer's, or all others."""
        net, changed = self.net, self._changed(story)
        at_output = [slot for slot in changed if slot[0] in net.outputs]
        others = [slot for slot in changed if slot[0] not in net.outputs]
        costs = []
        for old in dict.fromkeys(map(tuple, (changed, at_output, others))):
            if not old or self.is_hopeless(story.cost + self._switches(changed, old) - _MOST_EXPLAINED):
                continue
            wiring = self._told(story, old)
            if wiring is not None:
                costs.append(self._tell(story, wiring, changed, old).cost)
        return (min(costs), story) if costs else None

    def _parts(self, story: Story) -> None:
        """A story with a beginning or an end of the numbers old, and then single ones the other way."""
        changed = self._changed(story)
        best: tuple[float, frozenset[Slot]] | None = None

        def tried(old: Iterable[Slot]) -> tuple[float, frozenset[Slot]] | None:
            chosen = frozenset(old)
            if not chosen or self.is_hopeless(story.cost + self._switches(changed, chosen) - _MOST_EXPLAINED):
                return None
            wiring = self._told(story, chosen)
            if wiring is None:
                return None
            return self._tell(story, wiring, changed, chosen).cost, chosen

        for count in range(len(changed) + 1):
            for part in (changed[:count], changed[count:]):
                found = tried(part)
                if found and (best is None or found[0] < best[0]):
                    best = found
        for _ in range(3):
            if best is None:
                return
            flipped = [trial for trial in (tried(best[1] ^ {slot}) for slot in changed) if trial]
            nearest = min(flipped, key=lambda trial: trial[0], default=None)
            if nearest is None or nearest[0] >= best[0] - 1e-9:
                return
            best = nearest

    def _tell(self, story: Story, wiring: Wiring, changed: Sequence[Slot], old: Collection[Slot]) -> WiringReading:
        belief = story.cost + self._switches(changed, old) - self._explained(story, wiring, old)
        return self.see(wiring, belief, story, old)

    def _changed(self, story: Story) -> list[Slot]:
        numbers = self.net.numbers
        return [(i, j) for i, j in self.net.slots if numbers[i][j] >= 0 and story.rows[numbers[i][j]] != numbers[i][j]]

    def _told(self, story: Story, old: Iterable[Slot]) -> Wiring | None:
        """The wiring where these numbers are old ones; None where the story does not say what one of them means."""
        rows = list(self.net.written)
        for i, j in old:
            meant = story.rows[self.net.numbers[i][j]]
            if meant is None:
                return None
            rows[i] = (*rows[i][:j], meant, *rows[i][j + 1 :])
        return tuple(rows)

    def _switches(self, changed: Sequence[Slot], old: Collection[Slot]) -> float:
        """What it takes to believe that an author renumbered some rows and not others."""
        cost = 0.0
        for before, after in zip(changed, changed[1:]):
            if (before in old) == (after in old):
                continue
            if before[0] == after[0]:
                cost += SLIPS["switch within a row"]
            else:
                cost += SLIPS["switch before the output" if after[0] in self.net.outputs else "switch between rows"]
        return cost

    # --- slips ------------------------------------------------------------------------------------------------------

    def _output_anew(self) -> None:
        """The output layer reads the last row of each level, whatever it reads now."""
        net = self.net
        width = len(net.written[net.last])
        if width < 2:
            return
        for reading in [*self.ranked(4), self.as_written]:
            ends: dict[float, int] = {}
            strides = self.cost.strides(reading.wiring, reading.ratios.ratios)
            for row in range(net.last):
                stride = strides[row]
                if net.layers[row].section == "head" and stride and self._ends_level(row):
                    ends[stride] = row
            for finest in (2, 4, 8, 16):
                levels = [finest * 2.0**level for level in range(width)]
                if all(level in ends for level in levels):
                    wiring = (*reading.wiring[: net.last], tuple(ends[level] for level in levels))
                    self._slip(reading, wiring, "output anew")

    def _ends_level(self, row: int) -> bool:
        net = self.net
        if net.roles[row] in ("up", "down", "conv"):
            return False
        refined = net.roles[row + 1] in ("block", *MAY_BE_ATTENTION) and net.guess[row + 1] == 1
        return not (net.followed[row] and refined)

    def _slips(self) -> None:
        """Single numbers that are wrong by themselves, and pairs that were swapped."""
        best = self.ranked(_MOST_REFINED)
        if self.as_written not in best:
            best.append(self.as_written)
        for reading in best:
            suspects, unread = self._evidence(reading)
            strides = self.cost.strides(reading.wiring, reading.ratios.ratios)
            for slot in [*self.net.slots, *(slot for slot in self.net.relative if slot[0] in suspects)]:
                self._move(reading, slot, strides, suspects, unread)
            at_fusions = [slot for slot in self.net.slots if self.net.fusion[slot[0]]]
            for at, slot in enumerate(at_fusions):
                for other in at_fusions[at + 1 :]:
                    if slot[0] in suspects or other[0] in suspects:
                        self._swap(reading, slot, other)

    def _evidence(self, reading: WiringReading) -> tuple[set[int], set[int]]:
        """Rows in which something is wrong, with the single sources of what clashes; and rows that nobody reads."""
        suspects: set[int] = set()
        unread: set[int] = set()
        wiring = reading.wiring
        for term, row, _ in self.cost.terms(wiring, reading.ratios.ratios):
            if term in _EVIDENCE:
                suspects.add(row)
            if term == "unread":
                unread.add(row)
            if term.endswith("clash") and term != "output_clash":
                suspects.update(x for x in wiring[row] if 0 <= x < row and len(wiring[x]) == 1)
        return suspects, unread

    def _move(
        self,
        reading: WiringReading,
        slot: Slot,
        strides: Sequence[float | None],
        suspects: Collection[int],
        unread: Collection[int],
    ) -> None:
        (i, j), net = slot, self.net
        if i in net.picks:
            return  # what is no list can't be picked from
        here, number = reading.wiring[i][j], net.written[i][j]
        near = {here + step for step in (-2, -1, 1, 2)} | {i - 1} | {row for row in unread if row < i}
        expected = self.cost.expected.get(slot)
        near |= {max(expected.rows)} if expected else set()
        wanted = self._wanted(reading.wiring, slot, strides)
        if wanted and (not 0 <= here < i or strides[here] not in wanted):
            near |= {row for row in range(i) if strides[row] in wanted and not self._is_refined(row)}
        for row in near:
            if 0 <= row < i and row != here:
                kind = "one number, by one" if abs(row - number) <= 1 else "one number"
                doubt = 0.0 if i in suspects or row in unread else SLIPS["without hard evidence"]
                if self.is_hopeless(reading.belief + SLIPS[kind] + doubt):
                    continue
                sources = (*reading.wiring[i][:j], row, *reading.wiring[i][j + 1 :])
                wiring = (*reading.wiring[:i], sources, *reading.wiring[i + 1 :])
                self._slip(reading, wiring, kind, doubt)

    def _is_refined(self, row: int) -> bool:
        return self.net.followed[row] and self.net.roles[row + 1] in ("block", *MAY_BE_ATTENTION)

    def _wanted(self, wiring: Wiring, slot: Slot, strides: Sequence[float | None]) -> list[float]:
        """The strides that the other sources of the row ask for."""
        i, j = slot
        if i not in self.net.outputs:
            others = (strides[x] for x in wiring[i] if x != wiring[i][j] and 0 <= x < i)
            return [stride for stride in others if stride]
        levels = ((k, strides[x] if 0 <= x < i else None) for k, x in enumerate(wiring[i]) if k != j)
        return [stride * 2.0 ** (j - k) for k, stride in levels if stride]

    def _swap(self, reading: WiringReading, one: Slot, other: Slot) -> None:
        (i, j), (k, m) = one, other
        x, y = reading.wiring[i][j], reading.wiring[k][m]
        if i == k or x == y or y >= i or x >= k or self.is_hopeless(reading.belief + SLIPS["swapped"]):
            return
        rows = list(reading.wiring)
        rows[i] = (*rows[i][:j], y, *rows[i][j + 1 :])
        rows[k] = (*rows[k][:m], x, *rows[k][m + 1 :])
        self._slip(reading, tuple(rows), "swapped")

    def _slip(self, reading: WiringReading, wiring: Wiring, kind: str, doubt: float = 0.0) -> None:
        belief = reading.belief + SLIPS[kind] + doubt
        self.see(wiring, belief, reading.story, reading.old, (*reading.slips, kind))

    # --- stride ratios ----------------------------------------------------------------------------------------------

    def _fit_to_best(self) -> None:
        """Ratios fitted to the three best stories are ratios that may hold."""
        for reading in self.ranked(3) if self.net.kinds else ():
            fitted = self._fitted(reading.wiring)
            if all(fitted.ratios != there.ratios for there in self.ratios):
                self.ratios.append(fitted)
                self._prices.clear()

    def _fit_again(self) -> None:
        """The ratios once more, for the best readings."""
        if not self.net.kinds:
            return
        ranked = self.ranked()
        rest = [reading for reading in ranked[6:200] if reading.story is None]
        for reading in [*ranked[:6], *rest[:4]]:
            fitted = self._fitted(reading.wiring)
            price = self.cost.of(reading.wiring, fitted.ratios) + fitted.cost
            if reading.belief + price < reading.cost - 1e-9:
                self.readings[reading.wiring] = reading._replace(cost=reading.belief + price, ratios=fitted)

    def _fitted(self, wiring: Wiring) -> Fitted:
        solved = solve(self.net, wiring, self.ratios[0].ratios, self.cost.weights)
        starts = [self.ratios[0], *([solved] if solved else [])]
        return min((fit(self.cost, wiring, start) for start in starts), key=lambda pair: pair[0])[1]
