"""All that commands say goes through here: a name with a newline in it can't make a line of its own.

A line of a job's log may be an order to GitHub (`::error::`), and a control character one to the terminal.
"""

from __future__ import annotations

import click

from ..wording import message, printable


def line(text: str, *, err: bool = False) -> None:
    """One line, whatever names stand in it; on standard error it is a message, which quotes at most a line of them."""
    click.echo(message(text) if err else printable(text), err=err)


def note(text: str) -> None:
    """What the user should be told, beside the result."""
    line(f"Note: {text}", err=True)


def error(text: str) -> None:
    """What the user can put right."""
    line(f"Error: {text}", err=True)


def report(text: str, *, err: bool = False, nl: bool = True) -> None:
    """A text of several lines, made by us: a table, JSON, annotations."""
    click.echo(text, err=err, nl=nl)


def content(data: bytes) -> None:
    """What a file holds, on standard output as it is."""
    click.echo(data, nl=False)
