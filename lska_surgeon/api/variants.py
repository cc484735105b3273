"""The verb `variants`."""

from __future__ import annotations

from pathlib import Path

from ..declarations.find import active_blocks
from ..errors import SurgeonError
from ..recipes.sync import SyncOptions, Track, Variants, sync
from .arguments import PathLike
from .own_blocks import with_own_blocks


@with_own_blocks
def variants(
    recipe: PathLike,
    *,
    costs: bool = False,
    verify: bool = False,
    jobs: int = 1,
    prune: bool = False,
    check: bool = False,
    dry_run: bool = True,
    force: bool = False,
    unchecked: bool = False,
    track: Track | None = None,
    blocks: PathLike | None = None,
) -> Variants:
    """Work out all variants that a recipe asks for; nothing is written before `.write()`.

    >>> import lska_surgeon as ls
    >>> recipe = ls.templates()["recommended"].write()
    >>> planned = ls.variants(recipe)
    >>> planned.write().line == planned.line.replace("to write", "written")
    True
    >>> ls.variants(recipe, check=True).failed
    False

    Args:
        recipe: path of a recipe, a YAML file.
        costs: count what is not counted yet, which needs torch.
        verify: build every variant in Ultralytics and run it once.
        jobs: processes for `verify`.
        prune: delete files that the recipe wrote and no longer asks for, once it is written.
        check: only tell whether the files are up to date: `.failed`, `.findings`; it never counts.
        dry_run: False writes at once, as the command does.
        force: with that, overwrite files that were edited by hand, or that somebody else wrote.
        unchecked: go on where `check` finds errors in a base.
        track: shows how far it is: gets what is iterated, what is done, and how many; gives the same items.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        RecipeError: the recipe, a base or the index can't be read or followed; with file and line.
        TargetError: a file is in the way and `force` is off; nothing was written.
    """
    if jobs < 1:
        raise SurgeonError(f"jobs {jobs} is no number of processes: give 1 or more")
    planned = dry_run and not check
    return sync(
        SyncOptions(Path(recipe), check, planned, costs, prune, force, verify, jobs, unchecked), active_blocks(), track
    )
