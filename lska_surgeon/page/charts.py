"""The plots of a report: which of its networks stand in which, and where each point leads; it draws nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from ..cost.curves import CurvePoint
from ..recipes.variants import Kind
from .content import CostCurves, Report, ReportRow
from .grids import Words, giga
from .plots import Point, Series, plot, swatch

#: Name of a network -> the id of its place on the page.
Anchors = Mapping[str, str]


@dataclass(frozen=True)
class Chart:
    """A plot with what explains it.

    Attributes:
        title: what it shows.
        svg: the plot.
        legend: (swatch as SVG, name) of each series.
    """

    title: str
    svg: str
    legend: Sequence[tuple[str, str]]


class Charts:
    """The plots of one report.

    Args:
        report: the report.
        words: in the page's language.
        anchors: where points lead.
    """

    def __init__(self, report: Report, words: Words, anchors: Anchors) -> None:
        self.report, self.words, self.anchors = report, words, anchors
        self.metric = report.results.metric if report.results else ""
        self.labels = report.results.labels if report.results else {}
        self.numbers = report.series

    def networks(self) -> list[Chart]:
        """For each base accuracy against cost and kernel size; parameters against GFLOPs where nothing was trained."""
        return [chart for base in self._bases() for chart in self._of_base(base)]

    def curves(self) -> list[Chart]:
        """What operators cost against their kernel size: parameters, and GFLOPs."""
        there = {row.kind: row.name for row in self.report.rows if row.kind}
        return [chart for curves in self.report.curves for chart in self._curves(curves, there)]

    def _bases(self) -> list[str]:
        return list(dict.fromkeys(row.base for row in self.report.rows))

    def _of_base(self, base: str) -> Iterator[Chart]:
        rows = [row for row in self.report.rows if row.base == base]
        if not self.report.results:
            yield from self._params(base, rows)
        for data in self.report.data:
            scored = [row for row in rows if data in row.scores]
            unit, cost = ("gflops", _gflops) if _all_known(scored) else ("gflops_more", _gflops_added)
            yield from self._scores("plot", unit, cost, base, data, scored)
            yield from self._scores("time_plot", "latency", _milliseconds, base, data, scored)
            yield from self._sizes(base, data, scored)

    def _params(self, base: str, rows: Sequence[ReportRow]) -> Iterator[Chart]:
        """Of whole networks where these are known, else of what each has more than its base."""
        whole = _all_known(rows)
        x, y = ("gflops", "params") if whole else ("gflops_more", "params_more")

        def place(row: ReportRow) -> Point | None:
            params, gflops = (row.params, row.gflops) if whole else (row.params_added, row.gflops_added)
            if params is None or gflops is None:
                return None
            label = f"{row.name}: {params:,}, {giga(gflops)} GFLOPs" if whole else _more(row.name, params, gflops)
            return Point(gflops, params / 1e6, label, self.anchors[row.name])

        series = self._grouped(rows, place)
        yield from _chart(self._title("plot_costs", base), series, self.words[x], f"{self.words[y]} (M)")

    def _scores(
        self, title: str, unit: str, cost: Cost, base: str, data: str, rows: Sequence[ReportRow]
    ) -> Iterator[Chart]:
        def place(row: ReportRow) -> Point | None:
            found = cost(row)
            return None if found is None else self._scored(row, data, *found)

        yield from _chart(self._title(title, base, data), self._grouped(rows, place), self.words[unit], self.metric)

    def _sizes(self, base: str, data: str, rows: Sequence[ReportRow]) -> Iterator[Chart]:
        """Accuracy against kernel size, a line for each operator at each position."""
        lines: dict[str, list[tuple[int, ReportRow]]] = {}
        for row in rows:
            if row.kind:
                lines.setdefault(row.kind.family, []).append((row.kind.k, row))
        lines = {name: sorted(found, key=lambda one: one[0]) for name, found in lines.items() if len(found) > 1}
        sizes = sorted({k for found in lines.values() for k, _ in found})
        if not sizes:
            return
        beside = sizes[0] - 0.12 * (sizes[-1] - sizes[0])  # a base has no size: it stands before the first
        own = [self._scored(row, data, beside, self.words["base_row"]) for row in rows if row.is_base]
        series = [Series(self.words["base_row"], own, base=True)]
        for name, found in lines.items():
            points = [self._scored(row, data, k, f"k {k}") for k, row in found]
            series.append(Series(self.labels.get(name, name), points, self.numbers[found[0][1].series], joined=True))
        title = self._title("kernel_plot", base, data)
        yield from _chart(title, series, self.words["kernel"], self.metric, sizes)

    def _curves(self, curves: CostCurves, there: Mapping[Kind, str]) -> Iterator[Chart]:
        sizes = sorted({point.k for point in curves.points})
        heights: tuple[tuple[str, Callable[[CurvePoint], float]], ...] = (
            (f"{self.words['params_more']} (M)", lambda point: point.params / 1e6),
            (self.words["gflops_more"], lambda point: 2 * point.macs / 1e9),
        )
        for label, height in heights:
            series: dict[str, list[Point]] = {}
            for point in curves.points:
                name = there.get(Kind(curves.base, curves.at, point.op, point.k))
                said = _more(name or f"{point.op}, k {point.k}", point.params, 2 * point.macs / 1e9)
                link = self.anchors[name] if name else None
                series.setdefault(point.op, []).append(Point(point.k, height(point), said, link))
            title = f"{curves.base}: {', '.join(curves.at)}"
            numbers = self._numbers_of(curves, series)
            lines = [Series(op, points, numbers[op], joined=True) for op, points in series.items()]
            yield from _chart(title, lines, self.words["kernel"], label, sizes, zero=True)

    def _grouped(self, rows: Sequence[ReportRow], place: Callable[[ReportRow], Point | None]) -> list[Series]:
        """The base, then what has the same operator at the same positions."""
        placed = [(row, point) for row in rows if (point := place(row)) is not None]
        series = [Series(self.words["base_row"], [point for row, point in placed if row.is_base], base=True)]
        for one in dict.fromkeys(row.series for row, _ in placed if not row.is_base):
            mine = [(row, point) for row, point in placed if row.series == one and not row.is_base]
            first = mine[0][0]
            name = first.kind.family if first.kind else first.edits or self.words["larger"]
            series.append(Series(self.labels.get(name, name), [point for _, point in mine], self.numbers[one]))
        return series

    def _numbers_of(self, curves: CostCurves, ops: Collection[str]) -> dict[str, int]:
        """The numbers of what stands on the page too, and of the other operators the next ones."""
        known = {op: self.numbers.get((curves.base, Kind(curves.base, curves.at, op, 0).family)) for op in ops}
        others = count(max(self.numbers.values(), default=-1) + 1)
        return {op: next(others) if number is None else number for op, number in known.items()}

    def _scored(self, row: ReportRow, data: str, x: float, where: str) -> Point:
        score = row.scores[data]
        spread = "" if score.deviation is None else f" ± {score.deviation:.4f}"
        label = f"{row.name}: {score.mean:.4f}{spread} (n = {score.seeds}), {where}"
        return Point(x, score.mean, label, self.anchors[row.name], score.deviation)

    def _title(self, title: str, base: str, data: str = "") -> str:
        """With the base's name and the data's, where there are several."""
        parts = [*([base] if len(self._bases()) > 1 else []), *([data] if len(self.report.data) > 1 else [])]
        return ": ".join([self.words[title], *([", ".join(parts)] if parts else [])])


#: What a network costs, as a number and in words; None where that is not known.
Cost = Callable[[ReportRow], "tuple[float, str] | None"]


def _gflops(row: ReportRow) -> tuple[float, str] | None:
    return None if row.gflops is None else (row.gflops, f"{giga(row.gflops)} GFLOPs")


def _gflops_added(row: ReportRow) -> tuple[float, str] | None:
    found = 0.0 if row.is_base else row.gflops_added
    return None if found is None else (found, f"{giga(found, '+')} GFLOPs")


def _milliseconds(row: ReportRow) -> tuple[float, str] | None:
    return None if row.latency is None else (1e3 * row.latency, f"{1e3 * row.latency:.2f} ms")


def _all_known(rows: Sequence[ReportRow]) -> bool:
    return all(row.params is not None and row.macs is not None for row in rows)


def _more(name: str, params: int, gflops: float) -> str:
    return f"{name}: {params:+,}, {giga(gflops, '+')} GFLOPs"


def _chart(
    title: str, series: Sequence[Series], x: str, y: str, ticks: Sequence[float] = (), zero: bool = False
) -> Iterator[Chart]:
    """The chart; none for no points."""
    shown = [one for one in series if one.points]
    svg = plot(shown, f"{title}: {y} / {x}", x, y, ticks, zero)
    if svg:
        yield Chart(title, svg, [(swatch(one), one.name) for one in shown])
