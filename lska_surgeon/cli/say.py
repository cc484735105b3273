"""All that a command says goes through here, into standard streams that are fit for anything.

A name with a newline in it can't make a line of its own: a line of a job's log may be an order to GitHub (`::error::`),
and a control character one to the terminal.

No character is an error: one that a stream's encoding does not have is written as `\\u0394`, which JSON reads as well.
A path with bytes that are no UTF-8 comes out as it is.
What is written to a standard output that was closed before the start fails, as it does with grep and git. And no file
that is opened gets the number of a closed stream, so that nobody's output ends up in it.
"""

from __future__ import annotations

import atexit
import codecs
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, BinaryIO, NoReturn, cast

import click

from ..wording import message, printable

_ESCAPED = "lska_surgeon.escaped"


def line(text: str, *, err: bool = False) -> None:
    """One line, whatever names stand in it; on standard error it is a message, which quotes at most a line of them."""
    click.echo(message(text) if err else printable(text), err=err)


def note(text: str) -> None:
    """What the user should know, beside the result."""
    line(f"Note: {text}", err=True)


def error(text: str) -> None:
    """What the user can fix."""
    line(f"Error: {text}", err=True)


def report(text: str, *, err: bool = False, nl: bool = True) -> None:
    """A text of several lines, made by us: a table, JSON, annotations."""
    click.echo(text, err=err, nl=nl)


def content(data: bytes) -> None:
    """What a file holds, on standard output as it is."""
    click.echo(data, nl=False)


def bar(items: Iterator[Any], what: str, total: int) -> Iterator[Any]:
    """The items, with a progress bar on a terminal."""
    if not sys.stderr.isatty() or total < 2:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total, console=Console(stderr=True), transient=True)


#: Seconds between two lines on a run in a log.
_EVERY = 300.0


class Progress:
    """Is called with events of an ablation and shows them on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.live: Any = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False, markup=False)
            self.live = Live(console=console, transient=True, redirect_stderr=True)
        self.running: dict[str, str] = {}
        self.logged: dict[str, float] = {}

    def __enter__(self) -> Progress:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.live is not None:
            self.live.update("")
            self.live.stop()

    def __call__(self, event: Any) -> None:
        if event.kind == "round":
            if not self.quiet:
                self._say(f"Round {event.text}")
            return
        name = f"{event.run.name}, {event.run.data}"
        if event.kind in ("started", "running"):
            self.running[name] = f"{name} on {event.device}: {event.text or 'starting'}"
            if event.kind == "running":
                self._log(name)
        else:
            self.running.pop(name, None)
        if self.live is not None:
            self.live.update("\n".join(self.running.values()))
        if event.kind in ("failed", "killed") or (event.kind != "running" and not self.quiet):
            end = f": {event.text}" if event.text else f" on {event.device}"
            self._say(f"{event.kind.capitalize()} {name}{end}")

    def _say(self, text: str) -> None:
        """A line that stays, above those that are drawn again: whoever draws them has to write it."""
        if self.live is None:
            line(text, err=True)
        else:
            self.live.console.print(message(text), soft_wrap=True, emoji=False)

    def _log(self, name: str) -> None:
        """A line on a run from time to time, where nobody watches."""
        now = time.monotonic()
        if self.live is None and not self.quiet and now - self.logged.setdefault(name, now) >= _EVERY:
            self.logged[name] = now
            self._say(f"Running {self.running[name]}")


def prepare_streams() -> None:
    """Make the standard streams of this process fit."""
    if sys.stdin is None:
        _null_device(0, os.O_RDONLY)  # and it stays None: there is nothing to read
    if sys.stdout is None:
        sys.stdout = _text(_null_device(1, os.O_RDONLY))  # a write fails: "Bad file descriptor"
    if sys.stderr is None:
        sys.stderr = _text(_null_device(2, os.O_WRONLY))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # somebody may have put another object there
            stream.reconfigure(errors=_ESCAPED)


def give_up(stream: IO[str]) -> None:
    """Drop what a stream still holds and can't write, so that the interpreter does not fail on it at its end."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def leave(code: int, *, whole_process: bool) -> NoReturn:
    """End with an exit code; where torch was imported, without the time that taking it apart would take.

    Threads that still run, and whoever profiles the process, see its usual end.

    Args:
        code: the exit code.
        whole_process: whether the process has no other purpose than this command.
    """
    watched = sys.getprofile() or sys.gettrace() or [one for one in threading.enumerate() if not one.daemon][1:]
    if whole_process and "torch" in sys.modules and not watched:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            give_up(stream)
        os._exit(code)
    sys.exit(code)


def _null_device(number: int, flags: int) -> int:
    """The null device, opened: of the closed streams the first has the lowest number that is free."""
    handle = os.open(os.devnull, flags)
    if handle != number and number == 0:
        os.close(handle)  # the number is in use, though Python knows of no standard input
    return handle


def _text(handle: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(cast(BinaryIO, io.FileIO(handle, "w")), encoding="utf-8", errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char = error.object[error.start]
    if "\udc80" <= char <= "\udcff":  # how Python reads a byte that is no UTF-8
        return bytes([ord(char) - 0xDC00]), error.start + 1
    units = char.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2])), error.start + 1


codecs.register_error(_ESCAPED, _escaped)
