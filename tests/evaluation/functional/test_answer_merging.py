"""Merged answers are what a plain loop over them gives, and what NMS inside each node keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms

from mmdet_multigrain.evaluation.functional.answer_merging import merge_answers


def iou(one, other):
    x1, y1, x2, y2 = *np.maximum(one[:2], other[:2]), *np.minimum(one[2:], other[2:])
    shared = max(x2 - x1, 0) * max(y2 - y1, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def naive(boxes, scores, nodes, iou_thr):
    answers = []
    for number in sorted(range(len(boxes)), key=lambda number: -scores[number]):
        for answer in answers:
            if nodes[number] == nodes[answer[0]] and iou(boxes[number], boxes[answer[0]]) > iou_thr:
                answer.append(number)
                break
        else:
            answers.append([number])
    return answers


@pytest.mark.parametrize('iou_thr', [0.0, 0.3, 0.5, 1.0])
def test_against_a_loop_and_against_suppression(iou_thr):
    random, merged = np.random.default_rng(0), 0
    for count in (0, 1, 2, *[30] * 20):
        corners = random.uniform(0, 60, (count, 2))
        boxes = np.hstack([corners, corners + random.uniform(15, 60, (count, 2))])
        boxes, nodes = boxes.astype(np.float32), random.integers(0, 3, count)
        scores = random.permutation(count).astype(np.float32) / 50
        answers = [
            members.tolist() for members in merge_answers(boxes, scores, nodes, iou_thr=iou_thr)
        ]
        assert answers == naive(boxes, scores, nodes, iou_thr)
        assert sorted(sum(answers, [])) == [*range(count)]
        merged += count - len(answers)
        if not count:
            continue  # which batched_nms cannot do
        rows = map(torch.from_numpy, (boxes, scores, nodes))
        _, kept = batched_nms(*rows, dict(type='nms', iou_threshold=iou_thr))
        assert [members[0] for members in answers] == kept.tolist()
    assert (merged > 50) == (iou_thr < 1)


def test_of_equal_scores_the_first_detection_stays():
    boxes, scores = np.tile([0.0, 0, 9, 9], (3, 1)), np.array([0.5, 0.7, 0.7])
    (answer,) = merge_answers(boxes, scores, np.zeros(3), iou_thr=0.5)
    assert answer.tolist() == [1, 2, 0]
    apart = merge_answers(boxes, scores, np.array([1, 1, 0]), iou_thr=0.5)
    assert [members.tolist() for members in apart] == [[1, 0], [2]]
    many = np.tile(boxes[0], (60, 1)), np.arange(60) % 3 / 2, np.zeros(60)
    (answer,) = merge_answers(*many, iou_thr=0.5)
    assert answer.tolist() == [*range(2, 60, 3), *range(1, 60, 3), *range(0, 60, 3)]


def test_an_overlap_of_just_the_threshold_is_not_enough():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    for iou_thr, count in ((0.5, 2), (0.49, 1)):
        assert len(merge_answers(boxes, np.ones(2), np.zeros(2), iou_thr=iou_thr)) == count
