"""Tables: plain columns for pipes and files, rich ones that fold to the window on a terminal; it knows no content."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import Any


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


def live() -> Any:
    """Lines on stderr that are drawn again in place; it has `start`, `update` and `stop`."""
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(stderr=True, highlight=False, markup=False), transient=True, redirect_stderr=True)
