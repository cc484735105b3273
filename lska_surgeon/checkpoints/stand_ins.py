"""Modules that stand in for classes of somebody's own: they hold what a file says of them, and compute nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn

#: Where people put classes of their own when they follow a tutorial.
_HOMES = ("ultralytics.", "models.common.", "__main__.")


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


@cache
def stand_in(name: str) -> type[StandIn]:
    """A class of that full name."""
    module, _, attribute = name.rpartition(".")
    return type(attribute, (StandIn,), {"__module__": module, "origin": name})
