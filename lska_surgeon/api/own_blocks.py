"""`blocks=` of every verb: which declarations of the user's own blocks hold while it runs, and not a moment longer."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar, cast

from ..declarations.find import building_with, find_blocks, is_building
from ..errors import SurgeonError, missing_package
from .arguments import check_types

Verb = TypeVar("Verb", bound=Callable[..., Any])
#: Parameters that hold the files worked on.
_WORKED_ON = (
    "after",
    "base",
    "before",
    "checkpoint",
    "into",
    "model",
    "models",
    "path",
    "recipe",
    "source",
    "variant",
)


def with_own_blocks(verb: Verb) -> Verb:
    """Let the declarations hold that `blocks=` names, else the nearest, as for the command of the same name.

    What the verb gives carries the table of blocks that it was made with. A caller that holds one already (the command
    line does) keeps it. An argument of a wrong type is told before all else.
    """
    signature = inspect.signature(verb)

    @wraps(verb)
    def declared(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        try:
            check_types(signature, given)
            blocks = given.get("blocks")
            if blocks is None and is_building():
                return verb(*args, **kwargs)
            near = [path for name in _WORKED_ON for path in _paths(given.get(name))]
            if given.get("recipe") is not None:
                from ..recipes.recipe import bases_of  # here, for verbs that take no recipe

                near += [base for recipe in _paths(given.get("recipe")) for base in bases_of(recipe)]
            with building_with(find_blocks(None if blocks is None else os.fspath(blocks), near)):
                return verb(*args, **kwargs)
        except ModuleNotFoundError as error:
            told = missing_package(error)
            if told is None:
                raise
            told.in_python = True
            raise told from error
        except SurgeonError as error:
            error.in_python = True
            raise

    return cast(Verb, declared)


def _paths(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(one, (str, os.PathLike)):
            yield os.fspath(one)
