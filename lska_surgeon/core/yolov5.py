"""Files of the YOLOv5 repository: networks whose output layer takes anchors, which the ultralytics package has not."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .blocks import STOCK


def yolov5_problem(block: str, args: Collection[Any]) -> str | None:
    """What an output layer says of its file, where it is one of the YOLOv5 repository; None where it is not."""
    if not STOCK[block].is_output or "anchors" not in args:
        return None
    return (
        f"this is a file of the YOLOv5 repository, whose {block} takes anchors: the ultralytics package has "
        "no anchors and can't build it"
    )
