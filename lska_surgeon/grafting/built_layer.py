"""What a built layer is: its tensors' shapes, its parts and their settings, to be compared; it knows no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..nn import named_operators

#: Attributes of a built layer that belong to its place, not to what it computes.
_OF_THE_PLACE = ("i", "f", "np", "type", "training")
#: Settings that a whole model gives its layers when it is built, so that layers alone have others.
_OF_THE_MODEL = frozenset({"eps", "momentum", "inplace"})


@dataclass(frozen=True)
class Make:
    """What a built layer is.

    Attributes:
        shapes: of its tensors, by name.
        parts: part name -> its class, and its settings by name; parts of operators are left out.
        stored: true for a layer as some other release left it, whose settings may be fewer or more.
    """

    shapes: Mapping[str, tuple[int, ...]]
    parts: Mapping[str, tuple[type, Mapping[str, Any]]]
    stored: bool = False

    def same_parts(self, there: Make) -> bool:
        """True when a row that builds `there` has the same parts, with the same settings."""
        if not self.stored:
            return self.parts == there.parts
        if self.parts.keys() != there.parts.keys():
            return False
        pairs = [(part, there.parts[name]) for name, part in self.parts.items()]
        return all(
            mine is theirs and all(own[key] == others[key] for key in (own.keys() & others.keys()) - _OF_THE_MODEL)
            for (mine, own), (theirs, others) in pairs
        )

    @classmethod
    def of(cls, layer: nn.Module, stored: bool = False) -> Make:
        operators = tuple(name for name, _ in named_operators(layer))
        parts = {
            name: (_plain_class(part), {key: value for key, value in vars(part).items() if _is_setting(key, value)})
            for name, part in layer.named_modules()
            if not any(name == inside or name.startswith(f"{inside}.") for inside in operators if inside)
        }
        return cls({name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}, parts, stored)


def _plain_class(part: nn.Module) -> type:
    """The part's class; of a host, the class that it extends."""
    plain = getattr(type(part), "plain_block", None)
    return type(part) if plain is None else plain()


def _is_setting(name: str, value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_setting(name, item) for item in value)
    return not name.startswith("_") and name not in _OF_THE_PLACE and isinstance(value, (bool, int, float, str))
