"""The outputs of one network against another's on the same image: how far they differ; it runs no network.

Predictions before non-maximum suppression stand in a fixed order, so that each has its counterpart; suppression may
hide a difference, or leave one of two boxes that are all but the same. So differences are taken before it, over the
predictions that are confident in either; and what is left after it is matched, one against the other, for F1. Networks
that pick their predictions themselves (end to end, RT-DETR) give them in any order: those are matched alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy import ndarray

#: Of two boxes of one class that overlap by more, suppression leaves one; as Ultralytics predicts.
_SUPPRESSED = 0.7
_MOST = 300  # predictions of an image that stay
#: How far boxes have to overlap to be one: F1 is told at both.
LOOSE, TIGHT = 0.5, 0.9
#: Tasks whose output is a list of predictions.
FINDING = ("detect", "segment", "pose", "obb")
#: Kind of difference -> how a table heads it.
KINDS = {
    "boxes": "boxes, px",
    "angles": "angles, °",
    "keypoints": "keypoints, px",
    "masks": "masks",
    "scores": "scores",
    "probabilities": "probabilities",
    "values": "values",
}


@dataclass(frozen=True)
class Head:
    """What an output layer gives.

    Attributes:
        task: as Ultralytics names it.
        classes: how many.
        size: height and width of the images, pixels.
        keypoints: how many, and of how many numbers each.
        form: "columns", one for each place of the maps; or what the network has picked: "rows" of corners, score and
            class, or "queries" of a transformer, in parts of the image.
    """

    task: str
    classes: int
    size: tuple[int, int]
    keypoints: tuple[int, int] = (0, 2)
    form: Literal["columns", "rows", "queries"] = "columns"


@dataclass(frozen=True)
class Predictions:
    """What a network says of an image, one row each.

    Attributes:
        boxes: centre, width and height in pixels, and the angle where boxes are turned.
        scores: of each class.
        points: keypoints in pixels, (n, K, 2).
        coefficients: of masks.
        prototypes: of masks, (m, h, w).
    """

    boxes: ndarray
    scores: ndarray
    points: ndarray | None = None
    coefficients: ndarray | None = None
    prototypes: ndarray | None = None

    @property
    def best(self) -> ndarray:
        """The largest score of each."""
        best: ndarray = self.scores.max(1, initial=0.0)
        return best

    def take(self, rows: ndarray) -> Predictions:
        """Some of them."""
        points, coefficients = (None if part is None else part[rows] for part in (self.points, self.coefficients))
        return Predictions(self.boxes[rows], self.scores[rows], points, coefficients, self.prototypes)


class Deviation(NamedTuple):
    """How far two networks differ on one image.

    Attributes:
        values: kind of `KINDS` -> the largest difference.
        found: predictions that stay, of the first and of the second.
        same: how many of them are one at `LOOSE`, and at `TIGHT`.
    """

    values: dict[str, float]
    found: tuple[int, int] = (0, 0)
    same: tuple[int, int] = (0, 0)


def compare(head: Head, first: Sequence[ndarray], second: Sequence[ndarray], confident: float) -> Deviation | None:
    """Compare two networks' outputs for one image.

    Args:
        head: what the outputs are.
        first: the outputs that count as right.
        second: those that are compared with them.
        confident: the least score of a prediction that counts.

    Returns:
        How far they differ; None where the second are no numbers, or of another shape.
    """
    if [part.shape for part in first] != [part.shape for part in second[: len(first)]]:
        return None
    if not all(np.isfinite(part).all() for part in second):
        return None
    if head.task == "classify":
        same = int(first[0].argmax() == second[0].argmax())
        return Deviation({"probabilities": _largest(first[0], second[0])}, (1, 1), (same, same))
    if head.task not in FINDING:
        return Deviation({"values": max(map(_relative, first, second))})
    ours, theirs = predictions(head, first), predictions(head, second)
    left, right = (found.take(_staying(head, found, confident)) for found in (ours, theirs))
    pairs = matched(left, right, LOOSE)
    if head.form == "columns":
        rows = np.flatnonzero(np.maximum(ours.best, theirs.best) >= confident)
        values = _differences(ours.take(rows), theirs.take(rows)) if len(rows) else {}
        values["scores"] = _largest(ours.scores, theirs.scores)
    else:
        values = _differences(left.take(pairs[:, 0]), right.take(pairs[:, 1])) if len(pairs) else {}
    if head.task == "segment" and len(pairs):
        values["masks"] = max(_mask_difference(left, right, one, other, head.size) for one, other in pairs)
    return Deviation(values, (len(left.boxes), len(right.boxes)), (len(pairs), len(matched(left, right, TIGHT))))


def predictions(head: Head, outputs: Sequence[ndarray]) -> Predictions:
    """Read the outputs of a network that finds things in one image."""
    output = outputs[0][0].astype(np.float64)
    rows = output.T if head.form == "columns" else output
    prototypes = outputs[1][0].astype(np.float64) if head.task == "segment" else None
    if head.form == "rows":
        boxes, rest = rows[:, :4], rows[:, 6:]
        scores = np.zeros((len(rows), head.classes))
        scores[np.arange(len(rows)), rows[:, 5].astype(int).clip(0, head.classes - 1)] = rows[:, 4]
        if head.task != "obb":
            boxes = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    else:
        boxes, scores, rest = np.split(rows, [4, 4 + head.classes], 1)
        if head.form == "queries":
            boxes = boxes * np.array(head.size[::-1] * 2)
    if head.task == "obb":
        boxes = np.concatenate([boxes, rest[:, :1]], 1)
    points = rest.reshape(len(rest), *head.keypoints)[:, :, :2] if head.task == "pose" else None
    return Predictions(boxes, scores, points, rest if head.task == "segment" else None, prototypes)


def _staying(head: Head, found: Predictions, confident: float) -> ndarray:
    """The confident rows, best first; of places of maps those that non-maximum suppression leaves."""
    best = found.best
    rows = np.flatnonzero(best >= confident)
    rows = rows[np.argsort(-best[rows], kind="stable")]
    if head.form != "columns":
        return rows[:_MOST]
    classes = found.scores.argmax(1)
    kept: list[int] = []
    while len(rows) and len(kept) < _MOST:
        first, rows = rows[0], rows[1:]
        kept.append(int(first))
        overlap = overlaps(found.boxes[[first]], found.boxes[rows])[0]
        rows = rows[(overlap <= _SUPPRESSED) | (classes[rows] != classes[first])]
    return np.array(kept, dtype=int)


def matched(first: Predictions, second: Predictions, least: float) -> ndarray:
    """Pairs of rows of one class that overlap by `least` or more, each row at most once, the closest first."""
    overlap = overlaps(first.boxes, second.boxes)
    overlap[first.scores.argmax(1)[:, None] != second.scores.argmax(1)[None]] = 0
    pairs: list[tuple[int, int]] = []
    while overlap.size and overlap.max() >= least:
        one, other = np.unravel_index(int(overlap.argmax()), overlap.shape)
        pairs.append((int(one), int(other)))
        overlap[one], overlap[:, other] = 0, 0
    return np.array(pairs, dtype=int).reshape(-1, 2)


def overlaps(first: ndarray, second: ndarray) -> ndarray:
    """How far each of some boxes overlaps each of others: intersection over union; of turned boxes ProbIoU.

    Source of ProbIoU: Murrugarra-Llerena et al., "Probabilistic Intersection-over-Union for Training and Evaluation of
    Oriented Object Detectors", arXiv 2106.06072; Ultralytics measures turned boxes with it.
    """
    overlap: ndarray
    if first.shape[1] == 5:
        from ultralytics.utils.metrics import batch_probiou  # here, for releases without turned boxes have none

        overlap = batch_probiou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
        return overlap
    one, other = first[:, None], second[None]
    low = np.maximum(one[..., :2] - one[..., 2:] / 2, other[..., :2] - other[..., 2:] / 2)
    high = np.minimum(one[..., :2] + one[..., 2:] / 2, other[..., :2] + other[..., 2:] / 2)
    shared = (high - low).clip(0).prod(-1)
    union = one[..., 2:].prod(-1) + other[..., 2:].prod(-1) - shared
    overlap = shared / np.maximum(union, 1e-9)
    return overlap


def _differences(ours: Predictions, theirs: Predictions) -> dict[str, float]:
    """The largest differences of predictions that are each other's counterparts."""
    values = {"boxes": _largest(ours.boxes[:, :4], theirs.boxes[:, :4]), "scores": _largest(ours.scores, theirs.scores)}
    if ours.boxes.shape[1] == 5:
        turned = np.abs(ours.boxes[:, 4] - theirs.boxes[:, 4]) % math.pi
        values["angles"] = math.degrees(np.minimum(turned, math.pi - turned).max(initial=0.0))
    if ours.points is not None and theirs.points is not None:
        values["keypoints"] = _largest(ours.points, theirs.points)
    return values


def _mask_difference(first: Predictions, second: Predictions, one: int, other: int, size: tuple[int, int]) -> float:
    """The share of the pixels of either mask that are not in both."""
    masks = _mask(first, one, size), _mask(second, other, size)
    union = int((masks[0] | masks[1]).sum())
    return 1 - int((masks[0] & masks[1]).sum()) / union if union else 0.0


def _mask(found: Predictions, row: int, size: tuple[int, int]) -> Any:
    """A mask at the prototypes' size, inside of its box."""
    assert found.coefficients is not None
    assert found.prototypes is not None
    mask = np.tensordot(found.coefficients[row], found.prototypes, 1) > 0
    height, width = mask.shape
    x, y, w, h = found.boxes[row, :4] * np.array([width / size[1], height / size[0]] * 2)
    inside = np.zeros_like(mask)
    top, left = max(round(y - h / 2), 0), max(round(x - w / 2), 0)
    inside[top : max(round(y + h / 2), 0), left : max(round(x + w / 2), 0)] = True
    return mask & inside


def _largest(one: ndarray, other: ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other).max(initial=0.0))


def _relative(one: ndarray, other: ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    return _largest(one, other) / max(float(np.abs(one.astype(np.float64)).max(initial=0.0)), 1e-12)
