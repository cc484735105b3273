"""What every verb raises for an error of the user: one line that says what was found and what to do."""

from __future__ import annotations

from ..errors import SurgeonError

__all__ = ["SurgeonError"]
