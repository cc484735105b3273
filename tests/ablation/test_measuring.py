"""What a training's last validation tells by size, by class and at a confidence, from Ultralytics' own validators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ultralytics.models import yolo
from ultralytics.utils.metrics import ConfusionMatrix

from lska_surgeon.ablation.measuring import Sizes, measured

SMALL, MEDIUM, FAR = [0, 0, 10, 10], [100, 100, 120, 120], [300, 300, 310, 310]

detecting = yolo.detect.DetectionValidator
pytestmark = pytest.mark.skipif(not hasattr(detecting, "scale_preds"), reason="boxes are in other pixels here")


def validated(images: list[tuple[list[Any], list[Any]]]) -> tuple[Any, Sizes]:
    """A validator that has seen images at half their size, each with its targets and what was found, by confidence."""
    validator = detecting(args={"task": "detect"})
    validator.names = validator.metrics.names = {0: "cat", 1: "dog"}
    validator.training = False
    sizes = Sizes.watching(validator)
    assert sizes is not None
    for targets, found in images:
        classes, wanted = torch.zeros(len(targets)), torch.tensor(targets).float().reshape(-1, 4)
        conf = torch.linspace(0.9, 0.2, max(2, len(found)))[: len(found)]
        boxes = torch.tensor(found).float().reshape(-1, 4)
        batch = {"cls": classes, "bboxes": wanted, "ratio_pad": ((0.5, 0.5), (0, 0))}
        preds = {"bboxes": boxes, "cls": torch.zeros(len(found)), "conf": conf}
        validator.metrics.update_stats(
            {
                **validator._process_batch(preds, batch),
                "target_cls": classes.numpy(),
                "target_img": np.unique(classes.numpy()),
                "conf": conf.numpy(),
                "pred_cls": np.zeros(len(found)),
                "im_name": "a.jpg",
            }
        )
    validator.metrics.process()
    return validator, sizes


def test_sizes_are_those_of_the_original_image_and_others_do_not_count() -> None:
    """A box of 20 pixels in an image of half its size is one of 40: medium."""
    found = measured(*validated([([SMALL, MEDIUM], [MEDIUM, SMALL])]))
    assert found["AP-small(B)"] == found["AP-medium(B)"] == found["AP:cat(B)"] == pytest.approx(0.995)
    assert "AP-large(B)" not in found  # there are none
    found = measured(*validated([([SMALL, MEDIUM], [SMALL])]))
    assert found["AP-small(B)"] == pytest.approx(0.995)
    assert found["AP-medium(B)"] == 0
    assert found["AP:cat(B)"] == pytest.approx(0.5, abs=0.01)
    found = measured(*validated([([SMALL, MEDIUM], [FAR, SMALL, MEDIUM])]))  # nothing small is there
    assert found["AP-medium(B)"] == pytest.approx(0.995)
    assert found["AP-small(B)"] < 0.6


def test_precision_and_recall_are_told_at_one_confidence() -> None:
    """The second of two boxes lies below it."""
    found = measured(*validated([([SMALL, MEDIUM], [SMALL, MEDIUM])]))
    assert (found["precision@0.25(B)"], found["recall@0.25(B)"]) == pytest.approx((1, 0.96), abs=0.05)
    found = measured(*validated([([SMALL, MEDIUM], [MEDIUM, FAR, FAR])]))
    assert found["precision@0.25(B)"] == pytest.approx(1 / 3, abs=0.1)
    nothing = measured(*validated([([SMALL], [FAR])]))
    assert nothing["precision@0.25(B)"] == nothing["recall@0.25(B)"] == 0


def test_a_classifier_is_told_by_class() -> None:
    validator = yolo.classify.ClassificationValidator(args={"task": "classify"})
    validator.names = {0: "cat", 1: "dog", 2: "cow"}
    validator.confusion_matrix = ConfusionMatrix(validator.names, task="classify")
    validator.confusion_matrix.process_cls_preds([torch.tensor([[0], [1], [0]])], [torch.tensor([0, 1, 1])])
    assert measured(validator, None) == {"top1:cat": 1, "top1:dog": 0.5}
