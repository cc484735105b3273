"""The grammar of `--at` and how each name finds its sites in a graph; it edits nothing and knows no kernel's inside.

AT     = NAME [":" PICK ("," PICK)*] ["@" K]       NAME = backbone | sppf | neck | head | residual | sppf-inner
       | ("after" | "before") ":" SEL ["@" K]      PICK = a pyramid level (p3) or a layer index (15)
       | "edge:" SEL "->" SEL ["@" K]              SEL  = 9 | -2 | SPPF | C2f#2
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from ..errors import PositionError
from ..wording import did_you_mean, few
from .blocks import HostRow
from .graph import IMAGE, Graph, Layer, role_of
from .shapes import Shape

#: What an input method types for a sign of the grammar, beside the full-width forms that Unicode itself can undo.
_SIGNS = {"、": ",", "→": "->", "–": "-", "—": "-", "−": "-"}  # noqa: RUF001
_BETWEEN = re.compile(r"[\s,;]+")
_AROUND_A_SIGN = re.compile(r"\s*(->|[:@])\s*")


def respelt(text: str) -> str:
    """The text with full-width letters, digits and signs as the plain ones: `neck：p3` -> `neck:p3`."""  # noqa: RUF002
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    return unicodedata.normalize("NFKC", text)


def wrong_signs(text: str) -> str:
    """Those signs of a text that `respelt` replaces, each once."""
    return " ".join(dict.fromkeys(sign for sign in text if not sign.isspace() and respelt(sign) != sign))


def meant(text: str, names: Collection[str], selecting: Collection[str]) -> list[str]:
    """The positions that a text names, each as its own `--at` value; empty where it begins with no position.

    What stands behind a position and is none itself narrows it, or is another layer of `after`, `before` or `edge`.

    Args:
        text: `sppf,neck`, `neck:p3@11 neck:p4`, `after:9,12`.
        names: positions that may be narrowed.
        selecting: positions that name one layer.
    """
    found: list[str] = []
    for part in filter(None, _BETWEEN.split(_AROUND_A_SIGN.sub(r"\1", respelt(text)))):
        name = re.split("[:@]", part)[0].lower()
        if name in names or name in selecting:
            found.append(name + part[len(name) :])
        elif not found:
            return []
        else:
            before = re.split("[:@]", found[-1])[0]
            if before in selecting or "@" in found[-1]:
                found.append(f"{before}:{part}")
            else:
                name, _, picks = found[-1].partition(":")
                found[-1] = f"{name}:{picks},{part}" if picks else f"{name}:{part}"
    return found


_AT = re.compile(r"(?P<name>[A-Za-z-]+)(?::(?P<rest>[^@]+))?(?:@(?P<k>\d{1,9}))?\Z", re.ASCII)
_SEL = re.compile(r"(?P<index>-?\d{1,9})\Z|(?P<block>[A-Za-z_][\w.]*)(?:#(?P<nth>\d{1,9}))?\Z", re.ASCII)


class Site(NamedTuple):
    """One resolved place.

    Attributes:
        asked: the `--at` value that it came from, "neck:p3@11".
        name: the position, "neck".
        layer: the source that the operator goes behind, or the host that it goes into.
        consumer: the one layer that reads the operator; None for every consumer of the source.
        inside: True when the operator goes into the layer.
        k: the kernel size given with `@`, or None.
    """

    asked: str
    name: str
    layer: int
    consumer: int | None = None
    inside: bool = False
    k: int | None = None


class At(NamedTuple):
    """An `--at` value, parsed but not resolved."""

    asked: str
    name: str
    rest: str | None
    k: int | None


def parse_at(text: str) -> At:
    """Parse an `--at` value.

    Raises:
        PositionError: it does not follow the grammar.
    """
    found = _AT.match(text.strip())
    several = meant_by(text)
    if len(several) > 1:
        raise PositionError(
            f"--at {text!r} is several positions: give each its own, as {' '.join(map(_typed, several))}"
        )
    if several and (wrong_signs(text) or not found):
        signs = f", for it has {wrong_signs(text)}" if wrong_signs(text) else ""
        raise PositionError(f"can't read --at {text!r}{signs}: write {_typed(several[0])}")
    if not found:
        raise PositionError(
            f"can't read --at {text!r}: write a name such as neck, neck:p3,p4@11, after:9 or 'edge:15->22'"
        )
    name, rest, k = found.group("name", "rest", "k")
    if name not in NAMES and name not in _SELECTING:
        hint = did_you_mean(name.lower(), [*NAMES, *_SELECTING])
        raise PositionError(
            f"no position {name!r}{hint}: there are {', '.join(NAMES)}, after:SEL, before:SEL, edge:A->B"
        )
    if name in _SELECTING and not rest:
        examples = ("edge:15->22", "edge:SPPF->20") if name == "edge" else (f"{name}:9", f"{name}:SPPF")
        raise PositionError(f"--at {name} needs a layer: write --at '{examples[0]}' or --at '{examples[1]}'")
    return At(text.strip(), name, rest, int(k) if k else None)


def meant_by(text: str) -> list[str]:
    """The positions that a text surely names, each as one `--at` value; nothing where that is not sure."""
    found = meant(text, NAMES, _SELECTING)
    return found if all(map(_AT.match, found)) else []


def _typed(at: str) -> str:
    return f"--at '{at}'" if re.search("[^-\\w:.,@]", at) else f"--at {at}"


def resolve_at(at: At, graph: Graph, shapes: Sequence[Shape]) -> tuple[Site, ...]:
    """The sites of a position in a graph, in row order.

    Raises:
        PositionError: it matches nothing here; the message lists what the model does have.
    """
    if at.name in _SELECTING:
        return (_SELECTING[at.name](at, graph),)
    sites = NAMES[at.name](graph, shapes)
    if not sites:
        raise PositionError(f"--at {at.asked} matches nothing in {graph.name}: {_has(graph, shapes)}")
    picked = _narrow(at, sites, graph, shapes)
    for site in picked:
        _must_give_a_map(at.asked, graph, site.layer)
    return tuple(_site(at, *site_key) for site_key in ((s.layer, s.consumer, s.inside) for s in picked))


def named_sites(graph: Graph, shapes: Sequence[Shape]) -> dict[str, tuple[Site, ...]]:
    """Every position name with its sites in this graph; names that match nothing are left out."""
    found = {name: find(graph, shapes) for name, find in NAMES.items()}
    return {name: sites for name, sites in found.items() if sites}


def _site(at: At, layer: int, consumer: int | None = None, inside: bool = False) -> Site:
    return Site(at.asked, at.name, layer, consumer, inside, at.k)


def _narrow(at: At, sites: tuple[Site, ...], graph: Graph, shapes: Sequence[Shape]) -> tuple[Site, ...]:
    if at.rest is None:
        return sites
    picked: list[Site] = []
    for pick in at.rest.split(","):
        pick = pick.strip().lower()
        matching = [s for s in sites if pick in (str(s.layer), shapes[s.layer].level)]
        if not matching:
            there = ", ".join(f"{s.layer} ({shapes[s.layer].level or graph[s.layer].block})" for s in sites)
            raise PositionError(f"--at {at.asked}: {at.name} has no {pick!r} in {graph.name}; it has {there}")
        picked += [s for s in matching if s not in picked]
    return tuple(sorted(picked, key=lambda s: (s.layer, s.consumer or 0)))


def _must_give_a_map(asked: str, graph: Graph, index: int) -> None:
    layer = graph[index]
    gives = "the model's output" if layer == graph.output else layer.kind.gives
    if gives:
        raise PositionError(f"--at {asked}: layer {index} ({layer.block}) gives {gives}, not one feature map")


def _has(graph: Graph, shapes: Sequence[Shape]) -> str:
    named = named_sites(graph, shapes)
    names = ", ".join(f"{name} ({', '.join(str(s.layer) for s in sites)})" for name, sites in named.items())
    return f"it has {names or 'no named position'}; or name a layer with after:0-{len(graph) - 2}"


def _backbone(graph: Graph, shapes: Sequence[Shape]) -> tuple[Site, ...]:
    sites = []
    rows = [layer for layer in graph if layer.section == "backbone" and not layer.kind.is_beside]
    for run in _stages(rows, shapes):
        last = None
        for position, layer in enumerate(run):
            if layer.kind.is_pooling:
                break
            if _is_block(layer, first=position == 0) and layer != graph.output:
                last = layer
        if last is not None:
            sites.append(Site("backbone", "backbone", last.index))
    return tuple(sites)


def _stages(rows: Sequence[Layer], shapes: Sequence[Shape]) -> list[list[Layer]]:
    """The rows by size of map; where that is not known, each down-sampling block starts a stage."""
    stages: list[list[Layer]] = []
    for layer in rows:
        stride = shapes[layer.index].stride
        known = stages and stride is not None and shapes[stages[-1][-1].index].stride is not None
        same = stride == shapes[stages[-1][-1].index].stride if known else not _only_makes_smaller(layer)
        if stages and same:
            stages[-1].append(layer)
        else:
            stages.append([layer])
    return stages


def _only_makes_smaller(layer: Layer) -> bool:
    """Whether a row is plain down-sampling: a stage that has nothing else has no block to stand behind."""
    return layer.kind.is_known and layer.kind.role in ("conv", "down")


def _is_block(layer: Layer, first: bool) -> bool:
    kind = layer.kind
    if kind.plain.startswith("nn.") or kind.gives or kind.stride[0] == "last":
        return False
    return not (first and _only_makes_smaller(layer))


def _neck(graph: Graph, shapes: Sequence[Shape]) -> tuple[Site, ...]:
    """Behind the block that a fusion feeds; behind the fusion itself where its own module is all there is."""
    found: set[int] = set()
    for fusion in graph:
        if not is_fusion(fusion, graph, shapes):
            continue
        fed = [graph[consumer] for consumer in graph.consumers(fusion.index) if len(graph[consumer].raw_sources) == 1]
        if fusion.kind.width != "sum":
            fed = [layer for layer in fed if role_of(layer, len(graph) - 1) == "block"] or [fusion]
        found.update(layer.index for layer in fed if layer != graph.output and not layer.kind.is_beside)
    return tuple(Site("neck", "neck", index) for index in sorted(found) if graph[index].section == "head")


def is_fusion(layer: Layer, graph: Graph, shapes: Sequence[Shape]) -> bool:
    """Whether a row joins several maps of one size: a Concat, or whatever its author has in that place."""
    if layer == graph.output or layer.kind.gives:
        return False
    if layer.kind.is_fusion:
        return True
    read = {shapes[source].stride if source >= 0 else 1.0 for source in layer.sources}
    return len(set(layer.sources)) > 1 and len(read) == 1 and None not in read


def _head(graph: Graph, shapes: Sequence[Shape]) -> tuple[Site, ...]:
    output = graph.output
    maps = [s for s in dict.fromkeys(output.sources) if s >= 0 and not graph[s].kind.gives_a_list]
    return tuple(Site("head", "head", source, consumer=output.index) for source in sorted(maps))


def _adds_its_input(layer: Layer, shapes: Sequence[Shape]) -> bool:
    """Whether a row has bottlenecks that add their input."""
    host, source = layer.kind.host, layer.sources[0]
    if host is None or host.adds is None or not layer.kind.may_hold:
        return False
    width_in = -1 if source == IMAGE else shapes[source].channels
    row = HostRow(layer.args, width_in, shapes[layer.index].channels, layer.repeats)
    return host.has(row) and host.adds(row)


Finder = Callable[[Graph, Sequence[Shape]], tuple[Site, ...]]


def _each(name: str, is_site: Callable[[Layer, Sequence[Shape]], bool], inside: bool = False) -> Finder:
    """Every row of which something is true, whatever stands around it."""
    return lambda graph, shapes: tuple(
        Site(name, name, layer.index, inside=inside) for layer in graph if is_site(layer, shapes)
    )


NAMES: dict[str, Finder] = {
    "backbone": _backbone,
    "sppf": _each("sppf", lambda layer, _: layer.kind.is_pooling),
    "neck": _neck,
    "head": _head,
    "residual": _each("residual", _adds_its_input, inside=True),
    "sppf-inner": _each("sppf-inner", lambda layer, _: layer.kind.is_pooling and layer.kind.may_hold, inside=True),
}


def _after(at: At, graph: Graph) -> Site:
    layer = _select(at, at.rest or "", graph)
    _must_give_a_map(at.asked, graph, layer)
    if not graph.consumers(layer):
        raise PositionError(
            f"--at {at.asked}: nobody reads layer {layer} ({graph[layer].block}), so nothing would change"
        )
    return _site(at, layer)


def _before(at: At, graph: Graph) -> Site:
    consumer = _select(at, at.rest or "", graph)
    sources = list(dict.fromkeys(graph[consumer].sources))
    if len(sources) > 1:
        edges = ", ".join(f"'edge:{source}->{consumer}'" for source in sources)
        block = graph[consumer].block
        raise PositionError(
            f"--at {at.asked}: layer {consumer} ({block}) reads {len(sources)} layers; name one with --at {edges}"
        )
    return _edge_site(at, sources[0], consumer, graph)


def _edge(at: At, graph: Graph) -> Site:
    ends = (at.rest or "").split("->")
    if len(ends) != 2:
        raise PositionError(f"can't read --at {at.asked!r}: an edge is 'edge:A->B', such as 'edge:15->22' (in quotes)")
    source, consumer = (_select(at, end.strip(), graph) for end in ends)
    if source not in graph[consumer].sources:
        reads = ", ".join(map(str, graph[consumer].sources))
        raise PositionError(
            f"--at {at.asked}: layer {consumer} ({graph[consumer].block}) does not read {source}; it reads {reads}"
        )
    return _edge_site(at, source, consumer, graph)


def _edge_site(at: At, source: int, consumer: int, graph: Graph) -> Site:
    if source < 0:
        raise PositionError(f"--at {at.asked}: layer {consumer} reads the image; an operator needs a layer before it")
    _must_give_a_map(at.asked, graph, source)
    return _site(at, source, consumer)


_SELECTING: dict[str, Callable[[At, Graph], Site]] = {"after": _after, "before": _before, "edge": _edge}


def _select(at: At, text: str, graph: Graph) -> int:
    found = _SEL.match(text)
    if not found:
        raise PositionError(f"can't read layer {text!r} in --at {at.asked}: write 9, -2, SPPF or C2f#2")
    if found.group("index"):
        index = int(found.group("index"))
        if not -len(graph) <= index < len(graph):
            raise PositionError(f"no layer {index}: {graph.name} has 0-{len(graph) - 1}; try --at {_near(at, graph)}")
        return index % len(graph)
    block = found.group("block")
    matching = [layer.index for layer in graph if layer.block == block]
    if not matching:
        blocks = list(dict.fromkeys(layer.block for layer in graph))
        raise PositionError(f"--at {at.asked}: {graph.name} has no {block}; it has {', '.join(blocks)}")
    if found.group("nth"):
        nth = int(found.group("nth"))
        if nth >= len(matching):
            raise PositionError(f"--at {at.asked}: {graph.name} has {block}#0 to #{len(matching) - 1}")
        return matching[nth]
    if len(matching) > 1:
        choices = few([f"{block}#{n} ({index})" for n, index in enumerate(matching)])
        raise PositionError(f"--at {at.asked}: {graph.name} has {len(matching)} {block}; name one: {choices}")
    return matching[0]


def _near(at: At, graph: Graph) -> str:
    return (
        f"'edge:{graph.output.sources[0]}->{graph.output.index}'"
        if at.name == "edge"
        else f"{at.name}:{len(graph) - 2}"
    )
