"""Keeping a recipe's variants: what `variants` does, step by step, and what came of it; it prints nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..core.blocks import BlockTable
from ..cost.cache import CostCache, cache_folder, sha256
from ..cost.cost import CostError
from ..declarations.find import active_blocks, building_with
from ..errors import RecipeError, SurgeonError, TargetError
from ..files import read_within
from .files import known_costs, left_over, off_files, update
from .index import Index
from .ownership import index_name, read_owned
from .plan import Variant, VariantCost, plan_variants
from .recipe import Recipe, read_recipe
from .result import SyncOptions, Track, Variants

#: Seconds that the second one waits.
PATIENCE = 10.0


@contextmanager
def only_writer(folders: Iterable[Path], who: str) -> Iterator[None]:
    """Be the only one that writes into these folders.

    Args:
        folders: they need not exist.
        who: what the others are told, such as the recipe's name.

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

    path = _place() / f"{sha256(folder)[:32]}.lock"
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


def _place() -> Path:
    """A folder for locks: in the cache, or among the temporary files where the cache can't be written."""
    for folder in (cache_folder(), Path(tempfile.gettempdir(), "lska-surgeon")):
        if folder is not None:
            with suppress(OSError):
                (folder / "locks").mkdir(parents=True, exist_ok=True)
                if os.access(folder / "locks", os.W_OK):
                    return folder / "locks"
    return Path(tempfile.mkdtemp(prefix="lska-surgeon-"))


def sync(options: SyncOptions, track: Track | None = None) -> Variants:
    """Work a recipe out; check its files, or bring them up to date.

    1. Everything is planned, and counted where that is asked for, before anything is written.
    2. A check never counts: costs are those of the index. So it needs no torch.
    3. A variant that does not build stops all writing. One over the budget does not: it is what was asked for.

    Raises:
        SurgeonError: the recipe, a base, the index or a file that is in the way; nothing was written.
    """
    track = track or (lambda items, what, total: items)
    recipe = read_recipe(options.recipe, active_blocks())
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
    costs = known_costs(recipe, owned, may_count=may_count, renew=options.costs and not options.check)
    index = _index(recipe, variants, costs, track)
    left = left_over(recipe, variants, owned, index.markdown_name)
    if left and not options.prune:
        index = replace(index, left_over=left)
    broken = _broken(recipe, variants, options.jobs, track) if options.verify else ()
    findings = off_files(index, owned, left)
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
        partial(_again, recipe.blocks),
    )


def _again(blocks: BlockTable, options: SyncOptions) -> Variants:
    """The recipe worked out anew, with the custom modules of the first time."""
    with building_with(blocks):
        return sync(options)


def _index(recipe: Recipe, variants: tuple[Variant, ...], costs: CostCache, track: Track) -> Index:
    counted = ((variant, _cost(recipe, variant, costs)) for variant in variants)
    what = "counting" if costs.may_count else "planning"
    return Index(recipe, index_name(recipe), tuple(track(counted, what, len(variants))), costs)


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
    return tuple((one.file, problems[one.file]) for one in variants if problems[one.file])


def _over_budget(index: Index) -> Iterator[tuple[str, str]]:
    budget = index.recipe.budget
    if not budget:
        return
    for variant, cost in index.variants:
        if cost.params is None or cost.macs is None or cost.base is None:
            continue
        for excess in budget.excess(cost.params, cost.macs, cost.base.params, cost.base.macs):
            yield variant.file, excess
