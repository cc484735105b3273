"""The record that a graft leaves in a checkpoint, and in its model's YAML, which survives training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .. import __version__
from ..checkpoints.checkpoint import Checkpoint
from ..core.attention import read_attention
from ..core.graph import Layer
from ..errors import KernelError
from .certificate import Certificate
from .plan import GraftPlan

#: Where a checkpoint's dictionary, and its model's YAML (which survives training), carry the record of a graft.
RECORD = "lska_surgeon"
#: What it says of an edit; `row` is that of the product.
_EDIT = ("at", "layer", "row", "inside", "op", "k", "d", "gated")


def record_of(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The record of the newest graft: in full, or what training has left of it; None without one."""
    for record in (checkpoint.data.get(RECORD), (checkpoint.yaml or {}).get(RECORD)):
        if isinstance(record, dict):
            return record
    return None


def _in_short(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a model's YAML carries it, those of earlier grafts included."""
    short = {
        key: record[key] for key in ("base", "base_sha256", "edits", "inserted", "version", "blocks") if key in record
    }
    earlier = record.get("earlier")
    return {**short, "earlier": _in_short(earlier)} if isinstance(earlier, dict) else short


def _record(plan: GraftPlan, identity: bool, certificate: Certificate, tensors: dict[str, int]) -> dict[str, Any]:
    checkpoint, rewrite = plan.checkpoint, plan.rewrite
    earlier = record_of(checkpoint)
    return {
        "schema": 1,
        "version": __version__,
        "base": checkpoint.path.name,
        "base_sha256": checkpoint.sha256,
        "edits": [
            {key: row if key == "row" else edit[key] for key in _EDIT if key == "row" or key in edit}
            for row, edit in ((row, edit.to_dict()) for row, edit in sorted(rewrite.edits.items()))
        ],
        "inserted": list(rewrite.inserted),
        "index_map": rewrite.index_map_by_name,
        "init": "identity" if identity else "default",
        "tensors": tensors,
        "certificate": certificate.as_dict(),
        "versions": {"torch": str(torch.__version__), "ultralytics": _ultralytics_version()},
        **({"blocks": str(rewrite.after.blocks.declarations.path)} if any(map(_is_own, rewrite.after)) else {}),
        **({"earlier": earlier} if earlier else {}),
    }


def _is_own(row: Layer) -> bool:
    """Whether a row is of a block that the user declares, or holds one as its operator."""
    if row.kind.custom:
        return True
    try:
        attention = read_attention(row)
    except KernelError:
        return False
    return attention is not None and row.blocks.custom(attention.kernel.op) is not None


def _ultralytics_version() -> str:
    import ultralytics

    return str(ultralytics.__version__)
