"""Latencies that were measured for an ablation, kept beside its cells; it measures nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import msgspec

from ..cost.cache import sha256
from ..errors import DamagedError
from ..files import read_json, write_text
from .cells import Ablation

FILE = "latency.json"
_SCHEMA: Literal[2] = 2
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class _Kept(TypedDict):
    """What the file holds: with the times of networks the hashes of their files then."""

    schema: Literal[2]
    seconds: dict[str, _Seconds]
    models: dict[str, str]
    how: dict[str, Any]
    said: str


@dataclass(frozen=True)
class KnownLatencies:
    """What is known of the latency of an ablation's networks.

    Attributes:
        seconds: network -> median seconds for one image; without those that changed since they were measured.
        notes: how it was measured, and what was not.
        damaged: what is wrong with the file that keeps it, which then counts for nothing; or "".
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    damaged: str = ""


def known_latencies(ablation: Ablation) -> KnownLatencies:
    """What was measured last; a recipe with `latency: true` is also told that nothing was."""
    path = ablation.folder / FILE
    measure = f"lska-surgeon latency --recipe {ablation.words}"
    try:
        kept = read_json(path, _Kept)
    except FileNotFoundError:
        asked = ablation.experiment.latency
        return KnownLatencies(notes=(f"latency is not measured yet: {measure}",) if asked else ())
    except DamagedError as error:
        return KnownLatencies(notes=(f"{error}; delete it and measure again: {measure}",), damaged=str(error))
    found = {
        network.name: kept["seconds"][network.name]
        for network in ablation.networks
        if kept["models"].get(network.name) == sha256(network.text) and network.name in kept["seconds"]
    }
    notes = [f"ms: median for one image, {kept['said']}"]
    missing = [network.name for network in ablation.networks if network.name not in found]
    if missing:
        notes.append(f"latency is not measured of {', '.join(missing)}, as they are now: {measure}")
    return KnownLatencies(found, tuple(notes))


def keep_latencies(ablation: Ablation, seconds: Mapping[str, float], how: Mapping[str, Any], said: str) -> None:
    """Keep what was measured, and how: as data, and in words."""
    ablation.folder.mkdir(parents=True, exist_ok=True)
    models = {network.name: sha256(network.text) for network in ablation.networks}
    kept = _Kept(schema=_SCHEMA, seconds=dict(seconds), models=models, how=dict(how), said=said)
    write_text(ablation.folder / FILE, json.dumps(kept, indent=2) + "\n", force=True)
