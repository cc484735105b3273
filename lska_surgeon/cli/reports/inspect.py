"""What a checkpoint holds, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .json import SCHEMA

if TYPE_CHECKING:
    from ...checkpoints.checkpoint import Checkpoint, Globals

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


def _size(edit: dict[str, Any]) -> str:
    """` k35`; nothing for an operator without a kernel size."""
    return f" k{edit.get('k')}" if edit.get("k") else ""


def _surgery(record: Any, depth: int = 0) -> str:
    if not isinstance(record, dict):
        return "none recorded"
    edits = ", ".join(
        f"{edit.get('op')}{_size(edit)} at {edit.get('at')} (row {edit.get('row')})" for edit in record.get("edits", [])
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
