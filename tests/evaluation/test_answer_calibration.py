"""Calibration of answers: parts, what is promised and kept on drawn photos, and what is seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from mmdet_multigrain.evaluation.answer_calibration import (
    PARTS,
    AnswerCalibration,
    Seen,
    deal,
    promise,
)
from mmdet_multigrain.evaluation.functional.calibrators import Isotonic, Platt
from mmdet_multigrain.evaluation.functional.risk_control import ALWAYS_LEAF, Lineages
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

GROUPED = Taxonomy.load({'top': ['vest', 'sling'], 'bottom': ['skirt']})


def drawn(rng, photos):
    """Matches of a detector that is too sure, and errs more in the class than in the group."""
    count = rng.integers(0, 6, photos)  # some photos have no match
    photo = np.repeat(np.arange(photos), count)
    probabilities = np.sort(rng.random((len(photo), 2)), axis=1)
    # One uniform number decides both levels: what is right stays right on the way up.
    wrong = rng.random(len(photo))[:, None] > probabilities ** [3, 1.5]
    return Lineages(probabilities, wrong, photo)


def calibrated(matches, photos=300, **options):
    return AnswerCalibration(matches, GROUPED, num_photos=photos, **options)


def test_parts_are_disjoint_and_drawn():
    part = deal(np.arange(200), (0.3, 0.4, 0.3), seed=0)
    assert np.bincount(part).tolist() == [60, 80, 60]
    assert np.bincount(deal(np.arange(10), (0, 0.6, 0.4), seed=1)).tolist() == [0, 6, 4]
    assert (part == deal(np.arange(200), (0.3, 0.4, 0.3), seed=0)).all()
    assert (part != deal(np.arange(200), (0.3, 0.4, 0.3), seed=1)).any()
    assert 0.3 < np.corrcoef(part, np.arange(200))[0, 1] + 0.5 < 0.7  # not by position
    cluster = np.arange(200) // 7
    part = deal(cluster, (0.3, 0.4, 0.3), seed=0)
    assert all(len({*part[cluster == one]}) == 1 for one in range(29))
    assert {*part} == {0, 1, 2}


@pytest.mark.parametrize(
    ('name', 'kind', 'photos'),
    [('none', None, [0, 180, 120]), ('platt', Platt, [90, 120, 90]), ('isotonic', Isotonic, None)],
)
def test_each_part_serves_one_purpose(name, kind, photos):
    matches = drawn(np.random.default_rng(0), 300)
    calibration = calibrated(matches, calibrator=name, seed=3)
    part_of = deal(np.arange(300), (0.3, 0.4, 0.3) if kind else (0, 0.6, 0.4), seed=3)
    sizes = calibration.sizes
    assert photos is None or [sizes[part]['photos'] for part in PARTS] == photos
    assert sum(size['matches'] for size in sizes.values()) == len(matches.photos)
    curves = calibration.rule.calibrators
    for number, part in enumerate(PARTS):
        own = part_of[matches.photos] == number
        assert sizes[part] == {
            'photos': (part_of == number).sum(),
            'with_match': len({*matches.photos[own]}),
            'matches': own.sum(),
        }
        raw = matches.probabilities[own]
        if kind and part == 'calibrators':
            assert curves == tuple(
                kind.fit(raw[:, level], ~matches.wrong[own, level]) for level in range(2)
            )
        expected = (
            raw if kind is None else np.stack([curves[0](raw[:, 0]), curves[1](raw[:, 1])], 1)
        )
        expected[:, 1] = expected.max(axis=1)
        np.testing.assert_array_equal(calibration.parts[part].probabilities, expected)
    rule, seen = calibration.at(0.8, score_thr=0.3)
    assert rule.theta == calibration.parts['theta'].threshold(0.8)
    check = part_of[matches.photos] == 2
    levels = rule.levels(matches.probabilities[check])
    wrong = np.append(matches.wrong[check], np.zeros((check.sum(), 1), bool), axis=1)
    wrong = wrong[np.arange(check.sum()), levels]
    photo = matches.photos[check]
    assert seen.wrong == pytest.approx(np.mean([wrong[photo == one].mean() for one in {*photo}]))
    assert seen.shares == tuple(np.bincount(levels, minlength=3) / len(levels))
    assert rule.seen == {**vars(seen), 'shares': [*seen.shares]}
    assert (rule.accuracy, rule.score_thr, rule.reason) == (0.8, 0.3, None)


@pytest.mark.parametrize('calibrator', ['none', 'platt', 'isotonic'])
def test_the_promise_holds_on_average(calibrator):
    """Over 200 draws of 150 photos; thresholds between continuous scores are not too strict."""
    alpha, seen = 0.2, []
    for seed in range(200):
        calibration = calibrated(
            drawn(np.random.default_rng(seed), 150), 150, calibrator=calibrator, seed=seed
        )
        seen.append(calibration.at(1 - alpha)[1].wrong)
    n = calibration.parts['theta'].num_clusters
    mean, error = np.mean(seen), np.std(seen) / math.sqrt(len(seen))
    assert mean <= alpha + 3 * error
    if calibrator != 'isotonic':
        assert mean >= alpha - 2 / (n + 1) - 3 * error


def test_clusters_stay_together():
    matches = drawn(np.random.default_rng(0), 300)
    cluster = np.arange(300) % 40
    calibration = calibrated(matches, clusters=cluster, seed=1)
    part_of = deal(cluster, (0.3, 0.4, 0.3), seed=1)
    for number, part in enumerate(PARTS):
        chosen = part_of[matches.photos] == number
        own = cluster[matches.photos[chosen]]
        assert (calibration.parts[part].clusters == own).all()
        assert calibration.sizes[part]['clusters'] == len({*own})
    assert calibration.sizes['theta']['clusters'] == 16
    rule, _ = calibration.at(0.95)
    assert rule.theta is None
    assert rule.reason.startswith('0.95 needs 19 clusters of photos with a match for the threshold')
    assert 'there are 16; only "object"' in rule.reason
    assert calibration.at(0.9)[0].theta is not None


def test_too_few_photos_answer_object():
    matches = drawn(np.random.default_rng(0), 30)
    calibration = calibrated(matches, 30, calibrator='none')
    count = calibration.sizes['theta']['with_match']
    rule, seen = calibration.at(1 - 1 / (count + 2))
    assert rule.theta is None and f'needs {count + 1} photos with a match' in rule.reason
    assert f'there are {count}' in rule.reason
    assert seen.wrong == 0 and seen.shares == (0, 0, 1) and seen.high > 0
    assert calibration.at(1 - 1 / (count + 1))[0].reason is None
    with pytest.raises(EvaluationError, match='no detection matches an object'):
        calibrated(
            replace(
                matches, **{key: one[:0] for key, one in vars(matches).items() if one is not None}
            )
        )


def test_a_check_part_without_matches_shows_nothing():
    photo = np.flatnonzero(deal(np.arange(2), (0, 0.6, 0.4), seed=0) == 1)
    matches = Lineages(np.array([[0.5, 0.6]]), np.array([[True, False]]), photo)
    rule, seen = calibrated(matches, 2, calibrator='none').at(0.4)
    assert math.isnan(seen.wrong) and rule.seen is None and rule.theta == 0.5


@pytest.mark.parametrize('hits', [0, 1, 7, 20])
def test_the_interval_is_that_of_wilson(hits):
    wrong = (np.arange(20) < hits)[:, None]
    seen = Seen.on(Lineages(np.full((20, 1), 0.5), wrong, np.arange(20)), ALWAYS_LEAF)
    interval = binomtest(hits, 20).proportion_ci(method='wilson')
    assert (seen.wrong, seen.shares) == (hits / 20, (1, 0))
    assert (seen.low, seen.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_the_promise_in_words():
    text = promise(0.9, score_thr=0.3)
    for part in (
        'a new photo like these that has a match',
        'expected share of wrong answers is at most 0.1',
        'averaged over draws of the calibration photos',
        'a mean over photos, not over detections',
        'score 0.3 or more',
        'not for merged answers',
        'nothing of detections without an object',
    ):
        assert part in text
    text = promise(0.95, score_thr=0, grouping='folder')
    assert 'a new cluster of photos like these (folder)' in text and 'at most 0.05' in text
    assert 'a mean over clusters and photos' in text
