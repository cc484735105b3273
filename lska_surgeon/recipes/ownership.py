"""Which files belong to which recipe, as the indexes on disk say; it compares no content and writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..cost.cache import sha256
from ..errors import RecipeError
from ..files import open_to_read, read_within
from .index import INDEX_HEAD, Owned, is_index, read_index
from .plan import DEFAULT_FOLDER
from .recipe import Recipe


def index_name(recipe: Recipe) -> str:
    """The index's file, relative to the recipe's folder: beside the variants, where `index` does not say it."""
    if recipe.index:
        return recipe.index
    if recipe.out is None:
        return f"{DEFAULT_FOLDER}/index.json"
    fixed = recipe.out.partition("{")[0]
    folder = fixed.rpartition("/")[0]
    return f"{folder}/index.json" if folder else "index.json"


def read_owned(recipe: Recipe, wanted: Collection[str]) -> Owned | None:
    """What the recipe's index on disk says; None when there is none.

    An index that the recipe wrote under another name counts too, and is a file of the recipe's itself.

    Args:
        recipe: the recipe.
        wanted: the files that it asks for, relative to its folder.

    Raises:
        RecipeError: the index can't be read, or it, or a file that is asked for, is another recipe's.
    """
    name = index_name(recipe)
    text = _read(recipe.folder / name)
    owned = None if text is None else _checked(recipe, name, read_index(text, str(recipe.folder / name)))
    if owned is not None and owned.recipe != recipe.path.name:
        raise RecipeError(
            f"{recipe.folder / name} is the index of {owned.recipe}: give {recipe.path.name} another folder (out:) or "
            "an index of its own (index: NAME.json)"
        )
    for other_name, other_text, other in _others(recipe, {name, *wanted}):
        if other_name == name:
            continue
        if other.recipe != recipe.path.name:
            shared = sorted(set(wanted) & set(other.files))
            if shared:
                raise RecipeError(
                    f"{recipe.path} asks for {shared[0]}, which is a file of {other.recipe} (by {other_name}): "
                    "give one of the two recipes another `out`"
                )
            continue
        moved = {**other.files, other_name: sha256(other_text)}
        owned = replace(owned, files={**moved, **owned.files}) if owned else replace(other, files=moved)
    return owned


def _others(recipe: Recipe, files: Collection[str]) -> Iterator[tuple[str, str, Owned]]:
    """Every index in the recipe's folder and beside the files: its name, text and content."""
    folders = {".", *(str(PurePosixPath(file).parent) for file in files)}
    for path in sorted(path for folder in folders for path in (recipe.folder / folder).glob("*.json")):
        if not _begins_as_index(path):
            continue
        name = path.relative_to(recipe.folder).as_posix()
        try:
            text = _read(path)
            if text is not None:
                yield name, text, _checked(recipe, name, read_index(text, str(path)))
        except RecipeError:  # of another release, or damaged: the recipe that owns it will say so
            continue


def _begins_as_index(path: Path) -> bool:
    """Whether a file may be an index, from its first bytes: what lies beside the variants may be large, or no text."""
    if not path.is_file():
        return False
    try:
        with open_to_read(path) as file:
            return is_index(file.read(INDEX_HEAD).decode("utf-8", errors="replace"))
    except OSError:
        return False


def _checked(recipe: Recipe, name: str, owned: Owned) -> Owned:
    for file in owned.files:
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\\" in file:
            path = recipe.folder / name
            raise RecipeError(f"{path} names {file}, which is outside of the recipe's folder: correct the index")
    return owned


def _read(path: Path) -> str | None:
    try:
        return read_within(path).decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise RecipeError(f"can't read the index {path}: {why}: move it away, and write the variants anew") from error
