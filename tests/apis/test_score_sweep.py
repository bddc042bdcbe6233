"""Choosing among fusions: names, grids, cross-fitting by hand, thresholds against a naive search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet.models.layers import multiclass_nms

from mmdet_multigrain.apis.roi_outputs import RoIOutputs, head_configs
from mmdet_multigrain.apis.score_sweep import (
    Cap,
    ScoreSweep,
    cross_fit,
    describe_fusion,
    f1_thresholds,
    make_fusions,
)
from mmdet_multigrain.evaluation import Detections, GroundTruth, evaluate_levels
from mmdet_multigrain.models import HierarchicalCrossEntropyLoss
from mmdet_multigrain.utils.errors import ConfigError, EvaluationError

IMAGES = 12
RCNN = dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5))
NORCAL = dict(type='NorCal', gamma=0.5, center='total', fusion=dict(type='ProductFusion', gamma=1))


def boxes_around(random, count):
    corners = random.uniform(0, 80, (count, 2))
    return np.concatenate([corners, corners + random.uniform(10, 40, (count, 2))], axis=1)


@pytest.fixture
def sweep(garments):
    """RoIs around boxes of five classes, one image without RoIs and one without boxes."""
    random = np.random.default_rng(0)
    loss = HierarchicalCrossEntropyLoss(garments)
    counts = np.full(IMAGES, 20, np.int32)
    counts[3] = 0
    logits = random.normal(size=(IMAGES, 20, 12)).astype(np.float32) * 2
    boxes = np.zeros((IMAGES, 20, 5, 4), np.float32)
    annotations = []
    for image in range(IMAGES):
        objects = boxes_around(random, 5)
        for label, (x1, y1, x2, y2) in enumerate(objects if image != 7 else ()):
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                dict(
                    image_id=IMAGES - 1 - image,
                    category_id=label,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                )
            )
        near = objects[np.arange(20) % 5][:, None] + random.normal(size=(20, 5, 4)) * 3
        boxes[image] = near
        logits[image, np.arange(20), np.arange(20) % 5] += 1
    truth = GroundTruth.from_annotations(
        range(IMAGES), annotations, range(5), sets=garments.labels.sets
    )
    outputs = RoIOutputs(
        tuple(reversed(range(IMAGES))), counts, logits, boxes.reshape(IMAGES, 20, 20), garments
    )
    return ScoreSweep(
        outputs,
        loss,
        RCNN,
        truth,
        caps=[Cap(10, 100), Cap(0, 3)],
        class_counts=[9, 1, 4, 2, 0],
    )


@pytest.mark.parametrize('fusion', [None, dict(type='ConditionalFusion', gamma=0.7), NORCAL])
def test_detections_are_those_of_suppression(sweep, garments, fusion):
    found = sweep.detect(fusion)
    head = HierarchicalCrossEntropyLoss(garments, fusion=fusion)
    if fusion is NORCAL:
        head.fusion.class_counts.copy_(torch.tensor([9, 1, 4, 2, 0]))
    assert [one[0] for one in found] == [*sweep.outputs.image_ids]
    for number, (_, labels, boxes, scores) in enumerate(found):
        logits, priors = sweep.outputs.image(number)
        if not len(logits):
            assert boxes.shape == (0, 4) and labels.shape == scores.shape == (0,)
            continue
        expected, expected_labels = multiclass_nms(
            priors, head.get_activation(logits), 0.05, RCNN['nms'], -1
        )
        assert np.array_equal(np.column_stack([boxes, scores]), expected)
        assert np.array_equal(labels, expected_labels)
        assert len(labels) > 10


def test_numbers_are_those_of_an_evaluation(sweep, garments):
    found = sweep.detect(None)
    numbers = sweep.numbers(found)
    assert list(numbers) == ['10/100', 'all/3']
    groups = [garments.group_index(0), range(5)]
    for (key, values), per_image, per_class in zip(
        numbers.items(), (10, None), (100, 3), strict=True
    ):
        cut = [(one[0], *(column[:per_image] for column in one[1:])) for one in found]
        detections = Detections.from_images(sweep.truth.image_ids, cut)
        coarse, fine = evaluate_levels(sweep.truth, detections, groups, max_dets=per_class)
        assert values['AP'] == fine.mean_ap() and values['AP50'] == fine.mean_ap(iou=0.5), key
        assert values['superclass_AP'] == coarse.mean_ap()
    assert numbers['10/100']['AP'] != numbers['all/3']['AP']
    assert sweep.ap_of(found, np.ones(IMAGES, bool)) == numbers['10/100']['AP'] > 0.05


def test_classes_of_a_set(sweep, garments):
    names = garments.classes[:2]
    found = replace(sweep, class_sets={'two': names}).numbers(sweep.detect(None))['10/100']
    detections = sweep.detections(sweep.detect(None))
    (fine,) = evaluate_levels(sweep.truth, detections, [range(5)])
    assert found['set_two_AP'] == pytest.approx(fine.class_ap()[:2].mean())
    assert found['set_two_AP50'] == pytest.approx(fine.class_ap(iou=0.5)[:2].mean())


def test_a_half_is_an_evaluation_of_its_images(sweep):
    found, halves = sweep.detect(None), sweep.halves()
    assert (halves[0] ^ halves[1]).all() and halves[0].sum() == 6
    assert not np.array_equal(halves[0], sweep.halves(1)[0])
    truth, half = sweep.truth, halves[0]
    ids = [image for image, chosen in zip(truth.image_ids, half, strict=True) if chosen]
    rows = half[truth.images]
    alone = GroundTruth(
        tuple(ids),
        np.searchsorted(ids, truth.images[rows]),
        *(getattr(truth, name)[rows] for name in ('labels', 'boxes', 'areas', 'crowd')),
        sets=truth.sets,
    )
    cut = [(one[0], *(column[:10] for column in one[1:])) for one in found if one[0] in ids]
    (expected,) = evaluate_levels(alone, Detections.from_images(ids, cut), [range(5)])
    assert sweep.ap_of(found, half) == expected.mean_ap()


def test_a_gain_is_that_of_each_choice_on_the_other_half(sweep):
    found, halves = {0: sweep.detect(None), 1: sweep.detect(NORCAL)}, sweep.halves()
    choices = [(0, 0), (1, 1), (1, 0)]
    same, both, one = sweep.gains(found, choices, halves, resamples=50, seed=0)
    assert same[1].value == same[1].low == same[1].high == 0
    aps = [[sweep.ap_of(found[number], half) for half in halves] for number in (0, 1)]
    assert both[0] == pytest.approx(np.mean(aps[1]))
    assert both[1].value == pytest.approx(np.mean(aps[1]) - np.mean(aps[0]))
    # Chosen on the first half, so scored on the second.
    assert one[0] == pytest.approx((aps[1][1] + aps[0][0]) / 2) != both[0]
    assert one[1].value == pytest.approx((aps[1][1] - aps[0][1]) / 2)
    for _, gain in (both, one):
        assert gain.low < gain.value < gain.high and gain.num_images == IMAGES - 1


def test_a_half_without_boxes(sweep):
    one = sweep.truth.images == 0
    columns = ('images', 'labels', 'boxes', 'areas', 'crowd')
    sweep.truth = replace(
        sweep.truth, **{name: getattr(sweep.truth, name)[one] for name in columns}
    )
    with pytest.raises(EvaluationError, match='half of the images has no box'):
        sweep.halves()


def test_cross_fitting_by_hand():
    aps = np.array([[0.3, 0.2], [0.5, 0.1], [0.4, 0.6], [0.5, 0.5]])
    assert cross_fit(aps, [0, 1, 2, 3]) == [
        dict(chosen=1, AP=0.5, other=0.1, off_other=0.2),
        dict(chosen=2, AP=0.6, other=0.4, off_other=0.3),
    ]
    assert [one['chosen'] for one in cross_fit(aps, [0, 3])] == [3, 3]


def test_names_and_grids():
    fusions = [*make_fusions([0.5, 1], [0.4])]
    names = [describe_fusion(fusion) for fusion in fusions]
    assert len({*names}) == len(names) == 5 + 4 * 3 and names[0] == 'off'
    assert 'NorCal 0.4 total' in names
    assert 'NorCal 0.4 in groups after ProductFusion 1' in names
    assert len([*make_fusions([0.5, 1], [])]) == 5
    without = [*map(describe_fusion, make_fusions([0.5, 1], [0.4], with_groups=False))]
    assert without == [name for name in names if 'in groups' not in name]
    levels = [*make_fusions([0.5, 1], [], num_levels=3)]
    assert len(levels) == 1 + 2 + 8
    assert 'ProductFusion 0,0.5' in map(describe_fusion, levels)


def test_thresholds_are_the_best_of_all(sweep, garments):
    found = sweep.detections(sweep.detect(None))
    thresholds = f1_thresholds(sweep.truth, found, garments, max_dets=100)
    assert list(thresholds) == [*garments.classes]
    for label, one in enumerate(thresholds.values()):
        best = 0
        for threshold in np.unique(found.scores[found.labels == label]):
            kept = found[found.scores >= threshold]
            (result,) = evaluate_levels(sweep.truth, kept, [range(5)], iou_thrs=[0.5])
            recall = result.recall[0, label, 0, -1]
            given, boxes = (kept.labels == label).sum(), result.num_gt[label]
            f1 = 2 * recall * boxes / (given + boxes)
            if f1 >= best:
                best, numbers = f1, (threshold, f1, recall * boxes / given, recall)
        assert [*one.values()] == pytest.approx(numbers)


def test_a_class_without_boxes_has_no_threshold(sweep, garments):
    one = sweep.detections(sweep.detect(None))
    alone = f1_thresholds(sweep.truth, one[one.labels == 2], garments, max_dets=100)
    assert [name for name, value in alone.items() if value] == [garments.classes[2]]


def test_heads_that_cannot_be_tuned():
    head = dict(type='MultiGrainedBBoxHead')
    assert head_configs(dict(roi_head=dict(bbox_head=head))) == [('model.roi_head.bbox_head', head)]
    agnostic = dict(head, reg_class_agnostic=True)
    cascade = dict(num_stages=2, bbox_head=[agnostic] * 2)
    keys = [key for key, _ in head_configs(dict(roi_head=cascade))]
    assert keys == ['model.roi_head.bbox_head.0', 'model.roi_head.bbox_head.1']
    for model, message in (
        (dict(type='F', roi_head=dict(cascade, bbox_head=head)), 'moves boxes by scores'),
        (dict(type='RetinaNet'), 'model of type RetinaNet has box heads of type none'),
        (dict(type='F', roi_head=dict(bbox_head=dict(type='BBoxHead'))), 'of type BBoxHead'),
        (dict(type='F', roi_head=dict(bbox_head=head, mask_head=head)), 'without masks'),
        (
            dict(type='F', roi_head=dict(bbox_head=dict(head, added=dict(classes=1)))),
            'added keeps the scores of old classes',
        ),
        (
            dict(type='F', roi_head=dict(cascade, bbox_head=[agnostic, head])),
            'moves boxes by scores',
        ),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            head_configs(model)
        assert '\n' not in str(error.value)
