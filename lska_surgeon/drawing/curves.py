"""Cost against kernel size as a table and as the paper's figure; it works nothing out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cost.closed_form import CurvePoint
from ..files import as_path
from ..recipes.variants import Looks
from ..reports import Report, Result, Sheet, Table
from ..wording import counted, decimals
from .plots import Plot, Point, Series, draw_plot, inline, legible, plotting, save


@dataclass(frozen=True, repr=False)
class Curves(Result):
    """What operators cost at the sites of one network, against their kernel size.

    Attributes:
        model: the network, as it was asked for.
        at: the positions.
        imgsz: height and width of the image, pixels.
        points: operator after operator, small kernels first.
        notes: what the user should know.
        looks: of the networks of a recipe; what is none of them looks like none of them.
    """

    model: str
    at: tuple[str, ...]
    imgsz: tuple[int, int]
    points: tuple[CurvePoint, ...]
    notes: tuple[str, ...] = ()
    looks: Looks = field(default_factory=Looks)

    def report(self) -> Report:
        """The points as a table; GFLOPs are 2 x GMACs."""
        notes = [*self.notes, *self._notes_on_merging()]
        digits = decimals([point.gflops for point in self.points], significant=2, least=3)
        rows = [(p.op, str(p.k), f"{p.params:+,}", f"{p.gflops:+.{digits}f}") for p in self.points]
        sheet = [(p.op, p.k, p.params, p.macs, 2 * p.macs) for p in self.points]
        header = ("op", "k", "params", "macs", "flops")
        data = {
            "schema": self.schema,
            "model": self.model,
            "at": list(self.at),
            "imgsz": list(self.imgsz),
            "points": [dict(zip(header, values)) for values in sheet],
            "notes": notes,
        }
        return Report(
            f"{self.model}: what {counted(len(self.points), 'operator')} at {', '.join(self.at)} would cost",
            (Table(("operator", "k", "added parameters", "added GFLOPs"), rows, (1, 2, 3)),),
            notes,
            data,
            Sheet(header, sheet),
        )

    def _notes_on_merging(self) -> Iterator[str]:
        for op in dict.fromkeys(point.op for point in self.points if any(point.merged)):
            more = [
                f"{params:+,} parameters and {2 * macs / 1e9:+.3f} GFLOPs at k {point.k}"
                for point in self.points
                for params, macs in [point.merged]
                if point.op == op
            ]
            yield f"{op} is shown as fuse() and exports merge it; while it trains it has more: {', '.join(more)}"

    def write(self, path: str | Path, force: bool = False, log: bool = False) -> Path:
        """Draw the figure: PNG, SVG or PDF, by the ending.

        Args:
            path: the file.
            force: replace a file that is there.
            log: let the axes of costs be logarithmic.

        Raises:
            TargetError: another ending, or the file can't be written.
        """
        target = as_path(path)
        with plotting() as figure:
            save(self.drawn(figure, log), target, force=force)
        return target

    def _repr_html_(self) -> str:
        return f"{inline(self.write)}\n{super()._repr_html_()}"

    def drawn(self, figure: Any, log: bool = False) -> Any:
        """The figure, inside of `plotting`."""
        drawn = figure.Figure(figsize=(7.5, 3.0), layout="constrained")
        axes = drawn.subplots(1, 2)
        plots = self.plots(
            lambda point, y: Point(point.k, y),
            self.looks,
            ("kernel size", "added parameters (millions)", "added GFLOPs"),
        )
        handles = [draw_plot(axis, plot, log=log) for axis, plot in zip(axes, plots)]
        axes[0].legend(handles=handles[0], frameon=False)
        title = f"{self.model}, {', '.join(self.at)}, {self.imgsz[0]}x{self.imgsz[1]}"
        drawn.suptitle(legible(title), fontsize=10)
        return drawn

    def plots(self, place: Callable[[CurvePoint, float], Point], looks: Looks, words: Sequence[str]) -> list[Plot]:
        """Parameters and GFLOPs, each against the kernel size.

        Args:
            place: makes the point in a plot of what an operator costs and of the height at which it stands.
            looks: how networks look.
            words: what the axes are called: of kernel sizes, of parameters in millions, of GFLOPs.
        """
        title, sizes = f"{self.model}: {', '.join(self.at)}", sorted({point.k for point in self.points})
        heights: Sequence[Callable[[CurvePoint], float]] = (lambda p: p.params / 1e6, lambda p: p.gflops)
        ops = looks.of_operators(self.model, self.at, dict.fromkeys(point.op for point in self.points))
        plots = []
        for axis, height in zip(words[1:], heights):
            lines = {op: [place(p, height(p)) for p in self.points if p.op == op] for op in ops}
            series = [Series(name, lines[op], number, joined=True) for op, (number, name) in ops.items()]
            plots.append(Plot(title, series, words[0], axis, sizes, zero=True))
        return plots
