"""What a graft will do, and the record that it leaves; no tensor is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from .. import __version__
from ..checkpoints.contents import Checkpoint
from ..core.blocks import STOCK, BlockTable
from ..core.graph import Graph, Layer, built_scaling, yaml_of
from ..core.operators import OP_BLOCKS, read_attention
from ..core.shapes import shapes_of
from ..core.surgery import RECORD, Placement, Rewrite, edits_for, insert
from ..errors import CheckpointError, KernelError
from ..modelfile.model import Model, stored_model
from ..reports import Table
from ..wording import numbers
from .certificate import Calls, Certificate
from .proof import Proof, RowFit, prove
from .starts import PastRow
from .transplant import Carry, layer_of, moved_name, moved_rows

#: What a record says of an edit; `row` is that of the product.
_EDIT = ("at", "layer", "row", "inside", "op", "k", "d", "gated")
#: What the record in a model's YAML, which survives training, says.
_IN_SHORT = ("base", "base_sha256", "edits", "into", "inserted", "lost", "start", "version", "blocks")


@dataclass(frozen=True)
class GraftPlan:
    """What a graft will do.

    Attributes:
        checkpoint: the original.
        rewrite: old rows -> new rows; rows that no base layer stands behind have no origin.
        yaml: the model dictionary to be.
        lost: base layers that the target has no row for, by index; of some of them, parts are carried.
        carry: what goes into rows that are built anew; None where every row that is kept is its layer.
        notes: what the user should know.
        past: the rows that lead past what is new.
        into: the target's file, and what was done in it; None for a graft at positions.
    """

    checkpoint: Checkpoint
    rewrite: Rewrite
    yaml: dict[str, Any]
    lost: tuple[int, ...] = ()
    carry: Carry | None = None
    notes: tuple[str, ...] = ()
    past: tuple[PastRow, ...] = ()
    into: Mapping[str, Any] | None = None

    @property
    def moved(self) -> dict[int, int]:
        """Layer -> row, for those that move as they are."""
        return moved_rows(self.rewrite, self.carry)

    @property
    def stands(self) -> Mapping[int, int]:
        """Layer -> the row in its place, whether something of it is carried or not."""
        return self.rewrite.index_map if self.carry is None else self.carry.stands

    @property
    def keeps_output(self) -> bool:
        """Whether the output layer moves as it is."""
        return len(self.rewrite.before) - 1 in self.moved

    def sources(self, names: Iterable[str]) -> dict[str, str]:
        """State-dict name in the product -> that in the original, for names of what was carried."""
        back = {new: old for old, new in self.moved.items()}
        tensors = {} if self.carry is None else self.carry.tensors
        return {name: tensors.get(name) or str(moved_name(name, back)) for name in names}

    def carried(self, originals: Iterable[str]) -> set[str]:
        """State-dict names in the product that come from the original, whose names are given."""
        names = {str(moved_name(name, self.moved)) for name in originals if layer_of(name) in self.moved}
        return names | set(self.carry.tensors if self.carry else ())

    def proof(
        self,
        carried: Collection[str],
        product: nn.Module,
        calls: tuple[Calls, Calls],
        fits: Sequence[RowFit] = (),
        fitted: Collection[str] = (),
    ) -> Proof:
        """What is known of each row of the product; arguments as for `prove`."""
        carry = self.carry or Carry(self.rewrite.index_map)
        rows, more = self.rewrite.after, (carry.branches, carry.why, fits, fitted)
        return prove(rows, product, calls, self.stands, carried, *more)

    def why(self, name: str, fitted: Collection[str] = ()) -> str:
        """Why a tensor of the original, by its name there, is not carried, where these of the product were fitted."""
        layer = layer_of(name)
        row = self.stands.get(layer)
        if self.carry is None or row is None:
            return f"layer {layer} has no row in the target"
        if any(self.carry.tensors.get(new) == name for new in fitted):
            return f"row {row} ({self.rewrite.after[row].block}) began with it and was fitted"
        block, other = self.rewrite.before[layer].block, self.rewrite.after[row].block
        reason = self.carry.why.get(row, "it has no place there")
        return f"layer {layer} ({block}) does not fit whole into row {row} ({other}): {reason}"

    def table(self) -> Table:
        """The rows that come, and those that are changed in place."""
        before, after, origin, edits = self.rewrite.before, self.rewrite.after, self.rewrite.origin, self.rewrite.edits
        cells = []
        for row in after:
            old, edit = origin[row.index], edits.get(row.index)
            if old is None or edit is not None:
                where = f"in layer {old} ({before[old].block})" if old is not None else "new row"
                reads, consumers = numbers(row.sources), numbers(after.consumers(row.index))
                asked = edit.site.asked if edit and edit.site.asked != "--into" else "as in the variant"
                cells.append((asked, str(row.index), row.block, where, reads, consumers))
        return Table(("position", "row", "block", "where", "reads", "read by"), cells)


def plan_graft(checkpoint: Checkpoint, placement: Placement, blocks: BlockTable = STOCK) -> GraftPlan:
    """Plan operators at positions of a checkpoint's own architecture.

    Raises:
        SurgeonError: the checkpoint holds no model, a position matches nothing, a kernel does not exist, ...
    """
    placement = replace(placement, gated=placement.op not in OP_BLOCKS)  # the plain one has no identity
    model = model_in(checkpoint, blocks)
    rewrite = insert(model.graph, edits_for(placement, model.graph, model.shapes))
    return GraftPlan(checkpoint, rewrite, yaml_of(rewrite.after, checkpoint.yaml or {}))


def coarsest_stride(graph: Graph) -> int:
    """The largest stride of a network's maps, as far as its rows say."""
    return int(max((shape.stride or 1 for shape in shapes_of(graph, built_scaling(graph.settings))), default=1))


def model_in(checkpoint: Checkpoint, blocks: BlockTable = STOCK) -> Model:
    """The architecture stored in a checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    module, yaml = checkpoint.needed_model(), checkpoint.yaml
    if not isinstance(yaml, dict) or not isinstance(getattr(module, "model", None), nn.Sequential):
        kind = type(module).__name__
        raise CheckpointError(f"{checkpoint.path} holds a {kind}, which is not built from an Ultralytics YAML")
    return stored_model(yaml, checkpoint.path, blocks)


def record_of(
    plan: GraftPlan,
    identity: bool,
    certificate: Certificate,
    tensors: dict[str, int],
    start: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record that a graft leaves in the product, as JSON may have it."""
    import ultralytics

    checkpoint, rewrite = plan.checkpoint, plan.rewrite
    edits = [{**edit.to_dict(), "row": row} for row, edit in sorted(rewrite.edits.items())]
    return {
        "schema": 2,
        "version": __version__,
        "base": checkpoint.path.name,
        "base_sha256": checkpoint.sha256,
        "edits": [{key: edit[key] for key in _EDIT if key in edit} for edit in edits],
        **({"into": dict(plan.into)} if plan.into else {}),
        "inserted": list(rewrite.inserted),
        **({"lost": list(plan.lost)} if plan.lost else {}),
        "index_map": rewrite.index_map_by_name,
        "init": "identity" if identity else "default",
        **({"start": dict(start)} if start else {}),
        "tensors": tensors,
        "certificate": certificate.as_dict(),
        "versions": {"torch": str(torch.__version__), "ultralytics": str(ultralytics.__version__)},
        **({"blocks": str(rewrite.after.blocks.declarations.path)} if any(map(_is_custom, rewrite.after)) else {}),
        **({"earlier": checkpoint.surgery} if checkpoint.surgery else {}),
    }


def in_short(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a model's YAML carries it, those of earlier grafts included."""
    short = {key: record[key] for key in _IN_SHORT if key in record}
    earlier = record.get("earlier")
    return {**short, "earlier": in_short(earlier)} if isinstance(earlier, dict) else short


def recorded_rows(checkpoint: Checkpoint) -> list[int] | None:
    """The rows that the record of a graft names, as training has left it; None without a record."""
    record = (checkpoint.yaml or {}).get(RECORD)
    if not isinstance(record, dict):
        return None
    rows = [*(edit.get("row") for edit in record.get("edits", [])), *(record.get("inserted") or [])]
    return [row for row in rows if isinstance(row, int)] or None


def _is_custom(row: Layer) -> bool:
    """Whether a row is of a custom module, or holds one as its operator."""
    if row.kind.custom:
        return True
    try:
        attention = read_attention(row)
    except KernelError:
        return False
    return attention is not None and row.blocks.custom(attention.kernel.op) is not None
