"""What of a built layer may go into another one, tensor by tensor; it knows no network around the two.

1. A layer moves whole where both are the same: classes, settings, tensors; a host row may have its operator besides.
2. Else parts of it move, where both compute alike: they share one `forward` (C3k2 inherits C2f's), their settings and
   their parts without tensors are the same. What has tensors of its own and no parts, such as a convolution and its
   norm, moves together with its neighbours of the same parent, or not at all. Of repeats, the first stand for the
   first.
3. Else all of it moves, in order, or nothing. Whether it computes the same, no tensor says: that has to be proven.
4. Of output layers, branches move: those for one level to where that level is read; what else reads levels directly
   where the other reads the same; and nothing that another task alone has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..nn import named_operators

#: Attributes of a built layer that belong to its place, not to what it computes.
_OF_THE_PLACE = ("i", "f", "np", "type", "training")
#: Settings that a whole model gives its layers when it is built, so that layers alone have others.
_OF_THE_MODEL = frozenset({"eps", "momentum", "inplace"})
_CONTAINERS = (nn.ModuleList, nn.ModuleDict)


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
        return all(mine is theirs and _agree(own, others) for (mine, own), (theirs, others) in pairs)

    @classmethod
    def of(cls, layer: nn.Module, stored: bool = False) -> Make:
        operators = tuple(name for name, _ in named_operators(layer))
        parts = {
            name: (plain_class(part), _settings(part))
            for name, part in layer.named_modules()
            if not any(name == inside or name.startswith(f"{inside}.") for inside in operators if inside)
        }
        return cls({name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}, parts, stored)


def plain_class(part: nn.Module) -> type:
    """The part's class; of a host, the class that it extends."""
    plain = getattr(type(part), "plain_block", None)
    return type(part) if plain is None else plain()


def shares_forward(here: nn.Module, there: nn.Module) -> bool:
    """Whether one class has the other's way to compute: C3k2 is a C2f."""
    mine, theirs = (getattr(plain_class(part), "forward", None) for part in (here, there))
    return mine is theirs


def _settings(part: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(part).items() if _is_setting(key, value)}


def _is_setting(name: str, value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_setting(name, item) for item in value)
    if name.startswith("_") or name in _OF_THE_PLACE or name in _OF_THE_MODEL:
        return False
    return isinstance(value, (bool, int, float, str))


def _agree(own: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Settings of two releases: each may have some that the other has not."""
    return all(own[key] == others[key] for key in own.keys() & others.keys())


@dataclass
class Fit:
    """What of a layer goes into a row that stands in its place.

    Attributes:
        whole: it moves as it is.
        tensors: tensor of the row -> tensor of the layer, by their names in both; empty where the layer moves whole.
        proof: whether what is carried is to be taken back where the row computes something else.
        branches: of output layers, a part of the row -> the part of the layer that it stands for, carried or not.
        why: what keeps the rest out.
    """

    whole: bool = False
    tensors: dict[str, str] = field(default_factory=dict)
    proof: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    why: str | None = None


def fit(here: nn.Module, there: nn.Module) -> Fit:
    """Cases 2 and 3 for a layer and a built row."""
    found = Fit()
    (path, first), (other_path, other) = _first_repeats(here, there)
    found.why = _alike(first, other)
    if found.why is None:
        _parts(first, other, path, other_path, found)
        if path != other_path:
            found.why = found.why or "it is repeated in one of the two alone"
        return found
    units = [list(_units(module)) for module in (here, there)]
    if plain_class(here) is not plain_class(there) and units[0] and len(units[0]) == len(units[1]):
        trial = Fit(proof=True)
        for (path, unit), (other_path, other) in zip(*units):
            _parts(unit, other, path, other_path, trial)
        if not trial.why and len(trial.tensors) == len(here.state_dict()) == len(there.state_dict()):
            return trial
    return found


def _first_repeats(here: nn.Module, there: nn.Module) -> list[tuple[str, nn.Module]]:
    """Both as they are; where one of them alone is repeated, a list, the first of that in its place."""
    lists = [type(one) is nn.Sequential and len(one) > 1 for one in (here, there)]
    if lists[0] == lists[1]:
        return [("", here), ("", there)]
    firsts = [("0", one.get_submodule("0")) if listed else ("", one) for one, listed in zip((here, there), lists)]
    alike = plain_class(firsts[0][1]) is plain_class(firsts[1][1])
    return firsts if alike else [("", here), ("", there)]


def fit_output(
    here: nn.Module, there: nn.Module, reads: tuple[Sequence[Any], Sequence[Any]], direct: Sequence[Mapping[str, Any]]
) -> Fit:
    """Case 4.

    Args:
        here: the output layer of the base.
        there: that of the variant, built.
        reads: the strides that each of them reads.
        direct: for each, a part -> the strides that it reads directly.
    """
    found, levels = Fit(), same_levels(*reads)
    common = next((cls for cls in type(there).__mro__ if isinstance(here, cls)), nn.Module)
    names = {name for cls in common.__mro__ for name in _names_in(cls)}
    for name, part in here.named_children():
        other = dict(there.named_children()).get(name)
        if other is None or (type(here) is not type(there) and name not in names):
            continue
        if isinstance(part, nn.ModuleList) and isinstance(other, nn.ModuleList) and len(part) == len(reads[0]):
            pairs = [(f"{name}.{one}", f"{name}.{two}", part[one], other[two]) for one, two in levels.items()]
        elif direct[0].get(name) == direct[1].get(name):
            pairs = [(name, name, part, other)]
        else:
            found.why = found.why or f"{name} read stride {_strides(direct[0].get(name))}, and reads another one"
            continue
        for path, other_path, mine, theirs in pairs:
            found.branches[other_path] = path
            reason = _alike(mine, theirs)
            if reason is None:
                _parts(mine, theirs, path, other_path, found)
            else:
                found.why = found.why or reason
    return found


def same_levels(before: Sequence[Any], after: Sequence[Any]) -> dict[int, int]:
    """Which of the maps that an output layer reads stands for which that another one reads: those of one stride."""
    levels: dict[int, int] = {}
    for level, stride in enumerate(before):
        place = next((n for n, other in enumerate(after) if other == stride and n not in levels.values()), None)
        if place is not None:
            levels[level] = place
    return levels


def _names_in(cls: type) -> tuple[str, ...]:
    """Names that a class gives the parts that it makes, and others."""
    return tuple(getattr(getattr(vars(cls).get("__init__"), "__code__", None), "co_names", ()))


def _strides(strides: Sequence[Any] | None) -> str:
    return ", ".join(f"{stride:g}" for stride in strides or ())


def _alike(here: nn.Module, there: nn.Module) -> str | None:
    """Why two parts do not compute alike whatever their tensors are; None where they do."""
    mine, theirs = plain_class(here), plain_class(there)
    name, other = mine.__name__, theirs.__name__
    if "forward" in vars(here) or "forward" in vars(there):
        return f"{name} was changed after it was built"
    if mine is not theirs and (not shares_forward(here, there) or issubclass(mine, _CONTAINERS)):
        return f"{other} computes otherwise than {name}"
    if not _tensors(here):  # where it has some, they are compared with them
        reason = _settings_differ(here, there)
        if reason:
            return reason
    parts = dict(there.named_children())
    for key, part in here.named_children():
        if key in parts and not part.state_dict():
            reason = f"{key} has tensors" if parts[key].state_dict() else _alike(part, parts[key])
            if reason:
                return reason
    return None


def _settings_differ(here: nn.Module, there: nn.Module) -> str | None:
    own, others, name = _settings(here), _settings(there), plain_class(here).__name__
    key = next((key for key in sorted(own.keys() & others.keys()) if own[key] != others[key]), None)
    return f"{key} of {name} was {own[key]}, and is {others[key]}" if key else None


def _tensors(part: nn.Module) -> dict[str, Tensor]:
    """A part's own tensors, without those of parts of it."""
    return {key: tensor for key, tensor in part.state_dict().items() if "." not in key}


def _is_leaf(part: nn.Module) -> bool:
    return not any(True for _ in part.children())


def _parts(here: nn.Module, there: nn.Module, path: str, other_path: str, found: Fit) -> None:
    """Case 2 for two parts that compute alike: note what goes where."""
    mine, theirs = dict(here.named_children()), dict(there.named_children())
    together = {"": (here, there)} if _tensors(here) or _tensors(there) else {}
    for name in {**mine, **theirs}:
        pair = mine.get(name), theirs.get(name)
        if all(part is None or (_is_leaf(part) and _tensors(part)) for part in pair):
            together[name] = pair
    reasons = ((name, _leaf_differs(*pair)) for name, pair in together.items())
    reason = next((f"{_joined(path, name) or 'it'}: {why}" for name, why in reasons if why), None)
    if reason is None:
        for name, (one, _) in together.items():
            for key in _tensors(one):
                found.tensors[_joined(other_path, name, key)] = _joined(path, name, key)
    found.why = found.why or reason
    for name, part in mine.items():
        if name in together or name not in theirs or not part.state_dict():
            continue
        reason = _alike(part, theirs[name])
        if reason is None:
            _parts(part, theirs[name], _joined(path, name), _joined(other_path, name), found)
        found.why = found.why or reason


def _leaf_differs(here: nn.Module | None, there: nn.Module | None) -> str | None:
    if here is None or there is None:
        return "it is in one of the two alone"
    shapes = [{key: tuple(tensor.shape) for key, tensor in _tensors(part).items()} for part in (here, there)]
    if shapes[0] != shapes[1]:
        key = next(key for key in {**shapes[0], **shapes[1]} if shapes[0].get(key) != shapes[1].get(key))
        return f"{key} was {_shape(shapes[0].get(key))}, and is {_shape(shapes[1].get(key))}"
    if plain_class(here) is not plain_class(there):
        return f"{type(there).__name__} stands for {type(here).__name__}"
    return _settings_differ(here, there)


def _shape(shape: Sequence[int] | None) -> str:
    return "x".join(map(str, shape)) or "one number" if shape is not None else "not there"


def _units(layer: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The smallest parts that may move alone, in order."""
    if _tensors(layer) or any(_is_leaf(part) and _tensors(part) for part in layer.children()):
        yield path, layer
        return
    for name, part in layer.named_children():
        yield from _units(part, _joined(path, name))


def _joined(*names: str) -> str:
    return ".".join(filter(None, names))
