"""Which modules of a counted model to show, as lines of a tree; it words no numbers."""

from __future__ import annotations

from dataclasses import dataclass

from .cost import Cost, ModuleCost


@dataclass(frozen=True)
class Detail:
    """How much of the modules inside to show.

    Attributes:
        per_layer: show the layers with all that is in them.
        top: show so many layers, the costliest first; with `per_layer` each with all that is in it.
    """

    per_layer: bool = False
    top: int | None = None

    def __bool__(self) -> bool:
        return self.per_layer or self.top is not None

    def rows(self, cost: Cost) -> tuple[ModuleCost, ...]:
        """The layers to show."""
        if self.top is None:
            return cost.rows if self.per_layer else ()
        return tuple(sorted(cost.rows, key=lambda row: -row.macs)[: self.top])

    def lines(self, cost: Cost) -> list[Line]:
        """The layers to show, and what is in them where that was asked for."""
        return [line for row in self.rows(cost) for line in tree_lines(row)[: None if self.per_layer else 1]]


@dataclass(frozen=True)
class Line:
    """One line of a tree: a module, or the work that a module with children does itself."""

    depth: int
    path: str
    label: str
    block: str
    params: int
    macs: int


def tree_lines(row: ModuleCost) -> list[Line]:
    """A layer and what is in it; a module that only wraps one other is shown as one line with it."""
    lines = [Line(0, row.name, row.name, row.block, row.params, row.macs)]
    if _innermost(row)[0].children:
        _below(row, row.name, 1, lines)
    return lines


def _below(module: ModuleCost, path: str, depth: int, lines: list[Line]) -> None:
    for child in module.children:
        inner, label = _innermost(child)
        lines.append(Line(depth, f"{path}.{label}", label, inner.block, inner.params, inner.macs))
        _below(inner, f"{path}.{label}", depth + 1, lines)
    if module.children and module.own:
        ops = ", ".join(module.own)
        lines.append(Line(depth, f"{path} ({ops})", f"({ops})", "", 0, sum(module.own.values())))


def _innermost(module: ModuleCost) -> tuple[ModuleCost, str]:
    """The module that a chain of mere wrappers (`cv1` around `conv`) comes down to, and its name from here."""
    label = module.name
    while len(module.children) == 1 and not module.own and module.children[0].params == module.params:
        module = module.children[0]
        label = f"{label}.{module.name}"
    return module, label
