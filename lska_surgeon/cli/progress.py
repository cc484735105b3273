"""What a user sees of an ablation while it runs: lines that are drawn again, or lines of a log; it starts nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from ..wording import message
from . import say

#: Seconds between two lines on a run in a log.
EVERY = 300.0


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
            say.line(text, err=True)
        else:
            self.live.console.print(message(text), soft_wrap=True, emoji=False)

    def _log(self, name: str) -> None:
        """A line on a run from time to time, where nobody watches."""
        now = time.monotonic()
        if self.live is None and not self.quiet and now - self.logged.setdefault(name, now) >= EVERY:
            self.logged[name] = now
            self._say(f"Running {self.running[name]}")


def bar(items: Iterator[Any], what: str, total: int) -> Iterator[Any]:
    """The items, with a progress bar on a terminal."""
    if not sys.stderr.isatty() or total < 2:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total, console=Console(stderr=True), transient=True)
