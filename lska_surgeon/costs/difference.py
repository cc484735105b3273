"""What a difference costs: in closed form where operators alone set two architectures apart, else counted.

An operator keeps its input's shape, so all else costs the same in both; the closed form needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..architecture.attention import is_attention
from ..architecture.graph import Graph
from ..architecture.operators import operators_in
from ..architecture.shapes import Shape
from ..architecture.surgery import remove
from ..errors import PositionError
from ..model_yaml.diff import Difference
from ..model_yaml.load import OpenModel


@dataclass(frozen=True)
class CostDifference:
    """Parameters and multiply-accumulates of two architectures, or the difference alone.

    Attributes:
        imgsz: height and width of the picture, pixels.
        params, macs: how much more the second has; None when not known.
        totals: (params, macs) of each, where both were counted.
    """

    imgsz: tuple[int, int]
    params: int | None
    macs: int | None
    totals: tuple[tuple[int, int], tuple[int, int]] | None = None


def closed_form_costs(difference: Difference, imgsz: tuple[int, int]) -> CostDifference:
    """What the second architecture has more, as far as that is known without building either."""
    one, other = _without_operators(difference.one), _without_operators(difference.other)
    if difference.settings or one is None or one != other:
        return CostDifference(imgsz, None, None)
    before, after = _of_operators(difference.before, imgsz), _of_operators(difference.after, imgsz)
    params, macs = (None if old is None or new is None else new - old for old, new in zip(before, after))
    return CostDifference(imgsz, params, macs)


def counted_costs(before: str, after: str, imgsz: tuple[int, int]) -> CostDifference:
    """Both architectures, built and counted by fvcore; needs torch.

    Raises:
        SurgeonError: one does not build, or can't be counted at that size.
    """
    from .count import count_source

    one, other = (count_source(name, imgsz) for name in (before, after))
    totals = (one.params, one.macs), (other.params, other.macs)
    return CostDifference(imgsz, other.params - one.params, other.macs - one.macs, totals)


def _without_operators(graph: Graph) -> list[Any] | None:
    """What each row is and reads once all operators are taken out; None where they can't be."""
    if any(is_attention(layer.block) for layer in graph):
        try:
            graph = remove(graph).after
        except PositionError:  # an operator that reads several layers
            return None
    return [(layer.block, layer.repeats, layer.args, layer.sources) for layer in graph]


def _of_operators(model: OpenModel, imgsz: tuple[int, int]) -> tuple[int | None, int | None]:
    """Parameters and multiply-accumulates of all operators."""
    graph, shapes = model.document.graph, model.shapes
    params, macs = 0, 0
    sized = True
    for layer in graph:
        if not is_attention(layer.block):
            continue
        operators = operators_in(graph, layer.index, shapes, model.scaling)
        if operators is None:
            return None, None
        each, sides = operators.params, _sides(shapes[layer.index], imgsz)
        work = operators.macs(*sides) if sides else None
        if each is None:
            return None, None
        params, sized = params + each, sized and work is not None
        macs += work or 0
    return params, macs if sized else None


def _sides(shape: Shape, imgsz: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of a map; None where its stride is not known, or does not divide the picture's."""
    if shape.stride is None or shape.guessed or any(side % shape.stride for side in imgsz):
        return None
    height, width = (int(side / shape.stride) for side in imgsz)
    return height, width
