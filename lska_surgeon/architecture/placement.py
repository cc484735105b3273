"""What the user asks for, and the edits that this means in a graph; it reads no file and writes no text."""

from __future__ import annotations

from dataclasses import dataclass

from .graph import Graph
from .kernel import DEFAULT_KERNEL, resolve_kernel
from .positions import parse_at, resolve_at
from .shapes import Shape
from .surgery import Edit


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `lska-surgeon insert --help`."""

    base: str
    at: tuple[str, ...]
    op: str = "lska"
    k: int = DEFAULT_KERNEL
    dilation: int | None = None
    scale: str | None = None
    resolve: bool = False
    output: str | None = None


def check_request(request: Request) -> None:
    """Check what is asked for as far as that goes without a model.

    Raises:
        PositionError: a position is misspelt.
        KernelError: a kernel does not exist.
    """
    for at in map(parse_at, request.at):
        resolve_kernel(request.op, request.k if at.k is None else at.k, request.dilation)


def edits_for(request: Request, graph: Graph, shapes: tuple[Shape, ...]) -> list[Edit]:
    """The edits that a request asks for in a graph, in the order asked.

    Raises:
        PositionError: a position is misspelt or matches nothing.
        KernelError: a kernel does not exist.
    """
    ats = [parse_at(text) for text in request.at]
    sites = [site for at in ats for site in resolve_at(at, graph, shapes)]
    sizes = [request.k if site.k is None else site.k for site in sites]
    return [Edit(site, resolve_kernel(request.op, k, request.dilation)) for site, k in zip(sites, sizes)]
