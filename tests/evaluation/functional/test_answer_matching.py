"""Matching whatever the classes: by hand, against a naive reference, and with partial labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.answer_matching import match_objects, wrong_nodes
from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.matching import unjudged
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from .random_cases import random_case

TAXONOMY = Taxonomy.load(
    {'name': 'made', 'groups': {'top': ['vest', 'sling']}, 'ungrouped': ['hat']}
)
VEST, SLING, HAT = range(3)
TOP = 4


def truth_of(*rows, unannotated=None):
    """Rows: label, x, perhaps crowd; boxes of 10 x 10 in one image."""
    return GroundTruth.from_annotations(
        [0],
        [
            {
                'image_id': 0,
                'category_id': label,
                'bbox': [x, 0, 10, 10],
                'area': 100,
                'iscrowd': bool(crowd),
            }
            for label, x, *crowd in rows
        ],
        range(len(TAXONOMY.labels)),
        sets=TAXONOMY.labels.sets,
        unannotated=unannotated,
    )


def found_of(*rows):
    """Rows: label, x, score."""
    labels, x, scores = np.array(rows, float).reshape(-1, 3).T
    boxes = np.stack([x, 0 * x, 0 * x + 10, 0 * x + 10], axis=1)
    return Detections(np.zeros(len(x), int), labels.astype(int), boxes, scores)


def matches(truth, found, **options):
    detections, boxes = match_objects(truth, found, TAXONOMY, **options)
    return dict(zip(detections.tolist(), boxes.tolist(), strict=True))


def test_by_score_whatever_the_class():
    truth = truth_of((VEST, 0), (HAT, 4))
    found = found_of((HAT, 1, 0.5), (SLING, 0, 0.9), (VEST, 0, 0.7), (HAT, 40, 0.8))
    # The sling takes the vest; the vest finds only the hat, at IoU 6 / 14.
    assert matches(truth, found) == {0: 1, 1: 0}
    assert matches(truth, found_of()) == matches(truth_of(), found) == {}
    assert matches(truth, found, iou_thr=6 / 14) == {1: 0, 2: 1}
    assert matches(truth, found, iou_thr=0.43) == {0: 1, 1: 0}


def test_crowds_and_groups():
    found = found_of((VEST, 0, 0.9), (SLING, 0, 0.8))
    assert matches(truth_of((VEST, 0, True)), found) == {}
    # The first takes the top, of which no class is known; the second goes on to the hat.
    assert matches(truth_of((TOP, 0), (HAT, 1)), found) == {1: 1}
    assert matches(truth_of((VEST, 0, True), (HAT, 1)), found) == {0: 1}


@pytest.mark.parametrize(
    'row,expected', [((HAT, 1), {0: 0}), ((VEST, 1), {1: 0}), ((HAT, 9), {}), ((TOP, 0), {})]
)
def test_unannotated_classes(row, expected):
    """A hat where hats are not annotated counts only on a hat."""
    found = found_of((HAT, 0, 0.9), (SLING, 1, 0.8))
    truth = truth_of(row, unannotated={0: [HAT]})
    assert matches(truth, found) == expected
    on_hat = row[0] == HAT and row[1] == 1
    assert unjudged(truth, found, iou_thr=0.5).tolist() == [not on_hat, False]


def test_a_group_is_a_box_of_its_classes():
    found = found_of((VEST, 0, 0.9), (HAT, 0, 0.8))
    truth = truth_of((TOP, 0), unannotated={0: [VEST, HAT]})
    assert unjudged(truth, found, iou_thr=0.5).tolist() == [False, True]
    flat = dataclasses.replace(truth_of((VEST, 0), unannotated={0: [VEST, HAT]}), sets=None)
    assert unjudged(flat, found, iou_thr=0.5).tolist() == [False, True]
    assert not unjudged(truth_of((HAT, 0)), found, iou_thr=0.5).any()


def test_labels_out_of_range():
    with pytest.raises(EvaluationError, match='detections: labels run from 3 to 3'):
        matches(truth_of(), found_of((3, 0, 1)))


def naive(truth, found, iou_thr):
    """One loop over the detections by falling score."""

    def iou(a, b):
        ends = np.minimum(a[:2] + a[2:], b[:2] + b[2:])
        shared = np.maximum(ends - np.maximum(a[:2], b[:2]), 0).prod()
        return shared / (a[2:].prod() + b[2:].prod() - shared) if shared else 0

    taken = {}
    for index in np.argsort(-found.scores, kind='stable'):
        best = None
        for box in range(len(truth.labels)):
            same_image = truth.images[box] == found.images[index]
            if same_image and not truth.crowd[box] and box not in taken.values():
                overlap = iou(truth.boxes[box], found.boxes[index])
                if overlap >= iou_thr and (best is None or overlap > best[0]):
                    best = overlap, box
        if best:
            taken[int(index)] = best[1]
    return taken


@pytest.mark.parametrize('seed', range(30))
def test_naive_reference(seed):
    truth, found = random_case(
        np.random.default_rng(seed), num_images=3, num_classes=3, max_gt=20, max_dt=40,
        on_grid=False, crowd_share=0.2, scores=('free', 'few')[seed % 2],
    )  # fmt: skip
    assert matches(truth, found) == naive(truth, found, 0.5)


def test_wrong_nodes():
    labels, truths = np.array([[VEST, VEST], [VEST, SLING], [HAT, VEST], [HAT, HAT]]).T
    assert wrong_nodes(labels, truths, TAXONOMY).tolist() == [
        [False, False], [True, False], [True, True], [False, False],
    ]  # fmt: skip
    deep = Taxonomy.load(
        {'name': 'deep', 'groups': {'a': {'b': ['1', '2'], 'c': ['3']}, 'd': {'e': ['4']}}}
    )
    assert wrong_nodes(np.zeros(4, int), np.arange(4), deep).tolist() == [
        [False] * 3, [True, False, False], [True, True, False], [True] * 3,
    ]  # fmt: skip
