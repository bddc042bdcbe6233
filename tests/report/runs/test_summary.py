"""Sentences of the summary: they claim no more than the numbers support."""

import dataclasses
import math

import pytest

from mmdet_multigrain.evaluation.functional.bootstrap import Interval
from mmdet_multigrain.report.runs.comparison import Gain, Spread, compare_paper
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.report.runs.summary import best_of, summary_points

NAN = math.nan


@pytest.fixture
def pair():
    """The paper's baseline and wgroup, with other APs and gains."""
    paper = compare_paper(load_paper('df2'))
    baseline, variant = paper.variant('baseline'), paper.variant('wgroup')

    def make(ours, theirs, gain=None, resamples=0):
        gains = variant.gains if gain is None else dict.fromkeys(variant.gains, gain)
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
    assert 'cover other photos, not training again' in text


def test_classes_are_counted_by_their_intervals(pair):
    noise = Gain(0.01, Interval(0.01, -0.02, 0.03, 9))
    loss = Gain(-0.01, Interval(-0.01, -0.02, -0.001, 9))
    comparison = pair((0.5,), (0.4,), noise, resamples=9)
    key = comparison.classes[0].key
    comparison.variants[1].gains[key] = loss
    text = dict(summary_points(comparison))['wgroup over baseline']
    assert text.endswith(
        'By class: 12 of 13 up, 1 down; the interval lies above 0 for 0, below 0 '
        'for 1, and contains 0 for 12.'
    )
    # Equal by both definitions: said once.
    assert text.startswith('AP +1.00° (95% interval −2.00 to +3.00, contains 0). Rarest 3')


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
