"""What a page on a recipe shows, as plain values; it knows neither recipes nor HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..drawing.curves import Curves
from ..recipes.variants import Kind
from ..reports import Table

if TYPE_CHECKING:
    from ..ablation.table import Summary


@dataclass(frozen=True)
class Network:
    """One network of a page.

    Attributes:
        name: its file, or the base's name.
        edits: what was done to its base, in words; empty for a base.
        base: name of its base; its own name for a base.
        params, macs: of the whole network for one image, fused; None when not known.
        params_added, macs_added: what it has more than its base; None when not known.
        latency: median seconds for one image, or None.
        scores: data -> the page's metric over seeds; empty where nothing was trained.
        kind: what it has, where that is one kernel size throughout.
        drawing: the network as SVG, or None.
        notes: what the reader should know.
    """

    name: str
    edits: str
    base: str
    params: int | None = None
    macs: int | None = None
    params_added: int | None = None
    macs_added: int | None = None
    latency: float | None = None
    scores: Mapping[str, Summary] = field(default_factory=dict)
    kind: Kind | None = None
    drawing: str | None = None
    notes: Sequence[str] = ()

    @property
    def is_base(self) -> bool:
        return self.name == self.base

    @property
    def series(self) -> tuple[str, str]:
        """What has one colour: all of one base that differ in kernel size alone, or this one network."""
        return self.base, self.kind.family if self.kind else self.name

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
    networks: Sequence[Network]
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
    def series(self) -> dict[tuple[str, str], int]:
        """What has a colour -> its number: base after base, larger bases last, as in the figure of `results`."""
        ordered = [one for base in self.bases for one in self.networks if one.base == base and not one.is_base]
        ordered.sort(key=lambda network: not network.edits)
        return {name: number for number, name in enumerate(dict.fromkeys(network.series for network in ordered))}
