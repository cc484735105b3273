"""Non-maximum suppression as Ultralytics' predictors call it for a network: with its classes, upright or rotated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..errors import SurgeonError

_TIME = 10.0  # seconds for each picture, after which Ultralytics would give up


def check_suppression(name: str, model: nn.Module) -> None:
    """Refuse a network whose output is no boxes of which some are to be suppressed.

    Raises:
        SurgeonError: a classifier, an RT-DETR, a module without an output layer of Ultralytics.
    """
    from ultralytics.nn.modules.head import Detect

    head = _head(model)
    if not isinstance(head, Detect):
        what = f"ends in {type(head).__name__}"
        raise SurgeonError(f"{name} {what}, which has no non-maximum suppression: drop nms, or leave this model out")


def suppression(model: nn.Module) -> Callable[[Any], Any]:
    """What takes a network's output and leaves the boxes that stay.

    What stands behind the scores of the classes (masks' coefficients, keypoints, angles) is no score.
    """
    from ultralytics.nn.modules.head import OBB

    non_max_suppression = _function()
    head: Any = _head(model)
    options = {"nc": head.nc, "rotated": isinstance(head, OBB), "max_time_img": _TIME}
    no_duplicates = bool(getattr(head, "end2end", False))

    def suppress(found: Any) -> Any:
        while isinstance(found, (list, tuple)):  # beside the boxes: prototypes of masks, and what the loss takes
            found = found[0]
        boxes = torch.as_tensor(found)
        # releases that know no such option tell these outputs by their six columns
        more = {"end2end": True} if no_duplicates and boxes.shape[-1] != 6 else {}
        return non_max_suppression(boxes, **options, **more)

    return suppress


def _function() -> Callable[..., Any]:
    from ultralytics.utils import ops

    try:
        from ultralytics.utils.nms import non_max_suppression
    except ImportError:  # where it is in releases before 8.3.200
        non_max_suppression = ops.non_max_suppression
    found: Callable[..., Any] = non_max_suppression
    return found


def _head(model: nn.Module) -> nn.Module:
    layers = getattr(model, "model", None)
    return layers[-1] if isinstance(layers, nn.Sequential) and len(layers) else model
