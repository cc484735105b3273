"""What differs between the releases of Ultralytics that the tests run on."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.find_spec("ultralytics")
assert _SPEC is not None
assert _SPEC.origin is not None
_HEAD = Path(_SPEC.origin).parent / "nn" / "modules" / "head.py"

#: For tests that hold numbers of YOLOv8: the first releases of 8.3 build it with the lighter head of YOLO11.
published_head = pytest.mark.skipif(
    "legacy" not in _HEAD.read_text(encoding="utf-8"), reason="this Ultralytics builds YOLOv8 with the head of YOLO11"
)
