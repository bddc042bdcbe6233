"""Error kinds and costs against a naive reference, hotcoco's TIDE errors, and the engines."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.evaluation.functional import matching
from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.coco_eval import evaluate_detections
from mmdet_multigrain.evaluation.functional.engines import ENGINES, hotcoco_evaluator
from mmdet_multigrain.evaluation.functional.error_analysis import (
    BOTH,
    CLASS,
    ERRORS,
    Kind,
    analyze_errors,
)
from mmdet_multigrain.taxonomy import Taxonomy

from .random_cases import random_case

# Labels: 0 shirt and 1 coat are tops, 2 jeans and 3 skirt are bottoms.
CLOTHES = Taxonomy('clothes', ['shirt', 'coat', 'jeans', 'skirt'], [['top']] * 2 + [['bottom']] * 2)
# Labels: 0 and 1 agree on both coarse levels, 2 with them on the first, 3 on none.
DEEP = Taxonomy('deep', ['a', 'b', 'c', 'd'], [['x', 'y'], ['x', 'y'], ['x', 'z'], ['w', 'v']])
FLAT = CLOTHES.ungrouped()
TIDE = {
    'Cls': CLASS,
    'Loc': (Kind.LOCALIZATION,),
    'Both': BOTH,
    'Dupe': (Kind.DUPLICATE,),
    'Bkg': (Kind.BACKGROUND,),
    'Miss': (Kind.MISSED,),
}


def small_case(rng, **kwargs):
    """Boxes of up to 60 px, six in ten of the near ones of the right class."""
    return random_case(rng, side=60, right_share=0.6, **kwargs)


def naive_iou(box, other, crowd=False):
    (x, y, w, h), (x2, y2, w2, h2) = box, other
    width, height = min(x + w, x2 + w2) - max(x, x2), min(y + h, y2 + h2) - max(y, y2)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (w * h if crowd else w * h + w2 * h2 - width * height)


def naive_kinds(gt, dt, related, pos, bg, max_dets):
    """One detection after the other: (kind, ground truth) of each; what is missed, and cut."""
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
            found[d] = Kind.LOCALIZATION, g
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
        if kind in (Kind.LOCALIZATION, *CLASS) and g in lost:
            winners.setdefault(g, d)
    left = lost - set(winners)
    cut = set()
    for d in by_score:
        own = [
            (iou, g)
            for iou, g in rows[d]
            if found[d][0] is Kind.BEYOND_LIMIT and gt.labels[g] == dt.labels[d] and iou >= pos
        ]
        free = [pair for pair in own if pair[1] in left - cut]
        cut |= {max(free)[1]} if free else set()
    return found, winners, left - cut, cut


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
    'scores': st.sampled_from(['free', 'few']),
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
    gt, dt = small_case(np.random.default_rng(seed), **kwargs)
    result = analyze_errors(gt, dt, taxonomy, max_dets=max_dets)
    groups = taxonomy.group_index(0)
    related = [[a == b for b in groups] for a in groups]
    found, winners, missed, cut = naive_kinds(gt, dt, related, 0.5, 0.1, max_dets)

    table = result.detections
    assert [Kind(kind) for kind in table.kinds] == [found[d][0] for d in sorted(found)]
    for d, (kind, g) in found.items():
        if kind is not Kind.ON_CROWD:
            assert table.truths[d] == (-1 if g is None else g)
        if table.truths[d] >= 0:
            g = table.truths[d]
            assert table.ious[d] == naive_iou(dt.boxes[d], gt.boxes[g], gt.crowd[g])
    assert table.missed.tolist() == sorted(missed)
    assert table.cut.tolist() == sorted(cut)

    base = naive_class_ap(gt, dt, 4, found, winners)
    np.testing.assert_allclose(result.class_ap, base, atol=1e-12)
    for kind, cost in zip(ERRORS, result.costs, strict=True):
        ap = naive_class_ap(
            gt, dt, 4, found, winners, {kind}, missed if kind is Kind.MISSED else ()
        )
        np.testing.assert_allclose(cost.class_delta_ap, ap - base, atol=1e-12)
        own = table.missed if kind is Kind.MISSED else table.kinds[table.kinds == kind]
        assert cost.count == cost.class_counts.sum() == len(own)
        if not np.isnan(base).all():
            assert cost.delta_ap == pytest.approx(np.nanmean(ap - base), abs=1e-12)


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
    gt, dt = small_case(np.random.default_rng(seed), **kwargs)
    if pos_thr == 0.5:
        dt = without_partly_on_crowd(gt, dt)
    elif gt.crowd.any():
        gt = GroundTruth(gt.image_ids, gt.images, gt.labels, gt.boxes, gt.areas, gt.crowd & False)
    # The limit bites: up to 600 detections on as little as one image.
    evaluator = hotcoco_evaluator(gt, dt, num_classes=4, iou_thrs=[0.5, 0.75], max_dets=[1, 40])
    theirs = evaluator.tide_errors(pos_thr=pos_thr, bg_thr=0.1)
    ours = analyze_errors(gt, dt, taxonomy, pos_thr=pos_thr, max_dets=40)

    if np.isnan(ours.ap):
        assert theirs['ap_base'] == 0
    else:
        assert ours.ap == pytest.approx(theirs['ap_base'], abs=1e-9)
    for name, kinds in TIDE.items():
        costs = [ours.cost(kind) for kind in kinds]
        num_cut = len(ours.detections.cut) if name == 'Miss' else 0
        assert sum(cost.count for cost in costs) + num_cut == theirs['counts'][name]
        if num_cut:  # missed in hotcoco
            continue
        if len(kinds) > 1 and taxonomy is not FLAT:  # delta APs of parts do not add up
            continue
        delta_ap = costs[-1].delta_ap  # in FLAT no class has a sibling: all of it is across
        if np.isnan(ours.ap):
            assert np.isnan(delta_ap) and theirs['delta_ap'][name] == 0
        else:
            assert delta_ap == pytest.approx(theirs['delta_ap'][name], abs=1e-9)


def test_ap_is_that_of_the_engines():
    gt, dt = small_case(
        np.random.default_rng(1),
        num_images=5,
        num_classes=4,
        max_gt=60,
        max_dt=400,
        on_grid=False,
        scores='few',
        crowd_share=0.2,
    )
    for engine in ENGINES:
        pytest.importorskip(engine)
        result = evaluate_detections(gt, dt, num_classes=4, engine=engine)
        np.testing.assert_allclose(
            analyze_errors(gt, dt, CLOTHES).class_ap, result.class_ap(iou=0.5), atol=1e-12
        )


def assert_same_costs(a, b):
    for mine, other in zip(a.costs, b.costs, strict=True):
        assert mine.count == other.count
        np.testing.assert_array_equal(mine.class_counts, other.class_counts)
        np.testing.assert_allclose(mine.class_delta_ap, other.class_delta_ap, atol=1e-12)


@settings(max_examples=20, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_images_and_boxes_does_not_matter_without_ties(seed):
    rng = np.random.default_rng(seed)
    gt, dt = small_case(
        rng,
        num_images=6,
        num_classes=4,
        max_gt=40,
        max_dt=200,
        on_grid=False,
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
    assert_same_costs(plain, shuffled)
    np.testing.assert_array_equal(plain.detections.kinds[d], shuffled.detections.kinds)


@pytest.mark.parametrize('chunk', [1, 7, 64])
def test_size_of_the_chunks_does_not_matter(chunk, monkeypatch):
    gt, dt = small_case(
        np.random.default_rng(5),
        num_images=3,
        num_classes=4,
        max_gt=30,
        max_dt=90,
        on_grid=True,
        scores='few',
        crowd_share=0.2,
    )
    whole = analyze_errors(gt, dt, CLOTHES)
    monkeypatch.setattr(matching, 'CHUNK', chunk)
    parts = analyze_errors(gt, dt, CLOTHES)
    assert_same_costs(whole, parts)
    for name in ('kinds', 'truths', 'ious', 'missed'):
        np.testing.assert_array_equal(
            getattr(whole.detections, name), getattr(parts.detections, name)
        )
