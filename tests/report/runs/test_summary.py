"""Sentences of the summary: they claim no more than the numbers support."""

import dataclasses
import math

import pytest

from mmdet_multigrain.report.runs.comparison import Spread, compare_paper
from mmdet_multigrain.report.runs.measures import MEAN_OF_GAINS, Metric
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.report.runs.summary import best_of, summary_points

from .made_runs import gain

NAN = math.nan


@pytest.fixture
def pair():
    """The paper's baseline and wgroup, with other APs and gains."""
    paper = compare_paper(load_paper('df2'))
    baseline, variant = paper.variant('baseline'), paper.variant('wgroup')

    def make(ours, theirs, one=None, resamples=0):
        gains = variant.gains if one is None else dict.fromkeys(variant.gains, one)
        return dataclasses.replace(
            paper,
            resamples=resamples,
            variants=tuple(
                dataclasses.replace(
                    one,
                    runs=('r',) * len(aps),
                    gains=gains if one is variant else {},
                    scores={**one.scores, 'AP': Spread(aps)},
                )
                for one, aps in ((baseline, theirs), (variant, ours))
            ),
        )

    return make


def test_single_runs_are_said_to_be_single(pair):
    points = dict(summary_points(pair((0.5,), (0.4,))))
    assert points['AP'] == 'baseline 40.00 (1 run), wgroup 50.00 (1 run). Highest: wgroup.'
    assert 'a difference may come from the seed alone' in points['Seeds']
    assert 'noise is not ruled out' in points['Seeds']


@pytest.mark.parametrize(
    ('ours', 'theirs', 'text'),
    [
        (0.5, 0.5, 'baseline 50.00 (1 run), wgroup 50.00 (1 run). Highest: baseline, wgroup.'),
        (0.5, NAN, 'baseline - (1 run), wgroup 50.00 (1 run). Highest: wgroup.'),
        (NAN, NAN, 'baseline - (1 run), wgroup - (1 run).'),
    ],
)
def test_all_of_equal_variants_are_highest(pair, ours, theirs, text):
    assert dict(summary_points(pair((ours,), (theirs,))))['AP'] == text


@pytest.mark.parametrize(
    ('ours', 'sentence'),
    [
        ((0.5, 0.6), 'Each run of wgroup is above each of baseline.'),
        ((0.1, 0.2), 'Each run of wgroup is below each of baseline.'),
        ((0.35, 0.6), 'The runs of wgroup and of baseline overlap in AP.'),
    ],
)
def test_seeds(pair, ours, sentence):
    text = dict(summary_points(pair(ours, (0.3, 0.4), resamples=10)))['Seeds']
    assert sentence in text and 'baseline 7.07 (n = 2)' in text
    assert 'Intervals are over photos only; from 3 seeds of each variant on' in text


def test_classes_are_counted_where_they_are_more_than_noise(pair):
    comparison = pair((0.5,) * 3, (0.4,) * 3, gain(0.01, 0.02), resamples=9)
    gains = comparison.variants[1].gains
    keys = [row.key for row in comparison.classes]
    gains |= {keys[0]: gain(-0.01, 0.005), keys[1]: gain(0.01, 0.02, images=2)}
    points = dict(summary_points(comparison))
    assert points['wgroup over baseline'].endswith(
        'By class: 12 of 13 up, 1 down; of 12 with an interval, 0 are up and 1 down by more than '
        'noise (about 0.6 expected by chance).'
    )
    # Equal by both definitions: said once.
    assert points['wgroup over baseline'].startswith(
        'AP +1.00° (95% interval −1.00 to +3.00). Rarest 3'
    )
    assert 'over seeds and photos; a gain marked ° may be noise' in points['Seeds']
    assert points['Power'].startswith(
        'Detectable with 80% power, in AP: wgroup 2.86 (2.86 on these photos). Detectable'
    )


def test_over_photos_only_nothing_is_claimed(pair):
    comparison = pair((0.5,), (0.4,), gain(0.01, 0.005, seeds=False), resamples=9)
    points = dict(summary_points(comparison))
    assert points['wgroup over baseline'].startswith(
        'AP +1.00 (95% interval over photos only +0.50 to +1.50). Rarest 3'
    )
    assert points['wgroup over baseline'].endswith('By class: 13 of 13 up, 0 down.')
    assert 'Intervals are over photos only' in points['Seeds']
    assert 'in AP: wgroup 0.71 over photos only.' in points['Power']


def test_power_in_the_class_sets_that_are_named(pair):
    comparison = pair((0.5,) * 3, (0.4,) * 3, gain(0.01, 0.02), resamples=9)
    tail = Metric('set:tail:AP50', 'tail (2 classes), AP50', MEAN_OF_GAINS, ('vest', 'sling'), True)
    comparison = dataclasses.replace(comparison, metrics=(*comparison.metrics, tail))
    comparison.variants[1].gains[tail.key] = gain(0.01, 0.04)
    points = dict(summary_points(comparison))
    assert points['Power'].endswith(
        'in tail (2 classes), AP50: wgroup 5.72 (5.72 on these photos).'
    )
    assert '; tail (2 classes), AP50 +1.00° (95% interval −3.00' in points['wgroup over baseline']


def test_no_power_without_intervals(pair):
    assert 'Power' not in dict(summary_points(pair((0.5,), (0.4,))))


def test_both_definitions_where_they_differ(pair):
    text = dict(summary_points(pair((0.5,), (0.4,))))['wgroup over baseline']
    assert text.startswith(
        'AP +2.00 (difference of the two numbers), +2.28 (mean of the per-class gains).'
    )


def test_best_of(pair):
    comparison = pair((0.5,), (NAN,))
    assert best_of(comparison.variants).name == 'wgroup'
    comparison = pair((0.5,), (0.5,))
    assert best_of(comparison.variants).name == 'baseline'


def test_a_single_variant_gains_nothing(pair):
    comparison = pair((0.5,), (0.4,))
    alone = dataclasses.replace(comparison, variants=comparison.variants[:1])
    assert summary_points(alone) == [('AP', 'baseline 40.00 (1 run).')]
