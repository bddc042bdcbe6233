"""Intervals over seeds and photos: by hand, and right as often as they say where truth is known."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mmdet_multigrain.evaluation.functional.bootstrap import image_weights
from mmdet_multigrain.evaluation.functional.common import mean_of_known
from mmdet_multigrain.evaluation.functional.intervals import (
    Difference,
    Term,
    difference_of_draws,
    holm,
    paired_difference,
    unpaired_difference,
)
from mmdet_multigrain.utils.errors import EvaluationError

SETS = 2000
PHOTOS = 100
# Variance of the seeds, V_b, the interaction of seeds and photos; in units of V_b where it is not 0.
CELLS = [
    *((ratio, 1, interaction) for ratio in (0, 1, 4, 12) for interaction in (0, 4)),
    *((1, 0, 0), (1, 0, 4), (0, 0, 4)),
]


def photo_variance(scores):
    """The bootstrap variance of a mean over photos (last axis), in closed form."""
    return scores.var(axis=-1) / scores.shape[-1]


def draw_scores(rng, runs, seeds, shared, interaction):
    """(sets, runs, photos) scores whose mean over photos is the run's."""
    sizes = [(SETS, runs, 1), (SETS, 1, PHOTOS), (SETS, runs, PHOTOS)]
    variances = [seeds, PHOTOS * shared, PHOTOS * interaction]
    return sum(
        rng.normal(0, np.sqrt(one), size) for one, size in zip(variances, sizes, strict=True)
    )


def paired(rng, runs, *variances):
    gains = draw_scores(rng, runs, *variances)
    return paired_difference(
        gains.mean(axis=-1),
        photos=photo_variance(gains.mean(axis=1)),
        photos_by_run=photo_variance(gains).mean(axis=-1),
        num_images=PHOTOS,
    )


def unpaired(rng, runs, seeds, shared, interaction):
    # What a photo does to one side is independent of what it does to the other.
    arms = [draw_scores(rng, runs, seeds, shared / 2, interaction) for _ in range(2)]
    return unpaired_difference(
        *(arm.mean(axis=-1) for arm in arms),
        photos=photo_variance(arms[1].mean(axis=1) - arms[0].mean(axis=1)),
        photos_by_run=[photo_variance(arm).mean(axis=-1) for arm in arms],
        photos_of_mean=[photo_variance(arm.mean(axis=1)) for arm in arms],
        num_images=PHOTOS,
    )


@pytest.mark.parametrize('method', [paired, unpaired])
@pytest.mark.parametrize(
    ('runs', 'least', 'most'), [(3, 0.91, 0.98), (5, 0.93, 0.97), (12, 0.93, 0.97)]
)
@pytest.mark.parametrize('cell', CELLS)
def test_intervals_hold_the_true_difference_as_often_as_they_say(method, runs, least, most, cell):
    found = method(np.random.default_rng(0), runs, *cell)
    assert found.value.shape == (SETS,)
    assert least <= found.contains_zero.mean() <= most  # the true difference is 0


def test_photos_that_all_seeds_share_are_counted_once():
    """V_b on average; adding V_photo itself would count the interaction twice."""
    rng = np.random.default_rng(1)
    for method in (paired, unpaired):
        found = method(rng, 5, 1, 2, 6)
        sides = 1 if method is paired else 2
        assert found.photos.variance.mean() == pytest.approx(2, rel=0.05)
        assert found.seed_variance.mean() == pytest.approx(sides * (1 + 6) / 5, rel=0.05)


def draws_by_hand():
    """Three runs, four resamples."""
    baseline = np.array([[0.1, 0.1, 0.2, 0.1, 0.0], [0.2] * 5, [0.3, 0.3, 0.3, 0.2, 0.4]])
    gains = np.array([[0.1, 0.1, 0.3, 0.0, 0.0], [0.2, 0.3, 0.2, 0.2, 0.1], [0.3] * 5])
    return baseline, baseline + gains, gains


def test_paired_by_hand():
    baseline, variant, gains = draws_by_hand()
    found = difference_of_draws(baseline, variant, num_images=9, paired=True)
    photos = np.var(gains[:, 1:].mean(axis=0), ddof=1)
    by_run = np.var(gains[:, 1:], axis=1, ddof=1).mean()
    shared = (3 * photos - by_run) / 2
    assert shared > 0
    seeds = 0.01 / 3
    df = (seeds + shared) ** 2 / (seeds**2 / 2 + shared**2 / 8)
    margin = stats.t.ppf(0.975, df) * np.sqrt(seeds + shared)
    assert found.over_seeds and found.value == pytest.approx(0.2)
    assert found.seed_variance == pytest.approx(seeds)
    assert found.photos.variance == pytest.approx(shared)
    assert (found.df, found.low, found.high) == pytest.approx((df, 0.2 - margin, 0.2 + margin))
    p = 2 * stats.t.sf(0.2 / np.sqrt(seeds + shared), df)
    assert found.p_value == pytest.approx(p) and found.contains_zero == (p > 0.05)
    quantiles = stats.t.ppf([0.975, 0.8], df).sum()
    assert found.detectable == pytest.approx(quantiles * np.sqrt(seeds + shared))
    here = found.on_these_photos()
    assert here.detectable == pytest.approx(stats.t.ppf([0.975, 0.8], 2).sum() * np.sqrt(seeds))
    assert here.value == found.value and here.df == pytest.approx(2)


def test_unpaired_by_hand():
    baseline, variant, _ = draws_by_hand()
    variant = np.concatenate([variant, variant[:1] + 0.1])
    found = difference_of_draws(baseline, variant, num_images=9, paired=False)
    shared, seeds = np.var((variant.mean(axis=0) - baseline.mean(axis=0))[1:], ddof=1), []
    for arm in (baseline, variant):
        by_run = np.var(arm[:, 1:], axis=1, ddof=1).mean()
        of_mean = np.var(arm[:, 1:].mean(axis=0), ddof=1)
        shared -= (by_run - of_mean) / (len(arm) - 1)
        seeds.append(np.var(arm[:, 0], ddof=1) / len(arm))
    shared = max(0, shared)
    df = (sum(seeds) + shared) ** 2 / (seeds[0] ** 2 / 2 + seeds[1] ** 2 / 3 + shared**2 / 8)
    assert found.value == pytest.approx(variant[:, 0].mean() - 0.2)
    assert found.variance == pytest.approx(sum(seeds) + shared) and found.df == pytest.approx(df)


def test_welch_of_published_means_and_deviations():
    """Standard deviations 3.66 and 1.81 over three seeds: +5.54 is [-2.08, +13.16]."""
    arms = (np.array([-1, 0, 1]) * 3.66, 5.54 + np.array([-1, 0, 1]) * 1.81)
    none = {'photos': 0.0, 'photos_by_run': (0, 0), 'photos_of_mean': (0, 0)}
    found = unpaired_difference(*arms, **none, num_images=300)
    assert (found.value, found.low, found.high) == pytest.approx((5.54, -2.08, 13.16), abs=0.005)
    assert found.contains_zero


def test_one_or_two_runs_are_over_photos_only():
    baseline, variant, gains = draws_by_hand()
    for counts, paired in (((1, 1), True), ((2, 2), True), ((3, 2), False), ((2, 3), False)):
        sides = baseline[: counts[0]], variant[: counts[1]]
        found = difference_of_draws(*sides, num_images=5, paired=paired)
        draws = sides[1].mean(axis=0) - sides[0].mean(axis=0)
        assert not found.over_seeds and found.seed_variance == 0
        assert found.variance == pytest.approx(np.var(draws[1:], ddof=1) * 5 / 4)
        assert found.df == 4
        assert (found.low + found.high) / 2 == pytest.approx(found.value)


def test_resamples_without_a_value_are_left_out():
    baseline, variant, _ = draws_by_hand()
    expected = difference_of_draws(baseline, variant, num_images=9, paired=True)
    holes = np.full((3, 2), np.nan)
    found = difference_of_draws(
        np.hstack([baseline, holes]), np.hstack([variant, holes]), num_images=9, paired=True
    )
    assert found.variance == pytest.approx(expected.variance) and found.low > -1


def test_sides_that_cannot_be_compared():
    arm = np.zeros((3, 5))
    for sides, paired in (((arm, arm[:2]), True), ((arm[:0], arm), False), ((arm, arm[:0]), False)):
        with pytest.raises(EvaluationError, match='both sides need runs'):
            difference_of_draws(*sides, num_images=9, paired=paired)


@pytest.mark.parametrize('num_images', [0, 1, 2, 4])
def test_too_few_images_have_no_interval(num_images):
    baseline, variant, _ = draws_by_hand()
    for arms in ((baseline, variant), (baseline[:1], variant[:1])):
        found = difference_of_draws(*arms, num_images=num_images, paired=True)
        assert np.isnan([found.low, found.high, found.p_value]).all()
        assert found.contains_zero and not found.enough_images and found.value > 0
        assert not np.isnan(difference_of_draws(*arms, num_images=5, paired=True).low)


def test_nothing_varies():
    """Equal runs differ by nothing; a difference that never varies has no interval."""
    rows = np.random.default_rng(0).random((3, 50))
    same = difference_of_draws(rows, rows + 1e-17, num_images=9, paired=True)
    assert same.contains_zero and same.p_value == 1 and same.high - same.low < 1e-9
    above = difference_of_draws(rows, rows + 0.1, num_images=9, paired=True)
    assert above.contains_zero and np.isnan([above.low, above.high, above.p_value]).all()


def coin_flips(rng, num_boxes, *, num_classes=1000, num_runs=10, num_images=60, resamples=200):
    """Draws of runs that hit each box with probability 1/2: (class, run, 1 + B).

    Each box of a class is on an image of its own. Without false positives, precision is 1 up to the
    recall of a class, and its AP is the share of COCO's 101 recalls up to there.
    """
    weights = image_weights(num_images, range(1 + resamples), seed=0)
    order = np.argsort(rng.random((num_classes, num_images)), axis=1)
    weights = weights[order[:, :num_boxes]]  # class, box, 1 + B
    hits = rng.random((num_classes, num_runs, num_boxes)) < 0.5
    found, boxes = hits @ weights, weights.sum(axis=1)[:, None]
    with np.errstate(invalid='ignore'):
        recall = np.where(boxes > 0, found / boxes, np.nan)
    return np.where(recall > 0, (np.floor(100 * recall + 1e-4) + 1) / 101, recall)


def assert_rarely_told_apart(draws, num_images, counts):
    """At most 7% of equal runs count as different; (case, run, 1 + B) draws."""
    for count, paired in itertools.product(counts, (True, False)):
        sides = draws[:, :count], draws[:, 5 : 5 + count]
        found = difference_of_draws(*sides, num_images=num_images, paired=paired)
        alarms = 1 - found.contains_zero.mean()
        assert alarms == 0 if num_images < 3 else alarms <= 0.07


@pytest.mark.parametrize('num_boxes', [1, 2, 3, 4, 5, 6, 8, 12, 20, 40])
def test_few_boxes_of_equal_runs_are_rarely_told_apart(num_boxes):
    draws = coin_flips(np.random.default_rng(num_boxes), num_boxes)
    assert_rarely_told_apart(draws, num_boxes, (1, 2, 3, 5))


@pytest.mark.parametrize('num_classes', [1, 2, 3, 5, 10])
def test_means_over_classes_of_one_box(num_classes):
    """The same for the mean AP of classes that have one box each, and several seeds."""
    draws = coin_flips(np.random.default_rng(0), 1, num_classes=1000 * num_classes)
    draws = mean_of_known(draws.reshape(1000, num_classes, *draws.shape[1:]), axis=1)
    assert_rarely_told_apart(draws, num_classes, (3, 5))


def test_holm_by_hand():
    found = holm([0.03, np.nan, 0.01, 0.04, 0.9])
    # 4 x 0.01, 3 x 0.03, then 2 x 0.04 is less than that.
    np.testing.assert_allclose(found, [0.09, np.nan, 0.04, 0.09, 0.9])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert holm([]).shape == (0,) and np.isnan(holm([np.nan])).all()


def test_holm_makes_few_false_claims():
    p_values = np.random.default_rng(0).random((2000, 6))
    claims = np.mean([holm(row).min() < 0.05 for row in p_values])
    assert claims == pytest.approx(0.05, abs=0.015)


def test_power_of_the_detectable_difference():
    """A true difference of this size is told from 0 in about 80% of the sets."""
    rng = np.random.default_rng(2)
    true = Difference(0, (Term(2 / 8, 7),), Term(1.0, PHOTOS - 1), PHOTOS).detectable
    found = paired(rng, 8, 2, 1, 0)
    assert np.mean(found.low + true > 0) == pytest.approx(0.8, abs=0.03)
