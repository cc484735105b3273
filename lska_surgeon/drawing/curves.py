"""Cost against kernel size as a table and as the paper's figure; it works nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cost.curves import CurvePoint
from ..files import as_path
from ..reports import Part, Shown, Table
from ..wording import decimals
from .plots import COLOURS, LINES, MARKERS, inline, legible, logarithmic, plotting, save

_HEADER = ("operator", "k", "added parameters", "added GFLOPs")


@dataclass(frozen=True, repr=False)
class Curves(Shown):
    """What operators cost at the sites of one network, against their kernel size.

    Attributes:
        model: the network, as it was asked for.
        at: the positions.
        imgsz: height and width of the image, pixels.
        points: operator after operator, small kernels first.
        notes: what the user should be told.
    """

    model: str
    at: tuple[str, ...]
    imgsz: tuple[int, int]
    points: tuple[CurvePoint, ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[Sequence[str]]:
        """The points as text: operator, k, parameters, GFLOPs (2 x GMACs)."""
        gflops = [2 * one.macs / 1e9 for one in self.points]
        digits = decimals(gflops, significant=2, least=3)
        return [(one.op, str(one.k), f"{one.params:+,}", f"{g:+.{digits}f}") for one, g in zip(self.points, gflops)]

    @property
    def line(self) -> str:
        """All in one line."""
        return f"{self.model}: what {len(self.points)} operators at {', '.join(self.at)} would cost"

    def parts(self) -> Sequence[Part]:
        """The table."""
        return (self.table(),)

    def table(self) -> Table:
        """The points as a table."""
        return Table(_HEADER, self.rows(), (1, 2, 3))

    def to_dict(self) -> dict[str, Any]:
        """The points as plain data."""
        return {
            "schema": 1,
            "model": self.model,
            "at": list(self.at),
            "imgsz": list(self.imgsz),
            "points": [
                {"op": one.op, "k": one.k, "params": one.params, "macs": one.macs, "flops": 2 * one.macs}
                for one in self.points
            ],
            "notes": list(self.notes),
        }

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
        for axis, label in zip(axes, ("added parameters (millions)", "added GFLOPs")):
            for number, op in enumerate(dict.fromkeys(one.op for one in self.points)):
                mine = [one for one in self.points if one.op == op]
                axis.plot(
                    [one.k for one in mine],
                    [one.params / 1e6 if "parameters" in label else 2 * one.macs / 1e9 for one in mine],
                    color=COLOURS[number % len(COLOURS)],
                    marker=MARKERS[number % len(MARKERS)],
                    linestyle=LINES[number % len(LINES)],
                    label=op,
                )
            axis.set_xlabel("kernel size")
            axis.set_ylabel(label)
            axis.set_xticks(sorted({one.k for one in self.points}))
            if log:
                logarithmic(axis)
            else:
                axis.set_ylim(bottom=0)
        axes[0].legend(frameon=False)
        title = f"{self.model}, {', '.join(self.at)}, {self.imgsz[0]}x{self.imgsz[1]}"
        drawn.suptitle(legible(title), fontsize=10)
        return drawn
