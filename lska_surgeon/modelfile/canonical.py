"""A network as text without one index, for `git diff`; it compares nothing and reads no file.

Each row is one line, `NAME = REPEATS x BLOCK[ARGS](SOURCES)`, and sources are given by name:

1. A name says where a row stands and what it does, `head.p4.block`; the second of that name is `head.p4.block-2`.
2. A row that only refines its source, as attention does, takes over its source's name: what reads the name from there
   on reads the refined map. So an insertion adds lines, and changes none.
3. Such a row is written right before its first consumer. Where somebody reads the unrefined map after that, it has
   a name of its own, and its consumers' lines do change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.graph import IMAGE, Graph, Layer
from ..core.roles import ATTENTION, role_of
from ..core.scaling import Scaling
from ..core.shapes import Shape, shapes_of
from .document import format_value

_IMAGE = "image"


def canonical_text(graph: Graph) -> str:
    """The settings, an empty line, and the rows, each on a line of its own.

    Raises:
        KernelError: a row asks for an operator that does not exist.
    """
    shapes = shapes_of(graph, Scaling())  # levels are the same at every scale
    return "\n".join([*_settings(graph.settings), "", *_RoleWriter(graph, shapes).lines(), ""])


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from (f"{key}.{name}: {format_value(entry)}" for name, entry in value.items())
        else:
            yield f"{key}: {format_value(value)}"


class _RoleWriter:
    """The rows in the order in which they are written, and the name that each has when it is."""

    def __init__(self, graph: Graph, shapes: Sequence[Shape]) -> None:
        self.graph, self.shapes = graph, shapes
        self.roles = [role_of(layer, len(graph) - 1) for layer in graph]
        self.names: dict[int, str] = {IMAGE: _IMAGE}
        self.taken: Counter[str] = Counter()
        self.done: list[str] = []

    def lines(self) -> list[str]:
        """All rows."""
        for layer in self.graph:
            if not self._refines(layer):
                self._write(layer)
        for layer in self.graph:  # refined maps that nobody reads
            self._write(layer)
        return self.done

    def _write(self, layer: Layer) -> None:
        if layer.index in self.names:
            return
        for source in layer.sources:
            if source != IMAGE:
                self._write(self.graph[source])
        sources = ", ".join(self.names[source] for source in layer.sources)
        self.names[layer.index] = name = self._name(layer)
        repeats = "" if layer.repeats == 1 else f"{layer.repeats} x "
        self.done.append(f"{name} = {repeats}{layer.block}{format_value(layer.args)}({sources})")

    def _refines(self, layer: Layer) -> bool:
        """Case 2: attention on one map."""
        if self.roles[layer.index] not in ATTENTION or len(layer.raw_sources) != 1 or layer.sources[0] == IMAGE:
            return False
        return not (layer.kind.gives_a_list or self.graph[layer.sources[0]].kind.gives_a_list)

    def _name(self, layer: Layer) -> str:
        if self._refines(layer):
            source = layer.sources[0]
            if all(consumer in self.names for consumer in self.graph.consumers(source) if consumer != layer.index):
                return self.names[source]
        what = self.roles[layer.index]
        level = self.shapes[layer.index].level
        name = what if what == "output" else ".".join(filter(None, [layer.section, level, what]))
        self.taken[name] += 1
        return name if self.taken[name] == 1 else f"{name}-{self.taken[name]}"
