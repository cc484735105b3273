"""`blocks=` of every verb: which declarations of the user's own blocks hold while it runs, and afterwards."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar, cast

from ..architecture.declared import are_held, put_in_force
from ..declarations.find import find_declarations
from ..errors import SurgeonError, missing_package
from ..recipes.bases import bases_of
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

    They hold on when the verb returns, until the next one: what it gave may still ask what a block is. A caller that
    holds some already (the command line does) keeps them. An argument of a wrong type is told before all else.
    """
    signature = inspect.signature(verb)

    @wraps(verb)
    def declared(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        try:
            check_types(signature, given)
            blocks = given.get("blocks")
            if blocks is not None or not are_held():
                near = [path for name in _WORKED_ON for path in _paths(given.get(name))]
                near += [base for recipe in _paths(given.get("recipe")) for base in bases_of(recipe)]
                put_in_force(find_declarations(None if blocks is None else os.fspath(blocks), near))
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
