"""Keeping a recipe's variants: what `variants` does, step by step, and what came of it; it prints nothing.

Only files that the recipe owns, by its index, are replaced or deleted, and never one that was edited by hand.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, BlockTable
from ..cost.cache import CostCache, sha256
from ..cost.cost import CostError
from ..declarations.find import building_with
from ..errors import RecipeError, SurgeonError, TargetError
from ..files import cache_folder, check_folder, read_within, remove_temporary, replace_all
from ..modelfile.text import unified_diff
from ..reports import Annotation, Part, Report, Result
from ..wording import counted, printable
from .index import Index, Owned, index_name, read_owned
from .recipe import Recipe, read_recipe
from .variants import Variant, VariantCost, plan_variants, read_again

#: Seconds that the second one waits.
PATIENCE = 10.0
MISSING, STALE, EDITED, FOREIGN, LEFT_OVER = "missing", "stale", "edited", "foreign", "left over"
_MEANING = {
    MISSING: "is missing",
    STALE: "is stale",
    EDITED: "was edited by hand",
    FOREIGN: "is there, and not this recipe's",
    LEFT_OVER: "is left over: the recipe no longer asks for it",
}
_MOST_NAMED = 3  # files that one line names
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
    budget: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mismatch:
    """One file that is not as the recipe asks for it.

    Attributes:
        file: relative to the recipe's folder.
        state: one of the five above.
        diff: from the file to what it should be; empty where there is nothing to compare.
        edited: of a left-over file, whether it was edited by hand.
    """

    file: str
    state: str
    diff: str = ""
    edited: bool = False

    @property
    def message(self) -> str:
        """What is wrong, to stand behind the file's name."""
        return _MEANING[self.state] + (", and was edited by hand" if self.edited else "")


@dataclass(frozen=True, repr=False)
class Variants(Result):
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
    """

    recipe: Recipe
    options: SyncOptions
    index: Index
    findings: tuple[Mismatch, ...]
    written: tuple[str, ...]
    over_budget: tuple[tuple[str, str], ...]
    uncounted: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    built: int

    @property
    def checked(self) -> bool:
        """Whether this was a check, which writes nothing."""
        return self.options.check

    @property
    def failed(self) -> bool:
        """Whether CI should stop here."""
        return bool(self.over_budget or self.uncounted or self.broken or (self.checked and self.findings))

    @property
    def problems(self) -> list[str]:
        """One text for each problem; of a file that differs, with the diff to what it should be."""
        texts = []
        for one in self.findings if self.checked or self.options.dry_run else ():
            diff = f"\n{_shortened(one.diff)}" if one.diff else ""
            texts.append(printable(f"{one.file} {one.message}") + diff)
        texts += [printable(f"{file} does not pass: {problem}") for file, problem in self.broken]
        texts += [printable(f"{file} is over the budget: {problem}") for file, problem in self.over_budget]
        return texts + ([self._uncounted] if self.uncounted else [])

    def report(self) -> Report:
        """A table of the variants and their costs, what is wrong, and all in one line."""
        line = printable(self._summary())
        data = {
            "schema": self.schema,
            "recipe": str(self.recipe.path),
            "check": self.checked,
            "failed": self.failed,
            "written": list(self.written),
            "findings": [vars(one) for one in self.findings],
            "dry_run": self.options.dry_run,
            "uncounted": list(self.uncounted),
            "over_budget": [{"file": file, "problem": problem} for file, problem in self.over_budget],
            "broken": [{"file": file, "problem": problem} for file, problem in self.broken],
            "built": self.built,
            "index": self.index.to_dict(),
        }
        parts: list[Part] = [self.index.table(), *self.problems, line]
        return Report(line, parts, self.notes, data, self.index.sheet(), self._annotations(line))

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
        options = replace(self.options, check=False, dry_run=False, verify=False, force=force)
        with building_with(self.recipe.blocks):
            return sync(options, self.recipe.blocks)

    def _summary(self) -> str:
        start = f"{self.recipe.path}: {counted(len(self.index.variants), 'variant')}"
        start += f", {self.built} built and run" if self.built else ""
        deleted = sum(one.state == LEFT_OVER and one.file in self.written for one in self.findings)
        written, dry_run = len(self.written) - deleted, self.options.dry_run
        if not self.checked:
            parts = [f"{counted(written, 'file')} {'to write' if dry_run else 'written'}"] if written else []
            parts += [f"{deleted} {'to delete' if dry_run else 'deleted'}"] if deleted else []
            start += f", {'nothing written' if self.broken else ', '.join(parts) or 'all up to date'}"
        counts = Counter(one.state for one in self.findings if self.checked)
        failed = [f"{number} {state}" for state, number in counts.items()]
        failed += [f"{len(self.broken)} broken"] if self.broken else []
        failed += [f"{over} over budget"] if (over := len({file for file, _ in self.over_budget})) else []
        failed += [f"{len(self.uncounted)} not counted"] if self.uncounted else []
        if not failed:
            return f"{start}, all up to date" if self.checked else start
        prune = " --prune" if counts[LEFT_OVER] else ""
        # By hand: what a file was edited for has to go into the recipe, or be given up.
        force = " --force" if counts[EDITED] or counts[FOREIGN] else ""
        remedy = f"; run `lska-surgeon variants {self.recipe.path}{prune}{force}`" if counts else ""
        return f"{start}, {', '.join(failed)}{remedy}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know beside the result."""
        if self.checked:
            return ()
        texts = []
        left = [one.file for one in self.findings if one.state == LEFT_OVER and one.file not in self.written]
        if left:
            it = "it" if len(left) == 1 else "them"
            texts.append(f"the recipe no longer asks for {', '.join(left)}: add --prune to delete {it}")
        if self.written and any(cost.params is None for _, cost in self.index.variants):
            said = "the index says what each variant adds, not what it costs in all"
            texts.append(f"{said}: add --costs to count the bases")
        return tuple(texts)

    @property
    def _uncounted(self) -> str:
        command = f"lska-surgeon variants {self.recipe.path} --costs"
        many = counted(len(self.uncounted), "variant")
        return f"the budget can't be checked, for the index does not say what {many} cost: run `{command}`"

    def _annotations(self, line: str) -> list[Annotation]:
        """One for each problem, and one for the result; a missing file can carry none, so the recipe does."""
        recipe, folder = str(self.recipe.path), self.recipe.folder
        problems = [
            *((one.file, one.message, one.state) for one in self.findings if self.checked),
            *((file, problem, "broken") for file, problem in self.broken),
            *((file, problem, "over budget") for file, problem in self.over_budget),
        ]
        about = [
            (f"{file}: {problem}", recipe if state == MISSING else str(folder / file), state)
            for file, problem, state in problems
        ]
        about += [(self._uncounted, recipe, "not counted")] if self.uncounted else []
        level, verdict = ("error", "failed") if self.failed else ("notice", "passed")
        return [
            *(Annotation("error", text, f"lska-surgeon variants: {state}", file, 1) for text, file, state in about),
            Annotation(level, line, f"lska-surgeon variants: {verdict}", recipe, 1),
        ]


def _shortened(diff: str) -> str:
    lines = diff.splitlines()
    rest = len(lines) - _LINES
    return "\n".join(lines[:_LINES] + ([f"... and {rest} more lines"] if rest > 0 else []))


def sync(options: SyncOptions, blocks: BlockTable = STOCK, track: Track | None = None) -> Variants:
    """Work a recipe out; check its files, or bring them up to date.

    1. Everything is planned, and counted where that is asked for, before anything is written.
    2. A check never counts: costs are those of the index. So it needs no torch.
    3. A variant that does not build stops all writing. One over the budget does not: it is what was asked for.

    Raises:
        SurgeonError: the recipe, a base, the index or a file that is in the way; nothing was written.
    """
    track = track or (lambda items, what, total: items)
    recipe = read_recipe(options.recipe, blocks)
    recipe = replace(recipe, budget=recipe.budget.with_limits(options.budget))
    variants = plan_variants(recipe, unchecked=options.unchecked)
    if options.check or options.dry_run:
        return _synced(options, recipe, variants, track)
    folders = {(recipe.folder / file).parent for file in (index_name(recipe), *(variant.file for variant in variants))}
    with only_writer(folders, f"lska-surgeon variants {recipe.path.name}"):
        return _synced(options, recipe, variants, track)


def _synced(options: SyncOptions, recipe: Recipe, variants: tuple[Variant, ...], track: Track) -> Variants:
    """Steps 1 to 3, once nobody else writes there."""
    owned = read_owned(recipe, [variant.file for variant in variants])
    may_count = not options.check and (options.costs or bool(recipe.budget))
    # Counts in an index of another size, or that was edited by hand, count for nothing.
    known = owned.counts if owned is not None and owned.imgsz == recipe.imgsz and not owned.edited else {}
    costs = CostCache(recipe.imgsz, recipe.blocks, may_count, options.costs and not options.check, known)
    each = ((variant, _cost(recipe, variant, costs)) for variant in variants)
    index = Index(recipe, tuple(track(each, "counting" if may_count else "planning", len(variants))), costs)
    asked_for = {*(variant.file for variant in variants), index.markdown_name}
    files = owned.files if owned else {}
    left = {file: hash_ for file, hash_ in files.items() if file not in asked_for and (recipe.folder / file).is_file()}
    if left and not options.prune:
        index = replace(index, left_over=left)
    broken = _broken(recipe, variants, options.jobs, track) if options.verify else ()
    findings = _mismatches(index, owned, left)
    written: list[str] = []
    if not options.check and not broken:
        written = update(index, findings, force=options.force, prune=options.prune, dry_run=options.dry_run)
    return Variants(
        recipe,
        options,
        index,
        tuple(findings),
        tuple(written),
        tuple(_over_budget(index)),
        tuple(variant.file for variant, cost in index.variants if recipe.budget and cost.params is None),
        broken,
        len(variants) - len(broken) if options.verify else 0,
    )


def _cost(recipe: Recipe, variant: Variant, costs: CostCache) -> VariantCost:
    try:
        return variant.cost(costs)
    except CostError as error:
        raise RecipeError(f"{recipe.path}, imgsz: {str(error).replace('--imgsz', 'imgsz')}") from error
    except SurgeonError as error:
        raise recipe.error(variant.wanted, error, "base") from error


def _broken(recipe: Recipe, variants: tuple[Variant, ...], jobs: int, track: Track) -> tuple[tuple[str, str], ...]:
    from .verify import verify

    problems = dict(track(verify(variants, jobs, recipe.blocks), "building", len(variants)))
    return tuple((file, problem) for one in variants if (problem := problems[file := one.file]))


def _over_budget(index: Index) -> Iterator[tuple[str, str]]:
    budget = index.recipe.budget
    for variant, cost in index.variants if budget else ():
        if cost.params is not None and cost.macs is not None and cost.base is not None:
            for excess in budget.excess(cost.params, cost.macs, cost.base.params, cost.base.macs):
                yield variant.file, excess


def _mismatches(index: Index, owned: Owned | None, left: Mapping[str, str]) -> list[Mismatch]:
    """All files that are not as the recipe asks for them, the index and its table, and those left over included."""
    findings = []
    for file, text in _texts_of(index).items():
        there = _read(index.recipe.folder / file)
        if there is None:
            findings.append(Mismatch(file, MISSING))
        elif there != text:
            findings.append(Mismatch(file, _state(index, file, there, owned), unified_diff(there, text, file, file)))
    for file, digest in left.items():
        there = _read(index.recipe.folder / file)
        findings.append(Mismatch(file, LEFT_OVER, edited=there is not None and sha256(there) != digest))
    return findings


def _state(index: Index, file: str, there: str, owned: Owned | None) -> str:
    """Why a file that is there is not as it should be."""
    if file == index.name:
        return EDITED if owned and owned.edited else STALE
    if owned is None or file not in owned.files:
        mine = file == index.markdown_name and there.startswith(index.heading)  # whose index was moved away
        return STALE if mine else FOREIGN
    return STALE if sha256(there) == owned.files[file] else EDITED


def update(index: Index, findings: Sequence[Mismatch], *, force: bool, prune: bool, dry_run: bool) -> list[str]:
    """Write what differs and, with `prune`, delete what is left over: all of it or nothing; the files touched.

    With `dry_run` everything is done but the writing.

    Raises:
        TargetError: a file was edited by hand, or is not this recipe's, and `force` is off; or the system refuses.
        RecipeError: a text does not read as it was planned.
    """
    gone = [one for one in findings if one.state == LEFT_OVER and prune]
    changed = [one for one in findings if one.state != LEFT_OVER]
    refused = [one for one in changed if one.state in (EDITED, FOREIGN)]
    refused += [one for one in gone if one.edited]
    if refused and not force:
        names = ", ".join(f"{one.file} {one.message}" for one in refused[:_MOST_NAMED])
        more = f" (and {len(refused) - _MOST_NAMED} more)" if len(refused) > _MOST_NAMED else ""
        raise TargetError(f"nothing was written: {names}{more}; move it away, or add --force to overwrite it")
    touched = {one.file for one in changed}
    read_again(index.recipe, [variant for variant, _ in index.variants if variant.file in touched])
    folder = index.recipe.folder
    texts = {folder / file: text for file, text in _texts_of(index).items() if file in touched}
    if not dry_run:
        for place in dict.fromkeys((folder / file).parent for file in _texts_of(index)):
            remove_temporary(place)
        replace_all(texts, [folder / one.file for one in gone])
    return [one.file for one in (*changed, *gone)]


def _texts_of(index: Index) -> dict[str, str]:
    """The text of every file to be; the index is the last, so that it never owns what is not there yet."""
    texts = {variant.file: variant.text for variant, _ in index.variants}
    return {**texts, index.markdown_name: index.markdown(), index.name: index.json()}


def _read(path: Path) -> str | None:
    try:
        return read_within(path).decode("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TargetError(f"can't read {path}: {error.strerror}") from error


@contextmanager
def only_writer(folders: Iterable[Path], who: str) -> Iterator[None]:
    """Be the only one that writes into these folders, which need not exist.

    Raises:
        TargetError: somebody else is writing there, and has not ended while one waited.
    """
    with ExitStack() as held:
        for folder in sorted({os.path.realpath(folder) for folder in folders}):
            held.enter_context(_lock(folder, who))
        yield


@contextmanager
def _lock(folder: str, who: str) -> Iterator[None]:
    from filelock import FileLock, Timeout  # here, for a check needs no lock

    path = _place_of_locks() / f"{sha256(folder)[:32]}.lock"
    holder = path.with_suffix(".txt")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        with suppress(OSError):
            who = read_within(holder, 1000).decode("utf-8", errors="replace")
        raise TargetError(f"{folder} is being written by {who}: try again when it is done") from None
    try:
        with suppress(OSError):
            holder.write_text(f"{who} (process {os.getpid()})", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _place_of_locks() -> Path:
    """A folder for locks: in the cache, or among the temporary files where the cache can't be written."""
    for folder in (cache_folder(), Path(tempfile.gettempdir(), "lska-surgeon")):
        if folder is not None:
            with suppress(OSError):
                (folder / "locks").mkdir(parents=True, exist_ok=True)
                if os.access(folder / "locks", os.W_OK):
                    return folder / "locks"
    return Path(tempfile.mkdtemp(prefix="lska-surgeon-"))
