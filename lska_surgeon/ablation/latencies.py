"""Latencies that were measured for an ablation, kept beside its cells; it measures nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import AblationError
from ..files import write_text
from .cells import Ablation

FILE = "latency.json"


@dataclass(frozen=True)
class KeptLatencies:
    """What was measured last: network -> median seconds for one picture, and how; empty where nothing was."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)


def known_latencies(ablation: Ablation) -> KeptLatencies:
    """The latencies of an ablation.

    Raises:
        AblationError: the file is damaged.
    """
    path = ablation.folder / FILE
    if not path.exists():
        return KeptLatencies()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return KeptLatencies({str(name): float(one) for name, one in kept["seconds"].items()}, dict(kept["how"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AblationError(f"can't read {path}: {error}; delete it and measure again") from error


def keep_latencies(ablation: Ablation, seconds: Mapping[str, float], how: Mapping[str, Any]) -> None:
    """Keep what was measured, and how."""
    ablation.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"seconds": dict(seconds), "how": dict(how)}, indent=2)
    write_text(ablation.folder / FILE, text + "\n", force=True)
