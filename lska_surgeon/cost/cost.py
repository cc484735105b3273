"""What a count is made of, as plain frozen values; it counts nothing, and knows no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SurgeonError
from ..reports import Part, Shown, Table
from ..wording import counted

#: What the numbers of a report are.
UNIT = "flops = 2 x macs; macs are multiply-accumulates as fvcore counts them"
#: The note of a model without gradients; it explains `gradients`, and nothing else.
FROZEN = "no parameter requires a gradient, as Ultralytics saves a trained model; training thaws them"


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


@dataclass(frozen=True, repr=False)
class Cost(Shown):
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
        return {
            "params": self.params,
            "macs": self.macs,
            "flops": self.flops,
            "layers": self.layers,
            "gradients": self.gradients,
        }

    @property
    def line(self) -> str:
        """The totals, in one line."""
        return f"{self.name}: {self.params:,} params, {self.gmacs:.3f} GMACs, {self.gflops:.3f} GFLOPs"

    def parts(self) -> tuple[Part, ...]:
        """What was counted, a table of the totals, and what fvcore does not count."""
        cells = (self.name, f"{self.params:,}", f"{self.gmacs:.3f}", f"{self.gflops:.3f}", f"{self.layers:,}")
        table = Table(("model", "params", "GMACs", "GFLOPs", "layers"), [cells], range(1, 5))
        return self.setting, table, f"not counted by fvcore: {self.uncounted_in_words or 'nothing'}"

    @property
    def uncounted_in_words(self) -> str:
        """`silu x57, add x12`."""
        return ", ".join(f"{op} x{times}" for op, times in self.uncounted.items())

    def as_report(self, models: list[dict[str, Any]]) -> dict[str, Any]:
        """Models that were counted alike, as plain data."""
        return {
            "schema": self.schema,
            "unit": UNIT,
            "imgsz": list(self.imgsz),
            "batch": self.batch,
            "fused": self.fused,
            "models": models,
        }

    def entry(self, difference: Mapping[str, int] | None = None) -> dict[str, Any]:
        """The model as plain data, as one of several that were counted."""
        return {
            "model": self.name,
            **self.numbers,
            "difference": difference,
            "ops": dict(self.ops),
            "uncounted": dict(self.uncounted),
            "notes": list(self.notes),
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything but `tree` as plain data, as `--json` writes it of one model."""
        return self.as_report([self.entry()])
