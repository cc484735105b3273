"""A model's layers and every position that it has, as data; it edits nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from ..core.graph import Graph, yolov5_problem
from ..core.parts import NAMES, Parts, Site
from ..core.positions import named_sites
from ..core.shapes import Shape
from ..reports import Report, Result, Table
from ..wording import clean, few, numbers
from .document import format_value
from .model import Model

_LAYERS = ("layer", "section", "sources", "repeats", "block", "args", "channels", "stride", "level", "read by")
_LONGEST_ARGS = 200
_NAMES = ("position", "sites", "who reads the new layer")


@dataclass(frozen=True, repr=False)
class Positions(Result):
    """Every layer of a model, and where operators may go.

    Attributes:
        model: the model, read at a scale.
    """

    schema: ClassVar[int] = 2
    model: Model

    @property
    def graph(self) -> Graph:
        """The layers."""
        return self.model.graph

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What each layer gives: width in channels, stride in pixels of the image per cell."""
        return self.model.shapes

    @cached_property
    def named(self) -> Mapping[str, tuple[Site, ...]]:
        """Position -> its sites in this model; positions without any are left out."""
        return named_sites(self.graph, self.shapes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told."""
        problem = yolov5_problem(self.graph.output.block, self.graph.output.args)
        left_out = Parts(self.graph, self.shapes).left_out(NAMES)
        return (*self.model.notes, *([problem] if problem else []), *left_out)

    def report(self) -> Report:
        """A table of the layers, and one of the positions."""
        indices = range(len(self.graph))
        data = {
            "schema": self.schema,
            "model": str(self.model.path),
            "scale": self.model.scaling.letter,
            "layers": [self._layer_as_dict(index) for index in indices],
            "positions": {
                name: list(dict.fromkeys(site.layer for site in found)) for name, found in self.named.items()
            },
        }
        return Report(
            f"{self.model.name}: {len(self.graph)} layers, positions {', '.join(self.named) or 'without names'}",
            (Table(_LAYERS, [self._layer(index) for index in indices]), Table(_NAMES, self._names())),
            self.notes,
            data,
        )

    def _layer(self, index: int) -> tuple[str, ...]:
        layer, shape = self.graph[index], self.shapes[index]
        return (
            str(index),
            layer.section,
            numbers(layer.sources).replace("-1", "image"),
            str(layer.repeats),
            layer.block,
            clean(format_value(layer.args), _LONGEST_ARGS),
            _channels(shape),
            _stride(shape),
            shape.level or "-",
            numbers(self.graph.consumers(index)) or "-",
        )

    def _names(self) -> list[tuple[str, ...]]:
        graph = self.graph
        return [
            *((f"--at {name}", self._places(sites), self._who_reads(name)) for name, sites in self.named.items()),
            ("--at after:SEL", f"0-{len(graph) - 2}, or a block such as {graph[0].block}#0", "every consumer"),
            ("--at before:SEL", f"1-{len(graph) - 1}", "that layer alone"),
            ("--at 'edge:A->B'", "any connection above", "B alone"),
        ]

    def _places(self, sites: tuple[Site, ...]) -> str:
        return few([f"{layer} ({self.shapes[layer].level or self.graph[layer].block})" for layer in _layers_of(sites)])

    def _who_reads(self, name: str) -> str:
        if name in ("residual", "sppf-inner"):
            return "in place"
        if name == "head":
            return "one output layer alone" if self.graph.outputs[1:] else "the output layer alone"
        return "every consumer"

    def _layer_as_dict(self, index: int) -> dict[str, Any]:
        row, shape = self.graph.row_as_dict(index), self.shapes[index]
        consumers = row.pop("consumers")
        given = {"channels": shape.channels, "stride": shape.stride, "level": shape.level, "consumers": consumers}
        return {"index": row.pop("index"), "section": self.graph[index].section, **row, **given}


def _layers_of(sites: Iterable[Site]) -> list[int]:
    """Each layer once: several output layers may read one."""
    return list(dict.fromkeys(site.layer for site in sites))


def _channels(shape: Shape) -> str:
    if shape.stride is None and not shape.guessed:
        return "-"
    return "?" if shape.channels is None else str(shape.channels)


def _stride(shape: Shape) -> str:
    mark = "?" if shape.guessed else ""
    return mark or "-" if shape.stride is None else f"{shape.stride:g}{mark}"
