"""Tables: plain for pipes, rich for terminals, HTML for notebooks, and results made of them; it knows no content."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar, NamedTuple, Union


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Aligned columns without a newline at the end.

    Args:
        header: the columns' names.
        rows: the cells.
        right: which columns are aligned to the right.
    """
    return _rich(header, rows, right) if sys.stdout is not None and sys.stdout.isatty() else _plain(header, rows, right)


def pipes(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table without a newline at the end; the first `left` columns are aligned to the left."""
    rule = ["---" if index < left else "---:" for index in range(len(header))]
    lines = ([cell.strip().replace("|", "\\|") for cell in line] for line in (header, rule, *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
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

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column, name in enumerate(header):
        drawn.add_column(name, justify="right" if column in right else "left")
    for cells in rows:
        drawn.add_row(*(Text(cell) for cell in cells))
    screen = Console(file=io.StringIO(), width=shutil.get_terminal_size().columns, force_terminal=True)
    screen.print(drawn)
    written = screen.file
    assert isinstance(written, io.StringIO)
    return written.getvalue().rstrip("\n")


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


def html(part: Part) -> str:
    """A part of a result for a notebook; whatever stands in it is shown, and never read as HTML."""
    if isinstance(part, str):
        return f"<pre>{_escaped(part)}</pre>"
    lines = ((tag, "".join(_cell(tag, *cell, part.right) for cell in enumerate(cells))) for tag, cells in _lines(part))
    return f"<table>{''.join(f'<tr>{line}</tr>' for _, line in lines)}</table>"


def _lines(part: Table) -> list[tuple[str, Sequence[str]]]:
    return [("th", part.header), *(("td", row) for row in part.rows)]


def _cell(tag: str, column: int, text: str, right: Collection[int]) -> str:
    return f'<{tag} style="text-align: {"right" if column in right else "left"}">{_escaped(text)}</{tag}>'


def _escaped(text: str) -> str:
    from html import escape  # here, for a command has no use for it

    return escape(text.encode("utf-8", errors="replace").decode())  # a file's name may have bytes that are not UTF-8


class Shown:
    """A result that shows itself: as plain text where it is printed, with its tables as such in a notebook."""

    #: Version of `to_dict`; it changes when a key changes its meaning or goes.
    schema: ClassVar[int] = 1

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
        notes = [f"Note: {note}" for note in getattr(self, "notes", ())]
        return ["\n".join(notes), *self.parts()] if notes else list(self.parts())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.line}>"

    def __str__(self) -> str:
        return "\n\n".join(part if isinstance(part, str) else _plain(*part) for part in self._all_parts())

    def _repr_html_(self) -> str:
        return "\n".join(map(html, self._all_parts()))
