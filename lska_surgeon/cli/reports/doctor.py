"""A diagnosis as text and as JSON; it looks for nothing."""

from __future__ import annotations

from dataclasses import asdict

from ...tables import table
from ...yolo.doctor import Diagnosis
from .json import dump

#: Version of the JSON; it changes when a key changes its meaning or goes.
SCHEMA = 1


def diagnosis_text(found: Diagnosis) -> str:
    """Versions, then traps, each with its remedy, then notes."""
    versions = table(("package", "version"), [(name, known or "-") for name, known in found.versions.items()])
    traps = [f"trap[{trap.name}]: {trap.problem}\n  remedy: {trap.remedy}" for trap in found.traps]
    notes = "\n".join(f"note: {note}" for note in found.notes)
    return "\n\n".join(filter(None, [versions, *(traps or ["no traps found"]), notes]))


def diagnosis_json(found: Diagnosis) -> str:
    """The same for a machine."""
    return dump({"schema": SCHEMA, "ok": not found.traps, **asdict(found)})
