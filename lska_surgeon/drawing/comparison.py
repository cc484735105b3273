"""What stands in the image of the second of two models: what came in colour, what was rewired dashed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..core.graph import IMAGE
from ..modelfile.diff import compare
from ..wording import clean
from .content import NEW, REWIRED, Content, Edge, Figure, Node


class Comparison:
    """The words of the image of what sets the second of two models apart.

    Args:
        before, after: the two, for images of one size.
    """

    def __init__(self, before: Content, after: Content) -> None:
        self.before, self.after = before, after
        self.difference = compare(before.model, after.model)
        self._old = {new: old for old, new in self.difference.index_map.items()}
        self._changed = {change.after.index: change for change in self.difference.changed}
        self._rewired = {
            (change.row[1], change.slot): change for change in self.difference.rewired if change.after is not None
        }

    def figure(self) -> Figure:
        """All that stands in the image."""
        plain = self.after.figure()
        return plain._replace(
            subtitle=", ".join([f"beside {self.before.name}", self.after.subtitle(), *self._costs()]),
            nodes=tuple(map(self._node, plain.nodes)),
            edges=tuple(map(self._edge, plain.edges)),
            captions=(*self._captions(), *plain.captions),
        )

    def _costs(self) -> Iterator[str]:
        """What the second has more; where the first has no operators, that is said already."""
        if not any(map(self.before.holds_operator, self.before.graph)):
            return
        from ..cost.closed_form import closed_form_costs

        costs = closed_form_costs(self.difference, self.after.imgsz)
        if costs.params is not None:
            yield f"{costs.params:+,} parameters"

    def _node(self, node: Node) -> Node:
        if node.index == IMAGE:
            return replace(node, kind="kept")
        old = self._old.get(node.index)
        if old is None:
            kind = node.kind if node.kind == "operator" else "new"
            return replace(node, kind=kind, title=f"{node.title}\nnot in {self.before.name}")
        title = f"{node.title}\nrow {old} of {self.before.name}"
        change = self._changed.get(node.index)
        if change is None:
            return replace(node, kind="kept", title=title)
        kind = node.kind if node.kind == "operator" else "changed"
        was = f"{self.before.words(old)}, {self.before.map_of(self.before.graph[old])}"
        return replace(node, kind=kind, title=f"{title}, there {was} ({', '.join(change.fields)} changed)")

    def _edge(self, edge: Edge) -> Edge:
        if edge.consumer not in self._old:
            return edge._replace(state=NEW)
        change = self._rewired.get((edge.consumer, edge.slot))
        if change is None:
            return edge
        read = "one source less" if change.before is None else self.before.words(change.before)
        return edge._replace(state=REWIRED, title=f"{edge.title}; in {self.before.name} it read {read}")

    def _captions(self) -> Iterator[str]:
        if not self.difference:
            yield f"The two have the same architecture: nothing sets it apart from {self.before.name}."
        if self.difference.removed:
            yield f"Gone from {self.before.name}: {', '.join(map(self.before.words, self.difference.removed))}."
        for change in self.difference.rewired:
            if change.after is None and change.before is not None:
                row, source = self.after.words(change.row[1]), self.before.words(change.before)
                yield f"{row} no longer reads what {source} gave."
        for setting in self.difference.settings:
            old, new = ("none" if value is None else clean(str(value), 40) for value in (setting.before, setting.after))
            yield clean(f"{setting.key}: {old} before, {new} now.")
