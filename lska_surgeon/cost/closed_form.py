"""What operators cost in closed form, against their kernel size and where two architectures differ; no torch.

An operator keeps its input's shape, so all else in a network costs the same with it as without. Where more than
operators sets two architectures apart, both are counted, if that is asked for.

The curves are those of Lau, Po, Rehman, "Large Separable Kernel Attention", arXiv 2309.01439 (parameters and GFLOPs
against kernel size for four designs), on one's own network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from ..core.blocks import BlockTable
from ..core.graph import Graph, Layer
from ..core.operators import OP_BLOCKS, Operators, operators_in, read_any_attention
from ..core.shapes import Shape, shapes_of
from ..core.surgery import Placement, edits_for, insert, remove
from ..errors import KernelError, PositionError
from ..modelfile.diff import RowDifference, compare
from ..modelfile.model import Model, load
from ..modelfile.sources import find_source, is_checkpoint
from ..reports import Annotation, Part, Report, Result, Strong, Table
from .cost import amounts

_COUNTED = "counted by fvcore, fused, eval mode"


@dataclass(frozen=True)
class CurvePoint:
    """What one operator costs at all sites together.

    Attributes:
        op: the operator.
        k: its kernel size.
        params: parameters that it adds.
        macs: multiply-accumulates that it adds, for one image.
        merged: how much more of both it has while it trains, until `fuse()` merges it.
    """

    op: str
    k: int
    params: int
    macs: int
    merged: tuple[int, int] = (0, 0)

    @property
    def gflops(self) -> float:
        """Twice the multiply-accumulates, in billions."""
        return 2 * self.macs / 1e9


def curve_points(
    base: Model, at: Sequence[str], imgsz: tuple[int, int], ops: Sequence[str], sizes: Sequence[int]
) -> tuple[CurvePoint, ...]:
    """A point for each operator and kernel size, on an image of `imgsz` (height, width) pixels.

    Raises:
        PositionError: a position matches nothing or has a kernel size of its own (`neck@11`), or a width or a map's
            size is not known there.
        KernelError: an operator does not have a size.
    """
    other = next((op for op in ops if op not in OP_BLOCKS), None)
    if other is not None:
        raise KernelError(f"--op {other}: a curve shows operators with a kernel size: {', '.join(OP_BLOCKS)}")
    fixed = next((text for text in at if "@" in text), None)
    if fixed:
        raise PositionError(f"--at {fixed}: the kernel size is what varies here; leave {fixed[fixed.index('@') :]} out")
    return tuple(_point(base, at, imgsz, op, k) for op in ops for k in sizes)


def _point(base: Model, at: Sequence[str], imgsz: tuple[int, int], op: str, k: int) -> CurvePoint:
    graph = base.graph
    rewrite = insert(graph, edits_for(Placement(tuple(at), op, k), graph, base.shapes))
    shapes = shapes_of(rewrite.after, base.scaling)
    params = macs = 0
    merged = [(0, 0)]
    for index in rewrite.edits:
        operators, stride = operators_in(rewrite.after, index, shapes, base.scaling), shapes[index].stride
        if operators is None or not stride or shapes[index].guessed:
            raise PositionError(
                f"row {index} of the variant: its width or stride is not known, so its cost is not either; "
                "count a variant with lska-surgeon flops"
            )
        sides = _sides(shapes[index], imgsz)
        if sides is None:
            size = next(side for side in imgsz if side % stride)
            raise PositionError(f"--imgsz {size} is no multiple of the stride {stride:g}: take one, such as 640")
        more_params, more_macs = operators.params, operators.macs(*sides)
        if more_params is None or more_macs is None:
            raise KernelError(f"{op} has no closed form: a curve shows operators with a kernel size")
        params, macs = params + more_params, macs + more_macs
        merged.append(operators.merged(*sides))
    return CurvePoint(op, k, params, macs, (sum(one for one, _ in merged), sum(one for _, one in merged)))


@dataclass(frozen=True)
class CostDifference:
    """Parameters and multiply-accumulates of two architectures, or the difference alone.

    Attributes:
        imgsz: height and width of the image, pixels.
        params, macs: how much more the second has; None when not known.
        totals: (params, macs) of each, where both were counted.
    """

    imgsz: tuple[int, int]
    params: int | None
    macs: int | None
    totals: tuple[tuple[int, int], tuple[int, int]] | None = None

    @property
    def in_totals(self) -> str:
        """`11,156,544 -> 8,936,736 params, 28.608 -> 21.627 GFLOPs at 640x640 (...)`, where both were counted."""
        if self.totals is None:
            return self.line
        (old, macs), (new, more) = self.totals
        size = f"{self.imgsz[0]}x{self.imgsz[1]}"
        gflops = f"{2 * macs / 1e9:.3f} -> {2 * more / 1e9:.3f} GFLOPs at {size}"
        return f"{old:,} -> {new:,} params, {gflops} ({_COUNTED})"

    @property
    def line(self) -> str:
        """What the second has more, in one line."""
        size = f"{self.imgsz[0]}x{self.imgsz[1]}"
        if self.params is None:
            return "params and GFLOPs gained: not known without --costs"
        if self.macs is None:
            return f"{self.params:+,} params; GFLOPs gained at {size}: not known without --costs"
        gained = f"{self.params:+,} params, {self.macs / 1e9:+.3f} GMACs, {2 * self.macs / 1e9:+.3f} GFLOPs at {size}"
        return f"{gained} ({_COUNTED if self.totals else 'exact, in closed form'})"

    def data(self) -> dict[str, Any]:
        """Everything as plain data."""
        how = "fvcore" if self.totals else "closed form" if self.params is not None else None
        gained = {"params": self.params, "macs": self.macs, "flops": None if self.macs is None else 2 * self.macs}
        both = [{"params": params, "macs": macs} for params, macs in self.totals or ()]
        return {"how": how, "imgsz": list(self.imgsz), "gained": gained, **dict(zip(("before", "after"), both))}


@dataclass(frozen=True, repr=False)
class Difference(RowDifference, Result):
    """What sets two architectures apart, in rows, settings and costs.

    Attributes:
        costs: what the second has more.
    """

    schema: ClassVar[int] = 2

    costs: CostDifference

    def _totals(self) -> Sequence[Table]:
        """A table of what each costs, where both were counted."""
        if not self.costs.totals:
            return ()
        rows = [(name, *amounts(*total)) for name, total in zip(self.names, self.costs.totals)]
        return (Table(("model", "params", "GMACs", "GFLOPs"), rows, range(1, 4)),)

    def report(self) -> Report:
        """All in one line, a table of the changes, the costs, and the index map; for GitHub a notice at the second."""
        table, file, parts = self.table(), str(self.after.path), list[Part]()
        text = "one architecture"
        if self:
            parts = [Strong(self.summary), table, *self._totals(), "\n".join([self.costs.line, *self.footnotes()])]
            changes = [f"{_place(*row[:4])}: {row[4]}" for row in table.rows]
            text = "\n".join([*changes, self.costs.line])
        notice = Annotation("notice", text, self.summary, file)
        data = {"schema": self.schema, **self.data(), "costs": self.costs.data()}
        return Report(self.summary, parts, self.notes, data, annotations=[notice])


def _place(change: str, old: str, new: str, block: str) -> str:
    """`rewired 10 -> 11 Concat`."""
    rows = f"{old} -> {new}" if old and new and old != new else new or old
    return " ".join(filter(None, [change, rows, block]))


def difference_of(
    before: str,
    after: str,
    imgsz: tuple[int, int],
    *,
    count: bool = False,
    trust: bool = False,
    blocks: BlockTable,
) -> Difference:
    """Compare two architectures, and what they cost.

    Args:
        before, after: paths of model YAMLs or checkpoints, or stock names with their scales.
        imgsz: height and width of the image, pixels.
        count: build both and count them with fvcore, which needs torch; otherwise costs are those in closed form.
        trust: load a checkpoint although it names what is not on the allow-list; it may then run anything.
        blocks: the table that says what the rows' blocks are.

    Raises:
        SurgeonError: one can't be read; with `count`, built or counted.
    """
    rows = compare(_opened(before, trust, blocks), _opened(after, trust, blocks))
    if count:
        from .cache import cost_of  # here, for what it imports takes as long as a drawing

        one, other = (cost_of(name, imgsz, blocks=blocks, trust=trust) for name in (before, after))
        totals = (one.params, one.macs), (other.params, other.macs)
        costs = CostDifference(imgsz, other.params - one.params, other.macs - one.macs, totals)
    else:
        costs = closed_form_costs(rows, imgsz)
    return Difference(**{field.name: getattr(rows, field.name) for field in fields(rows)}, costs=costs)


def counted_costs(
    before: tuple[str, str, str | None],
    after: tuple[str, str, str | None],
    imgsz: tuple[int, int],
    blocks: BlockTable,
) -> CostDifference:
    """What two model YAMLs cost, counted, which needs torch.

    Args:
        before, after: for each its name, its text, and its scale where the name does not say that.
        imgsz: height and width of the image, pixels.
        blocks: the table of blocks that both are built with.

    Raises:
        SurgeonError: one can't be built or counted.
    """
    from .cache import CostCache, ModelText  # here, for what it imports takes as long as a drawing

    cache = CostCache(imgsz, blocks, may_count=True)
    one, other = (cache.of(ModelText(*model)) for model in (before, after))
    assert one is not None
    assert other is not None
    totals = (one.params, one.macs), (other.params, other.macs)
    return CostDifference(imgsz, other.params - one.params, other.macs - one.macs, totals)


def _opened(name: str, trust: bool, blocks: BlockTable) -> Model:
    if not is_checkpoint(name):
        return load(name, blocks=blocks)
    find_source(name, "checkpoint")  # before anything is imported
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from .shapes_only import trained_model

    note = f"{name} is compared by the model YAML that it stores, not by its weights"
    return replace(trained_model(read_checkpoint(name, trust=trust), blocks), notes=(note,))


def closed_form_costs(difference: RowDifference, imgsz: tuple[int, int]) -> CostDifference:
    """What the second architecture has more, as far as that is known without building either."""
    one, other = _without_operators(difference.one), _without_operators(difference.other)
    if difference.settings or one is None or one != other:
        return CostDifference(imgsz, None, None)
    before, after = _operators(difference.before, imgsz), _operators(difference.after, imgsz)
    if before is None or after is None:
        return CostDifference(imgsz, None, None)
    old, new = _amounts(before - after), _amounts(after - before)  # what both have costs both the same
    params, macs = (None if less is None or more is None else more - less for less, more in zip(old, new))
    return CostDifference(imgsz, params, macs)


def _without_operators(graph: Graph) -> list[Any] | None:
    """What each row is and reads once all operators are taken out; None where they can't be."""
    rows = {layer.index for layer in graph if _holds_operator(layer)}
    if any(len(graph[row].raw_sources) > 1 for row in rows if not graph[row].kind.is_host):
        return None
    if rows:
        try:
            graph = remove(graph, rows).after
        except PositionError:  # an operator that reads several layers
            return None
    return [(layer.block, layer.repeats, layer.args, layer.sources) for layer in graph]


def _holds_operator(layer: Layer) -> bool:
    return layer.kind.is_attention or read_any_attention(layer) is not None


#: Operators of one kind and width on maps of one size; the size is None where it is not known.
_Alike = tuple[Operators, "tuple[int, int] | None"]


def _operators(model: Model, imgsz: tuple[int, int]) -> Counter[_Alike] | None:
    """How many rows hold which operators; None when a width is not known."""
    held: Counter[_Alike] = Counter()
    for layer in filter(_holds_operator, model.graph):
        operators = operators_in(model.graph, layer.index, model.shapes, model.scaling)
        if operators is None:
            return None
        held[operators, _sides(model.shapes[layer.index], imgsz)] += 1
    return held


def _amounts(rows: Counter[_Alike]) -> tuple[int | None, int | None]:
    """Parameters and multiply-accumulates of all these operators; None where one's are not known."""
    params = [(operators.params, times) for (operators, _), times in rows.items()]
    macs = [(operators.macs(*sides) if sides else None, times) for (operators, sides), times in rows.items()]
    return _sum(params), _sum(macs)


def _sum(amounts: Sequence[tuple[int | None, int]]) -> int | None:
    known = [amount * times for amount, times in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _sides(shape: Shape, imgsz: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of a map; None where its stride is not known, or does not divide the image's."""
    if shape.stride is None or shape.guessed or any(side % shape.stride for side in imgsz):
        return None
    height, width = (int(side / shape.stride) for side in imgsz)
    return height, width
