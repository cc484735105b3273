"""What the verbs' arguments may be, brought into one form; it knows no verb."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Union

from ..architecture.placement import Placement
from ..errors import PositionError, SurgeonError
from ..wording import did_you_mean

PathLike = Union[str, "os.PathLike[str]"]


def placement_of(at: str | Iterable[str], op: str, k: int, dilation: int | None) -> Placement:
    """Which operators go where, from one position or several.

    Raises:
        PositionError: there is none.
    """
    ats = (at,) if isinstance(at, str) else tuple(at)
    if not ats:
        raise PositionError('say where: a position such as "neck", or a list of them')
    return Placement(ats, op, k, dilation)


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
