"""What the verbs' arguments may be, brought into one form; it knows no verb."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Union

from ..errors import SurgeonError
from ..wording import did_you_mean

PathLike = Union[str, "os.PathLike[str]"]


def as_name(path: PathLike | None) -> str | None:
    """A path as the rest of the package takes it."""
    return None if path is None else os.fspath(path)


def one_of(value: str, allowed: Collection[str], what: str) -> str:
    """A word that has to be one of a few.

    Raises:
        SurgeonError: it is none of them.
    """
    if value not in allowed:
        raise SurgeonError(f"no {what} {value!r}{did_you_mean(str(value), allowed)}: there are {', '.join(allowed)}")
    return value
