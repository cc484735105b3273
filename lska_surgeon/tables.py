"""Tables: plain, rich, HTML, Markdown and LaTeX, and results that are made of them; it knows no content."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import wraps
from typing import Any, ClassVar, Literal, NamedTuple, Union

from .errors import SurgeonError
from .wording import as_parameters, printable

_GAPS = (3, 1)  # blanks between two columns, as rich draws them with a padding of 1 and of 0


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Aligned columns without a newline at the end.

    On a terminal, cells fold between words. No number and no name is ever cut: where the window is too narrow for the
    columns, the last ones are left out, and a line below the table names them.

    Args:
        header: the columns' names.
        rows: the cells.
        right: which columns are aligned to the right.
    """
    return _rich(header, rows, right) if sys.stdout is not None and sys.stdout.isatty() else _plain(header, rows, right)


def pipes(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table without a newline at the end; the first `left` columns are aligned to the left."""
    rule = ["---" if index < left else "---:" for index in range(len(header))]
    lines = ([cell.strip().replace("|", "\\|") for cell in line] for line in (header, rule, *_printable(rows)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_TEX = {"\\": r"\textbackslash{}", **{char: f"\\{char}" for char in "&%$#_{}"}, "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "<": "$<$", ">": "$>$", "|": "$|$",
        "[": "{[}", "*": "{*}"}  # fmt: skip # the last two would belong to the `\\` of the line before


def tex(text: str) -> str:
    """Text as LaTeX shows it."""
    if re.fullmatch(r"[+-][\d.]+|\[[+-][\d.]+, [+-][\d.]+\]", text):  # signs as mathematics has them
        return f"${text}$"
    return "".join(_TEX.get(char, char) for char in text)


def booktabs(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A LaTeX table for the package booktabs; the first `left` columns are aligned to the left."""
    columns = "l" * left + "r" * (len(header) - left)
    head, *body = (f"{' & '.join(map(tex, line))} \\\\" for line in (header, *_printable(rows)))
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", head, "\\midrule", *body, "\\bottomrule"]
    return "\n".join([*lines, "\\end{tabular}"])


def _plain(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    rows = _printable(rows)
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = []
    for cells in (header, ["-" * width for width in widths], *rows):
        aligned = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths))
        )
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _rich(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    # Imported here, for it would add half to the time of the quick commands, and a pipe has no use for it.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = _printable(rows)
    window = shutil.get_terminal_size().columns
    widths, gap = _fitted(list(zip(header, *rows)), window)
    if not widths:
        return _plain(header, rows, right)  # the terminal folds whole lines
    padding = (0, (gap - 1) // 2)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding, header_style="bold", show_edge=False)
    for column, (name, width) in enumerate(zip(header, widths)):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        drawn.add_column(_folded(name, width), justify=justify, width=width, no_wrap=True, overflow="ignore")
    for cells in rows:
        drawn.add_row(*(Text(_folded(cell, width)) for cell, width in zip(cells, widths)))
    screen = Console(file=io.StringIO(), width=window, force_terminal=True)
    screen.print(drawn)
    written = screen.file
    assert isinstance(written, io.StringIO)
    left_out = ", ".join(header[len(widths) :])
    note = f"\n\nLeft out, for the window is too narrow: {left_out} (`| cat` shows all)." if left_out else ""
    return written.getvalue().rstrip("\n") + note


def _printable(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Cells of one line each, whatever names stand in them."""
    return [[*map(printable, row)] for row in rows]


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
    """What is not broken: words, each with the blanks before it."""
    return re.findall(r"\s*\S+", cell) or [""]


class Table(NamedTuple):
    """A table as data: what `table` draws."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[int] = ()


#: What a result shows: a table, or text.
Part = Union[str, Table]


def drawn(parts: Iterable[Part]) -> str:
    """Parts of a result as a command prints them, a blank line between two."""
    return "\n\n".join(part if isinstance(part, str) else table(*part) for part in parts)


def told(part: Part) -> Part:
    """A part of a result as one reads it in Python, where options are parameters."""
    if isinstance(part, str):
        return as_parameters(part)
    return part._replace(rows=[[*map(as_parameters, row)] for row in part.rows])


def html(part: Part) -> str:
    """A part of a result for a notebook; whatever stands in it is shown, and never read as HTML."""
    part = told(part)
    if isinstance(part, str):
        return f'<pre style="font-family: monospace">{_escaped(part)}</pre>'  # saved pages know no other font for it
    lines = ((tag, "".join(_cell(tag, *cell, part.right) for cell in enumerate(cells))) for tag, cells in _lines(part))
    return f"<table>{''.join(f'<tr>{line}</tr>' for _, line in lines)}</table>"


def _lines(part: Table) -> list[tuple[str, Sequence[str]]]:
    return [("th", part.header), *(("td", row) for row in _printable(part.rows))]


def _cell(tag: str, column: int, text: str, right: Collection[int]) -> str:
    return f'<{tag} style="text-align: {"right" if column in right else "left"}">{_escaped(text)}</{tag}>'


def _escaped(text: str) -> str:
    from html import escape  # here, for a command has no use for it

    return escape(text.encode("utf-8", errors="replace").decode())  # a file's name may have bytes that are not UTF-8


def _in_one_line(line: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda self: printable(line(self))


def _told_in_python(write: Callable[..., Any]) -> Callable[..., Any]:
    """What a result refuses to write is told as its verb would."""

    @wraps(write)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return write(*args, **kwargs)
        except SurgeonError as error:
            error.in_python = True
            raise

    return wrapped


class Shown:
    """A result that shows itself: as plain text where it is printed, with its tables as such in a notebook."""

    #: Version of `to_dict`; it changes when a key changes its meaning or goes.
    schema: ClassVar[int] = 1

    def __init_subclass__(cls, **more: Any) -> None:
        """Every `line` stays one, whatever names stand in it."""
        super().__init_subclass__(**more)
        written = cls.__dict__.get("write")
        if written is not None:
            cls.write = _told_in_python(written)  # type: ignore[attr-defined]
        said = cls.__dict__.get("line")
        if isinstance(said, property) and said.fget:
            cls.line = property(_in_one_line(said.fget), doc=said.__doc__)  # type: ignore[assignment]

    @property
    def line(self) -> str:
        """All in one line."""
        raise NotImplementedError

    @property
    def report(self) -> str:
        """The same where a command has done it; a few lines where one is not enough."""
        return self.line

    def parts(self) -> Sequence[Part]:
        """What it shows, in order."""
        return (self.line,)

    def _all_parts(self) -> list[Part]:
        notes = [printable(f"Note: {note}") for note in getattr(self, "notes", ())]
        return ["\n".join(notes), *self.parts()] if notes else list(self.parts())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.line}>"

    def __str__(self) -> str:
        return "\n\n".join(part if isinstance(part, str) else _plain(*part) for part in map(told, self._all_parts()))

    def _repr_html_(self) -> str:
        return "\n".join(map(html, self._all_parts()))


def live() -> Any:
    """Lines on stderr that are drawn again in place; it has `start`, `update` and `stop`."""
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(stderr=True, highlight=False, markup=False), transient=True, redirect_stderr=True)
