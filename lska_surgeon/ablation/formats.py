"""A table of results as text for a terminal, Markdown, LaTeX, HTML, CSV or JSON; it computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .. import reports
from ..errors import AblationError, TargetError
from ..files import check_target, write_text
from ..reports import Strong, dump
from ..wording import decimals, did_you_mean, message
from .networks import BASE, LARGER
from .table import Row, Table

#: Forms that show a table, of which columns can be chosen, and those that have all that is known.
SHOWN, DATA = ("table", "md", "latex", "html"), ("csv", "json")
FORMATS = ("table", "md", "latex", "csv", "json", "html")
#: Ending of a file -> format.
ENDINGS = {".md": "md", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html"}
FIGURES = (".png", ".svg", ".pdf")
_LATIN = "\u017f"  # the last letter that pdflatex knows by itself
_DIGITS = 4  # of the smallest GFLOPs that count
_TEXTS = ("network", "data", "shown", "noticed")  # columns that are no numbers
_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ccc}"
)


def render(results: Table, form: str) -> str:
    """The results in one of `FORMATS`, without a newline at the end."""
    renderers: Mapping[str, Callable[[Table], str]] = {
        "table": as_table, "md": as_markdown, "latex": as_latex, "csv": as_csv, "json": as_json, "html": as_page,
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
    whole = table_of(results)
    difference = f"{results.metric} - base"
    columns = range(len(whole.header))
    parts: list[reports.Part] = [whole]
    if not results.columns:
        names, middle = whole.header.index("params"), whole.header.index(difference)
        parts = [_part(whole, columns[:middle]), _part(whole, (*columns[:names], *columns[middle:]))]
    return reports.drawn([*parts, "\n".join(message(f"Note: {note}") for note in results.notes)]).rstrip()


def as_markdown(results: Table) -> str:
    """A table for a pull request, and the notes as a list."""
    return f"{reports.markdown(table_of(results))}\n\n{reports.bullets(map(message, results.notes))}".rstrip()


def as_latex(results: Table) -> str:
    """A tabular for booktabs; the notes are comments."""
    table = table_of(results)
    lines = ["% needs \\usepackage{booktabs}"]
    if any(char > _LATIN for row in table.rows for cell in row for char in cell):
        lines.append("% needs xelatex or lualatex, and a font that has the letters of these names")
    return "\n".join([*lines, *(f"% {message(note)}" for note in results.notes), reports.latex(table)])


def as_html(results: Table) -> str:
    """The table, and the notes as a list."""
    notes = "\n".join(f"<li>{reports.markup_text(message(note))}</li>" for note in results.notes)
    return f"{reports.html(table_of(results))}\n<ul>\n{notes}\n</ul>"


def as_page(results: Table) -> str:
    """The same as a page."""
    name = reports.markup_text(message(results.name))
    head = f'<meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
    body = f"<h1>{name}</h1>\n{as_html(results)}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}\n</body></html>'


def as_csv(results: Table) -> str:
    """One line for every run."""
    return reports.csv(*sheet_of(results))


def sheet_of(results: Table) -> reports.Sheet:
    """One line for every run, as values."""
    names = list(dict.fromkeys(name for run in results.runs for name in run.metrics))
    header = ["network", "role", "base", "data", "seed", "state", "epoch", *names, "notes", "folder"]
    rows = []
    for run in results.runs:
        place = [run.network, run.role, run.base, run.data, run.seed, run.state, run.epoch]
        rows.append([*place, *map(run.metrics.get, names), "; ".join(run.notes.values()), str(run.folder)])
    return reports.Sheet(header, rows)


def as_json(results: Table) -> str:
    """Rows, every cell, and the notes."""
    return dump(results.to_dict())


def table_of(results: Table) -> reports.Table:
    """The table as it is shown: its own columns or those that were chosen, its own names or those of the recipe.

    Raises:
        AblationError: there is no such column, or one is chosen twice.
    """
    header, rows = _all_columns(results)
    right = [column for column, name in enumerate(header) if name not in _TEXTS]
    groups = [
        at
        for at, (before, row) in enumerate(zip(results.rows, results.rows[1:]), 1)
        if (before.data, before.base) != (row.data, row.base)
    ]
    whole = reports.Table(header, rows, right, groups)
    twice = next((name for name in results.columns if results.columns.count(name) > 1), None)
    if twice is not None:
        raise AblationError(f"the columns name {twice!r} twice: name it once")
    return _part(whole, [_place(header, name) for name in results.columns]) if results.columns else whole


def _place(header: Sequence[str], name: str) -> int:
    if name not in header:
        raise AblationError(f"no column {name!r}{did_you_mean(name, header)}: there are {', '.join(header)}")
    return header.index(name)


def _part(whole: reports.Table, columns: Sequence[int]) -> reports.Table:
    """Some columns of a table."""
    header, *rows = [[cells[column] for column in columns] for cells in (whole.header, *whole.rows)]
    right = [place for place, column in enumerate(columns) if column in whole.right]
    return reports.Table(header, rows, right, whole.groups)


def _all_columns(results: Table) -> tuple[list[str], list[list[str]]]:
    several, measured = len(results.data) > 1, any(row.seconds is not None for row in results.rows)
    noticed = any(row.noticed for row in results.rows)
    header = ["network", *(["data"] if several else []), "params", "GFLOPs", *(["ms"] if measured else [])]
    header += [*results.names, f"{results.metric} - base", "95% interval", "p", "p (Holm)", "seeds", "shown"]
    header += ["noticed"] if noticed else []
    digits = decimals((row.costs.gflops for row in results.rows), _DIGITS)
    rows = []
    for row in results.rows:
        cells = [_name(results, row), *([results.label(row.data)] if several else [])]
        cells.append("" if row.costs.params is None else f"{row.costs.params:,}")
        cells.append("" if row.costs.gflops is None else f"{row.costs.gflops:.{digits}f}")
        cells += ["" if row.seconds is None else f"{row.seconds * 1e3:.2f}"] if measured else []
        for name in results.names:
            cells.append(Strong(_metric(row, name)) if name in row.best else _metric(row, name))
        cells += [*_compared(row), _seeds(row), _verdict(row)]
        cells += [_noticed(row)] if noticed else []
        rows.append(cells)
    return header, rows


def _name(results: Table, row: Row) -> str:
    if row.network in results.labels:
        return results.labels[row.network]
    kind = results.kind(row)
    if kind and kind.family in results.labels:
        several = len({other.base for other in results.rows}) > 1
        label = f"{results.label(row.base)}: {results.labels[kind.family]}" if several else results.labels[kind.family]
        return f"{label}, k{kind.k}"
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
    return ", ".join(filter(None, [row.verdict, "below plain scaling" if row.dominated else ""]))
