"""What a torchvision model gives as a backbone: one map for each stride, measured without its weights."""

from __future__ import annotations

from ..core.blocks import BlockTable
from ..core.graph import SECTIONS, Graph, Layer, Scaling
from ..core.replacing import ShapedGraph
from ..core.shapes import Shape
from ..errors import MisfitError
from ..wording import did_you_mean, first_line
from .environment import import_offline

PREFIX = "torchvision:"
_SIDE = 256  # of the image that maps are measured on
_TRUNCATED = 2  # layers at the end that are no features: the pooling and the classifier
_STRIDES = (4.0, 8.0, 16.0, 32.0)


def features_of(name: str, blocks: BlockTable) -> ShapedGraph:
    """A backbone of two kinds of rows: TorchVision, which gives all maps of a model, and an Index for each stride.

    Args:
        name: `torchvision:resnet50`, a model of torchvision.
        blocks: the table of blocks of the network that it goes into.

    Raises:
        MisfitError: torchvision has no such model, or it gives no square maps whose strides double.
    """
    import torch
    from torchvision.models import list_models

    model = name.removeprefix(PREFIX)
    if model not in list_models():
        raise MisfitError(f"torchvision has no model {model!r}{did_you_mean(model, list_models())}")
    module = import_offline().TorchVision
    try:
        with torch.device("meta"), torch.no_grad():
            maps = module(model, None, True, _TRUNCATED, True).eval()(torch.zeros(1, 3, _SIDE, _SIDE))
    except Exception as error:  # as many kinds as there are models: images of one size only, several inputs
        raise MisfitError(f"{name} gives no maps by its layers in a row: {first_line(error)}") from error
    levels: dict[float, tuple[int, int]] = {}
    for at, value in enumerate(maps):
        if torch.is_tensor(value) and value.ndim == 4 and value.shape[2] == value.shape[3]:
            levels[_SIDE / value.shape[2]] = (at, value.shape[1])
    found = [stride for stride in _STRIDES if stride in levels]
    if len(found) < 3:
        strides = ", ".join(f"{stride:g}" for stride in sorted(levels))
        raise MisfitError(f"{name} gives maps of the strides {strides}: a backbone gives 8, 16 and 32")
    last = levels[found[-1]][1]
    rows = [Layer(0, SECTIONS[0], -1, 1, "TorchVision", (last, model, "DEFAULT", True, _TRUNCATED, True), blocks)]
    shapes = [Shape(last, None)]
    for stride in found:
        at, width = levels[stride]
        rows.append(Layer(len(rows), SECTIONS[0], 0, 1, "Index", (width, at), blocks))
        shapes.append(Shape(width, stride))
    return ShapedGraph(Graph(tuple(rows), {}, name), shapes, Scaling())
