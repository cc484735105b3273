"""The verb `doctor`."""

from __future__ import annotations

from ..yolo.doctor import Diagnosis, diagnose


def doctor() -> Diagnosis:
    """Look for the known traps of this environment, each with its remedy; nothing is repaired.

    Imports torch and Ultralytics where they are installed, for nothing else tells whether they work together.
    """
    return diagnose()
