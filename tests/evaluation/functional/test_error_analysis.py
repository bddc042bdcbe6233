"""Error kinds: hand-computed cases."""

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import (
    CLASS,
    Kind,
    analyze_errors,
    shared_levels,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

# Labels: 0 shirt and 1 coat are tops, 2 jeans and 3 skirt are bottoms.
CLOTHES = Taxonomy('clothes', ['shirt', 'coat', 'jeans', 'skirt'], [['top']] * 2 + [['bottom']] * 2)
# Labels: 0 and 1 agree on both coarse levels, 2 with them on the first, 3 on none.
DEEP = Taxonomy('deep', ['a', 'b', 'c', 'd'], [['x', 'y'], ['x', 'y'], ['x', 'z'], ['w', 'v']])
FLAT = CLOTHES.ungrouped()


def ground_truth(rows, num_images=1):
    """Rows: image, label, x, y, width, height[, crowd]."""
    rows = np.array([[*row, 0][:7] for row in rows], dtype=float).reshape(-1, 7)
    return GroundTruth(
        image_ids=tuple(range(num_images)),
        images=rows[:, 0].astype(int),
        labels=rows[:, 1].astype(int),
        boxes=rows[:, 2:6],
        areas=rows[:, 4] * rows[:, 5],
        crowd=rows[:, 6].astype(bool),
    )


def detections(rows):
    """Rows: image, label, x, y, width, height, score."""
    rows = np.array(rows, dtype=float).reshape(-1, 7)
    return Detections(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:6], rows[:, 6])


SHIRT = (0, 0, 0, 0, 10, 10)
JEANS = (0, 2, 50, 0, 10, 10)
POOR = (0, 0, 10, 3)  # IoU 0.3 with SHIRT's box


@pytest.mark.parametrize(
    ('row', 'kind', 'truth', 'iou'),
    [
        ((0, 0, 0, 0, 10, 10), Kind.HIT, 0, 1),
        ((0, 0, 0, 0, 10, 5), Kind.HIT, 0, 0.5),
        ((0, 1, 0, 0, 10, 8), Kind.CLASS_WITHIN, 0, 0.8),
        ((0, 3, 0, 0, 10, 8), Kind.CLASS_ACROSS, 0, 0.8),
        ((0, 2, 0, 0, 10, 5), Kind.CLASS_ACROSS, 0, 0.5),
        ((0, 0, *POOR), Kind.LOCALIZATION, 0, 0.3),
        ((0, 0, 0, 0, 10, 1), Kind.LOCALIZATION, 0, 0.1),
        ((0, 1, *POOR), Kind.BOTH_WITHIN, 0, 0.3),
        ((0, 2, *POOR), Kind.BOTH_ACROSS, 0, 0.3),
        ((0, 1, 0, 0, 10, 1), Kind.BACKGROUND, -1, 0),  # IoU of exactly bg_thr
        ((0, 0, 0, 0, 10, 0.9), Kind.BACKGROUND, -1, 0),
        ((0, 0, 80, 80, 10, 10), Kind.BACKGROUND, -1, 0),
    ],
)
def test_kind_of_one_detection(row, kind, truth, iou):
    found = analyze_errors(
        ground_truth([SHIRT, JEANS]), detections([(*row, 0.9)]), CLOTHES
    ).detections
    assert Kind(found.kinds[0]) is kind
    assert found.truths.tolist() == [truth]
    assert found.ious == pytest.approx([iou])
    # A fix of the class or box would find the shirt; no other error does.
    found_again = kind in (Kind.HIT, Kind.LOCALIZATION, *CLASS)
    assert found.missed.tolist() == ([1] if found_again else [0, 1])


def test_order_of_the_kinds():
    gt = ground_truth([SHIRT, (0, 1, 0, 0, 10, 6)])  # a coat on the lower part of the shirt
    dt = detections(
        [
            (0, 0, 0, 0, 10, 10, 0.9),  # hits the shirt
            (0, 0, 0, 0, 10, 9, 0.8),  # repeats it, but is on the coat too: IoU 6/9
            (0, 0, 0, 0, 10, 5, 0.7),  # exactly pos_thr with its own class, claimed: a poor box
            (0, 2, 0, 0, 10, 7, 0.6),  # on both: the better IoU decides, 6/7 with the coat
        ]
    )
    found = analyze_errors(gt, dt, CLOTHES).detections
    assert [Kind(kind) for kind in found.kinds] == [
        Kind.HIT,
        Kind.CLASS_WITHIN,
        Kind.LOCALIZATION,
        Kind.CLASS_ACROSS,
    ]
    assert found.truths.tolist() == [0, 1, 0, 1]
    assert found.missed.tolist() == []


def test_best_score_claims_first_and_takes_the_best_box():
    gt = ground_truth([(0, 0, 0, 0, 10, 9), SHIRT, (0, 0, 0, 0, 10, 7)])
    dt = detections([(*SHIRT, score) for score in (0.1, 0.9, 0.5, 0.7)])
    found = analyze_errors(gt, dt, CLOTHES).detections
    assert found.kinds.tolist() == [Kind.DUPLICATE, Kind.HIT, Kind.HIT, Kind.HIT]
    assert found.truths.tolist() == [1, 1, 2, 0]
    assert found.ious == pytest.approx([1, 1, 0.7, 0.9])


def test_of_equal_boxes_the_first_class_then_the_first_box_is_confused():
    gt = ground_truth([(0, 3, *SHIRT[2:]), (0, 1, *SHIRT[2:]), (0, 1, *SHIRT[2:])])
    found = analyze_errors(gt, detections([(*SHIRT, 0.9)]), CLOTHES).detections
    assert (found.kinds[0], found.truths[0]) == (Kind.CLASS_WITHIN, 1)


def test_duplicate_and_what_it_costs():
    gt = ground_truth([SHIRT, (0, 0, 50, 50, 10, 10)])
    dt = detections([(*SHIRT, 0.9), (*SHIRT, 0.8), (0, 0, 50, 50, 10, 10, 0.7)])
    result = analyze_errors(gt, dt, CLOTHES)
    assert [Kind(kind) for kind in result.detections.kinds] == [Kind.HIT, Kind.DUPLICATE, Kind.HIT]
    # Precision is 1 up to recall 0.50 (51 thresholds), then 2/3.
    assert result.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    cost = result.cost(Kind.DUPLICATE)
    assert (cost.name, cost.count) == ('duplicate', 1)
    assert cost.delta_ap == pytest.approx(1 - result.ap)
    assert cost.class_counts.tolist() == [1, 0, 0, 0]
    assert cost.class_delta_ap == pytest.approx([1 - result.ap, *[np.nan] * 3], nan_ok=True)
    assert all(other.delta_ap == 0 for other in result.costs if other is not cost)


def test_wrong_class_costs_the_class_that_is_there():
    gt = ground_truth([SHIRT, JEANS])
    dt = detections([(0, 1, *SHIRT[2:], 0.9), (*JEANS, 0.8)])  # the shirt is called a coat
    result = analyze_errors(gt, dt, CLOTHES)
    within, across = (result.cost(kind) for kind in CLASS)
    assert result.ap == 0.5
    assert result.class_ap == pytest.approx([0, np.nan, 1, np.nan], nan_ok=True)
    assert (within.count, within.delta_ap, across.count, across.delta_ap) == (1, 0.5, 0, 0)
    assert within.class_counts.tolist() == [0, 1, 0, 0]  # the error is a coat's
    assert within.class_delta_ap == pytest.approx([1, np.nan, 0, np.nan], nan_ok=True)
    assert within.name == 'wrong class, right superclass' and across.name == 'wrong superclass'


def test_missed_box_leaves_the_count():
    result = analyze_errors(
        ground_truth([SHIRT, (0, 0, 50, 50, 9, 9)]), detections([(*SHIRT, 0.9)]), CLOTHES
    )
    cost = result.cost(Kind.MISSED)
    assert (cost.count, result.detections.missed.tolist()) == (1, [1])
    assert cost.delta_ap == pytest.approx(50 / 101)
    assert cost.class_counts.tolist() == [1, 0, 0, 0]


def test_best_score_on_a_box_is_put_right_and_the_others_go():
    gt = ground_truth([SHIRT])
    dt = detections(
        [
            (0, 0, 80, 80, 5, 5, 0.9),  # background, above all
            (0, 1, *SHIRT[2:], 0.8),  # class: wins the shirt
            (0, 0, *POOR, 0.7),  # box: only goes
        ]
    )
    result = analyze_errors(gt, dt, CLOTHES)
    assert result.ap == 0
    within = result.cost(Kind.CLASS_WITHIN)
    assert within.delta_ap == 0.5
    assert all(cost.delta_ap == 0 for cost in result.costs if cost is not within)


def test_crowd_box_takes_detections_out_of_the_count():
    gt = ground_truth([SHIRT, (0, 0, 50, 50, 40, 40, 1), (0, 2, 0, 0, 10, 10, 1)])
    dt = detections(
        [
            (0, 0, 55, 55, 10, 10, 0.9),  # inside the crowd
            (0, 0, 45, 50, 10, 10, 0.8),  # half inside it
            (0, 0, 43, 50, 10, 10, 0.7),  # less than half: nothing is there
            (0, 1, 50, 50, 40, 40, 0.6),  # another class on the crowd: nothing is there
            (0, 2, 0, 0, 10, 10, 0.5),  # a crowd and a shirt: on the crowd
            (*SHIRT, 0.4),
        ]
    )
    result = analyze_errors(gt, dt, CLOTHES)
    crowd, nothing = Kind.ON_CROWD, Kind.BACKGROUND
    assert result.detections.kinds.tolist() == [crowd, crowd, nothing, nothing, crowd, Kind.HIT]
    assert result.detections.truths.tolist() == [1, 1, -1, -1, 2, 0]
    assert result.detections.ious == pytest.approx([1, 0.5, 0, 0, 1, 1])
    assert result.detections.missed.tolist() == []
    assert result.ap == 0.5 and result.cost(nothing).delta_ap == 0.5
    assert np.isnan(result.class_ap[2])


def test_limit_on_detections_is_for_each_image_and_class():
    gt = ground_truth([SHIRT, (0, 1, 50, 50, 9, 9)])
    dt = detections(
        [(0, 0, 80, 80, 5, 5, 0.5), (*SHIRT, 0.4), (*SHIRT, 0.9), (0, 1, 50, 50, 9, 9, 0.1)]
    )
    result = analyze_errors(gt, dt, CLOTHES, max_dets=1)
    limit = Kind.BEYOND_LIMIT
    assert result.detections.kinds.tolist() == [limit, limit, Kind.HIT, Kind.HIT]
    assert result.ap == 1 and all(cost.count == 0 for cost in result.costs)
    two = analyze_errors(gt, detections([(*SHIRT, 0.4), (*SHIRT, 0.9)]), CLOTHES, max_dets=1)
    assert two.detections.kinds.tolist() == [limit, Kind.HIT]


def test_what_only_the_limit_hides_is_not_missed():
    far, farther = (0, 0, 50, 50, 9, 9), (0, 0, 80, 80, 9, 9)
    gt = ground_truth([SHIRT, far, farther])
    dt = detections([(*SHIRT, 0.9), (*far, 0.8), (*far, 0.7)])
    result = analyze_errors(gt, dt, CLOTHES, max_dets=1)
    assert (result.detections.cut.tolist(), result.detections.missed.tolist()) == ([1], [2])
    assert result.cost(Kind.MISSED).count == 1
    unlimited = analyze_errors(gt, dt, CLOTHES).detections
    assert (unlimited.cut.tolist(), unlimited.missed.tolist()) == ([], [2])
    first = analyze_errors(ground_truth([far, SHIRT, farther]), dt, CLOTHES, max_dets=1).detections
    assert (first.cut.tolist(), first.missed.tolist()) == ([0], [2])


def test_number_of_levels_on_which_the_classes_agree():
    assert shared_levels(DEEP).tolist() == [[2, 2, 1, 0], [2, 2, 1, 0], [1, 1, 2, 0], [0, 0, 0, 2]]


def test_one_level_only_is_always_across():
    taxonomy = Taxonomy('plain', ['a', 'b', 'c'])
    assert taxonomy.num_levels == 1
    result = analyze_errors(ground_truth([SHIRT]), detections([(0, 1, *SHIRT[2:], 0.9)]), taxonomy)
    assert result.cost(Kind.CLASS_ACROSS).count == 1
    assert result.cost(Kind.CLASS_ACROSS).delta_ap == 1


@pytest.mark.parametrize('num_images', [0, 2])
def test_nothing_to_look_at(num_images):
    result = analyze_errors(ground_truth([], num_images), detections([]), CLOTHES)
    assert np.isnan(result.ap) and np.isnan(result.class_ap).all()
    assert all(cost.count == 0 and np.isnan(cost.delta_ap) for cost in result.costs)


def test_no_detections_all_missed():
    result = analyze_errors(ground_truth([SHIRT, JEANS]), detections([]), CLOTHES)
    assert result.ap == 0 and result.cost(Kind.MISSED).count == 2
    assert result.cost(Kind.MISSED).class_counts.tolist() == [1, 0, 1, 0]
    assert result.cost(Kind.MISSED).delta_ap == 0  # a class without boxes left has no AP


def test_no_ground_truth_all_background():
    result = analyze_errors(ground_truth([], 1), detections([(*SHIRT, 0.9)]), CLOTHES)
    assert result.cost(Kind.BACKGROUND).count == 1 and np.isnan(result.ap)


@pytest.mark.parametrize('pos_thr,bg_thr', [(0.5, 0), (0.5, 0.5), (1.1, 0.1), (0.1, 0.5)])
def test_bad_thresholds(pos_thr, bg_thr):
    with pytest.raises(EvaluationError, match='use 0 < background < hit <= 1'):
        analyze_errors(
            ground_truth([SHIRT]), detections([]), CLOTHES, pos_thr=pos_thr, bg_thr=bg_thr
        )


def test_label_out_of_range():
    with pytest.raises(EvaluationError, match='detections: labels run from 4 to 4'):
        analyze_errors(ground_truth([SHIRT]), detections([(0, 4, 0, 0, 1, 1, 0.5)]), CLOTHES)


# ---------------------------------------------------------------------- random sets


def test_of_several_trees_the_first_counts(two_trees, three_levels):
    """A vest taken for a shirt, and for a skirt, which is as warm."""
    truth = ground_truth([(0, 1, 0, 0, 10, 10), (0, 1, 50, 0, 10, 10)])
    found = detections([(0, 0, 0, 0, 10, 10, 0.9), (0, 2, 50, 0, 10, 10, 0.8)])
    result = analyze_errors(truth, found, two_trees)
    expected = analyze_errors(truth, found, three_levels)
    assert result.detections.kinds.tolist() == expected.detections.kinds.tolist()
    assert result.detections.kinds.tolist() == [Kind.CLASS_WITHIN] * 2
