"""One figure of a table: accuracy against cost, and curves over kernel sizes; readable in grey and without colours.

It is as wide as one column of a paper, and its text is of 8 points. One network has one colour in all panels, and the
same in the report of its recipe.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

from ..drawing.plots import Plot, Point, Series, draw_plot, legible, plotting, save
from .runs import BASE
from .table import TableOfRuns, TableRow

_WIDTH, _HEIGHT = 3.35, 2.3  # inches: of a column, and of a panel
_POINTS = 8
_MARKER = 4.0  # points
_LINE = 0.17  # inches, of a line of text below the panels
_LETTERS = 52  # in a line of text as wide as a column
#: Cost -> what stands below its panel, where that is not its name.
_BELOW = {"params": "parameters (millions)", "ms": "ms for one image"}
#: A row, where it stands, and what is written beside it.
_Placed = tuple[TableRow, Optional[float], str]


def write_figure(results: TableOfRuns, path: Path, *, force: bool = False) -> None:
    """Draw and write, in the format that the file's ending says."""
    with plotting(_POINTS) as figure:
        save(drawn(results, figure), path, force=force)


def drawn(results: TableOfRuns, figure: Any) -> Any:
    """The figure, inside of `plotting`; below its panels a legend, and what they do not show."""
    panels = Panels(results)
    plots, missing = list(panels.plots()), panels.missing()
    made = figure.Figure(layout="constrained")
    named: dict[str, Any] = {}
    for axis, plot in zip(made.subplots(len(plots), 1, squeeze=False)[:, 0], plots):
        for handle in draw_plot(axis, plot, paper="white", marker=_MARKER, named=True):
            named.setdefault(handle.get_label(), handle)
        axis.grid(alpha=0.3)
        axis.set_title(legible(plot.title))
    columns = 2 if max(map(len, named), default=0) <= _LETTERS // 3 else 1
    made.legend(
        handles=list(named.values()), loc="outside lower center", ncols=columns, title="\n".join(missing),
        frameon=False, handletextpad=0.4, columnspacing=1.2, borderpad=0,
    )  # fmt: skip
    made.set_size_inches(_WIDTH, _HEIGHT * len(plots) + _LINE * (-(-len(named) // columns) + len(missing)))
    return made


class Panels:
    """The panels of one table: of costs for each data set, and over kernel sizes where there are several."""

    def __init__(self, results: TableOfRuns) -> None:
        self.results, self.looks = results, results.looks
        costs = results.shown_costs  # and what stands below their panels
        self.units = {name: _BELOW.get(name, name.replace("ms ", "ms for one image in ")) for name in costs}

    def plots(self) -> Iterator[Plot]:
        """One below the other."""
        for data in self.results.data:
            rows = [row for row in self.results.rows if row.data == data and self.results.metric in row.metrics]
            kinds = [self.results.kind(row) for row in rows]
            for cost, unit in self.units.items():
                costs = [(row, self._cost(row, cost), f"{kind.k}" if kind else "") for row, kind in zip(rows, kinds)]
                yield self._plot(data, rows, self._series(costs), unit)
            yield from self._kernels(data, rows)

    def missing(self) -> list[str]:
        """What is not shown, and why, in lines."""
        told = []
        for row in self.results.rows:
            where = self._name(row) + (f" on {self.results.label(row.data)}" if len(self.results.data) > 1 else "")
            if self.results.metric not in row.metrics:
                told.append(f"{where} ({', '.join(f'{number} {why}' for why, number in row.unfinished.items())})")
            elif unknown := [name for name in self.units if self._cost(row, name) is None]:
                told.append(f"{where} (no {', '.join(unknown)})")
        return textwrap.wrap(legible(f"Not shown: {', '.join(told)}"), _LETTERS) if told else []

    def _cost(self, row: TableRow, name: str) -> float | None:
        cost = self.results.costs[name](row)
        return cost if cost is None or name != "params" else cost / 1e6

    def _kernels(self, data: str, rows: Sequence[TableRow]) -> Iterator[Plot]:
        """The paper's figure, for one's own data: accuracy over kernel size, a curve for each position."""
        lines: dict[tuple[str, str], list[tuple[int, TableRow]]] = {}
        for row in rows:
            if kind := self.results.kind(row):
                lines.setdefault(self.looks.groups[row.network], []).append((kind.k, row))
        curves = [sorted(line, key=lambda pair: pair[0]) for line in lines.values() if len(line) > 1]
        beside = [0.4 * (at - (len(curves) - 1) / 2) for at in range(len(curves))]  # each other, to see every bar
        placed: list[_Placed] = [(row, None, "") for row in rows if row.role == BASE]
        placed += [(row, k + more, "") for line, more in zip(curves, beside) for k, row in line]
        if curves:
            sizes = sorted({k for line in curves for k, _ in line})
            yield self._plot(data, rows, self._series(placed, joined=True), "kernel size", sizes)

    def _series(self, placed: Sequence[_Placed], joined: bool = False) -> list[Series]:
        """Bases first, so that their lines lie below all points; of one that stands nowhere, the line alone."""
        bases: list[Series] = []
        others: dict[int, list[tuple[TableRow, Point]]] = {}
        for row, x, label in placed:
            found = self.results.metrics_of(row)
            if row.role == BASE:
                point = Point(math.nan if x is None else x, found.mean, self._name(row), spread=found.sd)
                bases.append(Series(self._name(row), [point], base=True))
            elif x is not None:
                point = Point(x, found.mean, label, spread=found.sd)
                others.setdefault(self.looks.number(row.network), []).append((row, point))
        return bases + [
            Series(self.looks.legend(mine[0][0].network), [point for _, point in mine], number, joined)
            for number, mine in others.items()
        ]

    def _plot(
        self, data: str, rows: Sequence[TableRow], series: Sequence[Series], x: str, ticks: Sequence[float] = ()
    ) -> Plot:
        counts = sorted({self.results.metrics_of(row).n for row in rows} or {0})
        seeds = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
        y = f"{self.results.metric}\nmean ± s.d. of {seeds} seeds" if counts[-1] > 1 else self.results.metric
        return Plot(self.results.label(data) if len(self.results.data) > 1 else "", series, x, y, ticks)

    def _name(self, row: TableRow) -> str:
        own = self.looks.own(row.network)
        return own or (f"{row.network} (base)" if row.role == BASE else row.network)
