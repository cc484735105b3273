"""What is to be done with a recipe, and what came of it, as a value that shows itself; it decides nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import TargetError
from ..files import check_folder
from ..reports import Part, Shown
from ..wording import counted, printable
from .files import EDITED, FOREIGN, LEFT_OVER, OffFile
from .index import Index
from .recipe import Recipe

_LINES = 40  # of one diff; the rest is counted

#: Shows how far an iteration is: (what is iterated, what is done, how many) -> the same items.
Track = Callable[[Iterator[Any], str, int], Iterator[Any]]


@dataclass(frozen=True)
class SyncOptions:
    """What to do with a recipe; see `lska-surgeon variants --help`."""

    recipe: Path
    check: bool = False
    dry_run: bool = False
    costs: bool = False
    prune: bool = False
    force: bool = False
    verify: bool = False
    jobs: int = 1
    unchecked: bool = False


@dataclass(frozen=True, repr=False)
class Variants(Shown):
    """What came of a recipe.

    Attributes:
        recipe: the recipe.
        options: what was to be done.
        index: the index to be, with all variants and costs.
        findings: files that were not as the recipe asks for them.
        written: files that were written or deleted; with `--dry-run`, that would be.
        over_budget: file and reason, of variants that cost too much.
        uncounted: variants whose cost is not known, where there is a budget to check.
        broken: file and reason, of variants that Ultralytics does not build or run.
        built: how many it does.
        again: works the recipe out anew, with other options.
    """

    recipe: Recipe
    options: SyncOptions
    index: Index
    findings: tuple[OffFile, ...]
    written: tuple[str, ...]
    over_budget: tuple[tuple[str, str], ...]
    uncounted: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    built: int
    again: Callable[[SyncOptions], Variants] = field(compare=False)

    @property
    def checked(self) -> bool:
        """Whether this was a check, which writes nothing."""
        return self.options.check

    @property
    def failed(self) -> bool:
        """Whether CI should stop here."""
        return bool(self.over_budget or self.uncounted or self.broken or (self.checked and self.findings))

    @property
    def line(self) -> str:
        """All in one line."""
        name, variants = self.recipe.path, counted(len(self.index.variants), "variant")
        built = f", {self.built} built and run" if self.built else ""
        if self.checked:
            start = f"{name}: {variants}{built}"
            return self._what_failed(start) or f"{start}, all up to date"
        deleted = sum(found.state == LEFT_OVER and found.file in self.written for found in self.findings)
        written = len(self.written) - deleted
        dry_run = self.options.dry_run
        parts = [f"{counted(written, 'file')} {'to write' if dry_run else 'written'}"] if written else []
        parts += [f"{deleted} {'to delete' if dry_run else 'deleted'}"] if deleted else []
        done = "nothing written" if self.broken else ", ".join(parts) or "all up to date"
        start = f"{name}: {variants}{built}, {done}"
        return self._what_failed(start) or start

    @property
    def problems(self) -> list[str]:
        """One text for each problem; of a file that differs, with the diff to what it should be."""
        texts = []
        if self.checked or self.options.dry_run:
            for found in self.findings:
                diff = f"\n{_shortened(found.diff)}" if found.diff else ""
                texts.append(printable(f"{found.file} {found.message}") + diff)
        texts += [printable(f"{file} does not pass: {problem}") for file, problem in self.broken]
        texts += [printable(f"{file} is over the budget: {problem}") for file, problem in self.over_budget]
        return texts + ([self.uncounted_in_words] if self.uncounted else [])

    @property
    def uncounted_in_words(self) -> str:
        """Why a budget can't be checked."""
        command = f"lska-surgeon variants {self.recipe.path} --costs"
        many = counted(len(self.uncounted), "variant")
        return f"the budget can't be checked, for the index does not say what {many} cost: run `{command}`"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told beside the result."""
        if self.checked:
            return ()
        texts = []
        left = [found.file for found in self.findings if found.state == LEFT_OVER and found.file not in self.written]
        if left:
            it = "it" if len(left) == 1 else "them"
            texts.append(f"the recipe no longer asks for {', '.join(left)}: add --prune to delete {it}")
        if self.written and any(cost.params is None for _, cost in self.index.variants):
            said = "the index says what each variant adds, not what it costs in all"
            texts.append(f"{said}: add --costs to count the bases")
        return tuple(texts)

    def parts(self) -> tuple[Part, ...]:
        """A table of the variants and their costs, what is wrong, and all in one line."""
        return (self.index.table(), *self.problems, self.line)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, as `--json` writes it."""
        return {
            "schema": self.schema,
            "recipe": str(self.recipe.path),
            "check": self.checked,
            "failed": self.failed,
            "written": list(self.written),
            "findings": [
                {"file": found.file, "state": found.state, "edited": found.edited, "diff": found.diff}
                for found in self.findings
            ],
            "dry_run": self.options.dry_run,
            "uncounted": list(self.uncounted),
            "over_budget": [{"file": file, "problem": problem} for file, problem in self.over_budget],
            "broken": [{"file": file, "problem": problem} for file, problem in self.broken],
            "built": self.built,
            "index": json.loads(self.index.json()),
        }

    def check_folders(self) -> None:
        """Refuse, before anything is written, folders that can't be written to.

        Raises:
            TargetError: the system refuses.
        """
        files = {file.parent: file for file in map(self.recipe.folder.joinpath, self.written)}
        for folder, file in files.items():
            check_folder(folder, file)

    def write(self, force: bool = False) -> Variants:
        """Write what the recipe asks for, all of it or nothing; a variant that does not build stops all writing.

        Args:
            force: overwrite files that were edited by hand, or that somebody else wrote.

        Returns:
            What was written.

        Raises:
            TargetError: a file is in the way and `force` is off, a variant is broken, or the system refuses.
        """
        if self.broken:
            raise TargetError(
                f"nothing was written: {'; '.join(f'{file} does not pass: {why}' for file, why in self.broken)}"
            )
        force = force or self.options.force
        return self.again(replace(self.options, check=False, dry_run=False, verify=False, force=force))

    def _what_failed(self, start: str) -> str | None:
        counts = Counter(found.state for found in self.findings if self.checked)
        parts = [f"{number} {state}" for state, number in counts.items()]
        parts += [f"{len(self.broken)} broken"] if self.broken else []
        over = len({file for file, _ in self.over_budget})
        parts += [f"{over} over budget"] if over else []
        parts += [f"{len(self.uncounted)} not counted"] if self.uncounted else []
        if not parts:
            return None
        prune = " --prune" if counts[LEFT_OVER] else ""
        # By hand: what a file was edited for has to go into the recipe, or be given up.
        force = " --force" if counts[EDITED] or counts[FOREIGN] else ""
        remedy = f"; run `lska-surgeon variants {self.recipe.path}{prune}{force}`" if counts else ""
        return f"{start}, {', '.join(parts)}{remedy}"


def _shortened(diff: str) -> str:
    found = diff.splitlines()
    rest = len(found) - _LINES
    return "\n".join(found[:_LINES] + ([f"... and {rest} more lines"] if rest > 0 else []))
