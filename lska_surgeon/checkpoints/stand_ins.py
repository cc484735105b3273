"""Modules that stand in for classes of somebody's own: they hold what a file says of them, and compute nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from torch import nn

#: Where people put classes of their own when they follow a tutorial.
_HOMES = ("ultralytics.", "models.common.", "__main__.")

_PAPERS = re.compile(r"LS?KA|LSK", re.IGNORECASE)


class StandIn(nn.Module):
    """What a file says of an object whose class is not here.

    Attributes:
        origin: the class's full name in the file.
    """

    origin = ""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing is known of what the real class computes."""
        raise NotImplementedError(f"{self.origin} is not here; it was loaded without its code")


def may_stand_in(name: str) -> bool:
    """Whether a name is where people put classes of their own, and looks like a class."""
    return name.startswith(_HOMES) and name.rpartition(".")[2][:1].isupper()


def adopting(path: object, names: Iterable[str]) -> str:
    """What to try where a file names such classes after a paper's operator; empty for any other."""
    of_tutorial = any(may_stand_in(name) and _PAPERS.search(name.rpartition(".")[2]) for name in names)
    return f"; if it was made after a tutorial, try lska-surgeon adopt {path}" if of_tutorial else ""


@cache
def stand_in(name: str) -> type[StandIn]:
    """A class of that full name."""
    module, _, attribute = name.rpartition(".")
    return type(attribute, (StandIn,), {"__module__": module, "origin": name})
