"""What a page on a recipe shows: its networks as plain values, and its plots; it knows no HTML and draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..cost.closed_form import CurvePoint
from ..drawing.curves import Curves
from ..drawing.plots import Plot, Point, Series
from ..recipes.variants import Kind, Looks, Shown
from ..reports import Table
from ..wording import decimals

if TYPE_CHECKING:
    from ..ablation.table import Summary


@dataclass(frozen=True)
class PageNetwork:
    """One network of a page.

    Attributes:
        name: its file, or the base's name.
        edits: what was done to its base, in words; empty for a base.
        base: name of its base; its own name for a base.
        params, macs: of the whole network for one image, fused; None when not known.
        params_added, macs_added: what it has more than its base; None when not known.
        latency: runtime -> median seconds for one image, where it was measured.
        scores: data -> the page's metric over seeds; empty where nothing was trained.
        kind: what it has, where that is one kernel size throughout.
        drawing: the network as SVG, or None.
        notes: what the reader should know.
        title: what tables and figures call it, unless the recipe says otherwise; "" for its name.
    """

    name: str
    edits: str
    base: str
    params: int | None = None
    macs: int | None = None
    params_added: int | None = None
    macs_added: int | None = None
    latency: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, Summary] = field(default_factory=dict)
    kind: Kind | None = None
    drawing: str | None = None
    notes: Sequence[str] = ()
    title: str = ""

    @property
    def is_base(self) -> bool:
        return self.name == self.base

    @property
    def gflops(self) -> float | None:
        """2 x GMACs."""
        return None if self.macs is None else 2 * self.macs / 1e9

    @property
    def gflops_added(self) -> float | None:
        """The same of what it has more."""
        return None if self.macs_added is None else 2 * self.macs_added / 1e9


class Trainings(NamedTuple):
    """What trainings came to, as `lska-surgeon results` tells it.

    Attributes:
        metric: what is compared.
        table: its table, the network's own name first.
        networks: name of the page's network in each row.
        markdown, latex: the table to copy.
        notes: what one has to know to read it.
        labels: network or family of networks -> what the recipe calls it.
    """

    metric: str
    table: Table
    networks: Sequence[str]
    markdown: str
    latex: str
    notes: Sequence[str] = ()
    labels: Mapping[str, str] = {}


class FieldImage(NamedTuple):
    """The effective receptive field of one layer.

    Attributes:
        network: name of a network of the page.
        at: "p3", or "layer 9".
        url: the heat map, as a data URL.
        areas: share of the contribution -> part of the image's area that holds it; None for all of it.
    """

    network: str
    at: str
    url: str
    areas: Mapping[float, float | None]


class Missing(NamedTuple):
    """What is not there.

    Attributes:
        what: which part, a key of the page's words.
        command: what would bring it.
        reason: what is in the way, or "".
    """

    what: str
    command: str
    reason: str = ""


@dataclass(frozen=True)
class Page:
    """All of a page.

    Attributes:
        title: the recipe's name.
        command: what made it, to be typed again.
        imgsz: height and width at which costs were counted, pixels.
        networks: bases first, each followed by its variants.
        results: what trainings came to, or None.
        measured: how latency was measured, and of what it was not.
        curves: for each base and its positions, cost against kernel size.
        fields: effective receptive fields.
        seen: what they were measured with, or "".
        missing: what is not there.
    """

    title: str
    command: str
    imgsz: tuple[int, int]
    networks: Sequence[PageNetwork]
    results: Trainings | None = None
    measured: Sequence[str] = ()
    curves: Sequence[Curves] = ()
    fields: Sequence[FieldImage] = ()
    seen: str = ""
    missing: Sequence[Missing] = ()

    @property
    def data(self) -> list[str]:
        """The names of all data that something was trained on."""
        return list(dict.fromkeys(name for network in self.networks for name in network.scores))

    @property
    def bases(self) -> list[str]:
        """The names of all bases."""
        return list(dict.fromkeys(network.base for network in self.networks))

    @property
    def looks(self) -> Looks:
        """How its networks look."""
        ordered = [one for base in self.bases for one in self.networks if one.base == base]
        ordered.sort(key=lambda one: not (one.is_base or one.edits))
        shown = (Shown(one.name, one.base, one.kind, one.title or one.name) for one in ordered)
        return Looks(tuple(shown), self.results.labels if self.results else {})


#: What a network costs, as a number and in words; None where that is not known.
Cost = Callable[[PageNetwork], "tuple[float, str] | None"]


class Charts:
    """The plots of one page.

    Args:
        page: the page.
        words: in the page's language.
        anchors: name of a network -> the id of its place on the page.
    """

    def __init__(self, page: Page, words: Mapping[str, str], anchors: Mapping[str, str]) -> None:
        self.page, self.words, self.anchors = page, words, anchors
        self.looks = page.looks

    def networks(self) -> Iterator[Plot]:
        """For each base accuracy against cost and kernel size; parameters against GFLOPs where nothing was trained."""
        for base in self.page.bases:
            networks = [network for network in self.page.networks if network.base == base]
            if not self.page.results:
                yield from self._params(base, networks)
            for data in self.page.data:
                scored = [network for network in networks if data in network.scores]
                unit, cost = ("gflops", _gflops) if _all_known(scored) else ("gflops_more", _gflops_added)
                yield from self._scores("plot", self.words[unit], cost, base, data, scored)
                for runtime, unit in latency_columns(self.page, self.words):
                    yield from self._scores("time_plot", unit, _milliseconds(runtime), base, data, scored)
                yield from self._sizes(base, data, scored)

    def curves(self) -> Iterator[Plot]:
        """What operators cost against their kernel size: parameters, and GFLOPs."""
        there = {network.kind: network.name for network in self.page.networks if network.kind}
        words = (self.words["kernel"], f"{self.words['params_more']} (M)", self.words["gflops_more"])
        for curves in self.page.curves:

            def place(point: CurvePoint, height: float, curves: Curves = curves) -> Point:
                name = there.get(Kind(curves.model, curves.at, point.op, point.k))
                label = _more(name or f"{point.op}, k {point.k}", point.params, point.gflops)
                return Point(point.k, height, label, self.anchors[name] if name else None)

            yield from curves.plots(place, self.looks, words)

    def _params(self, base: str, networks: Sequence[PageNetwork]) -> Iterator[Plot]:
        """Of whole networks where these are known, else of what each has more than its base."""
        whole = _all_known(networks)

        def place(network: PageNetwork) -> Point | None:
            params, gflops = network.params, network.gflops
            if not whole:
                params, gflops = network.params_added, network.gflops_added
            if params is None or gflops is None:
                return None
            label = (
                f"{network.name}: {params:,}, {giga(gflops)} GFLOPs" if whole else _more(network.name, params, gflops)
            )
            return Point(gflops, params / 1e6, label, self.anchors[network.name])

        x, y = ("gflops", "params") if whole else ("gflops_more", "params_more")
        series = self._grouped(base, networks, place)
        yield from self._plot("plot_costs", base, "", series, self.words[x], f"{self.words[y]} (M)")

    def _scores(
        self, title: str, unit: str, cost: Cost, base: str, data: str, networks: Sequence[PageNetwork]
    ) -> Iterator[Plot]:
        def place(network: PageNetwork) -> Point | None:
            known = cost(network)
            return None if known is None else self._scored(network, data, *known)

        yield from self._plot(title, base, data, self._grouped(base, networks, place), unit)

    def _sizes(self, base: str, data: str, networks: Sequence[PageNetwork]) -> Iterator[Plot]:
        """Accuracy against kernel size, a line for each operator at each position."""
        lines: dict[str, list[tuple[int, PageNetwork]]] = {}
        for network in networks:
            if network.kind:
                lines.setdefault(network.kind.family, []).append((network.kind.k, network))
        lines = {name: sorted(line, key=lambda pair: pair[0]) for name, line in lines.items() if len(line) > 1}
        sizes = sorted({k for line in lines.values() for k, _ in line})
        if not sizes:
            return
        beside = sizes[0] - 0.12 * (sizes[-1] - sizes[0])  # a base has no size: it stands before the first
        own = [self._scored(network, data, beside, self.words["base_row"]) for network in networks if network.is_base]
        series = [Series(self._base(base), own, base=True)]
        for line in lines.values():
            points, first = [self._scored(network, data, k, f"k {k}") for k, network in line], line[0][1].name
            series.append(Series(self.looks.legend(first), points, self.looks.number(first), joined=True))
        yield from self._plot("kernel_plot", base, data, series, self.words["kernel"], ticks=sizes)

    def _grouped(
        self, base: str, networks: Sequence[PageNetwork], place: Callable[[PageNetwork], Point | None]
    ) -> list[Series]:
        """The base, then what has the same operator at the same positions."""
        placed = [(network, point) for network in networks if (point := place(network)) is not None]
        own = [point for network, point in placed if network.is_base]
        groups: dict[int, list[tuple[str, Point]]] = {}
        for network, point in placed:
            if not network.is_base:
                groups.setdefault(self.looks.number(network.name), []).append((network.name, point))
        return [Series(self._base(base), own, base=True)] + [
            Series(self.looks.legend(mine[0][0]), [point for _, point in mine], number)
            for number, mine in groups.items()
        ]

    def _base(self, name: str) -> str:
        return self.looks.own(name) or self.words["base_row"]

    def _scored(self, network: PageNetwork, data: str, x: float, where: str) -> Point:
        score = network.scores[data]
        spread = "" if score.sd is None else f" ± {score.sd:.4f}"
        label = f"{network.name}: {score.mean:.4f}{spread} (n = {score.n}), {where}"
        return Point(x, score.mean, label, self.anchors[network.name], score.sd)

    def _plot(
        self,
        title: str,
        base: str,
        data: str,
        series: Sequence[Series],
        x: str,
        y: str | None = None,
        ticks: Sequence[float] = (),
    ) -> Iterator[Plot]:
        """The plot, with the base's name and the data's where there are several; none for no points."""
        names = [*([base] if len(self.page.bases) > 1 else []), *([data] if len(self.page.data) > 1 else [])]
        metric = self.page.results.metric if self.page.results else ""
        shown = [one for one in series if one.points]
        if shown:
            whole = ": ".join([self.words[title], *([", ".join(names)] if names else [])])
            yield Plot(whole, shown, x, metric if y is None else y, ticks)


def giga(value: float, sign: str = "") -> str:
    """GFLOPs with three digits behind the point; small ones with three that count."""
    return f"{value:{sign}.{decimals([value], 3, least=3)}f}"


def _gflops(network: PageNetwork) -> tuple[float, str] | None:
    return None if network.gflops is None else (network.gflops, f"{giga(network.gflops)} GFLOPs")


def _gflops_added(network: PageNetwork) -> tuple[float, str] | None:
    gflops = 0.0 if network.is_base else network.gflops_added
    return None if gflops is None else (gflops, f"{giga(gflops, '+')} GFLOPs")


def _milliseconds(runtime: str) -> Cost:
    def cost(network: PageNetwork) -> tuple[float, str] | None:
        seconds = network.latency.get(runtime)
        return None if seconds is None else (1e3 * seconds, f"{1e3 * seconds:.2f} ms")

    return cost


def latency_columns(page: Page, words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each runtime where latency was measured, with the name of its column."""
    names = list(dict.fromkeys(name for network in page.networks for name in network.latency))
    return [(name, f"{words['latency']} ({name})" if len(names) > 1 else words["latency"]) for name in names]


def _all_known(networks: Sequence[PageNetwork]) -> bool:
    return all(network.params is not None and network.macs is not None for network in networks)


def _more(name: str, params: int, gflops: float) -> str:
    return f"{name}: {params:+,}, {giga(gflops, '+')} GFLOPs"
