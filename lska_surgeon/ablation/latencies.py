"""Latencies that were measured for an ablation, kept beside its cells; it measures nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..costs.cache import sha256
from ..errors import AblationError
from ..files import write_text
from .cells import Ablation

FILE = "latency.json"
_SCHEMA = 2


@dataclass(frozen=True)
class KnownLatencies:
    """What is known of the latency of an ablation's networks.

    Attributes:
        seconds: network -> median seconds for one picture; without those that changed since they were measured.
        notes: how it was measured, and what was not.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def known_latencies(ablation: Ablation) -> KnownLatencies:
    """What was measured last; a recipe with `latency: true` is also told that nothing was.

    Raises:
        AblationError: the file is damaged.
    """
    path = ablation.folder / FILE
    measure = f"lska-surgeon latency --recipe {ablation.words}"
    if not path.exists():
        asked = ablation.experiment.latency
        return KnownLatencies(notes=(f"latency is not measured yet: {measure}",) if asked else ())
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["schema"] != _SCHEMA:
            raise ValueError("another release wrote it")
        found = {
            network.name: float(kept["seconds"][network.name])
            for network in ablation.networks
            if kept["models"].get(network.name) == sha256(network.text)
        }
        notes = [f"ms: median for one picture, {kept['said']}"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AblationError(f"can't read {path}: {error}; delete it and measure again: {measure}") from error
    missing = [network.name for network in ablation.networks if network.name not in found]
    if missing:
        notes.append(f"latency is not measured of {', '.join(missing)}, as they are now: {measure}")
    return KnownLatencies(found, tuple(notes))


def keep_latencies(ablation: Ablation, seconds: Mapping[str, float], how: Mapping[str, Any], said: str) -> None:
    """Keep what was measured, and how: as data, and in words."""
    ablation.folder.mkdir(parents=True, exist_ok=True)
    models = {network.name: sha256(network.text) for network in ablation.networks}
    kept = {"schema": _SCHEMA, "seconds": dict(seconds), "models": models, "how": dict(how), "said": said}
    write_text(ablation.folder / FILE, json.dumps(kept, indent=2) + "\n", force=True)
