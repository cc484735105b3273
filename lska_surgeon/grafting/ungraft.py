"""Taking a graft back, in memory; it writes no file."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ..architecture.surgery import Rewrite, remove
from ..checkpoints.checkpoint import Checkpoint
from ..errors import CheckpointError
from .certificate import Certificate, certify, random_pictures
from .graft import _product
from .plan import stored_graph
from .record import RECORD, record_of
from .transplant import excise_, moved_name


@dataclass(frozen=True)
class Ungraft:
    """A graft taken back, in memory.

    Attributes:
        source: the grafted checkpoint.
        data: the content without operators.
        removed: state-dict names of the operators' tensors.
        certificate: how far the outputs moved; exact while the operators were still the identity.
    """

    source: Checkpoint
    rewrite: Rewrite
    data: dict[str, Any]
    removed: tuple[str, ...]
    certificate: Certificate


def ungraft(checkpoint: Checkpoint, *, lossy: bool = False) -> Ungraft:
    """Take the operators out that a graft put in; in a checkpoint without a record of one, every operator.

    Raises:
        PositionError: it has none.
        CheckpointError: the operators have learned something, and `lossy` is off.
    """
    rewrite = remove(stored_graph(checkpoint), _grafted_rows(checkpoint))
    trial = checkpoint.float_model()
    certificate = certify(trial, lambda model: excise_(model, rewrite), random_pictures(trial))
    if not certificate.exact and not lossy:
        raise CheckpointError(
            f"the operators in {checkpoint.path} are no longer the identity: without them the outputs move by up to "
            f"{certificate.max_delta:g}; add --lossy to take them out all the same"
        )
    del trial
    model = deepcopy(checkpoint.model)
    assert model is not None
    names = list(model.state_dict())
    excise_(model, rewrite)
    record = record_of(checkpoint)
    earlier = record.get("earlier") if record else None
    model.yaml.pop(RECORD, None)
    back = {new: old for old, new in rewrite.index_map.items()}
    kept = {moved_name(name, back) for name in model.state_dict()}
    data = _product(checkpoint, model, earlier if isinstance(earlier, dict) else None)
    return Ungraft(checkpoint, rewrite, data, tuple(name for name in names if name not in kept), certificate)


def _grafted_rows(checkpoint: Checkpoint) -> list[int] | None:
    """The rows that the record of the graft names; None without a record."""
    record = (checkpoint.yaml or {}).get(RECORD)
    if not isinstance(record, dict):
        return None
    edits, inserted = record.get("edits"), record.get("inserted")
    rows = [edit.get("row") for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else []
    rows += inserted if isinstance(inserted, list) else []
    return [row for row in rows if isinstance(row, int)] or None
