"""The grammar of `--at`, and the sites of what it names; what the named parts are stands in `parts`.

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
from ..wording import did_you_mean, few, numbers
from .graph import Graph
from .parts import NAMES, SLOTS, Parts, Site, picked_from
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
    parts = Parts(graph, shapes)
    sites = NAMES[at.name](parts)
    if not sites:
        reasons = "".join(f"; {note}" for note in parts.left_out([at.name]))
        raise PositionError(f"--at {at.asked} matches nothing in {graph.name}: {_has(graph, shapes)}{reasons}")
    picked = _narrow(at, sites, graph, shapes)
    for site in picked:
        _must_give_a_map(at.asked, graph, site.layer)
    return tuple(_site(at, site.layer, site.consumer, site.inside) for site in picked)


def named_sites(graph: Graph, shapes: Sequence[Shape]) -> dict[str, tuple[Site, ...]]:
    """Every position name with its sites in this graph; names that match nothing are left out."""
    parts = Parts(graph, shapes)
    found = {name: find(parts) for name, find in NAMES.items()}
    return {name: sites for name, sites in found.items() if sites}


_SLOT = re.compile(r"(?P<name>[A-Za-z]+)(?::(?P<rest>[^@]+))?\Z", re.ASCII)
_ROWS = re.compile(r"(\d{1,9})\s*-\s*(\d{1,9})\Z")


def rows_at(text: str, graph: Graph, shapes: Sequence[Shape]) -> tuple[range, ...]:
    """The rows that `replace` and `remove` name, in order: `neck`, `down:p4`, `9`, `C2f#2`, `0-2`.

    Raises:
        PositionError: it is misspelt, or matches nothing here.
    """
    asked = respelt(text).strip()
    several, named = _ROWS.match(asked), _SLOT.match(asked)
    if several:
        first, last = int(several[1]), int(several[2])
        if not first <= last < len(graph):
            raise PositionError(f"no rows {asked}: {graph.name} has 0-{len(graph) - 1}")
        return (range(first, last + 1),)
    at = At(asked, named["name"], named["rest"], None) if named else At(asked, "", None, None)
    if at.name not in SLOTS:
        if named and not any(layer.block == at.name for layer in graph):
            hint = did_you_mean(at.name.lower(), [*SLOTS])
            raise PositionError(
                f"no slot or block {asked!r}{hint} in {graph.name}: there are {', '.join(SLOTS)}, a row (9, -2, SPPF, "
                "C2f#2) and rows (0-2)"
            )
        index = _select(at, asked, graph)
        return (range(index, index + 1),)
    rows = SLOTS[at.name](Parts(graph, shapes))
    if not rows:
        raise PositionError(f"--at {asked} matches nothing in {graph.name}: name a row, 0-{len(graph) - 1}")
    picked = _narrow(at, tuple(_site(at, index) for index in rows), graph, shapes)
    return tuple(range(site.layer, site.layer + 1) for site in picked)


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
    gives = "the model's output" if layer in graph.outputs else layer.kind.gives
    picking = [row for row, source in picked_from(graph).items() if source == index]
    if picking:
        gives = f"a list of maps, from which {numbers(picking)} take one each"
    if gives:
        raise PositionError(f"--at {asked}: layer {index} ({layer.block}) gives {gives}, not one feature map")


def _has(graph: Graph, shapes: Sequence[Shape]) -> str:
    named = named_sites(graph, shapes)
    names = ", ".join(f"{name} ({', '.join(str(s.layer) for s in sites)})" for name, sites in named.items())
    return f"it has {names or 'no named position'}; or name a layer with after:0-{len(graph) - 2}"


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
