"""What operators at the sites of one network cost, against their kernel size, from the closed forms; no torch.

The figure is that of Lau, Po, Rehman, "Large Separable Kernel Attention", arXiv 2309.01439 (parameters and GFLOPs
against kernel size for four designs), on one's own network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.attention import operators_in
from ..core.operators import PAPER_DILATIONS
from ..core.shapes import shapes_of
from ..core.surgery import Placement, edits_for, insert
from ..errors import KernelError, PositionError
from ..modelfile.model import Model

#: The four designs that the paper compares.
DESIGNS = ("lska", "lska-trivial", "lka", "lka-trivial")
SIZES = tuple(PAPER_DILATIONS)


@dataclass(frozen=True)
class CurvePoint:
    """What one operator costs at all sites together.

    Attributes:
        op: the operator.
        k: its kernel size.
        params: parameters that it adds.
        macs: multiply-accumulates that it adds, for one image.
    """

    op: str
    k: int
    params: int
    macs: int

    @property
    def gflops(self) -> float:
        """2 x GMACs."""
        return 2 * self.macs / 1e9


def curve_points(
    base: Model,
    at: Sequence[str],
    imgsz: tuple[int, int],
    ops: Sequence[str] = DESIGNS,
    sizes: Sequence[int] = SIZES,
) -> tuple[CurvePoint, ...]:
    """A point for each operator and kernel size.

    Args:
        base: the network.
        at: positions; a kernel size of their own (`neck@11`) has no place here.
        imgsz: height and width of the image, pixels.
        ops: operators.
        sizes: kernel sizes.

    Raises:
        PositionError: a position matches nothing, or a width or a map's size is not known there.
        KernelError: an operator does not have a size.
    """
    fixed = next((text for text in at if "@" in text), None)
    if fixed:
        raise PositionError(f"--at {fixed}: the kernel size is what varies here; leave {fixed[fixed.index('@') :]} out")
    return tuple(_point(base, at, imgsz, op, k) for op in ops for k in sizes)


def _point(base: Model, at: Sequence[str], imgsz: tuple[int, int], op: str, k: int) -> CurvePoint:
    graph = base.graph
    rewrite = insert(graph, edits_for(Placement(tuple(at), op, k), graph, base.shapes))
    shapes = shapes_of(rewrite.after, base.scaling)
    params = macs = 0
    for index in rewrite.edits:
        found, stride = operators_in(rewrite.after, index, shapes, base.scaling), shapes[index].stride
        if found is None or not stride or shapes[index].guessed:
            raise PositionError(
                f"row {index} of the variant: its width or stride is not known, so its cost is not either; "
                "count a variant with lska-surgeon flops"
            )
        more = found.params, found.macs(*(_cells(side, stride) for side in imgsz))
        if more[0] is None or more[1] is None:
            raise KernelError(f"{op} has no closed form: a curve shows operators with a kernel size")
        params, macs = params + more[0], macs + more[1]
    return CurvePoint(op, k, params, macs)


def _cells(side: int, stride: float) -> int:
    """Cells along a side of a map."""
    if side % stride:
        raise PositionError(f"--imgsz {side} is no multiple of the stride {stride:g}: take one, such as 640")
    return int(side / stride)
