"""Ignore regions: which candidates are sampled no more, and that no box loses one."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData

RPN = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True)
RCNN = dict(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False)
PRIORS = [
    [0, 0, 10, 10],  # the first box itself
    [0, 0, 10, 18],  # overlaps it by 0.56, in the region
    [20, 20, 30, 30],  # in the region, on no box
    [50, 50, 60, 60],  # elsewhere
    [36, 0, 46, 10],  # 4 of 10 columns in the region
]
REGION = [[0, 0, 40, 40]]


def assign(kind, thresholds, boxes, regions, priors=PRIORS, **arguments):
    assigner = TASK_UTILS.build(dict(type=kind, **thresholds, **arguments))
    boxes = torch.tensor(boxes).float().reshape(-1, 4)
    ignored = InstanceData(bboxes=torch.tensor(regions or []).float().reshape(-1, 4))
    result = assigner.assign(
        InstanceData(priors=torch.tensor(priors).float().reshape(-1, 4)),
        InstanceData(bboxes=boxes, labels=torch.arange(len(boxes))),
        None if regions is None else ignored,
    )
    return result.gt_inds.tolist()


def test_negatives_in_a_region_are_not_sampled_and_positives_stay():
    box = [[0, 0, 10, 10]]
    assert assign('IgnoreRegionAssigner', RCNN, box, REGION) == [1, 1, -1, 0, 0]
    # What stock does with the same region: background, or no positive any more.
    assert assign('MaxIoUAssigner', RCNN, box, REGION, ignore_iof_thr=-1) == [1, 1, 0, 0, 0]
    assert assign('MaxIoUAssigner', RCNN, box, REGION, ignore_iof_thr=0.5) == [-1, -1, -1, 0, 0]


def test_between_the_thresholds_nothing_changes():
    # In the RPN the second candidate is neither positive nor negative.
    assert assign('IgnoreRegionAssigner', RPN, [[0, 0, 10, 10]], REGION) == [1, -1, -1, 0, 0]


def test_the_threshold_is_a_part_of_the_candidate():
    found = [assign('IgnoreRegionAssigner', RCNN, [], REGION, ignore_iof_thr=t) for t in (0.3, 0.5)]
    assert found == [[-1, -1, -1, 0, -1], [-1, -1, -1, 0, 0]]
    # The part of the region instead: 400 of 1,600 pixels at most.
    options = dict(ignore_iof_thr=0.1, ignore_wrt_candidates=False)
    assert assign('IgnoreRegionAssigner', RCNN, [], REGION, **options) == [0, -1, 0, 0, 0]


def test_the_best_candidate_of_a_box_is_left_alone():
    # A box that no candidate overlaps enough: its best one (0.11) stays negative.
    box = [[28, 28, 38, 38]]
    best = [[20, 20, 32, 32], [12, 12, 22, 22]]
    assert assign('IgnoreRegionAssigner', RCNN, box, REGION, best) == [0, -1]
    assert assign('IgnoreRegionAssigner', {**RPN, 'min_pos_iou': 0.0}, box, REGION, best) == [1, -1]


@pytest.mark.parametrize('thresholds', [RPN, RCNN])
@pytest.mark.parametrize('regions', [None, [], REGION])
def test_without_regions_or_a_threshold_it_is_the_stock_one(thresholds, regions):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200, 2, generator=generator) * 50
    priors = torch.cat([corners, corners + 5 + 20 * torch.rand(200, 2, generator=generator)], 1)
    boxes = priors[:6] + 1
    threshold = 0.5 if not regions else -1
    ours = assign(
        'IgnoreRegionAssigner',
        thresholds,
        boxes.tolist(),
        regions,
        priors.tolist(),
        ignore_iof_thr=threshold,
    )
    stock = assign('MaxIoUAssigner', thresholds, boxes.tolist(), regions, priors.tolist())
    assert ours == stock and 0 in ours and max(ours) > 0


def test_nothing_to_assign():
    assert assign('IgnoreRegionAssigner', RCNN, [[0, 0, 10, 10]], REGION, []) == []
    assert issubclass(TASK_UTILS.get('IgnoreRegionAssigner'), MaxIoUAssigner)
