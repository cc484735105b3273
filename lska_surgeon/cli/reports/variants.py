"""What came of a recipe, in words, as JSON, or as GitHub's annotations; it decides nothing."""

from __future__ import annotations

import json
from collections import Counter

from ...recipes.files import EDITED, FOREIGN, LEFT_OVER, MISSING
from ...recipes.sync import SyncResult
from .github import annotation
from .json import dump

#: Version of the JSON; it changes when a key changes its meaning or goes.
SCHEMA = 1
_TITLE = "lska-surgeon variants: not counted"
_LINES = 40  # of one diff; the rest is counted


def summary(result: SyncResult) -> str:
    """All in one line."""
    name, total = result.recipe.path, len(result.index.variants)
    variants = f"{total} variant{'' if total == 1 else 's'}"
    built = f", {result.built} built and run" if result.built else ""
    if result.checked:
        start = f"{name}: {variants}{built}"
        return _what_failed(result, start) or f"{start}, all up to date"
    deleted = sum(found.state == LEFT_OVER and found.file in result.written for found in result.findings)
    written = len(result.written) - deleted
    dry_run = result.options.dry_run
    parts = [f"{written} file{'' if written == 1 else 's'} {'to write' if dry_run else 'written'}"] if written else []
    parts += [f"{deleted} {'to delete' if dry_run else 'deleted'}"] if deleted else []
    done = "nothing written" if result.broken else ", ".join(parts) or "all up to date"
    start = f"{name}: {variants}{built}, {done}"
    return _what_failed(result, start) or start


def lines(result: SyncResult) -> list[str]:
    """One text for each problem; of a file that differs, with the diff to what it should be."""
    texts = []
    if result.checked or result.options.dry_run:
        for found in result.findings:
            texts.append(f"{found.file} {found.message}" + (f"\n{_shortened(found.diff)}" if found.diff else ""))
    texts += [f"{file} does not pass: {problem}" for file, problem in result.broken]
    texts += [f"{file} is over the budget: {problem}" for file, problem in result.over_budget]
    return texts + ([_uncounted(result)] if result.uncounted else [])


def _uncounted(result: SyncResult) -> str:
    command = f"lska-surgeon variants {result.recipe.path} --costs"
    many = f"{len(result.uncounted)} variant{'' if len(result.uncounted) == 1 else 's'}"
    return f"the budget can't be checked, for the index does not say what {many} cost: run `{command}`"


def notes(result: SyncResult) -> list[str]:
    """What the user should be told beside the result."""
    if result.checked:
        return []
    texts = []
    left = [found.file for found in result.findings if found.state == LEFT_OVER and found.file not in result.written]
    if left:
        it = "it" if len(left) == 1 else "them"
        texts.append(f"the recipe no longer asks for {', '.join(left)}: add --prune to delete {it}")
    if result.written and any(cost.params is None for _, cost in result.index.variants):
        texts.append("the index says what each variant adds, not what it costs in all: add --costs to count the bases")
    return texts


def as_json(result: SyncResult) -> str:
    """Everything, for machines."""
    return dump(
        {
            "schema": SCHEMA,
            "recipe": str(result.recipe.path),
            "check": result.checked,
            "failed": result.failed,
            "written": list(result.written),
            "findings": [
                {"file": found.file, "state": found.state, "edited": found.edited, "diff": found.diff}
                for found in result.findings
            ],
            "dry_run": result.options.dry_run,
            "uncounted": list(result.uncounted),
            "over_budget": [{"file": file, "problem": problem} for file, problem in result.over_budget],
            "broken": [{"file": file, "problem": problem} for file, problem in result.broken],
            "built": result.built,
            "index": json.loads(result.index.json()),
        }
    )


def as_annotations(result: SyncResult) -> list[str]:
    """One GitHub workflow command for each problem, and one for the result."""
    folder = result.recipe.folder
    said = [
        *((found.file, found.message, found.state) for found in result.findings if result.checked),
        *((file, problem, "broken") for file, problem in result.broken),
        *((file, problem, "over budget") for file, problem in result.over_budget),
    ]
    # A missing file can't carry an annotation; the recipe can.
    texts = [
        annotation(
            "error",
            f"{file}: {problem}",
            file=str(result.recipe.path if title == MISSING else folder / file),
            line=1,
            title=f"lska-surgeon variants: {title}",
        )
        for file, problem, title in said
    ]
    if result.uncounted:
        texts.append(annotation("error", _uncounted(result), file=str(result.recipe.path), line=1, title=_TITLE))
    level, verdict = ("error", "failed") if result.failed else ("notice", "passed")
    title = f"lska-surgeon variants: {verdict}"
    return [*texts, annotation(level, summary(result), file=str(result.recipe.path), line=1, title=title)]


def _what_failed(result: SyncResult, start: str) -> str | None:
    counts = Counter(found.state for found in result.findings if result.checked)
    parts = [f"{number} {state}" for state, number in counts.items()]
    parts += [f"{len(result.broken)} broken"] if result.broken else []
    over = len({file for file, _ in result.over_budget})
    parts += [f"{over} over budget"] if over else []
    parts += [f"{len(result.uncounted)} not counted"] if result.uncounted else []
    if not parts:
        return None
    prune = " --prune" if counts[LEFT_OVER] else ""
    # By hand: what a file was edited for has to go into the recipe, or be given up.
    force = " --force" if counts[EDITED] or counts[FOREIGN] else ""
    remedy = f"; run `lska-surgeon variants {result.recipe.path}{prune}{force}`" if counts else ""
    return f"{start}, {', '.join(parts)}{remedy}"


def _shortened(diff: str) -> str:
    found = diff.splitlines()
    rest = len(found) - _LINES
    return "\n".join(found[:_LINES] + ([f"... and {rest} more lines"] if rest > 0 else []))
