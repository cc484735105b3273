"""What the user asks for, and the edits that this means in a graph; it reads no file and writes no text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import index

from ..errors import PositionError
from ..wording import clean
from .blocks import STOCK, BlockTable
from .graph import Graph
from .kernel import DEFAULT_KERNEL, OP_BLOCKS
from .other_operators import AnyOperator, resolve_operator
from .positions import parse_at, resolve_at
from .shapes import Shape
from .surgery import Edit


@dataclass(frozen=True)
class Placement:
    """Which operators go where; see `lska_surgeon.insert`.

    Attributes:
        at: positions, each as `--at` takes it.
        op: the operator.
        k: kernel size, where a position gives none of its own; None takes `DEFAULT_KERNEL` where the operator has one.
        dilation: None takes the paper's.
        gated: an operator that is not the paper's goes behind a gate, which makes it start as the identity.
    """

    at: tuple[str, ...]
    op: str = "lska"
    k: int | None = None
    dilation: int | None = None
    gated: bool = False

    def size_at(self, at: str) -> int | None:
        """The kernel size at one of the positions; None for an operator that has none."""
        own = parse_at(at).k
        return (own or self.k or DEFAULT_KERNEL) if self.op in OP_BLOCKS else None


def placement_of(
    at: str | Iterable[str], op: str, k: int | None, dilation: int | None, gated: bool = False
) -> Placement:
    """A placement at one position or several.

    Raises:
        PositionError: at none, or at something that is no text.
    """
    ats = (at,) if isinstance(at, str) else tuple(at)
    if not ats:
        raise PositionError('say where: a position such as "neck", or a list of them')
    wrong = next((one for one in ats if not isinstance(one, str)), None)
    if wrong is not None:
        raise PositionError(f'{clean(repr(wrong))} is no position: give text, such as "neck", or a list of such')
    return Placement(ats, op, _whole(k), _whole(dilation), gated)


def _whole(number: int | None) -> int | None:
    """A number as Python's own, of numpy's kinds too."""
    return None if number is None else index(number)


def check_placement(placement: Placement, blocks: BlockTable = STOCK) -> None:
    """Check what is asked for as far as that goes without a model, where a table has the custom modules.

    Raises:
        PositionError: a position is misspelt.
        KernelError: a kernel does not exist.
    """
    for at in map(parse_at, placement.at):
        _operator(placement, at.k, blocks)


def edits_for(placement: Placement, graph: Graph, shapes: tuple[Shape, ...]) -> list[Edit]:
    """The edits that a placement asks for in a graph, in the order asked.

    Raises:
        PositionError: a position is misspelt or matches nothing.
        KernelError: a kernel does not exist.
    """
    ats = [parse_at(text) for text in placement.at]
    sites = [site for at in ats for site in resolve_at(at, graph, shapes)]
    return [Edit(site, _operator(placement, site.k, graph.blocks)) for site in sites]


def _operator(placement: Placement, k: int | None, blocks: BlockTable) -> AnyOperator:
    """The operator of a position that gives a kernel size of its own, or none."""
    size = placement.k if k is None else k
    return resolve_operator(placement.op, size, placement.dilation, placement.gated, blocks)
