"""The verb `templates`."""

from __future__ import annotations

from ..recipes.templates import Templates
from ..recipes.templates import templates as shipped


def templates() -> Templates:
    """The recipes and CI files to start from, by name.

    >>> import lska_surgeon as ls
    >>> ls.templates()["kernel-ablation"].write("recipe.yaml")
    PosixPath('recipe.yaml')
    """
    return shipped()
