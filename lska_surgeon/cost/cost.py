"""What models cost, as plain frozen values, and the report of it; it counts nothing, and knows no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import SurgeonError
from ..reports import Annotation, Part, Report, Result, Sheet, Table
from ..wording import counted, printable

if TYPE_CHECKING:
    from .latency import Latencies

#: What the numbers of a report are.
UNIT = "flops = 2 x macs; macs are multiply-accumulates as fvcore counts them"
#: The note of a model without gradients; it explains `gradients`, and nothing else.
FROZEN = "no parameter requires a gradient, as Ultralytics saves a trained model; training thaws them"
_TOTALS = ("model", "params", "GMACs", "GFLOPs", "layers")
_LAYERS = ("layer", "block", "params", "GMACs", "share")
_IN_SHORT = "GFLOPs = 2 x GMACs; --notes says what is counted."
_UNIT = "GFLOPs = 2 x GMACs: one multiply-accumulate is two floating-point operations (fvcore counts it as one)."
_LAYERS_ARE = "layers counts modules that hold no other, as Ultralytics does."
_FUSED = "params, GMACs, GFLOPs and layers are those of the fused model; --no-fuse counts it as it trains."


class CostError(SurgeonError):
    """A model that can't be counted: its input has the wrong size, or a forward pass fails."""


@dataclass(frozen=True)
class ModuleCost:
    """One module and all below it; modules without parameters and without counted work are left out of the tree.

    Attributes:
        name: attribute name in its parent ("conv0h"); "" for the whole model.
        block: class name.
        params: parameters here and below, shared ones once.
        macs: multiply-accumulates here and below, as fvcore counts them.
        own: what fvcore counted in this module itself and in no child: op ("conv", "matmul") -> MACs.
        children: in the order in which the module holds them.
    """

    name: str
    block: str
    params: int
    macs: int
    own: Mapping[str, int] = field(default_factory=dict)
    children: tuple[ModuleCost, ...] = ()

    def walk(self, prefix: str = "") -> Iterator[tuple[str, ModuleCost]]:
        """This module and all below, depth first, each with its dotted name."""
        yield prefix, self
        for child in self.children:
            yield from child.walk(f"{prefix}.{child.name}" if prefix else child.name)

    def lines(self, path: str = "") -> Iterator[Line]:
        """This module and what is in it, each as a line; a module that only wraps one other is one line with it.

        Args:
            path: the dotted name of the module that it is in; "" for a layer.
        """
        inner, name = self._unwrapped()
        if path:
            name = f"{path}.{name}"
        else:  # a layer keeps its name and class, and shows what it wraps where there is more to it
            inner, name = replace(self, children=self.children if inner.children else ()), self.name
        yield Line(name, inner.block, self.params, self.macs)
        for child in inner.children:
            yield from child.lines(name)
        if inner.children and inner.own:
            yield Line(f"{name} ({', '.join(inner.own)})", "", 0, sum(inner.own.values()))

    def _unwrapped(self) -> tuple[ModuleCost, str]:
        """What a chain of mere wrappers (`cv1` around `conv`) comes down to, and its name from here."""
        inner, name = self, self.name
        while len(inner.children) == 1 and not inner.own and inner.children[0].params == inner.params:
            inner = inner.children[0]
            name = f"{name}.{inner.name}"
        return inner, name


@dataclass(frozen=True)
class Line:
    """One line of a model's breakdown: a module, or the work that a module with children does itself.

    Attributes:
        path: dotted name from its layer on.
        block: class name; "" for a module's own work.
        params, macs: as of `ModuleCost`.
    """

    path: str
    block: str
    params: int
    macs: int


@dataclass(frozen=True, repr=False)
class Cost(Result):
    """What one model costs at one input size.

    Attributes:
        name: as the user gave it.
        imgsz: input height and width, pixels.
        batch: images in the input; `macs` is for all of them.
        fused: whether Conv and BatchNorm were fused, and branches that only training uses removed, before counting.
        params: parameters, of the fused model where `fused`.
        macs: multiply-accumulates of one forward pass in eval mode, as fvcore counts them.
        layers: modules that hold no other module, the number that Ultralytics prints as layers; fused where `fused`.
        gradients: parameters that require a gradient, before fusing (which freezes what it fuses).
        uncounted: ops that fvcore does not count -> how often they run; the most frequent first.
        ops: ops that fvcore counts -> MACs.
        tree: the whole model.
        notes: what one has to know to read the numbers; often empty.
    """

    name: str
    imgsz: tuple[int, int]
    batch: int
    fused: bool
    params: int
    macs: int
    layers: int
    gradients: int
    uncounted: Mapping[str, int]
    ops: Mapping[str, int]
    tree: ModuleCost
    notes: tuple[str, ...] = ()

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiply-add is two."""
        return 2 * self.macs

    @property
    def gmacs(self) -> float:
        return self.macs / 1e9

    @property
    def gflops(self) -> float:
        return self.flops / 1e9

    @property
    def rows(self) -> tuple[ModuleCost, ...]:
        """The layers of the YAML; for a model that was not built from one, its direct children."""
        node = self.tree
        while len(node.children) == 1 and not node.own:
            node = node.children[0]
        return node.children or (node,)

    def share(self, macs: int) -> float:
        """So many MACs as a part of the model's, 0 to 1."""
        return macs / self.macs if self.macs else 0.0

    @property
    def setting(self) -> str:
        """What was counted, in one line."""
        height, width = self.imgsz
        fused = "fused" if self.fused else "not fused"
        return f"{counted(self.batch, 'image')} of {height}x{width} (height x width), {fused}, eval mode"

    @property
    def numbers(self) -> dict[str, int]:
        """The totals by name."""
        return {name: getattr(self, name) for name in ("params", "macs", "flops", "layers", "gradients")}

    def report(self) -> Report:
        """The totals, and what fvcore does not count."""
        text = f"not counted by fvcore: {_listed(self.uncounted) or 'nothing'}"
        several = Costs((self,))
        return Report(several.summary, (self.setting, several.totals(), text), self.notes, several.data())


@dataclass(frozen=True, repr=False)
class Costs(Result):
    """What several models cost that were counted alike; differences are to the first.

    Attributes:
        all: at least one.
        skipped: what to tell of files that were not counted.
        per_layer: show the layers with all that is in them.
        top: show so many layers, the costliest first; with `per_layer` each with all that is in it.
        explained: say below the table, in full, how to read it.
        latency: how long they take, where that was measured.
    """

    all: tuple[Cost, ...]
    skipped: tuple[str, ...] = ()
    per_layer: bool = False
    top: int | None = None
    explained: bool = False
    latency: Latencies | None = None

    def __iter__(self) -> Iterator[Cost]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, number: int) -> Cost:
        return self.all[number]

    def shown(self, *, per_layer: bool = False, top: int | None = None, explained: bool = False) -> Costs:
        """The same with these layers below the totals; in CSV, in place of them."""
        return replace(self, per_layer=per_layer, top=top, explained=explained)

    def above(self, max_gflops: float | None = None, max_params: int | None = None) -> list[Annotation]:
        """An error for each limit that a model is above."""
        texts = []
        for cost in self.all:
            if max_gflops is not None and cost.gflops > max_gflops:
                texts.append((cost, f"has {cost.gflops:.3f} GFLOPs, above the limit of {max_gflops:g}"))
            if max_params is not None and cost.params > max_params:
                texts.append((cost, f"has {cost.params:,} parameters, above the limit of {max_params:,}"))
        title = "lska-surgeon flops: above the limit"
        return [Annotation("error", f"{cost.name} {text}", title, cost.name) for cost, text in texts]

    def report(self) -> Report:
        """The totals, the layers that are to be shown, and how to read them."""
        parts: list[Part] = [self.all[0].setting, self.totals()]
        for cost in self.all if self._has_layers else ():
            which = f"the {len(self._rows(cost))} costliest of {len(cost.rows)} layers that cost anything"
            parts.append(printable(f"{cost.name}: {which if self.top else 'layer by layer'}"))
            parts.append(Table(_LAYERS, [_line_cells(cost, line) for line in self._lines(cost)], range(2, 5)))
        parts.append("\n".join(self._footnotes()) if self.explained else _IN_SHORT)
        data = self.data()
        if self.latency is not None:
            parts += self.latency.report().parts
            data["latency"] = self.latency.to_dict()
        notes = (*self.skipped, *(() if self.explained else self._notes()))
        return Report(self.summary, parts, notes, data, self._sheet(), self._notices())

    @property
    def summary(self) -> str:
        """The totals of each, in one line."""
        return "; ".join(f"{cost.name}: {_in_words(_totals(cost))}" for cost in self.all)

    def totals(self) -> Table:
        """The totals; below each but the first, how much more that is."""
        rows = [cells for cost in self.all for cells in (_totals(cost), *self._difference(cost))]
        return Table(_TOTALS, rows, range(1, len(_TOTALS)))

    def data(self) -> dict[str, Any]:
        """All as plain data, as `--json` writes it."""
        first = self.all[0]
        models: list[dict[str, Any]] = []
        for cost in self.all:
            more = {name: number - first.numbers[name] for name, number in cost.numbers.items()}
            counts = {"ops": dict(cost.ops), "uncounted": dict(cost.uncounted), "notes": list(cost.notes)}
            difference = None if cost is first else more
            models.append({"model": cost.name, **cost.numbers, "difference": difference, **counts})
            if self._has_layers:
                models[-1]["modules"] = [self._module(cost, row) for row in self._rows(cost)]
        setting = {"imgsz": list(first.imgsz), "batch": first.batch, "fused": first.fused}
        return {"schema": self.schema, "unit": UNIT, **setting, "models": models}

    @property
    def _has_layers(self) -> bool:
        return self.per_layer or self.top is not None

    def _rows(self, cost: Cost) -> Sequence[ModuleCost]:
        return cost.rows if self.top is None else sorted(cost.rows, key=lambda row: -row.macs)[: self.top]

    def _lines(self, cost: Cost) -> Iterator[Line]:
        for row in self._rows(cost) if self._has_layers else ():
            yield from row.lines() if self.per_layer else islice(row.lines(), 1)

    def _module(self, cost: Cost, module: ModuleCost) -> dict[str, Any]:
        numbers = {"params": module.params, "macs": module.macs, "share": round(cost.share(module.macs), 6)}
        below = {"own": dict(module.own), "children": [self._module(cost, child) for child in module.children]}
        return {"name": module.name, "block": module.block, **numbers, **(below if self.per_layer else {})}

    def _difference(self, cost: Cost) -> list[Sequence[str]]:
        """The row below a model's own; none for the first."""
        first = self.all[0]
        if cost is first:
            return []
        params, macs = cost.params - first.params, cost.macs - first.macs
        cells = (
            "  difference",
            f"{params:+,} ({_percent(params, first.params)})",
            f"{macs / 1e9:+.3f}",
            f"{2 * macs / 1e9:+.3f} ({_percent(macs, first.macs)})",
            f"{cost.layers - first.layers:+,}",
        )
        return [cells]

    def _sheet(self) -> Sheet:
        if self._has_layers:
            rows = [
                [cost.name, *astuple(line), 2 * line.macs, f"{cost.share(line.macs):.6f}"]
                for cost in self.all
                for line in self._lines(cost)
            ]
            return Sheet(("model", "layer", "block", "params", "macs", "flops", "share"), rows)
        before = self.all[0].numbers
        header = ["model", *before, *(f"{name}_difference" for name in before)]
        return Sheet(
            [*header, "height", "width", "batch", "fused", "uncounted"],
            [
                [
                    *(cost.name, *cost.numbers.values()),
                    *(number - before[name] for name, number in cost.numbers.items()),
                    *(*cost.imgsz, cost.batch, str(cost.fused).lower(), _listed(cost.uncounted)),
                ]
                for cost in self.all
            ],
        )

    def _notices(self) -> list[Annotation]:
        """One for each model; the layers that are to be shown are its lines."""
        notices = []
        for cost in self.all:
            lines = [cost.setting]
            for path, block, params, macs, share in (_line_cells(cost, line) for line in self._lines(cost)):
                lines.append(f"{path} ({block}): {params} params, {macs} GMACs, {share}")
            totals = "; difference ".join(map(_in_words, (_totals(cost), *self._difference(cost))))
            notices.append(Annotation("notice", "\n".join(lines), f"{cost.name}: {totals}", cost.name))
        return notices

    def _notes(self) -> list[str]:
        """What one has to know of single models to read a table of them; what several share is one line."""
        by_note: dict[str, list[str]] = {}
        for cost in self.all:
            for note in cost.notes:
                if note != FROZEN:  # tables have no gradients
                    by_note.setdefault(note, []).append(cost.name)
        return [f"{', '.join(names)}: {note}" for note, names in by_note.items()]

    def _footnotes(self) -> list[str]:
        by_ops: dict[str, list[str]] = {}
        for cost in self.all:
            by_ops.setdefault(_listed(cost.uncounted), []).append(cost.name)
        fused = [_FUSED] if self.all[0].fused else []
        uncounted = [f"Not counted by fvcore in {', '.join(of)}: {ops or 'nothing'}." for ops, of in by_ops.items()]
        return [_UNIT, _LAYERS_ARE, *fused, *uncounted, *(f"{note}." for note in self._notes())]


def _totals(cost: Cost) -> Sequence[str]:
    return cost.name, *amounts(cost.params, cost.macs), f"{cost.layers:,}"


def amounts(params: int, macs: int) -> tuple[str, str, str]:
    """Parameters, GMACs and GFLOPs, as tables show them."""
    return f"{params:,}", f"{macs / 1e9:.3f}", f"{2 * macs / 1e9:.3f}"


def _in_words(totals: Sequence[str]) -> str:
    _, params, gmacs, gflops, _ = totals
    return f"{params} params, {gmacs} GMACs, {gflops} GFLOPs"


def _line_cells(cost: Cost, line: Line) -> Sequence[str]:
    share = f"{100 * cost.share(line.macs):.1f}%"
    return line.path, line.block, f"{line.params:,}", f"{line.macs / 1e9:.4f}", share


def _percent(difference: int, base: int) -> str:
    return f"{100 * difference / base:+.1f}%" if base else "-"


def _listed(uncounted: Mapping[str, int]) -> str:
    """`silu x57, add x12`."""
    return ", ".join(f"{op} x{times}" for op, times in uncounted.items())
