"""A perfect detector has 100.00 everywhere in what is printed, and no error."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.evaluation.functional.bootstrap import resample_ap
from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.coco_eval import evaluate_groups, evaluate_levels
from mmdet_multigrain.evaluation.functional.confusion import measure_confusion
from mmdet_multigrain.evaluation.functional.error_analysis import analyze_errors
from mmdet_multigrain.evaluation.functional.matching import suppress
from mmdet_multigrain.evaluation.functional.summary import render_text, summarize
from mmdet_multigrain.taxonomy import Taxonomy

TAXONOMIES = (
    Taxonomy('flat', ['a', 'b', 'c', 'd', 'e']),
    Taxonomy('identity', ['a', 'b', 'c', 'd', 'e']).ungrouped(),
    Taxonomy.load({'groups': {'x': ['a', 'b', 'c'], 'y': ['d']}, 'ungrouped': ['e']}),
    Taxonomy.load({'groups': {'x': {'x1': ['a', 'b'], 'x2': ['c']}, 'y': ['d', 'e']}}),
)
SIDE = 30  # boxes stand on a grid, so that each has one detection that fits


def perfect_case(
    rng: np.random.Generator,
    *,
    num_images: int,
    most: int,
    crowd_share: float,
    sets: np.ndarray | None = None,
) -> tuple[GroundTruth, Detections]:
    """Boxes of any size and stated area, some classes crowded; each found, with any score."""
    counts = rng.choice([0, 1, 5, most], (num_images, 5))
    labels = truth_labels = np.concatenate([np.repeat(np.arange(5), row) for row in counts])
    images = np.repeat(np.arange(num_images), counts.sum(axis=1))
    places = np.arange(len(labels)) * 150
    corners = np.column_stack([places % (SIDE * 150), places // (SIDE * 150) * 150])
    truth = GroundTruth(
        image_ids=tuple(range(num_images)),
        images=images,
        labels=labels,
        boxes=np.hstack([corners, rng.uniform(4, 140, (len(labels), 2))]),
        areas=rng.uniform(10, 140**2, len(labels)),
        crowd=rng.random(len(labels)) < crowd_share,
    )
    kept = ~truth.crowd
    if sets is not None:  # some boxes are known by superclass only
        rows = [np.flatnonzero(sets[:, label]) for label in range(5)]
        labels = np.array([rng.choice(rows[label]) for label in labels], dtype=np.int64)
        unannotated = rng.random((num_images, 5)) < 0.3
        truth = dataclasses.replace(truth, labels=labels, sets=sets, unannotated=unannotated)
        labels = truth_labels
    found = Detections(
        images[kept], labels[kept], truth.boxes[kept], rng.uniform(0.4, 1, sum(kept))
    )
    order = rng.permutation(len(found.scores))
    return truth, found[order]


@settings(max_examples=60, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    taxonomy=st.sampled_from(TAXONOMIES),
    num_images=st.integers(1, 3),
    most=st.sampled_from([20, 100]),
    crowd_share=st.sampled_from([0, 0.2, 1]),
)
def test_everything_is_100(seed, taxonomy, **kwargs):
    check(*perfect_case(np.random.default_rng(seed), **kwargs), taxonomy, max_dets=100)


@settings(max_examples=12, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    taxonomy=st.sampled_from(TAXONOMIES),
    num_images=st.integers(1, 3),
    most=st.sampled_from([5, 40]),
    crowd_share=st.sampled_from([0, 0.2]),
)
def test_everything_is_100_with_labels_of_any_granularity(seed, taxonomy, **kwargs):
    rng = np.random.default_rng(seed)
    truth, found = perfect_case(rng, sets=taxonomy.labels.sets, **kwargs)
    # Of unannotated classes, anything may be detected.
    extra = Detections(*(getattr(found, name) for name in ('images', 'labels', 'boxes', 'scores')))
    extra = extra[truth.unannotated[found.images, found.labels]]
    extra = dataclasses.replace(extra, boxes=extra.boxes + [9000, 0, 0, 0])
    found = Detections(
        *(
            np.concatenate([getattr(part, name) for part in (found, extra)])
            for name in ('images', 'labels', 'boxes', 'scores')
        )
    )
    check(truth, found, taxonomy, max_dets=200)


def test_more_boxes_than_the_limit_need_another_limit():
    case = perfect_case(np.random.default_rng(1), num_images=2, most=300, crowd_share=0.1)
    check(*case, TAXONOMIES[2], max_dets=300)
    levels = evaluate_levels(*case, [TAXONOMIES[2].group_index(level) for level in (0, 1)])
    assert levels[1].mean_ap() < 1
    assert 'left out, beyond 100 detections' in render_text(summarize(levels, TAXONOMIES[2]))
    errors = analyze_errors(*case, TAXONOMIES[2])
    assert len(errors.detections.cut) == levels[1].num_cut > 0
    assert all(cost.count == 0 for cost in errors.costs)  # what was cut was not missed


def check(truth: GroundTruth, found: Detections, taxonomy: Taxonomy, *, max_dets: int) -> None:
    index = [taxonomy.group_index(level) for level in range(taxonomy.num_levels)]
    levels = evaluate_levels(truth, found, index, max_dets=max_dets)
    sets = {'some': ['e', 'a'], 'one': ['d']}
    summary = summarize(levels, taxonomy, [5, 1, 1, 9, 9], class_sets=sets)

    text = render_text(summary)
    assert {*re.findall(r'\d+\.\d\d', text)} <= {'100.00'}
    assert 'left out' not in text
    for level in summary.levels:
        for key, value in level.coco.items():
            if key not in ('AR1', 'AR10'):  # at most that many of a class count
                assert np.isnan(value) or value == pytest.approx(1, abs=1e-9), key

    for groups in (index[0], (0,) * 5):
        answers = suppress(found, groups)
        ap = evaluate_groups(truth, answers, groups, max_dets=max_dets).mean_ap()
        assert np.isnan(ap) or ap == pytest.approx(1)
    (resampled,) = resample_ap(truth, [found], index, resamples=4, max_dets=max_dets, workers=1)
    for values in resampled.levels:
        assert values[~np.isnan(values)] == pytest.approx(1)

    plain, truth = truth.sets is None, truth.relabel(range(5))
    errors = analyze_errors(truth, found, taxonomy, max_dets=max_dets)
    assert np.isnan(errors.ap) or errors.ap == pytest.approx(1)
    assert all(cost.count == 0 for cost in errors.costs)
    confusion = measure_confusion(truth, found, taxonomy)
    if plain:
        assert np.trace(confusion.counts) == confusion.counts.sum() == len(found.scores)
    assert (confusion.mistaken == 0).all()
