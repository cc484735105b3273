"""A table of results as text for a terminal, Markdown, LaTeX, HTML, CSV or JSON; it computes nothing."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import TargetError
from ..files import check_target, write_text
from ..tables import pipes, table, tex
from .networks import BASE, LARGER
from .table import Row, Table

FORMATS = ("table", "md", "latex", "csv", "json", "html")
#: Ending of a file -> format.
ENDINGS = {".md": "md", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html"}
FIGURES = (".png", ".svg", ".pdf")
_LATIN = "\u017f"  # the last letter that pdflatex knows by itself
_TEX_COLUMNS = {"p": "$p$", "p (Holm)": "$p$ (Holm)"}


def render(results: Table, form: str) -> str:
    """The results in one of `FORMATS`, without a newline at the end."""
    renderers: Mapping[str, Callable[[Table], str]] = {
        "table": as_table, "md": as_markdown, "latex": as_latex, "csv": as_csv, "json": as_json, "html": as_html,
    }  # fmt: skip
    return renderers[form](results)


def write(results: Table, path: Path, *, force: bool = False) -> Path:
    """Write a figure or a table, by the file's ending.

    Raises:
        TargetError: another ending, or the file is there and `force` is off.
    """
    check_target(path, force=force)
    if path.suffix in FIGURES:
        from .figure import write_figure

        write_figure(results, path, force=force)
    elif path.suffix in ENDINGS:
        write_text(path, render(results, ENDINGS[path.suffix]) + "\n", force=force)
    else:
        raise TargetError(f"{path} has no ending that says what to write: {', '.join([*FIGURES, *ENDINGS])}")
    return path


def as_table(results: Table) -> str:
    """What was measured, what that allows to say, and the notes: two tables, so that a terminal has room for both."""
    header, rows = cells_of(results, _plain)
    names, middle = 1 if len(_data(results)) == 1 else 2, header.index(f"{results.metric} - base")
    right = range(names, len(header) - 1 - _said(results))
    parts = []
    for columns in (range(middle), (*range(names), *range(middle, len(header)))):
        lines = [[cells[column] for column in columns] for cells in (header, *rows)]
        parts.append(table(lines[0], lines[1:], [place for place, column in enumerate(columns) if column in right]))
    return "\n\n".join([*parts, "\n".join(f"Note: {note}" for note in results.notes)]).rstrip()


def as_markdown(results: Table) -> str:
    """A table for a pull request, and the notes as a list."""
    header, rows = cells_of(results, lambda text, best: f"**{text}**" if best else text)
    notes = [f"- {note}" for note in results.notes]
    return "\n".join([pipes(header, rows, 1 if len(_data(results)) == 1 else 2), "", *notes]).rstrip()


def as_latex(results: Table) -> str:
    """A tabular for booktabs; the notes are comments."""
    header, rows = cells_of(results, lambda text, best: f"\\textbf{{{tex(text)}}}" if best else tex(text))
    left = 1 if len(_data(results)) == 1 else 2
    last = 1 + _said(results)
    columns = "l" * left + "r" * (len(header) - left - last) + "l" * last
    lines = ["% needs \\usepackage{booktabs}"]
    if any(char > _LATIN for row in rows for cell in row for char in cell):
        lines.append("% needs xelatex or lualatex, and a font that has the letters of these names")
    lines += [f"% {note}" for note in results.notes]
    lines += [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    names = [_TEX_COLUMNS.get(name, tex(name).replace(" - ", " $-$ ")) for name in header]
    lines += [" & ".join(names) + r" \\", "\\midrule"]
    for before, row, cells in zip((None, *results.rows), results.rows, rows):
        if before is not None and (before.data, before.base) != (row.data, row.base):
            lines.append("\\midrule")
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def as_html(results: Table, *, whole: bool = True) -> str:
    """A page, or with `whole` off the table alone."""
    header, rows = cells_of(results, lambda text, best: f"<b>{html.escape(text)}</b>" if best else html.escape(text))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    notes = "\n".join(f"<li>{html.escape(note)}</li>" for note in results.notes)
    text = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<ul>\n{notes}\n</ul>"
    if not whole:
        return text
    style = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ccc}td:first-child,th:first-child{text-align:left}"  # noqa: E501
    name = html.escape(results.name)
    return f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{style}</style></head>\n<body><h1>{name}</h1>\n{text}\n</body></html>'  # noqa: E501


def as_csv(results: Table) -> str:
    """One line for every cell."""
    names = list(dict.fromkeys(name for run in results.runs for name in run.metrics))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["network", "role", "base", "data", "seed", "state", "epoch", *names, "notes", "folder"])
    for run in results.runs:
        numbers = [run.metrics.get(name, "") for name in names]
        notes = "; ".join(run.notes.values())
        place = [run.network, run.role, run.base, run.data, run.seed, run.state]
        writer.writerow([*place, "" if run.epoch is None else run.epoch, *numbers, notes, run.folder])
    return file.getvalue().rstrip("\n")


def as_json(results: Table) -> str:
    """Rows, every cell, and the notes."""
    return json.dumps(_finite(results.to_dict()), indent=2, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """What is no number becomes null, for JSON has no other word for it."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _data(results: Table) -> list[str]:
    return list(dict.fromkeys(row.data for row in results.rows))


def _said(results: Table) -> bool:
    """Whether something was noticed of a run, which takes one more column."""
    return any(row.noticed for row in results.rows)


def _plain(text: str, best: bool) -> str:
    return f"{text}*" if best else text


def cells_of(results: Table, mark: Callable[[str, bool], str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows; `mark` escapes a text, and shows that it is a column's best."""
    several, measured = len(_data(results)) > 1, any(row.seconds is not None for row in results.rows)
    header = ["network", *(["data"] if several else []), "params", "GFLOPs", *(["ms"] if measured else [])]
    header += [*results.names, f"{results.metric} - base", "95% interval", "p", "p (Holm)", "seeds", "shown"]
    header += ["noticed"] if _said(results) else []
    rows = []
    for row in results.rows:
        cells = [mark(_name(row), False), *([mark(row.data, False)] if several else [])]
        cells += [mark("" if row.costs.params is None else f"{row.costs.params:,}", False)]
        cells += [mark("" if row.costs.gflops is None else f"{row.costs.gflops:.4g}", False)]
        cells += [mark("" if row.seconds is None else f"{row.seconds * 1e3:.2f}", False)] if measured else []
        cells += [mark(_metric(row, name), name in row.best) for name in results.names]
        cells += [mark(text, False) for text in (*_compared(row), _seeds(row), _verdict(row))]
        cells += [mark(_noticed(row), False)] if _said(results) else []
        rows.append(cells)
    return header, rows


def _name(row: Row) -> str:
    return f"{row.network} ({row.role})" if row.role in (BASE, LARGER) else row.network


def _metric(row: Row, name: str) -> str:
    found = row.metrics.get(name)
    if found is None:
        return ""
    return f"{found.mean:.4f}" if found.sd is None else f"{found.mean:.4f} ± {found.sd:.4f}"


def _compared(row: Row) -> tuple[str, str, str, str]:
    one = row.comparison
    if one is None:
        return "", "", "", ""
    interval = "" if one.low is None else f"[{one.low:+.4f}, {one.high:+.4f}]"
    return f"{one.mean:+.4f}", interval, f"{one.p:.3f}", f"{one.p_holm:.3f}"


def _seeds(row: Row) -> str:
    total = len(row.values) + sum(row.unfinished.values())
    return str(total) if not row.unfinished else f"{len(row.values)} of {total}"


def _noticed(row: Row) -> str:
    """`early stop 2, NaN 1`: of how many runs."""
    return ", ".join(f"{kind} {number}" for kind, number in row.noticed.items())


def _verdict(row: Row) -> str:
    return ", ".join(filter(None, [row.verdict, "below plain scaling" if row.beaten else ""]))
