"""Latencies as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...cost.times import Latencies
from ...reports import dump


def render(found: Sequence[Latencies], form: str) -> str:
    """One table for each batch size."""
    if form == "json":
        return dump({"schema": 1, "measurements": [one.to_dict() for one in found]})
    return "\n\n".join(one.markdown() if form == "md" else str(one) for one in found)


def with_latency(report: str, found: Latencies, form: str) -> str:
    """A report of costs with what was measured: below it, or in its JSON under `latency`."""
    if form == "json":
        return dump({**json.loads(report), "latency": found.to_dict()})
    return f"{report}\n\n{found.markdown() if form == 'md' else found}"
