"""What `ablate` says: one line per running cell on a terminal, plain lines in a log, and the end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from ...ablation.cells import plan_ablation
from ...ablation.records import INTERRUPTED, RUNNING, UNREADABLE
from ...ablation.scheduler import Event
from ...ablation.slurm import NOTHING
from ...ablation.status import AblationStatus, failure_text, status_of
from ...wording import message
from .. import say
from .json import dump

#: Seconds between two lines on a running cell in a log.
EVERY = 300.0


class Progress:
    """Is told of events and shows them on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.live: Any = None
        self.running: dict[str, str] = {}
        self.told: dict[str, float] = {}
        if not quiet and sys.stderr.isatty():
            from ...tables import live

            self.live = live()

    def __enter__(self) -> Progress:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.live is not None:
            self.live.update("")
            self.live.stop()

    def __call__(self, event: Event) -> None:
        name = f"{event.cell.name}, {event.cell.data}"
        if event.kind in ("started", "running"):
            self.running[name] = f"{name} on {event.device}: {event.text or 'starting'}"
            if event.kind == "running":
                self._tell_log(name)
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

    def _tell_log(self, name: str) -> None:
        """A line on a running cell from time to time, where nobody watches."""
        now = time.monotonic()
        if self.live is None and not self.quiet and now - self.told.setdefault(name, now) >= EVERY:
            self.told[name] = now
            self._say(f"Running {self.running[name]}")


def dry_run_text(status: AblationStatus, as_json: bool) -> str:
    """The cells; with Slurm also the script to be."""
    if as_json:
        return dump(status.to_dict())
    text = "\n".join([str(status), *(message(f"Note: {note}") for note in status.notes)])
    return text if status.script is None else f"{text}\n\n{status.script or NOTHING}"


def how_far(recipe: Path, folder: str | None) -> str:
    """How far an ablation is that was stopped, at once: without the trials of a dry run."""
    return status_of(plan_ablation(recipe, None if folder is None else Path(folder))).summary()


def deliver(status: AblationStatus, as_json: bool, quiet: bool) -> int:
    """Say how it ended; the exit code."""
    if as_json:
        say.report(dump(status.to_dict()))
    for cell in status.cells:
        if cell.state == "failed":
            say.line(f"Failed: {failure_text(cell)}", err=True)
    if status.failed:
        say.note("failed cells are left as they are: add --retry to train them again")
    unreadable = UNREADABLE in status.counts
    for note in () if quiet and not unreadable else status.notes:
        say.note(note)
    if not quiet:
        others = status.counts.get(RUNNING, 0)
        more = f" ({others} of them by another call)" if others else ""
        say.line(f"{status.summary()}{more}", err=as_json)
    return int(status.failed or unreadable or INTERRUPTED in status.counts)
