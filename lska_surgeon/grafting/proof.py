"""What a row of a product is proven to do: what was recorded of its layer goes in, and has to come out, bit for bit.

A row that gives what its layer gave is proven. A proven row that also sees, in the product, exactly what its layer saw
belongs to the exact region: nothing changed up to it. It says more than a count of tensors, for a row that is fed by
something new has to be trained anew, however many weights it kept. Of an output layer that is another one, the
branches are proven one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from torch import nn

from ..core.graph import Graph
from ..wording import plural
from .recording import Call, equal, gives, parts_of_output

#: What can be said of a row, the best first, in the words of the report.
STATES = {
    "exact": "exact",
    "proven": "proven, and fed anew",
    "part": "in part",
    "fitted": "fitted",
    "new": "new",
    "refused": "refused",
}
_OTHERWISE = "it gives something else for the same input, or could not be run"


class RowFit(NamedTuple):
    """How near a row, or a branch of the output layer, comes to a layer, on images that were held out.

    Attributes:
        path: the row, or the branch, as `22.cv3.0`.
        of: that of the original whose output it learned.
        before, after: its error over the size of what is to come out.
    """

    path: str
    of: str
    before: float
    after: float

    @property
    def row(self) -> int:
        """The row."""
        return int(self.path.partition(".")[0])

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"path": self.path, "of": self.of, "before": round(self.before, 6), "after": round(self.after, 6)}


@dataclass(frozen=True)
class RowProof:
    """What is known of one row of a product.

    Attributes:
        row, block: the row.
        layer: the layer of the original that it stands for; None for one that is new.
        state: one of `STATES`.
        parameters: how many it has.
        exact, proven, carried: how many of them are in the exact region; are proven; were carried.
        fitted: how many were fitted to what a layer gave.
        fits: of the row, or of each branch that was fitted: how near it comes.
        why: what kept the rest of the layer out of it.
    """

    row: int
    block: str
    layer: int | None
    state: str
    parameters: int
    exact: int = 0
    proven: int = 0
    carried: int = 0
    fitted: int = 0
    fits: tuple[RowFit, ...] = ()
    why: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without what is not so."""
        fits = [fit.as_dict() for fit in self.fits] or None
        return {key: value for key, value in {**vars(self), "fits": fits}.items() if value is not None}

    @property
    def fit_line(self) -> str:
        """`row 12 (C3k2), to layer 12: error 0.511 -> 0.205`, of several branches the largest."""
        what = f", {len(self.fits)} branches" if "." in self.fits[0].path else f", to layer {self.fits[0].of}"
        before, after = (max(getattr(fit, key) for fit in self.fits) for key in ("before", "after"))
        return f"row {self.row} ({self.block}){what}: error {before:.3g} -> {after:.3g}"


@dataclass(frozen=True)
class Proof:
    """What is known of all rows, in order."""

    rows: tuple[RowProof, ...]

    @property
    def parameters(self) -> int:
        """How many the product has."""
        return sum(row.parameters for row in self.rows)

    @property
    def shares(self) -> dict[str, float]:
        """Of the parameters: exact; proven, and fed anew; carried in part; fitted; new. Together they are 1."""
        total = max(self.parameters, 1)
        keys = ("exact", "proven", "carried", "fitted")
        exact, proven, carried, fitted = (sum(getattr(row, key) for row in self.rows) for key in keys)
        new = self.parameters - carried - fitted
        counts = {"exact": exact, "proven": proven - exact, "part": carried - proven, "fitted": fitted, "new": new}
        return {state: count / total for state, count in counts.items()}

    @property
    def line(self) -> str:
        """`exact 49.8% of the parameters, proven and fed anew 38.1%, carried in part 0.0%, new 12.1%`."""
        words = ("exact", "proven and fed anew", "carried in part", "fitted", "new")
        found = [f"{word} {_percent(share)}" for word, share in zip(words, self.shares.values()) if share]
        return f"{', '.join(found)} of the parameters"

    def lines(self) -> Iterator[str]:
        """Each state that rows have, with the rows, where not all are exact or new; of refused ones and parts, why."""
        if {row.state for row in self.rows} <= {"exact", "new"}:
            return
        for state, words in STATES.items():
            rows = [row for row in self.rows if row.state == state]
            if not rows:
                continue
            if state in ("part", "refused"):
                for row in rows:
                    share = row.carried / max(row.parameters, 1)
                    much = f", {_percent(share)}" if 0 < share < 1 else ""
                    yield f"{words}{much}: row {row.row} ({row.block}), of layer {row.layer}: {row.why}"
            elif state == "fitted":
                yield from (f"{words}: {row.fit_line}" for row in rows if row.fits)
                along = [row.row for row in rows if not row.fits]
                if along:
                    yield f"{words} with the row that they feed: row{plural(along)} {_ranges(along)}"
            elif state != "new":  # which the report lists
                yield f"{words}: row{plural(rows)} {_ranges([row.row for row in rows])}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        shares = {state: round(share, 6) for state, share in self.shares.items()}
        return {"shares": shares, "rows": [row.as_dict() for row in self.rows]}


def prove(
    graph: Graph,
    model: nn.Module,
    calls: tuple[Mapping[str, Call], Mapping[str, Call]],
    stands: Mapping[int, int],
    carried: Collection[str],
    branches: Mapping[str, str],
    why: Mapping[int, str],
    fits: Sequence[RowFit] = (),
    fitted: Collection[str] = (),
) -> Proof:
    """Prove the rows of a product.

    Args:
        graph: its rows.
        model: the product, in float32, evaluating.
        calls: what the layers of the original and those of the product took and gave for one image.
        stands: layer -> the row in its place.
        carried: state-dict names of the product that come from the original.
        branches: of an output layer that is another one, part -> the part of the original's that it stands for.
        why: row -> what keeps the rest of the layer out of it.
        fits: what was fitted, and how near it comes.
        fitted: the rows and branches that learned.
    """
    layers = {row: layer for layer, row in stands.items()}
    found = []
    for row in graph:
        layer, module = layers.get(row.index), model.model[row.index]
        units = [_unit(str(row.index), str(layer), module, calls, carried)]
        if branches and row is graph.output:
            parts = {f"{row.index}.{path}": part for path, part in parts_of_output(module).items()}
            units = [_unit(path, branches.get(path, ""), part, calls, carried) for path, part in parts.items()]
        else:
            parts = {str(row.index): module}
        total = sum(parameter.numel() for parameter in module.parameters())
        learned = sum(one.numel() for path in parts.keys() & {*fitted} for one in parts[path].parameters())
        taken = sum(unit.carried for unit in units)
        proven = sum(unit.carried for unit in units if unit.proven)
        exact = sum(unit.carried for unit in units if unit.exact)
        state = "new"
        if layer is not None:
            state = _state(units, (total, taken, proven, exact))
        if learned:
            state = "fitted"
        reason = None
        if state in ("part", "refused"):
            reason = why.get(row.index) or ("it has more than the layer had" if taken < total else _OTHERWISE)
        near = tuple(fit for fit in fits if fit.row == row.index)
        counts = (total, exact, proven, taken, learned)
        found.append(RowProof(row.index, row.block, layer, state, *counts, near, reason))
    return Proof(tuple(found))


class _Unit(NamedTuple):
    """A row, or a branch of an output layer: its parameters that were carried, and whether it is proven, and exact."""

    carried: int
    proven: bool
    exact: bool


def _unit(
    path: str,
    old: str,
    part: nn.Module,
    calls: tuple[Mapping[str, Call], Mapping[str, Call]],
    carried: Collection[str],
) -> _Unit:
    taken = sum(one.numel() for name, one in part.named_parameters() if f"model.{path}.{name}" in carried)
    before, after = calls[0].get(old), calls[1].get(path)
    if before is None:
        return _Unit(taken, False, False)
    if after is not None and equal(before.inputs, after.inputs):  # which it has run on already
        is_same = equal(before.output, after.output)
        return _Unit(taken, is_same, is_same)
    return _Unit(taken, gives(part, before), False)


def _state(units: Sequence[_Unit], counts: tuple[int, int, int, int]) -> str:
    total, taken, proven, exact = counts
    if total and not taken:
        return "refused"
    if (taken < total and not all(unit.proven for unit in units)) or proven < taken:
        return "part"
    if not total and not all(unit.proven for unit in units):
        return "refused"
    return "exact" if exact == taken and all(unit.exact for unit in units if unit.carried or not total) else "proven"


def _percent(share: float) -> str:
    """`49.8%`; never 100% of what is less, or 0% of what is more."""
    return f"{min(max(share, 0.001), 0.999):.1%}" if 0 < share < 1 else f"{share:.0%}"


def _ranges(rows: Sequence[int]) -> str:
    """`0-9, 12`."""
    groups = (list(group) for _, group in groupby(enumerate(rows), key=lambda pair: pair[1] - pair[0]))
    spans = [[row for _, row in group] for group in groups]
    return ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans)
