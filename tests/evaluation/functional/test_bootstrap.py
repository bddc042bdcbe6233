"""Resamples: exact where they must be; intervals of them are right about as often as they say."""

import dataclasses

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional import bootstrap
from mmdet_multigrain.evaluation.functional.bootstrap import (
    image_weights,
    resample_ap,
)
from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.coco_eval import evaluate_detections, evaluate_levels
from mmdet_multigrain.evaluation.functional.intervals import difference_of_draws
from mmdet_multigrain.utils.errors import EvaluationError

LEVELS = [(0, 0, 1), (0, 1, 2)]
FLAT = [(0, 1, 2)]


def draw_truth(rng, num_images, frequency=(0.5, 0.4, 0.1)):
    """One or two boxes on each image, far from each other."""
    images = np.repeat(np.arange(num_images), rng.integers(1, 3, num_images))
    second = np.diff(images, prepend=-1) == 0
    boxes = np.full((len(images), 4), 40.0)
    boxes[:, :2] = np.where(second, 200, 0)[:, None]
    return GroundTruth(
        tuple(range(num_images)),
        images,
        rng.choice(3, len(images), p=frequency),
        boxes,
        np.full(len(images), 1600.0),
        np.zeros(len(images), dtype=bool),
    )


def draw_run(rng, truth, hard, quality):
    """Detections of most boxes, fewer on hard images; and two on nothing on each image."""
    found = rng.random(len(truth.labels)) < quality * np.where(hard[truth.images], 0.5, 1)
    num_images = len(truth.image_ids)
    labels = np.where(
        rng.random(found.sum()) < 0.85, truth.labels[found], rng.integers(0, 3, found.sum())
    )
    boxes = truth.boxes[found] + rng.normal(0, 3, (found.sum(), 4))
    nothing = np.repeat(np.arange(num_images), 2)
    return Detections(
        np.concatenate([truth.images[found], nothing]),
        np.concatenate([labels, rng.integers(0, 3, len(nothing))]),
        np.concatenate([boxes, np.full((len(nothing), 4), 500.0)]),
        np.concatenate([rng.beta(4, 2, found.sum()), rng.beta(2, 4, len(nothing))]),
    )


def draw_case(rng, num_images, qualities=(0.7, 0.8)):
    truth = draw_truth(rng, num_images)
    hard = rng.random(num_images) < 0.4
    return truth, [draw_run(rng, truth, hard, quality) for quality in qualities]


@pytest.fixture(scope='module')
def case():
    return draw_case(np.random.default_rng(0), 40)


def test_weights_are_drawn_images():
    weights = image_weights(50, range(0, 20), seed=3)
    assert (weights[:, 0] == 1).all() and (weights.sum(axis=0) == 50).all()
    # About 1/e of the images are not drawn.
    assert (weights[:, 1:] == 0).mean() == pytest.approx(np.exp(-1), abs=0.03)
    np.testing.assert_array_equal(weights[:, 7:9], image_weights(50, range(7, 9), seed=3))
    assert (weights[:, 7] != weights[:, 8]).any()
    assert (weights[:, 7] != image_weights(50, [7], seed=4)[:, 0]).any()


def test_a_resample_is_cocos_evaluation_of_copied_images(case):
    truth, runs = case
    found = resample_ap(truth, runs, LEVELS, resamples=4, seed=5)
    weights = image_weights(40, range(5), seed=5).astype(int)
    for number, row in enumerate(weights.T):
        chosen = np.repeat(np.arange(40), row)

        def copy(values, chosen=chosen):
            new = [
                (place, old)
                for place, image in enumerate(chosen)
                for old in np.flatnonzero(values.images == image)
            ]
            places, old = np.array(new).T
            columns = {
                field.name: getattr(values, field.name) for field in dataclasses.fields(values)
            }
            columns = {
                key: column[old]
                for key, column in columns.items()
                if key != 'image_ids' and column is not None
            }
            if isinstance(values, GroundTruth):
                columns['image_ids'] = tuple(range(40))
            return type(values)(**{**columns, 'images': places})

        for run, values in zip(runs, found, strict=True):
            results = evaluate_levels(copy(truth), copy(run), LEVELS)
            for level, result in enumerate(results):
                for iou in (None, 0.5, 0.75):
                    np.testing.assert_allclose(
                        values.classes(level=level, iou=iou)[number],
                        result.class_ap(iou=iou),
                        rtol=0,
                        atol=1e-12,
                    )
                    assert values.mean(level=level, iou=iou)[number] == pytest.approx(
                        result.mean_ap(iou=iou), abs=1e-12
                    )


def test_equal_runs_differ_by_nothing(case):
    truth, (run, _) = case
    one, same = resample_ap(truth, [run, run], FLAT, resamples=50)
    np.testing.assert_array_equal(one.levels[0], same.levels[0])


def test_seed_threads_and_pieces(case, monkeypatch):
    truth, runs = case

    def values(**kwargs):
        return [
            level
            for run in resample_ap(truth, runs, LEVELS, resamples=30, **kwargs)
            for level in run.levels
        ]

    first = values(seed=1, workers=1)
    monkeypatch.setattr(bootstrap, 'MAX_WIDTH', 7)
    for same in (values(seed=1, workers=1), values(seed=1, workers=3)):
        for one, other in zip(first, same, strict=True):
            np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(bootstrap, 'MAX_CELLS', 1)  # one resample at a time
    np.testing.assert_array_equal(first[0], values(seed=1)[0])
    assert (values(seed=2)[0][1:] != first[0][1:]).any()


def test_class_that_is_missing_in_resamples():
    rng = np.random.default_rng(2)
    truth = draw_truth(rng, 30, frequency=(0.5, 0.5, 0))
    truth.labels[0] = 2  # the only one, on image 0
    hard = np.zeros(30, dtype=bool)
    runs = [draw_run(rng, truth, hard, quality) for quality in (0.7, 0.9)]
    one, _ = resample_ap(truth, runs, FLAT, resamples=400)
    drawn = image_weights(30, range(1, 401), seed=0)[0] > 0
    np.testing.assert_array_equal(np.isnan(one.classes()[1:, 2]), ~drawn)
    # It is in no mean of the resamples without it.
    np.testing.assert_allclose(one.mean()[1:][~drawn], one.mean([0, 1])[1:][~drawn])
    assert not np.isnan(one.mean()).any() and 0 < drawn.sum() < 400


def test_no_detections_is_zero(case):
    truth, runs = case
    empty = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))
    (values,) = resample_ap(truth, [empty], LEVELS, resamples=10)
    assert np.nanmax(values.levels[-1]) == 0


def test_no_images():
    with pytest.raises(EvaluationError, match='no images to resample'):
        resample_ap(draw_truth(np.random.default_rng(0), 0), [], FLAT)


def test_interval_covers_the_true_difference():
    """Of intervals from small samples, about 95% hold the difference in the population."""
    rng = np.random.default_rng(7)
    truth, runs = draw_case(rng, 60_000)
    true = np.subtract(
        *(
            evaluate_detections(truth, run, num_classes=3, iou_thrs=[0.5]).mean_ap()
            for run in runs[::-1]
        )
    )
    assert true > 0.03
    intervals = []
    for _ in range(150):
        truth, runs = draw_case(rng, 150)
        one, other = resample_ap(truth, runs, FLAT, resamples=300, iou_thrs=[0.5], workers=1)
        intervals.append(
            difference_of_draws([one.mean()], [other.mean()], num_images=150, paired=True)
        )
    covered = np.mean([interval.low <= true <= interval.high for interval in intervals])
    # 150 times 95%: two standard deviations are 3.6%.
    assert 0.90 <= covered <= 0.99
    # And it is worth having: it is not so wide that it always holds 0.
    assert np.mean([interval.contains_zero for interval in intervals]) < 0.9
