"""One figure of a table: accuracy against cost, and curves over kernel sizes; readable in grey and without colours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..drawing.matplotlib_plots import COLOURS, LINES, MARKERS, plotting, save
from .networks import BASE, VARIANT
from .table import Row, Table

_KERNEL = re.compile(r"^(.*)-k(\d+)(.*)$")


def write_figure(results: Table, path: Path, *, force: bool = False) -> None:
    """Draw and write, in the format that the file's ending says."""
    with plotting() as figure:
        save(_drawn(results, figure), path, force=force)


def _drawn(results: Table, figure: Any) -> Any:
    """The figure, inside of `plotting`: a row of panels for each data set."""
    data = list(dict.fromkeys(row.data for row in results.rows))
    curves = {name: _curves([row for row in results.rows if row.data == name]) for name in data}
    columns = 2 if any(curves.values()) else 1
    drawn = figure.Figure(figsize=(5.5 * columns, 4.0 * len(data)), layout="constrained")
    axes = drawn.subplots(len(data), columns, squeeze=False)
    for name, line in zip(data, axes):
        rows = [row for row in results.rows if row.data == name and results.metric in row.metrics]
        _cost_panel(line[0], rows, results, name if len(data) > 1 else "")
        if columns > 1:
            _kernel_panel(line[1], rows, curves[name], results)
    return drawn


def _cost_panel(axes: Any, rows: list[Row], results: Table, title: str) -> None:
    by_time = any(row.seconds is not None for row in rows)
    for row in rows:
        x = row.seconds * 1e3 if by_time and row.seconds is not None else row.costs.gflops
        if x is None or (by_time and row.seconds is None):
            continue
        index = next(index for index, other in enumerate(rows) if other is row)
        found, base = row.metrics[results.metric], row.role == BASE
        axes.errorbar(
            x, found.mean, yerr=found.sd, capsize=3, linestyle="none", markersize=8 if base else 6,
            marker="*" if base else MARKERS[index % len(MARKERS)],
            color="black" if base else COLOURS[index % len(COLOURS)],
            markerfacecolor="black" if base else "white" if row.role == VARIANT else "grey", label=row.network,
        )  # fmt: skip
        if base:
            axes.axhline(found.mean, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="ms for one picture" if by_time else "GFLOPs", ylabel=_label(results, rows), title=title)
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _kernel_panel(axes: Any, rows: list[Row], curves: dict[str, dict[int, Row]], results: Table) -> None:
    """The paper's figure, for one's own data: accuracy over kernel size, a curve for each position."""
    for index, (name, points) in enumerate(curves.items()):
        shown = [k for k in sorted(points) if results.metric in points[k].metrics]
        found = [points[k].metrics[results.metric] for k in shown]
        axes.errorbar(
            [k + 0.4 * (index - (len(curves) - 1) / 2) for k in shown],  # beside each other, to see every bar
            [one.mean for one in found], yerr=[one.sd or 0.0 for one in found], capsize=3, label=name,
            marker=MARKERS[index % len(MARKERS)], linestyle=LINES[index % len(LINES)],
            color=COLOURS[index % len(COLOURS)], markerfacecolor="white",
        )  # fmt: skip
    for row in rows:
        if row.role == BASE:
            axes.axhline(row.metrics[results.metric].mean, color="black", linewidth=0.8, linestyle="--")
    axes.set(
        xlabel="kernel size", ylabel=_label(results, rows), xticks=sorted({k for one in curves.values() for k in one})
    )
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _curves(rows: list[Row]) -> dict[str, dict[int, Row]]:
    """What differs in kernel size alone: name without it -> kernel size -> row; two points or more."""
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        parts = _KERNEL.match(row.network)
        if row.role == VARIANT and parts:
            found.setdefault(parts[1] + parts[3], {})[int(parts[2])] = row
    return {name: points for name, points in found.items() if len(points) > 1}


def _label(results: Table, rows: list[Row]) -> str:
    seeds = max((row.metrics[results.metric].n for row in rows), default=0)
    return f"{results.metric}, mean ± s.d. of {seeds} seeds" if seeds > 1 else results.metric
