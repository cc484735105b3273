"""What two networks' outputs differ by: places of maps, rows that a network picked, turned boxes, masks, keypoints."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lska_surgeon.cost import latency
from lska_surgeon.exporting.compare import Deviation, Head, compare, predictions

SIZE = (64, 64)
DETECT = Head("detect", 2, SIZE)


def columns(*rows: tuple[float, ...]) -> list[np.ndarray]:
    """The output of a network that says these rows, among places where it finds nothing."""
    width = len(rows[0])
    empty = [[32.0, 32.0, 8.0, 8.0, *[0.0] * (width - 4)]] * 3
    return [np.array([*rows, *empty], np.float32).T[None]]


def compared(first: list[np.ndarray], second: list[np.ndarray], head: Head = DETECT) -> Deviation:
    difference = compare(head, first, second, 0.25)
    assert difference is not None
    return difference


def test_the_same_outputs_do_not_differ() -> None:
    found = columns((20, 20, 10, 10, 0.9, 0.1), (50, 50, 10, 10, 0.1, 0.8))
    difference = compared(found, found)
    assert difference.values == {"boxes": 0.0, "scores": 0.0}
    assert (difference.found, difference.same) == ((2, 2), (2, 2))


def test_a_box_that_moved_is_one_at_half_and_another_at_nine_tenths() -> None:
    first = columns((20, 20, 10, 10, 0.9, 0.1))
    difference = compared(first, columns((22, 20, 10, 10, 0.9, 0.1)))
    assert difference.values["boxes"] == 2
    assert difference.same == (1, 0)


def test_a_box_of_another_class_or_that_is_gone_is_none() -> None:
    first = columns((20, 20, 10, 10, 0.9, 0.1))
    for other in ((20, 20, 10, 10, 0.1, 0.9), (20, 20, 10, 10, 0.1, 0.1)):
        difference = compared(first, columns(other))
        assert difference.same == (0, 0)
        assert difference.values["scores"] == pytest.approx(0.8)


def test_what_suppression_would_hide_is_seen() -> None:
    """The weaker of two boxes that are all but the same goes, and with it all that is wrong with it."""
    first = columns((20, 20, 10, 10, 0.9, 0.1), (20, 20, 10, 10, 0.5, 0.1))
    difference = compared(first, columns((20, 20, 10, 10, 0.9, 0.1), (20, 20, 9, 10, 0.5, 0.1)))
    assert difference.same == (1, 1)
    assert difference.values["boxes"] == 1


def test_where_nothing_is_confident_scores_alone_are_told() -> None:
    difference = compared(columns((20, 20, 10, 10, 0.1, 0)), columns((30, 20, 10, 10, 0.2, 0)))
    assert difference.values == {"scores": pytest.approx(0.1)}


@pytest.mark.parametrize("other", [np.zeros((1, 6, 9)), np.full((1, 6, 4), math.nan)], ids=["shape", "no numbers"])
def test_another_shape_and_no_numbers_can_not_be_compared(other: np.ndarray) -> None:
    assert compare(DETECT, columns((20, 20, 10, 10, 0.9, 0.1)), [other], 0.25) is None


def test_rows_that_a_network_picked_may_come_in_any_order() -> None:
    head = Head("detect", 2, SIZE, form="rows")
    rows = np.array([[10, 10, 20, 20, 0.9, 0], [40, 40, 60, 60, 0.8, 1], [0, 0, 1, 1, 0.0, 0]], np.float32)
    difference = compared([rows[None]], [rows[None, [1, 0, 2]]], head)
    assert difference.values == {"boxes": 0.0, "scores": 0.0}
    assert difference.same == (2, 2)


def test_a_transformers_boxes_are_parts_of_the_image() -> None:
    head = Head("detect", 2, (32, 64), form="queries")
    found = predictions(head, [np.array([[[0.5, 0.5, 0.25, 0.5, 0.9, 0.1]]])])
    assert found.boxes.tolist() == [[32, 16, 16, 16]]


def test_half_a_turn_of_a_box_is_none() -> None:
    head = Head("obb", 1, SIZE)
    difference = compared(columns((20, 20, 10, 4, 0.9, 0.1)), columns((20, 20, 10, 4, 0.9, 0.1 + math.pi)), head)
    assert difference.values["angles"] == pytest.approx(0, abs=1e-4)
    assert difference.same == (1, 1)


def test_keypoints_and_masks() -> None:
    head = Head("pose", 1, SIZE, (2, 3))
    first = columns((20, 20, 10, 10, 0.9, 5, 5, 1, 6, 6, 1))
    difference = compared(first, columns((20, 20, 10, 10, 0.9, 5, 8, 1, 6, 6, 0)), head)
    assert difference.values["keypoints"] == 3
    prototype = np.ones((1, 1, 16, 16), np.float32)
    half = prototype.copy()
    half[..., :8] = -1
    box = columns((32, 32, 64, 64, 0.9, 1.0))
    difference = compared([*box, prototype], [*box, half], Head("segment", 1, SIZE))
    assert difference.values["masks"] == 0.5


def test_a_classifier_and_maps_of_another_task() -> None:
    one, other = np.array([[0.7, 0.3]]), np.array([[0.4, 0.6]])
    difference = compared([one], [other], Head("classify", 2, SIZE))
    assert difference.values == {"probabilities": pytest.approx(0.3)}
    assert (difference.found, difference.same) == ((1, 1), (0, 0))
    difference = compared([10 * one], [10 * one + 0.7], Head("depth", 0, SIZE))
    assert difference.values == {"values": pytest.approx(0.1)}


def test_suppression_leaves_what_ultralytics_leaves() -> None:
    rng = np.random.default_rng(1)
    boxes = np.concatenate([rng.uniform(10, 50, (200, 2)), rng.uniform(10, 30, (200, 2))], 1)
    output = np.concatenate([boxes, rng.uniform(0, 1, (200, 2)) ** 2], 1).T[None].astype(np.float32)
    kept = latency._function()(torch.tensor(output), conf_thres=0.25, iou_thres=0.7, max_time_img=10)[0]
    difference = compared([output], [output])
    assert difference.found[0] == len(kept) > 20
