"""What came of a recipe, in words, as JSON, or as GitHub's annotations; it decides nothing."""

from __future__ import annotations

import json
from collections import Counter

from ...recipes.files import EDITED, FOREIGN, LEFT_OVER, MISSING
from ...recipes.sync import Outcome
from .github import annotation
from .json import dump

#: Version of the JSON; it changes when a key changes its meaning or goes.
SCHEMA = 1
_TITLE = "lska-surgeon variants: not counted"
_LINES = 40  # of one diff; the rest is counted


def summary(outcome: Outcome) -> str:
    """All in one line."""
    name, total = outcome.recipe.path, len(outcome.index.variants)
    variants = f"{total} variant{'' if total == 1 else 's'}"
    built = f", {outcome.built} built and run" if outcome.built else ""
    if outcome.checked:
        start = f"{name}: {variants}{built}"
        return _what_failed(outcome, start) or f"{start}, all up to date"
    deleted = sum(found.state == LEFT_OVER and found.file in outcome.written for found in outcome.findings)
    written = len(outcome.written) - deleted
    dry_run = outcome.task.dry_run
    parts = [f"{written} file{'' if written == 1 else 's'} {'to write' if dry_run else 'written'}"] if written else []
    parts += [f"{deleted} {'to delete' if dry_run else 'deleted'}"] if deleted else []
    done = "nothing written" if outcome.broken else ", ".join(parts) or "all up to date"
    start = f"{name}: {variants}{built}, {done}"
    return _what_failed(outcome, start) or start


def lines(outcome: Outcome) -> list[str]:
    """One text for each problem; of a file that differs, with the diff to what it should be."""
    texts = []
    if outcome.checked or outcome.task.dry_run:
        for found in outcome.findings:
            texts.append(f"{found.file} {found.message}" + (f"\n{_shortened(found.diff)}" if found.diff else ""))
    texts += [f"{file} does not pass: {problem}" for file, problem in outcome.broken]
    texts += [f"{file} is over the budget: {problem}" for file, problem in outcome.over_budget]
    return texts + ([_uncounted(outcome)] if outcome.uncounted else [])


def _uncounted(outcome: Outcome) -> str:
    command = f"lska-surgeon variants {outcome.recipe.path} --costs"
    many = f"{len(outcome.uncounted)} variant{'' if len(outcome.uncounted) == 1 else 's'}"
    return f"the budget can't be checked, for the index does not say what {many} cost: run `{command}`"


def notes(outcome: Outcome) -> list[str]:
    """What the user should be told beside the result."""
    if outcome.checked:
        return []
    texts = []
    left = [found.file for found in outcome.findings if found.state == LEFT_OVER and found.file not in outcome.written]
    if left:
        it = "it" if len(left) == 1 else "them"
        texts.append(f"the recipe no longer asks for {', '.join(left)}: add --prune to delete {it}")
    if outcome.written and any(cost.params is None for _, cost in outcome.index.variants):
        texts.append("the index says what each variant adds, not what it costs in all: add --costs to count the bases")
    return texts


def as_json(outcome: Outcome) -> str:
    """Everything, for machines."""
    return dump(
        {
            "schema": SCHEMA,
            "recipe": str(outcome.recipe.path),
            "check": outcome.checked,
            "failed": outcome.failed,
            "written": list(outcome.written),
            "findings": [
                {"file": found.file, "state": found.state, "edited": found.edited, "diff": found.diff}
                for found in outcome.findings
            ],
            "dry_run": outcome.task.dry_run,
            "uncounted": list(outcome.uncounted),
            "over_budget": [{"file": file, "problem": problem} for file, problem in outcome.over_budget],
            "broken": [{"file": file, "problem": problem} for file, problem in outcome.broken],
            "built": outcome.built,
            "index": json.loads(outcome.index.json()),
        }
    )


def as_annotations(outcome: Outcome) -> list[str]:
    """One GitHub workflow command for each problem, and one for the result."""
    folder = outcome.recipe.folder
    said = [
        *((found.file, found.message, found.state) for found in outcome.findings if outcome.checked),
        *((file, problem, "broken") for file, problem in outcome.broken),
        *((file, problem, "over budget") for file, problem in outcome.over_budget),
    ]
    # A missing file can't carry an annotation; the recipe can.
    texts = [
        annotation(
            "error",
            f"{file}: {problem}",
            file=str(outcome.recipe.path if title == MISSING else folder / file),
            line=1,
            title=f"lska-surgeon variants: {title}",
        )
        for file, problem, title in said
    ]
    if outcome.uncounted:
        texts.append(annotation("error", _uncounted(outcome), file=str(outcome.recipe.path), line=1, title=_TITLE))
    level, result = ("error", "failed") if outcome.failed else ("notice", "passed")
    title = f"lska-surgeon variants: {result}"
    return [*texts, annotation(level, summary(outcome), file=str(outcome.recipe.path), line=1, title=title)]


def _what_failed(outcome: Outcome, start: str) -> str | None:
    counts = Counter(found.state for found in outcome.findings if outcome.checked)
    parts = [f"{number} {state}" for state, number in counts.items()]
    parts += [f"{len(outcome.broken)} broken"] if outcome.broken else []
    over = len({file for file, _ in outcome.over_budget})
    parts += [f"{over} over budget"] if over else []
    parts += [f"{len(outcome.uncounted)} not counted"] if outcome.uncounted else []
    if not parts:
        return None
    prune = " --prune" if counts[LEFT_OVER] else ""
    # By hand: what a file was edited for has to go into the recipe, or be given up.
    force = " --force" if counts[EDITED] or counts[FOREIGN] else ""
    remedy = f"; run `lska-surgeon variants {outcome.recipe.path}{prune}{force}`" if counts else ""
    return f"{start}, {', '.join(parts)}{remedy}"


def _shortened(diff: str) -> str:
    found = diff.splitlines()
    rest = len(found) - _LINES
    return "\n".join(found[:_LINES] + ([f"... and {rest} more lines"] if rest > 0 else []))
