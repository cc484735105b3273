"""The tables of a report: their cells, what these sort by, and the same to copy; it knows no HTML."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..reports import Table, latex, markdown
from ..wording import decimals
from .content import Report, ReportRow

_TEXTS = ("network", "data", "shown", "noticed")  # columns of the results that are no numbers
_NUMBER = re.compile(r"\[?([+-]?[\d,]*\.?\d+)")
Words = dict[str, str]
T = TypeVar("T")


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
        numbers: the columns that stand and sort as numbers.
        markdown, latex: the table to copy.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    numbers: Collection[int]
    markdown: str
    latex: str


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
    numbers = [column for column, name in enumerate(found.header) if name not in _TEXTS]
    verdicts, front = found.header.index("shown"), min(numbers)  # what it comes to, where it is seen at once
    rows = []
    for at, (name, texts) in enumerate(found.rows):
        cells = [_sorted(text, column in numbers, (at, column) in found.best) for column, text in enumerate(texts)]
        said = ", ".join(words.get(f"verdict {one}", one) for one in texts[verdicts].split(", "))
        cells[verdicts] = Cell(said, said)
        rows.append((name, _moved(cells, verdicts, front)))
    numbers = [column + (front <= column < verdicts) for column in numbers]
    return Grid(
        "results", words["results"], _moved(header, verdicts, front), rows, numbers, found.markdown, found.latex
    )


def _moved(items: Sequence[T], at: int, to: int) -> list[T]:
    """The items with one of them further in front."""
    rest = [*items[:at], *items[at + 1 :]]
    return [*rest[:to], items[at], *rest[to:]]


def fields_grid(report: Report, words: Words) -> Grid | None:
    """How much of the image layers see."""
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
    return decimals(values, 3, least=3)


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
    table = Table(header, texts, range(left, len(header)))
    return Grid(name, title, header, rows, table.right, markdown(table), latex(table))
