"""One figure of a table: accuracy against cost, and curves over kernel sizes; readable in grey and without colours.

It is as wide as one column of a paper, and its text is of 8 points. One network has one colour in all panels, and the
same in the report of its recipe.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..drawing.plots import COLOURS, LINES, MARKERS, legible, plotting, save
from .runs import BASE
from .table import TableOfRuns, TableRow

_WIDTH, _HEIGHT = 3.35, 2.3  # inches: of a column, and of a panel
_POINTS = 8
_LINE = 0.17  # inches, of a line of text below the panels
_LETTERS = 52  # in a line of text as wide as a column


def write_figure(results: TableOfRuns, path: Path, *, force: bool = False) -> None:
    """Draw and write, in the format that the file's ending says."""
    with plotting(_POINTS) as figure:
        save(_Drawn(results).figure(figure), path, force=force)


class _Drawn:
    """The figure of one table; its methods are called inside of `plotting`."""

    def __init__(self, results: TableOfRuns) -> None:
        self.results, self.numbers = results, results.series
        self.by_time = any(row.seconds is not None for row in results.rows)
        self.named: dict[str, Any] = {}  # for the legend

    def figure(self, figure: Any) -> Any:
        """A cost panel for each data set, and one over kernel sizes where there are several."""
        panels = [
            (draw, name)
            for name in self.results.data
            for draw in (self._costs, *((self._kernels,) if any(self._curves(name)) else ()))
        ]
        missing = self._missing()
        drawn = figure.Figure(layout="constrained")
        axes = drawn.subplots(len(panels), 1, squeeze=False)[:, 0]
        for (draw, name), axis in zip(panels, axes):
            draw(axis, name)
            axis.grid(alpha=0.3)
            axis.set_title(legible(self.results.label(name)) if len(self.results.data) > 1 else "")
        columns = 2 if max(map(len, self.named), default=0) <= _LETTERS // 3 else 1
        drawn.legend(
            list(self.named.values()), list(map(legible, self.named)), loc="outside lower center", ncols=columns,
            frameon=False, handletextpad=0.4, columnspacing=1.2, borderpad=0, title="\n".join(missing),
        )  # fmt: skip
        lines = -(-len(self.named) // columns) + len(missing)
        drawn.set_size_inches(_WIDTH, _HEIGHT * len(panels) + _LINE * lines)
        return drawn

    def _shown(self, data: str) -> list[TableRow]:
        """Rows that have the metric, bases first, so that their lines lie below all points."""
        rows = [row for row in self.results.rows if row.data == data and self.results.metric in row.metrics]
        return sorted(rows, key=lambda row: row.role != BASE)

    def _cost(self, row: TableRow) -> float | None:
        if self.by_time:
            return None if row.seconds is None else row.seconds * 1e3
        return row.costs.gflops

    def _missing(self) -> list[str]:
        """What the figure does not show, and why, in lines."""
        told = []
        for row in self.results.rows:
            where = self._name(row) + (f" on {self.results.label(row.data)}" if len(self.results.data) > 1 else "")
            if self.results.metric not in row.metrics:
                told.append(f"{where} ({', '.join(f'{number} {why}' for why, number in row.unfinished.items())})")
            elif self._cost(row) is None:
                told.append(f"{where} ({'no latency' if self.by_time else 'no GFLOPs'})")
        return textwrap.wrap(legible(f"Not shown: {', '.join(told)}"), _LETTERS) if told else []

    def _costs(self, axis: Any, data: str) -> None:
        rows = self._shown(data)
        for row in rows:
            x, found = self._cost(row), self.results.metrics_of(row)
            if row.role == BASE:
                self._base(axis, row)
            if x is None:
                continue
            base, kind = row.role == BASE, self.results.kind(row)
            axis.errorbar(
                x, found.mean, yerr=found.sd, capsize=2, linestyle="none", label=self._legend(row),
                **(_BASE_LOOK if base else self._look(row)),
            )  # fmt: skip
            if kind:  # the size tells networks of one colour apart
                axis.annotate(f"{kind.k}", (x, found.mean), xytext=(4, 2), textcoords="offset points")
        self._collect(axis)
        axis.set(xlabel="ms for one image" if self.by_time else "GFLOPs", ylabel=self._metric(rows))

    def _kernels(self, axis: Any, data: str) -> None:
        """The paper's figure, for one's own data: accuracy over kernel size, a curve for each position."""
        curves = list(self._curves(data))
        for at, rows in enumerate(curves):
            sizes = [kind.k for row in rows if (kind := self.results.kind(row))]
            found = [self.results.metrics_of(row) for row in rows]
            axis.errorbar(
                [k + 0.4 * (at - (len(curves) - 1) / 2) for k in sizes],  # beside each other, to see every bar
                [one.mean for one in found], yerr=[one.sd or 0.0 for one in found], capsize=2,
                label=self._legend(rows[0]), linestyle=LINES[self._number(rows[0]) % len(LINES)],
                **self._look(rows[0]),
            )  # fmt: skip
        rows = self._shown(data)
        for row in rows:
            if row.role == BASE:
                self._base(axis, row)
        self._collect(axis)
        sizes = sorted({kind.k for one in curves for row in one if (kind := self.results.kind(row))})
        axis.set(xlabel="kernel size", ylabel=self._metric(rows), xticks=sizes)

    def _curves(self, data: str) -> Iterator[list[TableRow]]:
        """What differs in kernel size alone, small ones first; two points or more."""
        found: dict[tuple[str, str], list[tuple[int, TableRow]]] = {}
        for row in self._shown(data):
            kind = self.results.kind(row)
            if kind:
                found.setdefault(self.results.series_of(row), []).append((kind.k, row))
        for rows in found.values():
            if len(rows) > 1:
                yield [row for _, row in sorted(rows, key=lambda one: one[0])]

    def _base(self, axis: Any, row: TableRow) -> None:
        """A line across at what the base comes to, with its name."""
        mean = self.results.metrics_of(row).mean
        axis.axhline(mean, color="black", linewidth=0.8, linestyle="--")
        axis.annotate(
            legible(self._name(row)), (1, mean), xycoords=("axes fraction", "data"), xytext=(-2, 2),
            textcoords="offset points", ha="right", va="bottom",
        )  # fmt: skip

    def _collect(self, axis: Any) -> None:
        for handle, name in zip(*axis.get_legend_handles_labels()):
            self.named.setdefault(name, handle)

    def _look(self, row: TableRow) -> dict[str, Any]:
        number = self._number(row)
        return {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[number % len(MARKERS)],
            "markersize": 4,
            "markerfacecolor": "white",
            "linewidth": 1,
        }

    def _number(self, row: TableRow) -> int:
        return self.numbers[self.results.series_of(row)]

    def _name(self, row: TableRow) -> str:
        own = self.results.labels.get(row.network)
        return own or (f"{row.network} (base)" if row.role == BASE else row.network)

    def _legend(self, row: TableRow) -> str:
        """The network, or what several have in common that differ in kernel size alone."""
        if row.role == BASE:
            return self._name(row)
        one = self.results.series_of(row)
        same = {other.network for other in self.results.rows if self.results.series_of(other) == one}
        several = len({other.base for other in self.results.rows}) > 1
        name = self.results.label(one[1]) if len(same) > 1 else self.results.label(row.network)
        return f"{self.results.label(row.base)}: {name}" if several and len(same) > 1 else name

    def _metric(self, rows: Sequence[TableRow]) -> str:
        seeds = max((self.results.metrics_of(row).n for row in rows), default=0)
        metric = legible(self.results.metric)
        return f"{metric}\nmean ± s.d. of {seeds} seeds" if seeds > 1 else metric


_BASE_LOOK: dict[str, Any] = {"color": "black", "marker": "*", "markersize": 7, "linewidth": 1}
