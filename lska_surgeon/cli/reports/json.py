"""JSON as all reports write it."""

from __future__ import annotations

import json
from typing import Any

#: Version of every JSON report here; it changes when a key changes its meaning or goes.
SCHEMA = 1


def dump(data: dict[str, Any]) -> str:
    """JSON as all reports write it."""
    return json.dumps(data, indent=2, ensure_ascii=False)
