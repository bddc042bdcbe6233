"""Error kinds: hand-computed cases, a naive reference, and equality with hotcoco's TIDE errors."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.evaluation.functional import coco_eval, matching
from mmdet_multigrain.evaluation.functional.coco_eval import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import (
    CLASS,
    ERRORS,
    TIDE,
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
        ((0, 0, *POOR), Kind.BOX, 0, 0.3),
        ((0, 0, 0, 0, 10, 1), Kind.BOX, 0, 0.1),
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
    found_again = kind in (Kind.HIT, Kind.BOX, *CLASS)
    assert found.missed.tolist() == ([1] if found_again else [0, 1])
    assert found.of_kind(Kind.MISSED).tolist() == found.missed.tolist()
    assert found.of_kind(kind).tolist() == [0]


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
        Kind.BOX,
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
    loss = result.loss(Kind.DUPLICATE)
    assert (loss.name, loss.count) == ('duplicate', 1)
    assert loss.gain == pytest.approx(1 - result.ap)
    assert loss.class_counts.tolist() == [1, 0, 0, 0]
    assert loss.class_gains == pytest.approx([1 - result.ap, *[np.nan] * 3], nan_ok=True)
    assert all(other.gain == 0 for other in result.losses if other is not loss)


def test_wrong_class_costs_the_class_that_is_there():
    gt = ground_truth([SHIRT, JEANS])
    dt = detections([(0, 1, *SHIRT[2:], 0.9), (*JEANS, 0.8)])  # the shirt is called a coat
    result = analyze_errors(gt, dt, CLOTHES)
    within, across = (result.loss(kind) for kind in CLASS)
    assert result.ap == 0.5
    assert result.class_ap == pytest.approx([0, np.nan, 1, np.nan], nan_ok=True)
    assert (within.count, within.gain, across.count, across.gain) == (1, 0.5, 0, 0)
    assert within.class_counts.tolist() == [0, 1, 0, 0]  # the error is a coat's
    assert within.class_gains == pytest.approx([1, np.nan, 0, np.nan], nan_ok=True)
    assert within.name == 'wrong class, right superclass' and across.name == 'wrong superclass'


def test_missed_box_leaves_the_count():
    result = analyze_errors(
        ground_truth([SHIRT, (0, 0, 50, 50, 9, 9)]), detections([(*SHIRT, 0.9)]), CLOTHES
    )
    loss = result.loss(Kind.MISSED)
    assert (loss.count, result.detections.missed.tolist()) == (1, [1])
    assert loss.gain == pytest.approx(50 / 101)
    assert loss.class_counts.tolist() == [1, 0, 0, 0]


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
    gains = {loss.name: loss.gain for loss in result.tide}
    assert gains == {'Cls': 0.5, 'Loc': 0, 'Both': 0, 'Dupe': 0, 'Bkg': 0, 'Miss': 0}


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
    assert result.ap == 0.5 and result.loss(nothing).gain == 0.5
    assert np.isnan(result.class_ap[2])


def test_limit_on_detections_is_for_each_image_and_class():
    gt = ground_truth([SHIRT, (0, 1, 50, 50, 9, 9)])
    dt = detections(
        [(0, 0, 80, 80, 5, 5, 0.5), (*SHIRT, 0.4), (*SHIRT, 0.9), (0, 1, 50, 50, 9, 9, 0.1)]
    )
    result = analyze_errors(gt, dt, CLOTHES, max_dets=1)
    limit = Kind.BEYOND_LIMIT
    assert result.detections.kinds.tolist() == [limit, limit, Kind.HIT, Kind.HIT]
    assert result.ap == 1 and all(loss.count == 0 for loss in result.losses)
    two = analyze_errors(gt, detections([(*SHIRT, 0.4), (*SHIRT, 0.9)]), CLOTHES, max_dets=1)
    assert two.detections.kinds.tolist() == [limit, Kind.HIT]


def test_deepest_level_on_which_the_classes_agree():
    assert shared_levels(DEEP).tolist() == [[2, 2, 1, 0], [2, 2, 1, 0], [1, 1, 2, 0], [0, 0, 0, 2]]
    gt = ground_truth([SHIRT])
    for label, expected in ((1, [0, 0, 1]), (2, [0, 1, 0]), (3, [1, 0, 0])):
        for box, kind in ((SHIRT[2:], 'class_by_level'), (POOR, 'both_by_level')):
            result = analyze_errors(gt, detections([(0, label, *box, 0.9)]), DEEP)
            losses = getattr(result, kind)
            assert [loss.name for loss in losses] == ['none', 'level 0', 'level 1']
            assert [loss.count for loss in losses] == expected
            fixed = kind == 'class_by_level'
            assert [loss.gain for loss in losses] == [float(fixed and n) for n in expected]


def test_one_level_only_is_always_across():
    taxonomy = Taxonomy('plain', ['a', 'b', 'c'])
    assert taxonomy.num_levels == 1
    result = analyze_errors(ground_truth([SHIRT]), detections([(0, 1, *SHIRT[2:], 0.9)]), taxonomy)
    assert [loss.count for loss in result.class_by_level] == [1]
    assert result.loss(Kind.CLASS_ACROSS).gain == 1


@pytest.mark.parametrize('num_images', [0, 2])
def test_nothing_to_look_at(num_images):
    result = analyze_errors(ground_truth([], num_images), detections([]), CLOTHES)
    assert np.isnan(result.ap) and np.isnan(result.class_ap).all()
    assert all(loss.count == 0 and np.isnan(loss.gain) for loss in result.losses)


def test_no_detections_all_missed():
    result = analyze_errors(ground_truth([SHIRT, JEANS]), detections([]), CLOTHES)
    assert result.ap == 0 and result.loss(Kind.MISSED).count == 2
    assert result.loss(Kind.MISSED).class_counts.tolist() == [1, 0, 1, 0]
    assert result.loss(Kind.MISSED).gain == 0  # a class without boxes left has no AP


def test_no_ground_truth_all_background():
    result = analyze_errors(ground_truth([], 1), detections([(*SHIRT, 0.9)]), CLOTHES)
    assert result.loss(Kind.BACKGROUND).count == 1 and np.isnan(result.ap)


@pytest.mark.parametrize('pos_thr,bg_thr', [(0.5, 0), (0.5, 0.5), (1.1, 0.1), (0.1, 0.5)])
def test_bad_thresholds(pos_thr, bg_thr):
    with pytest.raises(EvaluationError, match='give 0 < background < hit <= 1'):
        analyze_errors(
            ground_truth([SHIRT]), detections([]), CLOTHES, pos_thr=pos_thr, bg_thr=bg_thr
        )


def test_label_out_of_range():
    with pytest.raises(EvaluationError, match='detections: labels run from 4 to 4'):
        analyze_errors(ground_truth([SHIRT]), detections([(0, 4, 0, 0, 1, 1, 0.5)]), CLOTHES)


# ---------------------------------------------------------------------- random sets


def random_boxes(rng, size, on_grid):
    if on_grid:  # many equal IoUs, empty and equal boxes
        return rng.integers(0, 3, (size, 4)) * 16.0
    return np.hstack([rng.uniform(0, 40, (size, 2)), rng.uniform(0, 60, (size, 2))])


def random_case(rng, *, num_images, num_classes, max_gt, max_dt, on_grid, ties, crowd_share):
    """Ground truth, and detections of which two thirds stand near a box."""
    num_gt, num_dt = rng.integers(0, max_gt + 1), rng.integers(0, max_dt + 1)
    gt = GroundTruth(
        image_ids=tuple(range(num_images)),
        images=rng.integers(0, num_images, num_gt),
        labels=rng.integers(0, num_classes, num_gt),
        boxes=random_boxes(rng, num_gt, on_grid),
        areas=rng.uniform(0, 60**2, num_gt),
        crowd=rng.random(num_gt) < crowd_share,
    )
    images = rng.integers(0, num_images, num_dt)
    labels = rng.integers(0, num_classes, num_dt)
    boxes = random_boxes(rng, num_dt, on_grid)
    if num_gt:
        source = rng.integers(0, num_gt, num_dt)
        near = rng.random(num_dt) < 2 / 3
        images[near], boxes[near] = gt.images[source[near]], gt.boxes[source[near]]
        if not on_grid:
            boxes[near] = np.abs(boxes[near] + rng.normal(0, 6, (near.sum(), 4)))
        right = near & (rng.random(num_dt) < 0.6)
        labels[right] = gt.labels[source[right]]
    scores = rng.integers(0, 4, num_dt) / 4 if ties else rng.random(num_dt)
    return gt, Detections(images, labels, boxes, scores)


def naive_iou(box, other, crowd=False):
    (x, y, w, h), (x2, y2, w2, h2) = box, other
    width, height = min(x + w, x2 + w2) - max(x, x2), min(y + h, y2 + h2) - max(y, y2)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (w * h if crowd else w * h + w2 * h2 - width * height)


def naive_kinds(gt, dt, related, pos, bg, max_dets):
    """One detection after the other: (kind, ground truth) of each, and the missed ones."""
    found, claimed, rank = {}, set(), Counter()
    by_score = sorted(range(len(dt.scores)), key=lambda d: -dt.scores[d])
    rows = {
        d: [
            (naive_iou(dt.boxes[d], gt.boxes[g], gt.crowd[g]), g)
            for g in sorted(range(len(gt.labels)), key=lambda g: gt.labels[g])
            if gt.images[g] == dt.images[d]
        ]
        for d in by_score
    }
    for d in by_score:
        cell = dt.images[d], dt.labels[d]
        rank[cell] += 1
        if rank[cell] > max_dets:
            found[d] = Kind.BEYOND_LIMIT, None
            continue
        own = [(iou, g) for iou, g in rows[d] if gt.labels[g] == dt.labels[d] and iou >= pos]
        free = [(iou, g) for iou, g in own if not gt.crowd[g] and g not in claimed]
        if free:
            found[d] = Kind.HIT, max(free)[1]  # of equal IoUs, the last
            claimed.add(found[d][1])
        elif any(gt.crowd[g] for _, g in own):
            found[d] = Kind.ON_CROWD, None
    for d in by_score:
        if d in found:
            continue
        rows[d] = [(iou, g) for iou, g in rows[d] if not gt.crowd[g]]
        own = [(iou, g) for iou, g in rows[d] if gt.labels[g] == dt.labels[d]]
        other = [(iou, g) for iou, g in rows[d] if gt.labels[g] != dt.labels[d]]
        (iou, g), (iou2, g2) = (
            max(side, key=lambda pair: pair[0], default=(0, None)) for side in (own, other)
        )
        within = g2 is not None and related[dt.labels[d]][gt.labels[g2]]
        if bg <= iou <= pos:
            found[d] = Kind.BOX, g
        elif iou2 >= pos:
            found[d] = (Kind.CLASS_WITHIN if within else Kind.CLASS_ACROSS), g2
        elif any(iou >= pos and g in claimed for iou, g in own):
            found[d] = Kind.DUPLICATE, g
        elif max(iou, iou2) <= bg:
            found[d] = Kind.BACKGROUND, None
        else:
            found[d] = (Kind.BOTH_WITHIN if within else Kind.BOTH_ACROSS), g2
    lost = {g for g in range(len(gt.labels)) if not gt.crowd[g]} - claimed
    winners = {}
    for d in by_score:
        kind, g = found[d]
        if kind in (Kind.BOX, *CLASS) and g in lost:
            winners.setdefault(g, d)
    return found, winners, lost - set(winners)


def naive_ap(ranked, num_gt):
    """COCO's AP of (score, hit) pairs in their order."""
    points, hits = [], 0
    for place, hit in enumerate(ranked, start=1):
        hits += hit
        points.append((hits / num_gt, hits / place))
    return np.mean(
        [
            max((precision for recall, precision in points if recall >= threshold), default=0)
            for threshold in np.linspace(0, 1, 101)
        ]
    )


def naive_class_ap(gt, dt, num_classes, found, winners, fixed=(), gone=()):
    """AP of each class with some kinds fixed and some ground truth gone."""
    values = []
    for label in range(num_classes):
        boxes = [g for g in range(len(gt.labels)) if gt.labels[g] == label and not gt.crowd[g]]
        rows = []
        for d, (kind, g) in found.items():
            own = dt.labels[d] == label
            if kind in fixed and winners.get(g) == d:
                if gt.labels[g] == label:
                    rows.append((-dt.scores[d], not own, dt.images[d], d, True))
            elif own and kind not in (*fixed, Kind.ON_CROWD, Kind.BEYOND_LIMIT):
                rows.append((-dt.scores[d], not own, dt.images[d], d, kind is Kind.HIT))
        left = len([g for g in boxes if g not in gone])
        ap = naive_ap([row[-1] for row in sorted(rows)], left) if left else 0
        values.append(ap if boxes else np.nan)
    return np.array(values)


CASES = {
    'seed': st.integers(0, 2**32 - 1),
    'num_images': st.sampled_from([1, 4]),
    'num_classes': st.sampled_from([1, 2, 4]),  # with boxes, of 4
    'on_grid': st.booleans(),
    'ties': st.booleans(),
    'crowd_share': st.sampled_from([0, 0.3]),
}


@settings(max_examples=60, deadline=None, database=None)
@given(
    **CASES,
    taxonomy=st.sampled_from([CLOTHES, DEEP, FLAT]),
    max_gt=st.sampled_from([0, 3, 12]),
    max_dt=st.sampled_from([0, 5, 40]),
    max_dets=st.sampled_from([2, 100]),
)
def test_same_as_one_detection_after_the_other(seed, taxonomy, max_dets, **kwargs):
    gt, dt = random_case(np.random.default_rng(seed), **kwargs)
    result = analyze_errors(gt, dt, taxonomy, max_dets=max_dets)
    groups = taxonomy.group_index(0)
    related = [[a == b for b in groups] for a in groups]
    found, winners, missed = naive_kinds(gt, dt, related, 0.5, 0.1, max_dets)

    table = result.detections
    assert [Kind(kind) for kind in table.kinds] == [found[d][0] for d in sorted(found)]
    for d, (kind, g) in found.items():
        if kind is not Kind.ON_CROWD:
            assert table.truths[d] == (-1 if g is None else g)
        if table.truths[d] >= 0:
            g = table.truths[d]
            assert table.ious[d] == naive_iou(dt.boxes[d], gt.boxes[g], gt.crowd[g])
    assert table.missed.tolist() == sorted(missed)

    base = naive_class_ap(gt, dt, 4, found, winners)
    np.testing.assert_allclose(result.class_ap, base, atol=1e-12)
    for kind, loss in zip(ERRORS, result.losses, strict=True):
        ap = naive_class_ap(
            gt, dt, 4, found, winners, {kind}, missed if kind is Kind.MISSED else ()
        )
        np.testing.assert_allclose(loss.class_gains, ap - base, atol=1e-12)
        assert loss.count == loss.class_counts.sum() == len(table.of_kind(kind))
        if not np.isnan(base).all():
            assert loss.gain == pytest.approx(np.nanmean(ap - base), abs=1e-12)


def without_partly_on_crowd(gt, dt):
    """Where definitions differ: IoU from 0.1 to 0.5 with a crowd box of the same class."""
    kept = [
        not any(
            gt.crowd[g]
            and gt.images[g] == dt.images[d]
            and gt.labels[g] == dt.labels[d]
            and 0.1 <= naive_iou(dt.boxes[d], gt.boxes[g], crowd=True) < 0.5
            for g in range(len(gt.labels))
        )
        for d in range(len(dt.labels))
    ]
    kept = np.array(kept, dtype=bool)
    return Detections(dt.images[kept], dt.labels[kept], dt.boxes[kept], dt.scores[kept])


@settings(max_examples=150, deadline=None, database=None)
@given(
    **CASES,
    taxonomy=st.sampled_from([CLOTHES, DEEP, FLAT]),
    max_gt=st.sampled_from([0, 3, 40]),
    max_dt=st.sampled_from([0, 5, 60, 600]),
    pos_thr=st.sampled_from([0.5, 0.75]),
)
def test_parts_agree_with_hotcoco(seed, taxonomy, pos_thr, **kwargs):
    pytest.importorskip('hotcoco')
    gt, dt = random_case(np.random.default_rng(seed), **kwargs)
    if pos_thr == 0.5:
        dt = without_partly_on_crowd(gt, dt)
    elif gt.crowd.any():
        gt = GroundTruth(gt.image_ids, gt.images, gt.labels, gt.boxes, gt.areas, gt.crowd & False)
    # The limit bites: up to 600 detections on as little as one image.
    evaluator = coco_eval.hotcoco_evaluator(gt, dt, 4, [0.5, 0.75], [1, 40])
    theirs = evaluator.tide_errors(pos_thr=pos_thr, bg_thr=0.1)
    ours = analyze_errors(gt, dt, taxonomy, pos_thr=pos_thr, max_dets=40)

    if np.isnan(ours.ap):
        assert theirs['ap_base'] == 0
    else:
        assert ours.ap == pytest.approx(theirs['ap_base'], abs=1e-9)
    for (name, kinds), loss in zip(TIDE.items(), ours.tide, strict=True):
        assert loss.name == name
        assert loss.count == theirs['counts'][name]
        assert loss.count == sum(ours.loss(kind).count for kind in kinds)
        if np.isnan(ours.ap):
            assert np.isnan(loss.gain) and theirs['delta_ap'][name] == 0
        else:
            assert loss.gain == pytest.approx(theirs['delta_ap'][name], abs=1e-9)
        if len(kinds) == 1:
            np.testing.assert_array_equal(loss.class_gains, ours.loss(*kinds).class_gains)
    for by_level, loss in ((ours.class_by_level, ours.tide[0]), (ours.both_by_level, ours.tide[2])):
        assert sum(part.count for part in by_level) == loss.count
        assert len(by_level) == taxonomy.num_levels
    if taxonomy is FLAT:  # no class has a sibling: all of it is across
        for kind, loss in zip((Kind.CLASS_ACROSS, Kind.BOTH_ACROSS), ours.tide[::2], strict=False):
            np.testing.assert_array_equal(ours.loss(kind).class_gains, loss.class_gains)


def test_ap_is_that_of_the_engines():
    gt, dt = random_case(
        np.random.default_rng(1),
        num_images=5,
        num_classes=4,
        max_gt=60,
        max_dt=400,
        on_grid=False,
        ties=True,
        crowd_share=0.2,
    )
    for engine in coco_eval.ENGINES:
        pytest.importorskip(engine)
        result = coco_eval.evaluate_detections(gt, dt, num_classes=4, engine=engine)
        np.testing.assert_allclose(
            analyze_errors(gt, dt, CLOTHES).class_ap, result.class_ap(iou=0.5), atol=1e-12
        )


def assert_same_losses(a, b):
    for mine, other in zip(
        (*a.losses, *a.tide, *a.class_by_level),
        (*b.losses, *b.tide, *b.class_by_level),
        strict=True,
    ):
        assert mine.count == other.count
        np.testing.assert_array_equal(mine.class_counts, other.class_counts)
        np.testing.assert_allclose(mine.class_gains, other.class_gains, atol=1e-12)


@settings(max_examples=20, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_images_and_boxes_does_not_matter_without_ties(seed):
    rng = np.random.default_rng(seed)
    gt, dt = random_case(
        rng,
        num_images=6,
        num_classes=4,
        max_gt=40,
        max_dt=200,
        on_grid=False,
        ties=False,
        crowd_share=0.2,
    )
    images = rng.permutation(6)
    g, d = rng.permutation(len(gt.labels)), rng.permutation(len(dt.labels))
    shuffled = analyze_errors(
        GroundTruth(
            gt.image_ids, images[gt.images][g], gt.labels[g], gt.boxes[g], gt.areas[g], gt.crowd[g]
        ),
        Detections(images[dt.images][d], dt.labels[d], dt.boxes[d], dt.scores[d]),
        DEEP,
    )
    plain = analyze_errors(gt, dt, DEEP)
    assert_same_losses(plain, shuffled)
    np.testing.assert_array_equal(plain.detections.kinds[d], shuffled.detections.kinds)


@pytest.mark.parametrize('chunk', [1, 7, 64])
def test_size_of_the_chunks_does_not_matter(chunk, monkeypatch):
    gt, dt = random_case(
        np.random.default_rng(5),
        num_images=3,
        num_classes=4,
        max_gt=30,
        max_dt=90,
        on_grid=True,
        ties=True,
        crowd_share=0.2,
    )
    whole = analyze_errors(gt, dt, CLOTHES)
    monkeypatch.setattr(matching, 'CHUNK', chunk)
    parts = analyze_errors(gt, dt, CLOTHES)
    assert_same_losses(whole, parts)
    for name in ('kinds', 'truths', 'ious', 'missed'):
        np.testing.assert_array_equal(
            getattr(whole.detections, name), getattr(parts.detections, name)
        )
