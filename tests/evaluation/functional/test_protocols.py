"""Protocols by hand, and against pycocotools on files that are relabeled by hand."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.coco_eval import (
    evaluate_detections,
    evaluate_groups,
    evaluate_levels,
)
from mmdet_multigrain.evaluation.functional.matching import suppress
from mmdet_multigrain.evaluation.functional.protocols import MEANING, group_protocol, meaning
from mmdet_multigrain.evaluation.functional.weighted_ap import rank_curves
from mmdet_multigrain.taxonomy import Taxonomy

from .random_cases import random_case

# Labels: boot 0, sandal 1, hat 2, background 3, footwear 4, object 5.
TAXONOMY = Taxonomy.load({'groups': {'footwear': ['boot', 'sandal']}, 'ungrouped': ['hat']})
COARSE, FINE = (TAXONOMY.group_index(level) for level in (0, 1))
BOOT, SANDAL, HAT, FOOTWEAR, OBJECT = 0, 1, 2, 4, 5


def truth_of(rows, num_images=1, **unannotated):
    """Rows: label, place (boxes of 10 px, 100 px apart), image."""
    annotations = [
        dict(image_id=image, category_id=label, bbox=[100 * place, 0, 10, 10], area=100, iscrowd=0)
        for label, place, image in rows
    ]
    return GroundTruth.from_annotations(
        range(num_images), annotations, range(6), sets=TAXONOMY.labels.sets, **unannotated
    )


def found_of(rows):
    """Rows: label, place, score[, image]."""
    labels, places, scores, images = zip(*((*row, 0)[:4] for row in rows), strict=True)
    boxes = np.array([[100 * place, 0, 10, 10] for place in places], float)
    return Detections(np.array(images), np.array(labels), boxes, np.array(scores))


def test_mixed_depth():
    truth = truth_of([(BOOT, 0, 0), (FOOTWEAR, 1, 0), (OBJECT, 2, 0), (HAT, 3, 0)])
    found = found_of(
        [
            (BOOT, 0, 0.9),  # right
            (SANDAL, 1, 0.8),  # on a footwear: not judged as a sandal, right as footwear
            (BOOT, 2, 0.7),  # on an object: judged by none
            (HAT, 1, 0.6),  # on a footwear: wrong
            (HAT, 3, 0.5),
        ]
    )
    coarse, fine = evaluate_levels(truth, found, [COARSE, FINE])
    assert fine.class_ap() == pytest.approx([1, np.nan, 0.5], nan_ok=True)
    assert fine.num_gt.tolist() == [1, 0, 1]
    assert coarse.class_ap() == pytest.approx([1, 0.5])
    assert coarse.num_gt.tolist() == [2, 1]
    # As objects, all four are boxes; the second detection on place 1 is a duplicate.
    anything = evaluate_groups(truth, found.relabel((0, 0, 0)), (0, 0, 0))
    assert anything.num_gt.tolist() == [4]
    assert anything.class_ap() == pytest.approx([(76 + 25 * 4 / 5) / 101])  # 3 of 3, 4 of 5
    answers = suppress(found, (0, 0, 0))
    assert evaluate_groups(truth, answers, (0, 0, 0)).class_ap() == pytest.approx([1])


def test_two_children_on_one_object_are_one_answer():
    truth = truth_of([(BOOT, 0, 0), (SANDAL, 1, 0)])
    found = found_of([(BOOT, 0, 0.9), (SANDAL, 0, 0.8), (SANDAL, 1, 0.7)])
    (superclass,) = evaluate_levels(truth, found, [COARSE])[:1]
    assert superclass.class_ap()[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    group = evaluate_groups(truth, suppress(found, COARSE), COARSE)
    assert group.class_ap()[0] == pytest.approx(1)
    assert suppress(found, COARSE).scores.tolist() == [0.9, 0.7]  # the maximum of the children


def test_unannotated_and_not_exhaustive_classes():
    # Image 0 annotates everything, 1 does not know hats, 2 has some of its boots only.
    truth = truth_of(
        [(BOOT, 0, 0), (HAT, 1, 0), (BOOT, 0, 1), (BOOT, 0, 2)],
        3,
        unannotated={1: [HAT], 2: [BOOT]},
    )
    found = found_of(
        [
            *((BOOT, 0, 0.9, image) for image in range(3)),
            (HAT, 1, 0.6, 0),
            (HAT, 5, 0.8, 1),  # perhaps right: left out
            (BOOT, 5, 0.95, 2),  # the same
            (HAT, 5, 0.7, 2),  # wrong
        ]
    )
    (fine,) = evaluate_levels(truth, found, [FINE])
    assert fine.class_ap() == pytest.approx([1, np.nan, 0.5], nan_ok=True)
    # A boot in image 2 may be a footwear without a box, too.
    coarse, _ = evaluate_levels(truth, found, [COARSE, FINE])
    assert coarse.class_ap() == pytest.approx([1, 0.5])
    judged = truth_of([(BOOT, 0, 0), (HAT, 1, 0), (BOOT, 0, 1), (BOOT, 0, 2)], 3)
    assert evaluate_levels(judged, found, [FINE])[0].class_ap()[0] == pytest.approx(0.75)


@settings(max_examples=40, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1), on_grid=st.booleans())
def test_a_coarse_file_equals_pycocotools_on_a_file_relabeled_by_hand(seed, on_grid):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(seed)
    raw, found = random_case(
        rng, num_images=3, num_classes=6, max_gt=40, max_dt=80, on_grid=on_grid, crowd_share=0.1
    )  # fmt: skip
    found = found[found.labels < 3]
    rows = [label for label in raw.labels.tolist()]
    names = {BOOT: 'footwear', SANDAL: 'footwear', HAT: 'hat', FOOTWEAR: 'footwear', OBJECT: None}
    categories = {'footwear': 1, 'hat': 2}
    frames = [
        dict(image_id=image + 1, bbox=box, area=area, iscrowd=int(crowd))
        for image, box, area, crowd in zip(
            *(getattr(raw, key).tolist() for key in ('images', 'boxes', 'areas', 'crowd')),
            strict=True,
        )
    ]
    annotations = []
    for label, frame in zip(rows, frames, strict=True):
        if label == 3:
            continue
        if names[label]:
            annotations.append({**frame, 'category_id': categories[names[label]]})
        else:
            annotations += [{**frame, 'iscrowd': 1, 'category_id': id} for id in (1, 2)]
    # pycocotools takes crowds of equal IoU in the order of the file: regular boxes come first.
    reference = COCO()
    reference.dataset = dict(
        images=[{'id': n} for n in (1, 2, 3)],
        categories=[{'id': id} for id in (1, 2)],
        annotations=[{'id': n, **item} for n, item in enumerate(annotations, 1)],
    )
    results = [
        dict(image_id=image + 1, category_id=[1, 1, 2][label], bbox=box, score=score)
        for image, label, box, score in zip(
            *(getattr(found, key).tolist() for key in ('images', 'labels', 'boxes', 'scores')),
            strict=True,
        )
    ]
    kept = raw.labels != 3
    truth = GroundTruth(
        raw.image_ids,
        *(getattr(raw, key)[kept] for key in ('images', 'labels', 'boxes', 'areas', 'crowd')),
        sets=TAXONOMY.labels.sets,
    )
    coarse = evaluate_levels(truth, found, [COARSE], max_dets=100)[0]
    with contextlib.redirect_stdout(io.StringIO()):
        reference.createIndex()
        if results:
            evaluator = COCOeval(reference, reference.loadRes(results), 'bbox')
            evaluator.params.maxDets = [200]
            evaluator.evaluate()
            evaluator.accumulate()
            expected = evaluator.eval['precision'][..., 0, -1].mean(axis=(0, 1))
            expected[expected < 0] = np.nan
            assert coarse.class_ap() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@settings(max_examples=30, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1), on_grid=st.booleans())
def test_the_identity_level_is_plain_evaluation(seed, on_grid):
    truth, found = random_case(
        np.random.default_rng(seed), num_images=3, num_classes=4, max_gt=30, max_dt=90,
        on_grid=on_grid, crowd_share=0.2,
    )  # fmt: skip
    plain = evaluate_detections(truth, found, num_classes=4)
    groups = evaluate_groups(truth, found, range(4))
    for name in ('precision', 'recall', 'scores', 'num_gt'):
        np.testing.assert_array_equal(getattr(plain, name), getattr(groups, name), name)


def naive_suppress(found, index, iou_thr):
    """Indices that plain non-maximum suppression keeps."""

    def iou(a, b):
        sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
        shared = np.maximum(sides, 0).prod()
        return shared / (a[2:].prod() + b[2:].prod() - shared) if shared else 0

    kept = []
    for one in np.argsort(-found.scores, kind='stable').tolist():
        same = (
            other
            for other in kept
            if found.images[other] == found.images[one]
            and index[found.labels[other]] == index[found.labels[one]]
        )
        if all(iou(found.boxes[other], found.boxes[one]) <= iou_thr for other in same):
            kept.append(one)
    return sorted(kept)


@settings(max_examples=60, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    max_dt=st.sampled_from([0, 5, 120]),
    on_grid=st.booleans(),
    scores=st.sampled_from(['free', 'few']),
    index=st.sampled_from([(0, 1, 2, 3), (0, 1, 0, 1), (0, 0, 0, 0)]),
    iou_thr=st.sampled_from([0.3, 0.5]),
)
def test_suppression_equals_the_naive_one(seed, index, iou_thr, **kwargs):
    _, found = random_case(
        np.random.default_rng(seed), num_images=2, num_classes=4, max_gt=8, crowd_share=0, **kwargs
    )
    answers = suppress(found, index, iou_thr=iou_thr)
    expected = found.relabel(index)[np.array(naive_suppress(found, index, iou_thr), dtype=int)]
    for name in ('images', 'labels', 'boxes', 'scores'):
        np.testing.assert_array_equal(getattr(answers, name), getattr(expected, name))


@settings(max_examples=30, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_bootstrap_sees_the_same_boxes(seed):
    rng = np.random.default_rng(seed)
    raw, found = random_case(
        rng, num_images=4, num_classes=6, max_gt=40, max_dt=80, on_grid=False, crowd_share=0.1
    )  # fmt: skip
    labels = np.where(raw.labels == 3, HAT, raw.labels)
    truth = GroundTruth(
        raw.image_ids, raw.images, labels, raw.boxes, raw.areas, raw.crowd,
        sets=TAXONOMY.labels.sets, unannotated=rng.random((4, 3)) < 0.3,
    )  # fmt: skip
    found = found[found.labels < 3]
    curves = rank_curves(truth, found, [COARSE, FINE])
    results = evaluate_levels(truth, found, [COARSE, FINE])
    for level, result in zip(curves, results, strict=True):
        ap = [float(curve.ap(np.ones((4, 1), np.float32)).mean()) for curve in level]
        assert ap == pytest.approx(result.class_ap(), abs=1e-9, nan_ok=True)


def test_every_protocol_has_a_meaning():
    assert meaning('group (coarse, sum)') == MEANING['group'] != meaning('leaf')


def test_the_name_says_how_the_scores_of_groups_were_made():
    names = {how: group_protocol('coarse', how) for how in ('sum', 'max', 'own', None)}
    assert names['own'] == 'group (coarse, own output)'
    assert len({*names.values()}) == 4 and {*map(meaning, names.values())} == {MEANING['group']}
