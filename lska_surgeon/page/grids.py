"""The tables of a report: their cells, what these sort by, and the same to copy; it knows no HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..tables import booktabs, pipes
from .content import Report, ReportRow

_NUMBER = re.compile(r"\[?([+-]?[\d,]*\.?\d+)")
Words = dict[str, str]


@dataclass(frozen=True)
class Cell:
    """One cell: its text, what it sorts by ("" for last), and whether it stands out."""

    text: str
    key: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Grid:
    """One table.

    Attributes:
        name: its id.
        title: its heading.
        header: the columns' names.
        rows: name of the network of each, and its cells.
        left: how many columns of text come first.
        markdown, latex: the table to copy.
        text_last: whether the last column is text as well.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    left: int
    markdown: str
    latex: str
    text_last: bool = False

    def is_number(self, column: int) -> bool:
        """Whether a column has numbers, which stand and sort as such."""
        return self.left <= column < len(self.header) - self.text_last


def networks_grid(report: Report, words: Words) -> Grid:
    """All networks and what they cost."""
    header = [words[name] for name in ("network", "edits", "params", "params_more", "gflops", "gflops_more")]
    measured = any(row.latency is not None for row in report.rows)
    header += [words["latency"]] if measured else []
    metric = report.results.metric if report.results else ""
    header += [metric if len(report.data) == 1 else f"{metric}, {name}" for name in report.data]
    digits = [_digits(row.gflops for row in report.rows), _digits(row.gflops_added for row in report.rows)]
    rows = [(row.name, _cells(row, report, digits, measured, words)) for row in report.rows]
    return _grid("table", words["networks"], header, rows, 2)


def results_grid(report: Report, words: Words) -> Grid | None:
    """What trainings came to."""
    found = report.results
    if found is None:
        return None
    header = [words.get(f"column {name}", name.replace(" - base", words["minus_base"])) for name in found.header]
    left = 2 if "data" in found.header else 1
    rows = []
    for at, (name, texts) in enumerate(found.rows):
        texts = [*texts[:-1], ", ".join(words.get(f"verdict {one}", one) for one in texts[-1].split(", "))]
        numbers = range(left, len(texts) - 1)
        cells = [_sorted(text, column in numbers, (at, column) in found.best) for column, text in enumerate(texts)]
        rows.append((name, cells))
    return Grid("results", words["results"], header, rows, left, found.markdown, found.latex, text_last=True)


def fields_grid(report: Report, words: Words) -> Grid | None:
    """How much of the picture layers see."""
    if not report.fields:
        return None
    shares = list(report.fields[0].areas)
    header = [words["network"], words["at"], *(f"{share:.0%}" for share in shares)]
    rows = []
    for one in report.fields:
        areas = [
            Cell(words["all_of_it"], "1") if area is None else Cell(f"{area:.1%}", f"{area}")
            for area in one.areas.values()
        ]
        rows.append((one.network, [Cell(one.network, one.network), Cell(one.at, one.at), *areas]))
    return _grid("areas", words["areas"], header, rows, 2)


def giga(value: float, sign: str = "") -> str:
    """GFLOPs with three digits behind the point; small ones with three that count."""
    return f"{value:{sign}.{_digits([value])}f}"


def _digits(values: Iterable[float | None]) -> int:
    """Digits behind the point at which the smallest of some numbers has three that count: three at least."""
    found = [abs(value) for value in values if value]
    return min(9, max(3, 2 - math.floor(math.log10(min(found))))) if found else 3


def _cells(row: ReportRow, report: Report, digits: Sequence[int], measured: bool, words: Words) -> list[Cell]:
    unknown = Cell(words["unknown"])
    cells = [
        Cell(row.name, row.name),
        Cell(row.edits or words["base_row"], row.edits),
        unknown if row.params is None else Cell(f"{row.params:,}", f"{row.params}"),
        unknown if row.params_added is None else Cell(f"{row.params_added:+,}", f"{row.params_added}"),
        unknown if row.gflops is None else Cell(f"{row.gflops:.{digits[0]}f}", f"{row.gflops}"),
        unknown if row.gflops_added is None else Cell(f"{row.gflops_added:+.{digits[1]}f}", f"{row.gflops_added}"),
    ]
    if row.is_base:
        cells[3] = cells[5] = Cell("", "0")
    if measured:
        cells.append(Cell("") if row.latency is None else Cell(f"{1000 * row.latency:.2f}", f"{row.latency}"))
    for name in report.data:
        score = row.scores.get(name)
        spread = "" if score is None or score.deviation is None else f" ± {score.deviation:.4f}"
        cells.append(Cell("") if score is None else Cell(f"{score.mean:.4f}{spread}", f"{score.mean}"))
    return cells


def _sorted(text: str, number: bool, strong: bool) -> Cell:
    found = _NUMBER.match(text) if number else None
    return Cell(text, found[1].replace(",", "") if found else text, strong)


def _grid(name: str, title: str, header: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], left: int) -> Grid:
    texts = [[cell.text for cell in cells] for _, cells in rows]
    return Grid(name, title, header, rows, left, pipes(header, texts, left), booktabs(header, texts, left))
