"""What the last validation of a training knows beyond its table of epochs: by size, by class, at one confidence.

All of it comes from Ultralytics' own validator, which matches boxes, masks or keypoints as it does for its table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from ultralytics.utils.metrics import ap_per_class

#: COCO's sizes: the name, and its areas in pixels of the original image, from and up to.
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, math.inf)}
#: The confidence at which Ultralytics predicts unless told otherwise.
CONFIDENCE = 0.25
#: Of boxes, masks and keypoints: the validator's matches, where its metrics have them, and the letter of their names.
_KINDS = (("tp", "box", "(B)"), ("tp_m", "seg", "(M)"), ("tp_p", "pose", "(P)"))
#: What a target has of its own.
_OF_TARGETS = ("cls", "bboxes", "masks", "keypoints")
#: What comes of a validator that is made otherwise, as a fork's may be; a training that is done is not lost for it.
_OTHERWISE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def measured(validator: Any, sizes: Sizes | None) -> dict[str, float]:
    """Metric -> value, after the last validation; without what this release of Ultralytics does not tell."""
    found: dict[str, float] = {}
    with suppress(*_OTHERWISE):
        for name, value in _told(validator, sizes):
            if math.isfinite(value):
                found[name] = value
    return found


def _told(validator: Any, sizes: Sizes | None) -> Iterator[tuple[str, float]]:
    names, metrics = dict(getattr(validator, "names", None) or {}), validator.metrics
    for matches, kind, letter in _KINDS:
        metric = getattr(metrics, kind, None)
        if metric is None or not len(getattr(metric, "all_ap", ())):
            continue
        if sizes and sizes.known:
            yield from ((f"AP-{size}{letter}", sizes.ap(size, matches)) for size in SIZES)
        if len(getattr(metric, "r_curve", ())):
            curves = (metric.p_curve, metric.r_curve)
            right, recalled = (np.array([np.interp(CONFIDENCE, metric.px, one) for one in some]) for some in curves)
            yield (
                f"precision@{CONFIDENCE:g}{letter}",
                float((right * (recalled > 0)).mean()),
            )
            yield f"recall@{CONFIDENCE:g}{letter}", float(recalled.mean())
        for index, ap in zip(metric.ap_class_index, metric.ap):
            yield f"AP:{names.get(int(index), index)}{letter}", float(ap)
    if hasattr(metrics, "top1"):
        matrix = np.asarray(validator.confusion_matrix.matrix, dtype=float)  # predicted x true
        for index, total in enumerate(matrix.sum(0)):
            yield f"top1:{names.get(index, index)}", float(matrix[index, index] / total) if total else math.nan


class Sizes:
    """What was found of targets of each size, image after image, in the last validation.

    As COCO has it: targets of other sizes count neither as missed nor, where they were found, as found wrongly; nor
    does a box of another size that is nothing.
    """

    def __init__(self) -> None:
        self.known = True
        self._found: dict[str, list[_Found]] = {size: [] for size in SIZES}

    @classmethod
    def watching(cls, validator: Any) -> Sizes | None:
        """Watch a validator from now on; None in a release whose boxes are in no pixels that are known."""
        if not hasattr(validator, "scale_preds"):
            return None
        sizes, matched = cls(), validator._process_batch

        def process_batch(preds: Any, batch: Any) -> Any:
            found = matched(preds, batch)
            if sizes.known and not validator.training:  # not after each epoch
                try:
                    for size, limits in SIZES.items():
                        sizes._found[size].append(_Found(matched, found, preds, batch, limits))
                except _OTHERWISE:
                    sizes.known = False
            return found

        validator._process_batch = process_batch
        return sizes

    def ap(self, size: str, matches: str) -> float:
        """AP at IoU 0.50 to 0.95 over the targets of one size; NaN where there are none."""
        images = self._found[size]
        targets = np.concatenate([one.targets for one in images]) if images else np.zeros(0)
        if not len(targets):
            return math.nan
        conf, classes = (np.concatenate([getattr(one, name) for one in images]) for name in ("conf", "classes"))
        right = np.concatenate([one.right[matches] for one in images])
        ignored = np.concatenate([one.ignored[matches] for one in images])
        aps = []
        for at in range(right.shape[1]):
            counts = ~ignored[:, at]
            of_one = right[counts, at : at + 1]
            aps.append(ap_per_class(of_one, conf[counts], classes[counts], targets, names={})[5].mean())
        return float(np.mean(aps))


class _Found:
    """One image: its targets of one size, which detections are right at each IoU, and which of the others count."""

    def __init__(self, matched: Any, found: Any, preds: Any, batch: Any, limits: tuple[float, float]) -> None:
        inside, own = (_within(boxes, batch, limits) for boxes in (batch["bboxes"], preds["bboxes"]))
        self.targets = batch["cls"].cpu().numpy()[inside]
        self.conf, self.classes = (preds[name].cpu().numpy() for name in ("conf", "cls"))
        nothing = {name: np.zeros_like(one) for name, one in found.items()}

        def among(some: np.ndarray) -> Mapping[str, np.ndarray]:
            if some.all() or not some.any():
                return found if some.any() else nothing
            part = {name: value[some] if name in _OF_TARGETS else value for name, value in batch.items()}
            return matched(preds, part)  # type: ignore[no-any-return]

        self.right, others = among(inside), among(~inside)
        self.ignored = {name: ~one & (others[name] | ~own[:, None]) for name, one in self.right.items()}


def _within(boxes: Any, batch: Mapping[str, Any], limits: tuple[float, float]) -> np.ndarray:
    """Which boxes are of a size: corners, or centre, width, height and angle, in pixels of the validated image."""
    boxes = boxes.cpu().float().numpy()
    sides = boxes[:, 2:4] if boxes.shape[1] == 5 else boxes[:, 2:4] - boxes[:, :2]
    high, wide = batch["ratio_pad"][0]
    area = sides.prod(1) / (float(high) * float(wide))
    return (limits[0] <= area) & (area < limits[1])  # type: ignore[no-any-return]
