"""What grafts did and what checkpoints hold, as lines, tables and JSON; it works nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...tables import table
from .json import SCHEMA, dump

if TYPE_CHECKING:
    from ...grafting.certificate import Certificate
    from ...grafting.graft import Graft
    from ...grafting.plan import GraftPlan
    from ...grafting.ungraft import Ungraft


def plan_table(plan: GraftPlan) -> str:
    """The rows that come, and those that are changed in place."""
    rows = []
    before, after, origin = plan.rewrite.before, plan.rewrite.after, plan.rewrite.origin
    for row in after:
        old, edit = origin[row.index], plan.rewrite.edits.get(row.index)
        if old is not None and edit is None:
            continue
        kind = f"in layer {old} ({before[old].block})" if old is not None else "new row"
        reads = ", ".join(map(str, row.sources))
        readers = ", ".join(map(str, after.readers(row.index)))
        at = edit.site.asked if edit else "--into"
        rows.append((at, str(row.index), row.block, kind, reads, readers))
    return table(("position", "row", "block", "where", "reads", "read by"), rows)


def graft_text(graft: Graft, output: Path) -> str:
    """The report of a graft, a few lines."""
    total = len(graft.copied) + len(graft.dropped)
    rows = len(graft.plan.rewrite.edits) or len(graft.plan.rewrite.inserted)
    lines = [
        f"{output}: copied {len(graft.copied)}/{total}, new {len(graft.new)}, dropped {len(graft.dropped)}",
        "  copied: the original's tensors, each in its layer's new place",
        f"  new: {rows} operator {'row' if rows == 1 else 'rows'}, "
        + ("started as the exact identity" if graft.record["init"] == "identity" else "at the paper's random init"),
        f"  {certificate_line(graft.certificate)}",
    ]
    reasons = sorted(set(graft.dropped.values()))
    return "\n".join([*lines, *(f"  dropped: {reason}" for reason in reasons)])


def ungraft_text(done: Ungraft, output: Path) -> str:
    """The report of an ungraft, two lines."""
    return f"{output}: {len(done.removed)} operator tensors removed\n  {certificate_line(done.certificate)}"


def certificate_line(certificate: Certificate) -> str:
    """`certificate: max |Δ| 0.0 in float32 over eval 64x96, ...`."""
    runs = ", ".join(certificate.runs)
    skipped = "".join(f"; {mode} mode not run: {why}" for mode, why in certificate.skipped.items())
    return f"certificate: max |Δ| {certificate.max_delta} of all outputs in float32 ({runs}){skipped}"


def graft_json(graft: Graft, output: Path | None) -> str:
    """The report of a graft as JSON."""
    return dump(
        {
            "schema": SCHEMA,
            "output": str(output) if output else None,
            **graft.record,
            "new": list(graft.new),
            "dropped": dict(graft.dropped),
            "notes": list(graft.notes),
        }
    )


def ungraft_json(done: Ungraft, output: Path | None) -> str:
    """The report of an ungraft as JSON."""
    return dump(
        {
            "schema": SCHEMA,
            "output": str(output) if output else None,
            "removed": list(done.removed),
            "certificate": done.certificate.as_dict(),
        }
    )
