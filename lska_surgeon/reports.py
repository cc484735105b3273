"""What a result has to show, as data, and one renderer for each format; results render nothing themselves.

Every renderer escapes whatever stands in the texts and cells, and knows no content.
"""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Union

from .errors import SurgeonError
from .wording import as_parameters, message, printable, printable_lines

_GAPS = (3, 1)  # blanks between two columns, as rich draws them with a padding of 1 and of 0


class Strong(str):
    """A cell that stands out."""

    __slots__ = ()


class Table(NamedTuple):
    """A table as data.

    Attributes:
        header: the columns' names.
        rows: the cells, each a text or a `Strong` one.
        right: which columns are aligned to the right.
        groups: the rows, from 0, before which another group begins.
        halves: the columns of each of the tables that a terminal shows in its place, for it is too wide for one.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[int] = ()
    groups: Collection[int] = ()
    halves: Sequence[Sequence[int]] = ()

    def part(self, columns: Sequence[int]) -> Table:
        """Some of its columns, in their order."""
        header, *rows = [[cells[column] for column in columns] for cells in (self.header, *self.rows)]
        right = [place for place, column in enumerate(columns) if column in self.right]
        return Table(header, rows, right, self.groups)


#: What Markdown would take for its own: marks, the start of a tag, a link or an entity, and a mark's own escape.
_MARKS = re.compile(r"[`*~|]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
_BLOCK = re.compile(r"^(?=>|#{1,6}(?:\s|$)|[+-](?:\s|$)|[-\s]+$)|^(\d{1,9})(?=[.)](?:\s|$))")
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~]|$)")


def markdown_text(text: str) -> str:
    """One line of text as Markdown shows it, in a cell of a table or elsewhere."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", printable(text).strip()).replace("<", "&lt;")
    return _MARKS.sub(r"\\\g<0>", _BACKSLASH.sub("&#92;", text))


def markdown_line(text: str) -> str:
    """The same where it stands by itself, and begins no heading, list or quotation."""
    return _BLOCK.sub(r"\1\\", markdown_text(text))


def bullets(lines: Iterable[str]) -> str:
    """Lines as a list in Markdown."""
    return "\n".join(f"- {markdown_line(line)}" for line in lines)


def markdown(table: Table) -> str:
    """A Markdown table without a newline at the end."""

    def cell(text: str) -> str:
        return f"**{markdown_text(text)}**" if isinstance(text, Strong) else markdown_text(text)

    rule = ["---:" if column in table.right else "---" for column in range(len(table.header))]
    lines = (list(map(cell, table.header)), rule, *(list(map(cell, row)) for row in table.rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_TEX = {"\\": r"\textbackslash{}", **{char: f"\\{char}" for char in "&%$#_{}"}, "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}", "`": r"\textasciigrave{}", "±": r"$\pm$", "×": r"$\times$", "<": "$<$", ">": "$>$",
        "|": "$|$", "[": "{[}", "*": "{*}"}  # fmt: skip # the last two would belong to the `\\` of the line before


def latex_text(text: str) -> str:
    """One line of text as LaTeX shows it."""
    text = printable(text)
    if re.fullmatch(r"[+-][\d.]+|\[[+-][\d.]+, [+-][\d.]+\]", text):  # signs as mathematics has them
        return f"${text}$"
    return re.sub("-(?=-)", "-{}", "".join(_TEX.get(char, char) for char in text))  # two would be one dash


def latex(table: Table) -> str:
    """A LaTeX table for the package booktabs; in its header single letters and minus signs are mathematics."""

    def name(text: str) -> str:
        return re.sub(r"(?<!\S)[A-Za-z](?!\S)|(?<=\s)-(?=\s)", r"$\g<0>$", latex_text(text))

    def cell(text: str) -> str:
        return f"\\textbf{{{latex_text(text)}}}" if isinstance(text, Strong) else latex_text(text)

    columns = "".join("r" if column in table.right else "l" for column in range(len(table.header)))
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", " & ".join(map(name, table.header)) + r" \\", "\\midrule"]
    for at, row in enumerate(table.rows):
        lines += ["\\midrule"] if at in table.groups else []
        lines.append(" & ".join(map(cell, row)) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV without a newline at the end; a text that a spreadsheet would run as a formula gets an apostrophe."""
    from csv import writer  # here, for most commands have no use for it

    file = io.StringIO()
    lines = writer(file, lineterminator="\n")
    for row in (header, *rows):
        lines.writerow([_no_formula(printable(cell)) if isinstance(cell, str) else cell for cell in row])
    return file.getvalue().rstrip("\n")


def _no_formula(text: str) -> str:
    """A text that begins as no formula does; the wide signs are taken for the others."""
    return f"'{text}" if re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]", text) else text


def dump(data: Any) -> str:
    """JSON as all reports write it: what is no number becomes null, and what is not to be seen is escaped."""
    import json  # here, for few reports are written as that

    text = json.dumps(_finite(data), indent=2, ensure_ascii=False).replace("##", "#\\u0023")
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if _stays_in_json(char) else json.dumps(char)[1:-1] for char in text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _stays_in_json(char: str) -> bool:
    return char == "\n" or char.isprintable() or "\udc80" <= char <= "\udcff"  # a byte of a path, given back


def _plain(table: Table) -> str:
    header, *rows = _texts(table)
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = []
    for cells in (header, ["-" * width for width in widths], *rows):
        aligned = (
            cell.rjust(width) if column in table.right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths))
        )
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _rich(table: Table) -> str:
    # Imported here, for it would add half to the time of the quick commands, and a pipe has no use for it.
    import shutil

    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    header, *rows = _texts(table)
    window = shutil.get_terminal_size().columns
    widths, gap = _fitted(list(zip(header, *rows)), window)
    if not widths:
        return _plain(table)  # the terminal folds whole lines
    padding = (0, (gap - 1) // 2)
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding, header_style="bold", show_edge=False)
    for column, (name, width) in enumerate(zip(header, widths)):
        justify: Literal["left", "right"] = "right" if column in table.right else "left"
        drawn.add_column(Text(_folded(name, width)), justify=justify, width=width, no_wrap=True, overflow="ignore")
    for cells in rows:
        drawn.add_row(*(Text(_folded(cell, width)) for cell, width in zip(cells, widths)))
    screen = Console(file=io.StringIO(), width=window, force_terminal=True)
    screen.print(drawn)
    written = screen.file
    assert isinstance(written, io.StringIO)
    left_out = ", ".join(header[len(widths) :])
    note = f"\n\nLeft out, for the window is too narrow: {left_out} (`| cat` shows all)." if left_out else ""
    return written.getvalue().rstrip("\n") + note


def _texts(table: Table) -> list[list[str]]:
    """Header and rows of one line each, whatever stands in them; a star marks what stands out."""
    lines = (table.header, *table.rows)
    return [[printable(cell) + "*" * isinstance(cell, Strong) for cell in cells] for cells in lines]


def _fitted(columns: Sequence[Sequence[str]], window: int) -> tuple[list[int], int]:
    """Widths at which a table fits a window with every word whole, and the gap between them.

    Where all columns do not fit even with the smaller gap, those from the right go. Nothing is left where not even two
    fit, or the one that there is.

    Args:
        columns: the cells of each, the header first.
        window: columns of the terminal.
    """
    from rich.cells import cell_len

    natural = [max(1, *(cell_len(cell.rstrip()) for cell in column)) for column in columns]
    least = [max(cell_len(line) for cell in column for line in _folded(cell, 0).split("\n")) for column in columns]
    for count in range(len(columns), min(2, len(columns)) - 1, -1):
        for gap in _GAPS:
            room = window - gap * (count - 1)
            if sum(least[:count]) <= room:
                return _narrowed(natural[:count], least, room), gap
    return [], 0


def _narrowed(widths: list[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that fit the room, a column taken from that has most to spare."""
    while sum(widths) > room:
        _, widest = max((width - least[index], index) for index, width in enumerate(widths))
        widths[widest] -= 1
    return widths


def _folded(cell: str, width: int) -> str:
    """A cell in lines of a width at most, broken between words; rich itself miscounts beside wide characters."""
    from rich.cells import cell_len

    lines: list[str] = []
    for word in _words(cell):
        if lines and cell_len(lines[-1] + word) <= width:
            lines[-1] += word
        else:
            lines.append(word.lstrip() if lines else word)
    return "\n".join(lines)


def _words(cell: str) -> list[str]:
    """What is not broken, each with the blanks before it: words, numbers with their spread, intervals."""
    return re.findall(r"\s*(?:\[[^\[\]]*\d, [^\[\]]*\d\]|\S+(?: ± \S+)?)", cell) or [""]


#: What a result shows: a table, or text.
Part = Union[str, Table]


def drawn(parts: Iterable[Part]) -> str:
    """Parts of a result as a command prints them, a blank line between two, none at the end.

    On a terminal, cells fold between words. No number and no name is ever cut: where the window is too narrow for the
    columns, the last ones are left out, and a line below the table names them.
    """
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return _joined(parts, _rich if on_terminal else _plain)


def _joined(parts: Iterable[Part], draw: Callable[[Table], str]) -> str:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        else:
            texts += map(draw, map(part.part, part.halves) if part.halves else [part])
    return "\n\n".join(texts)


def in_python(part: Part) -> Part:
    """A part of a result as one reads it in Python, where options are parameters."""
    if isinstance(part, str):
        return as_parameters(part)
    return part._replace(rows=[[type(cell)(as_parameters(cell)) for cell in row] for row in part.rows])


def html(part: Part) -> str:
    """A part of a result for a notebook; whatever stands in it is shown, and never read as HTML."""
    part = in_python(part)
    if isinstance(part, str):
        return f'<pre style="font-family: monospace">{markup_text(part)}</pre>'  # saved pages know no other font for it
    lines = [("th", part.header), *(("td", row) for row in part.rows)]
    cells = ("".join(_cell(tag, text, column in part.right) for column, text in enumerate(row)) for tag, row in lines)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in cells)}</table>"


def _cell(tag: str, text: str, right: bool) -> str:
    shown = markup_text(printable(text))
    shown = f"<b>{shown}</b>" if isinstance(text, Strong) else shown
    style = "text-align: right" if right else "text-align: left"
    style += "; white-space: nowrap" if right and tag == "td" else ""  # a number stays beside its deviation
    return f'<{tag} style="{style}">{shown}</{tag}>'


def markup_text(text: str) -> str:
    """Text as HTML and SVG show it, between tags and between double quotes; it may have several lines."""
    text = printable_lines(text).encode("utf-8", errors="replace").decode()  # a file's name may have other bytes
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _worded_in_python(write: Callable[..., Any]) -> Callable[..., Any]:
    """What a result refuses to write is worded as its verb would."""

    @wraps(write)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return write(*args, **kwargs)
        except SurgeonError as error:
            error.in_python = True
            raise

    return wrapped


class Annotation(NamedTuple):
    """What GitHub is to show beside a file.

    Source: GitHub's documentation, "Workflow commands for GitHub Actions", and the escaping of its `@actions/core`.

    Attributes:
        level: "error", "warning" or "notice".
        message: what to say; it may have several lines.
        title: a short heading.
        file: the path that it is about, from the root of the repository.
        line: the line in that file, from 1; GitHub ignores a line without a file.
        code: which rule of ours says it, for people who read it as a line.
    """

    level: str
    message: str
    title: str | None = None
    file: str | None = None
    line: int | None = None
    code: str | None = None


class Sheet(NamedTuple):
    """Values for a spreadsheet, as CSV writes them: numbers, not cells of a table.

    Attributes:
        header: the columns' names.
        rows: the values; a truth or None is written as Python writes it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Report:
    """All that a result has to show, in no format yet.

    Attributes:
        summary: all in one line.
        parts: tables and texts, in order; without any, the summary is all there is.
        notes: what the user should know to read it, each without a full stop at its end.
        data: what `--json` writes, `schema` first.
        sheet: what CSV writes; None for the first table of `parts`.
        annotations: what GitHub shows, SARIF and "lines"; none for the summary and the notes as one notice.
        rules: code of each rule that an annotation may name -> what it finds.
    """

    summary: str
    parts: Sequence[Part] = ()
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    sheet: Sheet | None = None
    annotations: Sequence[Annotation] = ()
    rules: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> Sequence[Part]:
        """Its parts, or the summary where it has none."""
        return self.parts or (printable(self.summary),)


def render(report: Report, form: str) -> str:
    """A report in one of `FORMATS`, without a newline at the end."""
    return _RENDERERS[form](report)


def _as_markdown(report: Report) -> str:
    parts = [markdown(part) if isinstance(part, Table) else _markdown_lines(part) for part in report.shown]
    return "\n\n".join([*parts, *([bullets(map(message, report.notes))] if report.notes else [])])


def _markdown_lines(text: str) -> str:
    """A text of one line as a paragraph, of several as a list."""
    if isinstance(text, Strong):
        return f"**{markdown_text(text)}**"
    return bullets(text.split("\n")) if "\n" in text else markdown_line(text)


_LATIN = "\u017f"  # the last letter that pdflatex knows by itself


def _as_latex(report: Report) -> str:
    tables = [part for part in report.shown if isinstance(part, Table)]
    comments = ["needs \\usepackage{booktabs}"]
    if any(char > _LATIN for table in tables for row in table.rows for cell in row for char in cell):
        comments.append("needs xelatex or lualatex, and a font that has the letters of these names")
    lines = [f"% {line}" for line in (*comments, *map(message, report.notes))]
    return "\n".join([*lines, "\n\n".join(map(latex, tables))])


_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ccc}"
)


def _as_html(report: Report) -> str:
    """A page."""
    name = markup_text(message(report.summary))
    head = f'<meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
    notes = "\n".join(f"<li>{markup_text(message(note))}</li>" for note in report.notes)
    body = "\n".join([f"<h1>{name}</h1>", *map(html, report.shown), f"<ul>\n{notes}\n</ul>" if notes else ""])
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}\n</body></html>'


def _as_csv(report: Report) -> str:
    sheet = report.sheet or next(part for part in report.shown if isinstance(part, Table))
    return csv(sheet.header, sheet.rows)


def _as_github(report: Report) -> str:
    whole = Annotation("notice", "\n".join([report.summary, *report.notes]), title="lska-surgeon")
    return "\n".join(map(_command, report.annotations or (whole,)))


def _as_sarif(report: Report) -> str:
    """A log of the annotations in the Static Analysis Results Interchange Format (OASIS, SARIF 2.1.0)."""
    from . import __version__

    rules = [{"id": code, "shortDescription": {"text": text}} for code, text in report.rules.items()]
    driver = {"name": "lska-surgeon", "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": list(map(_sarif_result, report.annotations))}
    return dump({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]})


def _sarif_result(one: Annotation) -> dict[str, Any]:
    result: dict[str, Any] = {"level": one.level.replace("notice", "note"), "message": {"text": one.message}}
    if one.code:
        result["ruleId"] = one.code
    if one.file is not None:
        from pathlib import PurePath
        from urllib.parse import quote

        path = PurePath(one.file)
        uri = path.as_uri() if path.is_absolute() else quote(path.as_posix().encode("utf-8", "surrogateescape"))
        place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
        if one.line is not None:
            place["region"] = {"startLine": one.line}
        result["locations"] = [{"physicalLocation": place}]
    return result


def _as_lines(report: Report) -> str:
    return "\n".join(map(_diagnostic, report.annotations))


_COLOURS = {"error": 31, "warning": 33}


def _diagnostic(annotation: Annotation) -> str:
    """`a.yaml:3: error[wiring]: row 3 reads ...`, as compilers write it; in colour on a terminal."""
    level, text, _, file, line, code = annotation
    label = f"{level}[{code}]" if code else level
    if level in _COLOURS and sys.stdout is not None and sys.stdout.isatty():
        label = f"\x1b[1;{_COLOURS[level]}m{label}\x1b[0m"
    place = ":".join(printable(str(part)) for part in (file, line) if part is not None)
    return ": ".join(filter(None, [place, label, printable(text)]))


_RENDERERS: Mapping[str, Callable[[Report], str]] = {
    **dict.fromkeys(("table", "text"), lambda report: drawn(report.shown)),
    "md": _as_markdown,
    "latex": _as_latex,
    "html": _as_html,
    "csv": _as_csv,
    "json": lambda report: dump(report.data),
    "github": _as_github,
    "sarif": _as_sarif,
    "lines": _as_lines,
}
#: Formats of documents: a report's notes stand in them.
WITH_NOTES = ("md", "latex", "html", "json", "github")
#: The names of all formats; "table" and "text" are one, drawn for the terminal or, in a pipe, plain.
FORMATS = tuple(_RENDERERS)


def _command(one: Annotation) -> str:
    """`::error file=a.yaml,line=3,title=wiring::row 3 reads ...`, as GitHub reads it."""
    given = (("file", one.file), ("line", one.line), ("title", one.title))
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in given if value is not None)
    return f"::{one.level}{' ' if properties else ''}{properties}::{_escaped(printable_lines(one.message))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(printable(text)).replace(":", "%3A").replace(",", "%2C")


class ToldCosts(Protocol):
    """What two networks cost, worked out by a room that the one with the result knows nothing of."""

    @property
    def in_totals(self) -> str: ...

    def data(self) -> dict[str, Any]: ...


class Result:
    """What a verb gives: typed values, and a report of them; printing and notebooks show the report."""

    #: Version of `to_dict`; it changes when a key changes its meaning or goes.
    schema: ClassVar[int] = 1

    def __init_subclass__(cls, **more: Any) -> None:
        """What a result refuses to write is worded as its verb would word it."""
        super().__init_subclass__(**more)
        write = cls.__dict__.get("write")
        if write is not None:
            cls.write = _worded_in_python(write)  # type: ignore[attr-defined]

    def report(self) -> Report:
        """What it has to show."""
        raise NotImplementedError

    @property
    def line(self) -> str:
        """All in one line."""
        return printable(self.report().summary)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, as `--json` writes it."""
        return dict(self.report().data)

    if not TYPE_CHECKING:  # a property would be taken for the default of the field that some results have

        def __getattr__(self, name: str) -> tuple[str, ...]:
            """The notes of a result that keeps none itself are those of its report."""
            if name != "notes":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return tuple(self.report().notes)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.line}>"

    def __str__(self) -> str:
        return _joined(map(in_python, self._all_parts()), _plain)

    def _repr_html_(self) -> str:
        return "\n".join(map(html, self._all_parts()))

    def _all_parts(self) -> list[Part]:
        report = self.report()
        notes = "\n".join(message(f"Note: {note}") for note in report.notes)
        return [notes, *report.shown] if notes else list(report.shown)
