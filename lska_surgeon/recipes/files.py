"""A recipe's files as they lie on disk, beside those that it asks for: what is stale, and bringing them up to date.

Only files that the recipe owns, by its index, are replaced or deleted, and never one that was edited by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cost.cache import CostCache, sha256
from ..errors import TargetError
from ..files import read_within, replace_all
from ..modelfile.lines import unified_diff
from ..unfinished import remove_unfinished
from .index import Index, Owned
from .plan import Variant, read_again
from .recipe import Recipe

MISSING, STALE, EDITED, FOREIGN, LEFT_OVER = "missing", "stale", "edited", "foreign", "left over"
_MEANING = {
    MISSING: "is missing",
    STALE: "is stale",
    EDITED: "was edited by hand",
    FOREIGN: "is there, and not this recipe's",
    LEFT_OVER: "is left over: the recipe no longer asks for it",
}
_SHOWN = 3  # files that one line names


@dataclass(frozen=True)
class OffFile:
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


def known_costs(recipe: Recipe, owned: Owned | None, *, may_count: bool, renew: bool) -> CostCache:
    """CostCache that start from those in the index; an index that was edited by hand counts for nothing."""
    usable = owned is not None and owned.imgsz == recipe.imgsz and not owned.edited
    return CostCache(recipe.imgsz, may_count, renew, owned.counts if usable and owned else {})


def off_files(index: Index, owned: Owned | None, left: Mapping[str, str]) -> list[OffFile]:
    """All files that are not as the recipe asks for them, the index and its table included.

    Args:
        index: the index to be.
        owned: what the index on disk says.
        left: hash by file, of those that are left over.
    """
    findings = []
    for file, text in texts_of(index).items():
        found = _read(index.recipe.folder / file)
        if found is None:
            findings.append(OffFile(file, MISSING))
        elif found != text:
            diff = unified_diff(found, text, file, file)
            findings.append(OffFile(file, _state(index, file, found, owned), diff))
    for file, digest in left.items():
        found = _read(index.recipe.folder / file)
        findings.append(OffFile(file, LEFT_OVER, edited=found is not None and sha256(found) != digest))
    return findings


def _state(index: Index, file: str, found: str, owned: Owned | None) -> str:
    """Why a file that is there is not as it should be."""
    if file == index.name:
        return EDITED if owned and owned.edited else STALE
    if owned is None or file not in owned.files:
        mine = file == index.markdown_name and found.startswith(index.heading)  # whose index was moved away
        return STALE if mine else FOREIGN
    return STALE if sha256(found) == owned.files[file] else EDITED


def left_over(recipe: Recipe, variants: Sequence[Variant], owned: Owned | None, table: str) -> dict[str, str]:
    """Hash by file, of those that the recipe owns, no longer asks for, and that are still there."""
    wanted = {*(variant.file for variant in variants), table}
    files: Mapping[str, str] = owned.files if owned else {}
    return {file: digest for file, digest in files.items() if file not in wanted and (recipe.folder / file).is_file()}


def update(index: Index, findings: Sequence[OffFile], *, force: bool, prune: bool, dry_run: bool = False) -> list[str]:
    """Write what differs and, with `prune`, delete what is left over: all of it or nothing; the files touched.

    With `dry_run` everything is done but the writing.

    Raises:
        TargetError: a file was edited by hand, or is not this recipe's, and `force` is off; or the system refuses.
        RecipeError: a text does not read as it was planned.
    """
    gone = [found for found in findings if found.state == LEFT_OVER and prune]
    changed = [found for found in findings if found.state != LEFT_OVER]
    refused = [found for found in changed if found.state in (EDITED, FOREIGN)]
    refused += [found for found in gone if found.edited]
    if refused and not force:
        names = ", ".join(f"{found.file} {found.message}" for found in refused[:_SHOWN])
        more = f" (and {len(refused) - _SHOWN} more)" if len(refused) > _SHOWN else ""
        raise TargetError(f"nothing was written: {names}{more}; move it away, or add --force to overwrite it")
    touched = {found.file for found in changed}
    read_again(index.recipe, [variant for variant, _ in index.variants if variant.file in touched])
    folder = index.recipe.folder
    texts = {folder / file: text for file, text in texts_of(index).items() if file in touched}
    if not dry_run:
        for place in dict.fromkeys((folder / file).parent for file in texts_of(index)):
            remove_unfinished(place)
        replace_all(texts, [folder / found.file for found in gone])
    return [found.file for found in (*changed, *gone)]


def texts_of(index: Index) -> dict[str, str]:
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
