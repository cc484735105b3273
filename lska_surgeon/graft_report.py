"""What grafts did and what checkpoints hold, as lines, tables and JSON; it works nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .report import SCHEMA, dump
from .tables import table

if TYPE_CHECKING:
    from .certificate import Certificate
    from .checkpoint import Checkpoint, Globals
    from .graft import Graft, GraftPlan, Ungraft


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


#: How many grafts upon each other are shown; a file may claim to have any number.
_MOST_GRAFTS = 9


def contents(checkpoint: Checkpoint, found: Globals) -> dict[str, Any]:
    """What a checkpoint holds, as plain data."""
    model = checkpoint.model
    state = checkpoint.state_dict
    dtypes = sorted({str(tensor.dtype).replace("torch.", "") for tensor in state.values()})
    yaml = checkpoint.yaml or {}
    names = checkpoint.names or {}
    return {
        "schema": SCHEMA,
        "file": str(checkpoint.path),
        "sha256": checkpoint.sha256,
        "kind": checkpoint.kind,
        "model": type(model).__name__ if model is not None else None,
        "from": checkpoint.key,
        "ultralytics": checkpoint.version,
        "date": checkpoint.data.get("date") if isinstance(checkpoint.data.get("date"), str) else None,
        "tensors": len(state),
        "parameters": sum(p.numel() for p in model.parameters()) if model is not None else None,
        "dtypes": dtypes,
        "rows": len(yaml.get("backbone", ())) + len(yaml.get("head", ())) or None,
        "scale": yaml.get("scale") or None,
        "classes": len(names) or yaml.get("nc"),
        "names": {str(number): name for number, name in names.items()},
        "task": checkpoint.train_args.get("task"),
        "epoch": checkpoint.data.get("epoch") if isinstance(checkpoint.data.get("epoch"), int) else None,
        "globals": {"allowed": len(found.allowed), "refused": list(found.refused)},
        "surgery": checkpoint.data.get("lska_surgeon") or yaml.get("lska_surgeon"),
    }


def contents_text(found: dict[str, Any]) -> str:
    """The same for people."""
    shown = {key: value for key, value in found.items() if key not in ("schema", "surgery", "globals", "names")}
    names = list(found["names"].values())
    shown["names"] = ", ".join(map(str, names[:8])) + (f", ... ({len(names)})" if len(names) > 8 else "") or None
    refused = found["globals"]["refused"]
    shown["pickle"] = refused or f"{found['globals']['allowed']} globals, all on the allow-list"
    lines = [f"{key:<12} {_cell(value)}" for key, value in shown.items() if value not in (None, [])]
    return "\n".join([*lines, f"{'surgery':<12} {_surgery(found['surgery'])}"])


def _surgery(record: Any, depth: int = 0) -> str:
    if not isinstance(record, dict):
        return "none recorded"
    edits = ", ".join(
        f"{edit.get('op')} k{edit.get('k')} at {edit.get('at')} (row {edit.get('row')})"
        for edit in record.get("edits", [])
    )
    lines = [
        f"lska-surgeon {record.get('version')}, base {record.get('base')} (SHA-256 {record.get('base_sha256')})",
        edits,
    ]
    certificate, tensors = record.get("certificate"), record.get("tensors")
    if isinstance(tensors, dict):
        lines.append(", ".join(f"{key} {value}" for key, value in tensors.items()))
    if isinstance(certificate, dict):
        lines.append(f"certificate: max |Δ| {certificate.get('max_delta')} in float32, when it was grafted")
    earlier = record.get("earlier")
    if isinstance(earlier, dict) and depth < _MOST_GRAFTS:
        lines.append(f"before that: {_surgery(earlier, depth + 1)}")
    return f"\n{'':<13}".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)
