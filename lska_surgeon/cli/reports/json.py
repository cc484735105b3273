"""JSON as all reports write it."""

from __future__ import annotations

from ...tables import dump

__all__ = ["SCHEMA", "dump"]

#: Version of every JSON report here; it changes when a key changes its meaning or goes.
SCHEMA = 1
