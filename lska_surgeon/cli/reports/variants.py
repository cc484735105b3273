"""What came of a recipe, as GitHub's annotations; it decides nothing."""

from __future__ import annotations

from ...recipes.files import MISSING
from ...recipes.result import Variants
from .github import annotation

_TITLE = "lska-surgeon variants: not counted"


def as_annotations(result: Variants) -> list[str]:
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
        texts.append(annotation("error", result.uncounted_in_words, file=str(result.recipe.path), line=1, title=_TITLE))
    level, verdict = ("error", "failed") if result.failed else ("notice", "passed")
    title = f"lska-surgeon variants: {verdict}"
    return [*texts, annotation(level, result.line, file=str(result.recipe.path), line=1, title=title)]
