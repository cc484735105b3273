"""Planning a graft: which operators go where in a checkpoint's own network, or in a variant's; no tensor is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ..checkpoints.checkpoint import Checkpoint
from ..core.graph import Graph, graph_of, yaml_of
from ..core.kernel import OP_BLOCKS
from ..core.placement import Placement, edits_for
from ..core.scaling import scaling_of
from ..core.shapes import shapes_of
from ..core.surgery import Rewrite, insert
from ..declarations.find import active_blocks
from ..errors import CheckpointError
from ..reports import Table
from ..wording import numbers
from ..yolo.precheck import refuse_sizes
from .matching import find_target
from .state_dict import with_model


@dataclass(frozen=True)
class GraftPlan:
    """What a graft will do.

    Attributes:
        checkpoint: the original.
        rewrite: old rows -> new rows.
        yaml: the model dictionary to be.
        lost: base layers that the target has no row for, by index.
        notes: what the user should be told.
    """

    checkpoint: Checkpoint
    rewrite: Rewrite
    yaml: dict[str, Any]
    lost: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

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


def plan_graft(checkpoint: Checkpoint, placement: Placement) -> GraftPlan:
    """Plan operators at positions of a checkpoint's own architecture; no tensor is touched.

    Raises:
        SurgeonError: the checkpoint holds no model, a position matches nothing, a kernel does not exist, ...
    """
    placement = replace(placement, gated=placement.op not in OP_BLOCKS)  # the plain one has no identity
    graph = stored_graph(checkpoint)
    scaling = scaling_of(graph.settings, graph.settings.get("scale") or None)
    rewrite = insert(graph, edits_for(placement, graph, shapes_of(graph, scaling)))
    return GraftPlan(checkpoint, rewrite, yaml_of(rewrite.after, checkpoint.yaml or {}))


def plan_graft_into(checkpoint: Checkpoint, variant: str) -> GraftPlan:
    """Plan a graft into a variant that somebody wrote; a state dict alone will do, when its base is the variant
    without its operators.

    Raises:
        SurgeonError: the variant can't be read or built, or the checkpoint's network is not in it.
    """
    refuse_sizes(variant)
    if checkpoint.model is None:
        checkpoint = with_model(checkpoint, variant)
    graph = stored_graph(checkpoint)
    assert checkpoint.model is not None
    target = find_target(variant, graph, checkpoint.yaml or {}, list(checkpoint.model.model))
    return GraftPlan(checkpoint, target.rewrite, target.yaml, target.lost, target.notes)


def stored_graph(checkpoint: Checkpoint) -> Graph:
    """The graph of the architecture stored in a checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    model, yaml = checkpoint.needed_model(), checkpoint.yaml
    if not isinstance(yaml, dict) or not isinstance(getattr(model, "model", None), nn.Sequential):
        kind = type(model).__name__
        raise CheckpointError(f"{checkpoint.path} holds a {kind}, which is not built from an Ultralytics YAML")
    return graph_of(yaml, checkpoint.path.name, active_blocks())
