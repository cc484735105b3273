"""Keeping a recipe's variants: what `variants` does, step by step, and what came of it; it prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .base_costs import Costs
from .recipe import Recipe, read_recipe
from .variant_files import Finding, compare, index_name, known_costs, left_over, read_owned, update
from .variant_index import Index
from .variants import Variant, plan_variants

#: Shows how far an iteration is: (what is iterated, what is done, how many) -> the same items.
Track = Callable[[Iterator[Any], str, int], Iterator[Any]]


@dataclass(frozen=True)
class Task:
    """What to do with a recipe; see `lska-surgeon variants --help`."""

    recipe: Path
    check: bool = False
    costs: bool = False
    prune: bool = False
    force: bool = False
    verify: bool = False
    jobs: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        recipe: the recipe.
        checked: whether this was a check, which writes nothing.
        index: the index to be, with all variants and costs.
        findings: files that were not as the recipe asks for them.
        written: files that were written or deleted.
        over_budget: file and reason, of variants that cost too much, or whose cost is not known.
        broken: file and reason, of variants that Ultralytics does not build or run.
    """

    recipe: Recipe
    checked: bool
    index: Index
    findings: tuple[Finding, ...]
    written: tuple[str, ...]
    over_budget: tuple[tuple[str, str], ...]
    broken: tuple[tuple[str, str], ...]

    @property
    def failed(self) -> bool:
        """Whether CI should stop here."""
        return bool(self.over_budget or self.broken or (self.checked and self.findings))


def keep(task: Task, track: Track) -> Outcome:
    """Work a recipe out; check its files, or bring them up to date.

    1. Everything is planned, and counted where that is asked for, before anything is written.
    2. A check never counts: costs are those of the index. So it needs no torch.
    3. A variant that does not build stops all writing. One over the budget does not: it is what was asked for.

    Raises:
        SurgeonError: the recipe, a base, the index or a file that is in the way; nothing was written.
    """
    recipe = read_recipe(task.recipe)
    variants = plan_variants(recipe)
    owned = read_owned(recipe)
    may_count = not task.check and (task.costs or bool(recipe.budget))
    costs = known_costs(recipe, owned, may_count=may_count, renew=task.costs and not task.check)
    index = _index(recipe, variants, costs, {}, track)
    left = left_over(recipe, variants, owned, index.markdown_name)
    if left and not task.prune:
        index = _index(recipe, variants, costs, left, track)
    broken = _broken(variants, task.jobs, track) if task.verify else ()
    findings = compare(index, owned, left)
    written: list[str] = []
    if not task.check and not broken:
        written = update(index, findings, force=task.force, prune=task.prune)
    return Outcome(recipe, task.check, index, tuple(findings), tuple(written), tuple(_over_budget(index)), broken)


def _index(recipe: Recipe, variants: tuple[Variant, ...], costs: Costs, left: dict[str, str], track: Track) -> Index:
    counted = ((variant, variant.cost(costs)) for variant in variants)
    what = "counting" if costs.may_count else "planning"
    return Index(recipe, index_name(recipe), tuple(track(counted, what, len(variants))), costs, left)


def _broken(variants: tuple[Variant, ...], jobs: int, track: Track) -> tuple[tuple[str, str], ...]:
    from .verify import verify

    problems = dict(track(verify(variants, jobs), "building", len(variants)))
    return tuple((one.file, problems[one.file]) for one in variants if problems[one.file])


def _over_budget(index: Index) -> Iterator[tuple[str, str]]:
    budget = index.recipe.budget
    if not budget:
        return
    for variant, cost in index.variants:
        if cost.params is None or cost.macs is None or cost.base is None:
            command = f"lska-surgeon variants {index.recipe.path} --costs"
            yield variant.file, f"what it costs is not known, so the budget can't be checked: run `{command}`"
            continue
        for excess in budget.excess(cost.params, cost.macs, cost.base.params, cost.base.macs):
            yield variant.file, excess
