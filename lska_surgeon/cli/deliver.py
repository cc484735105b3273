"""The one way out of a command that makes a file: target checked, file written, notes told, result shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from ..files import check_target, target_path
from ..reports import Part, Report, drawn, dump
from . import say
from .options import formats, refuse_two_texts, writing

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class Planned(Protocol):
    """A result that can be written: Insertion, Removal, Graft, Ungraft."""

    @property
    def output(self) -> Path | None:
        """The file to be; None for standard output."""

    def report(self) -> Report:
        """What it has to show."""

    def write(self, path: None = None, force: bool = False) -> object:
        """Write the file."""


def _done(result: Planned, report: Report) -> str:
    """What was done: the part that begins with the summary and goes on, or the summary."""
    texts = [part for part in report.parts if isinstance(part, str) and part.startswith(report.summary)]
    return str(getattr(result, "done", None) or (texts[0] if texts else report.summary))


@dataclass(frozen=True)
class Delivery:
    """Where a result goes and how it is told: the options of `delivered`."""

    output: str | None
    force: bool
    dry_run: bool
    quiet: bool
    form: str

    def check(self, suffix: str, default: str | None = None) -> None:
        """Refuse a target that is known before the work, so that no work is done for nothing.

        Raises:
            TargetError: it must not, or can't, be written.
        """
        name = self.output or default
        if name is not None and (name, suffix) != ("-", ".yaml"):
            check_target(target_path(name, suffix), force=self.force)

    def deliver(
        self,
        result: Planned,
        *,
        preview: Sequence[Part] | None = None,
        changes: Mapping[str, Any] | None = None,
        notice: Callable[[bool], str] | None = None,
    ) -> None:
        """Write a result and tell of it; a dry run fails where the real one would.

        Args:
            result: the result.
            preview: what a dry run shows, where that is not all of the result.
            changes: what the JSON of this run says otherwise.
            notice: for GitHub; it is told whether the file was written.
        """
        if result.output is not None:
            check_target(result.output, force=self.force)
            if not self.dry_run:
                result.write(force=self.force)
        if self.form == "json":
            say.report(dump({**result.report().data, **(changes or {})}))
        elif self.form == "github" and notice is not None:
            say.report(notice(not self.dry_run))
        else:
            self._tell(result, preview)

    def _tell(self, result: Planned, preview: Sequence[Part] | None) -> None:
        report = result.report()
        if not self.quiet:
            for note in report.notes:
                say.note(note)
        if self.dry_run:
            say.report(drawn(preview or report.shown))
        elif result.output is None:
            say.content(cast(Any, result).text.encode("utf-8", errors="surrogateescape"))
        elif not self.quiet:
            say.report(f"Wrote {_done(result, report)}")


def delivered(*forms: str, help_of_output: str = "File to write.") -> Callable[[AnyFunction], AnyFunction]:
    """`-o`, `--force`, `--dry-run`, `--quiet` and `--format` with these forms; the command gets them as `delivery`."""

    def decorate(function: AnyFunction) -> AnyFunction:
        @wraps(function)
        def packed(
            *args: Any, output: str | None, force: bool, dry_run: bool, quiet: bool, form: str, **rest: Any
        ) -> Any:
            refuse_two_texts(form, output, str(rest.get("base") or rest.get("variant") or ""))
            return function(*args, delivery=Delivery(output, force, dry_run, quiet, form), **rest)

        return writing(help_of_output)(formats(*forms)(cast(AnyFunction, packed)))

    return decorate
